"""How a lexical index is made: passage after passage."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import bm25s
import numpy as np
import numpy.typing as npt
from bm25s.tokenization import Tokenized

from qa_service.lexical.index import Identifiers, LexicalIndex
from qa_service.lexical.terms import terms

# Robertson and Zaragoza (2009) recommend 1.2 to 2 and 0.5 to 0.8; short passages want little of b.
_K1, _B = 1.2, 0.75


@dataclass(frozen=True, slots=True)
class Terms:
    """Another index, from which sentences are taken over, and the id here of each of its terms."""

    index: LexicalIndex
    ids: Identifiers


class LexicalBuilder:
    """Collects passages in the order of their numbers; those that another index has need not be cut into terms again.

    That must be of the same language.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._ids: dict[str, int] = {}
        # Ids of terms, and how many of them each heading line and each sentence has; sentences a passage.
        self._headings, self._heading_lengths = array("i"), array("q")
        self._said, self._sentence_lengths = array("i"), array("q")
        self._sentences = array("q")

    def add(self, heading: str, sentences: Sequence[str]) -> None:
        """Add a passage by its heading line and its sentences."""
        for sentence in sentences:
            self._append(self._said, self._sentence_lengths, sentence)
        self._append(self._headings, self._heading_lengths, heading)
        self._sentences.append(len(sentences))

    def terms_of(self, index: LexicalIndex) -> Terms:
        """Return what is needed to take sentences over from an index."""
        vocabulary = index.vocabulary()
        ids = np.zeros(len(vocabulary), np.int32)
        for term, identifier in vocabulary.items():
            ids[identifier] = self._ids.setdefault(term, len(self._ids))
        return Terms(index, ids)

    def take_over(self, heading: str, terms: Terms, first: int, last: int) -> None:
        """Add a passage whose sentences are those from ``first`` to ``last``, exclusive, of another index."""
        self._said.frombytes(terms.ids[terms.index.sentence_terms(first, last)].tobytes())
        self._sentence_lengths.frombytes(terms.index.sentence_lengths(first, last).tobytes())
        self._append(self._headings, self._heading_lengths, heading)
        self._sentences.append(last - first)

    def _append(self, ids: "array[int]", lengths: "array[int]", text: str) -> None:
        found = terms(text, self._language)
        ids.extend(self._ids.setdefault(term, len(self._ids)) for term in found)
        lengths.append(len(found))

    def finish(self) -> LexicalIndex:
        """Return the index of all passages added. A term's id is its place among all terms in their order."""
        said, headings = np.array(self._said, np.int32), np.array(self._headings, np.int32)
        used = np.union1d(said, headings)
        names = list(self._ids)
        # The library can't index a passage without a term; the empty one is never asked for.
        vocabulary = {term: place for place, term in enumerate(sorted({names[place] for place in used} | {""}))}
        renamed = np.zeros(len(names), np.int32)
        renamed[used] = [vocabulary[names[place]] for place in used]
        said, headings = renamed[said], renamed[headings]
        starts = _starts(self._sentence_lengths)
        corpus = _Corpus(headings, _starts(self._heading_lengths), said, starts[_starts(self._sentences)])
        bm25 = bm25s.BM25(k1=_K1, b=_B, method="lucene")
        bm25.index(Tokenized(ids=corpus, vocab=vocabulary), show_progress=False)
        return LexicalIndex(bm25, said, starts, self._language)


@dataclass(frozen=True, slots=True)
class _Corpus:
    """Lists of term ids, one a passage, made when they are asked for: all at once would fill the memory."""

    headings: Identifiers
    heading_starts: npt.NDArray[np.int64]
    said: Identifiers
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[list[int]]:
        for heading, own in zip(pairwise(self.heading_starts), pairwise(self.starts), strict=True):
            yield [*self.headings[slice(*heading)].tolist(), *self.said[slice(*own)].tolist()] or [0]


def _starts(lengths: "array[int]") -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)
