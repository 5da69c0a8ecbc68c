"""Builds a BM25 index, passage by passage."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import bm25s
import numpy as np
from bm25s.tokenization import Tokenized
from scipy.sparse import csr_array

from qa_service.datatypes import Int32Array, IntArray
from qa_service.index.words.index import BM25Index, idf
from qa_service.index.words.terms import terms

# Robertson and Zaragoza (2009) recommend 1.2 to 2 and 0.5 to 0.8; a small b suits short passages.
_K1, _B = 1.2, 0.75
_COUNT_BATCH = 10_000  # passages


@dataclass(frozen=True, slots=True)
class VocabularyMap:
    """An index whose sentences are reused, and the id in the new index of each of its terms."""

    index: BM25Index
    ids: Int32Array


class BM25Builder:
    """Collects passages in the order of their numbers; passages of another index are reused without tokenizing them.

    The other index must have the same language.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._ids: dict[str, int] = {}
        # Term ids; their number in each heading line and each sentence; the number of sentences of each passage.
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
        """Map the terms of another index to this one, for :meth:`reuse`."""
        vocabulary = index.vocabulary()
        ids = np.zeros(len(vocabulary), np.int32)
        for term, identifier in vocabulary.items():
            ids[identifier] = self._ids.setdefault(term, len(self._ids))
        return VocabularyMap(index, ids)

    def reuse(self, headings: Sequence[str], sentences: Sequence[int], terms: VocabularyMap, first: int) -> None:
        """Add passages of another index by their heading lines and numbers of ``sentences``.

        Their sentences are consecutive there, from ``first`` on.
        """
        last = first + sum(sentences)
        self._said.frombytes(terms.ids[terms.index.sentence_terms(first, last)].tobytes())
        self._sentence_lengths.frombytes(terms.index.sentence_lengths(first, last).tobytes())
        for heading in headings:
            self._append(self._headings, self._heading_lengths, heading)
        self._sentences.extend(sentences)

    def _append(self, ids: "array[int]", lengths: "array[int]", text: str) -> None:
        found = terms(text, self._language)
        ids.extend(self._ids.setdefault(term, len(self._ids)) for term in found)
        lengths.append(len(found))

    def finish(self) -> BM25Index:
        """Return the index of all passages. A term's id is its rank among all terms in sorted order."""
        said, headings = np.array(self._said, np.int32), np.array(self._headings, np.int32)
        names = list(self._ids)
        occurs = np.zeros(len(names), bool)
        occurs[said] = occurs[headings] = True
        used = np.flatnonzero(occurs)
        # The library can't index a passage without a term. No question has the empty term.
        vocabulary = {term: place for place, term in enumerate(sorted({names[place] for place in used} | {""}))}
        renamed = np.zeros(len(names), np.int32)
        renamed[used] = [vocabulary[names[place]] for place in used]
        said, headings = renamed[said], renamed[headings]
        starts = _starts(self._sentence_lengths)
        corpus = _Corpus(headings, _starts(self._heading_lengths), said, starts[_starts(self._sentences)])
        bm25 = _BM25(k1=_K1, b=_B, method="lucene")
        bm25.index(Tokenized(ids=corpus, vocab=vocabulary), show_progress=False)
        return BM25Index(bm25, said, starts, self._language)


@dataclass(frozen=True, slots=True)
class _Corpus:
    """The term ids of the heading line and the sentences of each passage. An empty passage has the empty term."""

    headings: Int32Array
    heading_starts: IntArray
    said: Int32Array
    starts: IntArray

    def __len__(self) -> int:
        return len(self.starts) - 1

    def counted(self, vocabulary: int) -> Iterator[tuple[IntArray, Int32Array, Int32Array]]:
        """Yield batches of passages, terms and counts, in the order of passages and terms."""
        for first in range(0, len(self), _COUNT_BATCH):
            last = min(first + _COUNT_BATCH, len(self))
            lengths = [np.diff(starts[first : last + 1]) for starts in (self.heading_starts, self.starts)]
            empty = np.flatnonzero(sum(lengths) == 0) + first
            places = [empty * vocabulary]
            for ids, starts, own in zip(
                (self.headings, self.said), (self.heading_starts, self.starts), lengths, strict=True
            ):
                places.append(np.repeat(np.arange(first, last), own) * vocabulary + ids[starts[first] : starts[last]])
            found, counts = np.unique(np.concatenate(places), return_counts=True)
            passages, terms = np.divmod(found, vocabulary)
            yield passages, terms.astype(np.int32), counts.astype(np.int32)


class _BM25(bm25s.BM25):  # type: ignore[misc]
    """The library's index, built by sorting; the library itself counts terms passage by passage."""

    def build_index_from_ids(
        self, unique_token_ids: Sequence[int], corpus_token_ids: _Corpus, **_: Any
    ) -> dict[str, Any]:
        """Return the scores of Lucene's BM25 as the library does: a sparse matrix (passages, terms) in columns."""
        self.nonoccurrence_array = None
        parts = list(corpus_token_ids.counted(len(unique_token_ids)))
        passages, terms, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        lengths = np.bincount(passages, counts)
        weights = idf(len(lengths), np.bincount(terms, minlength=len(unique_token_ids))).astype(np.float32)
        saturation = self.k1 * (1 - self.b + self.b * lengths / lengths.mean())
        scores = (weights[terms] * (counts / (saturation[passages] + counts))).astype(np.float32)
        starts = np.searchsorted(passages, np.arange(len(lengths) + 1))
        shape = (len(lengths), len(unique_token_ids))
        columns = csr_array((scores, terms, starts), shape=shape).tocsc()
        return {
            "data": columns.data,
            "indices": columns.indices.astype(np.int32),
            "indptr": columns.indptr.astype(np.int64),
            "num_docs": len(lengths),
        }


def _starts(lengths: "array[int]") -> IntArray:
    return np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)
