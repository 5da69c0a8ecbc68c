"""Builds a BM25 index, passage by passage."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy as np
from bm25s.tokenization import Tokenized

from qa_service.datatypes import Int32Array, IntArray
from qa_service.index.words.index import BM25Index, idf
from qa_service.index.words.sentences import SentenceWords
from qa_service.index.words.spellings import in_order
from qa_service.index.words.synonyms import NO_SYNONYMS, Synonyms
from qa_service.index.words.terms import stem, words

# Robertson and Zaragoza (2009) recommend 1.2 to 2 and 0.5 to 0.8; a small b suits short passages.
_K1, _B = 1.2, 0.75
_COUNT_BATCH = 10_000  # passages


@dataclass(frozen=True, slots=True)
class VocabularyMap:
    """An index whose sentences are reused, and the id in the new index of each of its words."""

    index: BM25Index
    ids: Int32Array


class BM25Builder:
    """Collects passages in the order of their numbers; passages of another index are reused without tokenizing them.

    The other index must have the same language.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._ids: dict[str, int] = {}
        # Word ids; their number in each heading line and each sentence; the number of sentences of each passage.
        self._headings, self._heading_lengths = array("i"), array("q")
        self._said, self._sentence_lengths = array("i"), array("q")
        self._sentences = array("q")

    def add(self, heading: str, sentences: Sequence[str]) -> None:
        """Add a passage by its heading line and its sentences."""
        for sentence in sentences:
            self._append(self._said, self._sentence_lengths, sentence)
        self._append(self._headings, self._heading_lengths, heading)
        self._sentences.append(len(sentences))

    def map_vocabulary(self, index: BM25Index) -> VocabularyMap:
        """Map the words of another index to this one, for :meth:`reuse`."""
        ids = [self._ids.setdefault(word, len(self._ids)) for word in index.words()]
        return VocabularyMap(index, np.array(ids, np.int32))

    def reuse(self, headings: Sequence[str], sentences: Sequence[int], words: VocabularyMap, first: int) -> None:
        """Add passages of another index by their heading lines and numbers of ``sentences``.

        Their sentences are consecutive there, from ``first`` on.
        """
        last = first + sum(sentences)
        self._said.frombytes(words.ids[words.index.sentence_words(first, last)].tobytes())
        self._sentence_lengths.frombytes(words.index.sentence_lengths(first, last).tobytes())
        for heading in headings:
            self._append(self._headings, self._heading_lengths, heading)
        self._sentences.extend(sentences)

    def _append(self, ids: "array[int]", lengths: "array[int]", text: str) -> None:
        found = words(text)
        ids.extend(self._ids.setdefault(word, len(self._ids)) for word in found)
        lengths.append(len(found))

    def finish(self, synonyms: Synonyms = NO_SYNONYMS) -> BM25Index:
        """Return the index of all passages. The id of a term or a word is its rank among all in sorted order."""
        said, headings = np.array(self._said, np.int32), np.array(self._headings, np.int32)
        names = list(self._ids)
        counts = np.bincount(said, minlength=len(names)) + np.bincount(headings, minlength=len(names))
        used = sorted(np.flatnonzero(counts).tolist(), key=lambda place: in_order(names[place]))
        ranks = np.zeros(len(names), np.int32)
        ranks[used] = np.arange(len(used))
        stems = [stem(names[place], self._language) for place in used]
        # The library can't index a passage without a term. No question has the empty term.
        vocabulary = {term: place for place, term in enumerate(sorted({*stems, ""}))}
        terms = np.array([vocabulary[term] for term in stems], np.int32)
        said, headings, starts = ranks[said], ranks[headings], _starts(self._sentence_lengths)
        corpus = _Corpus(terms[headings], _starts(self._heading_lengths), terms[said], starts[_starts(self._sentences)])
        bm25 = _BM25(k1=_K1, b=_B, method="lucene")
        bm25.index(Tokenized(ids=corpus, vocab=vocabulary), show_progress=False)
        spelled = "\n".join(names[place] for place in used)
        sentences = SentenceWords(said, starts, spelled, terms, counts[used].astype(np.int32))
        return BM25Index(bm25, sentences, self._language, synonyms)


@dataclass(frozen=True, slots=True)
class _Corpus:
    """The term ids of the heading line and the sentences of each passage. An empty passage has the empty term."""

    headings: Int32Array
    heading_starts: IntArray
    said: Int32Array
    starts: IntArray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def counted(self) -> Iterator[tuple[Int32Array, Int32Array, Int32Array]]:
        """Yield the terms, passages and counts of batches of passages, in the order of terms, then passages."""
        for first in range(0, len(self), _COUNT_BATCH):
            last = min(first + _COUNT_BATCH, len(self))
            lengths = [np.diff(starts[first : last + 1]) for starts in (self.heading_starts, self.starts)]
            places = [np.flatnonzero(sum(lengths) == 0)]  # of the empty term, which is the first
            for ids, starts, own in zip(
                (self.headings, self.said), (self.heading_starts, self.starts), lengths, strict=True
            ):
                terms = ids[starts[first] : starts[last]].astype(np.int64)
                places.append(terms * (last - first) + np.repeat(np.arange(last - first), own))
            found, counts = np.unique(np.concatenate(places), return_counts=True)
            terms, passages = np.divmod(found, last - first)
            yield terms.astype(np.int32), (passages + first).astype(np.int32), counts.astype(np.int32)


class _BM25(bm25s.BM25):  # type: ignore[misc]
    """The library's index, built by sorting; the library itself counts terms passage by passage."""

    def build_index_from_ids(
        self, unique_token_ids: Sequence[int], corpus_token_ids: _Corpus, **_: Any
    ) -> dict[str, Any]:
        """Return the scores of Lucene's BM25 as the library does: a sparse matrix (passages, terms) in columns.

        The postings of each batch of passages follow those of the batches before, term by term.
        """
        self.nonoccurrence_array = None
        vocabulary, passages = len(unique_token_ids), len(corpus_token_ids)
        parts = list(corpus_token_ids.counted())
        frequencies = sum(
            (np.bincount(terms, minlength=vocabulary) for terms, _, _ in parts), np.zeros(vocabulary, int)
        )
        lengths = sum((np.bincount(own, counts, passages) for _, own, counts in parts), np.zeros(passages))
        weights = idf(passages, frequencies).astype(np.float32)
        saturation = self.k1 * (1 - self.b + self.b * lengths / lengths.mean())
        starts = np.concatenate([[0], np.cumsum(frequencies)])
        scores, numbers = np.empty(starts[-1], np.float32), np.empty(starts[-1], np.int32)
        following = starts[:-1].copy()
        for terms, own, counts in parts:
            here = np.bincount(terms, minlength=vocabulary)
            places = np.arange(len(terms)) + np.repeat(following - (np.cumsum(here) - here), here)
            scores[places] = weights[terms] * (counts / (saturation[own] + counts))
            numbers[places] = own
            following += here
        return {"data": scores, "indices": numbers, "indptr": starts, "num_docs": passages}


def _starts(lengths: "array[int]") -> IntArray:
    return np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)
