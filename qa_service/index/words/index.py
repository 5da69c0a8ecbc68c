"""The lexical leg: BM25 over passages, and the terms of their sentences."""

import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import numpy.typing as npt

from qa_service.datatypes import Float64Array, FloatArray, Int32Array, IntArray
from qa_service.index.words.terms import terms

# The library sets its own logger to the lowest level when it is imported.
logging.getLogger("bm25s").setLevel(logging.WARNING)


_COMMON = 8
_GROUPS, _GROUPS_A_PLACE = 1000, 8
_NAMES = {
    "data_name": "lexical-data.npy",
    "indices_name": "lexical-indices.npy",
    "indptr_name": "lexical-indptr.npy",
    "vocab_name": "lexical-vocabulary.json",
    "params_name": "lexical-parameters.json",
}
SENTENCE_TERMS, SENTENCE_STARTS = "lexical-sentence-terms.npy", "lexical-sentence-starts.npy"
MATRIX_FILES = tuple(sorted(_NAMES.values()))
FILES = (*MATRIX_FILES, SENTENCE_STARTS, SENTENCE_TERMS)


def idf(passages: int, frequencies: npt.ArrayLike) -> Float64Array:
    """Return BM25's inverse document frequency of what stands in so many of the passages, shape kept."""
    counts = np.asarray(frequencies, dtype=np.float64)
    weights: Float64Array = np.log(1 + (passages - counts + 0.5) / (counts + 0.5))
    return weights


def idf_of_one(passages: int, frequency: int) -> float:
    """Return the same of one number, without the time that an array takes."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


class BM25Index:
    """BM25 (Lucene's variant) over passages by their numbers, 0 to n - 1, and the terms of their sentences.

    :class:`BM25Builder` makes it. ``sentence_terms`` holds the ids of each sentence's terms in order, one
    for each time; sentence ``i`` has those from ``sentence_starts[i]`` to ``sentence_starts[i + 1]``.
    """

    def __init__(self, bm25: bm25s.BM25, sentence_terms: Int32Array, sentence_starts: IntArray, language: str) -> None:
        self._bm25 = bm25
        self._language = language
        self._passages = int(bm25.scores["num_docs"])
        self._passages_by_term = np.asarray(bm25.scores["indices"])
        self._term_scores = np.asarray(bm25.scores["data"])
        self._term_starts = np.asarray(bm25.scores["indptr"])
        self._frequencies = np.diff(self._term_starts)
        self._sentence_terms = sentence_terms
        self._sentence_starts = sentence_starts

    @classmethod
    def load(cls, folder: Path, language: str) -> "BM25Index":
        """Open what :meth:`save` wrote, memory-mapped. The caller has checked the files' hashes."""
        bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False, **_NAMES)
        ids, starts = (
            np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False))
            for name in (SENTENCE_TERMS, SENTENCE_STARTS)
        )
        return cls(bm25, ids, starts, language)

    def save(self, folder: Path) -> dict[str, int]:
        """Write the files named in ``FILES`` and return how many things each holds."""
        self._bm25.save(folder, show_progress=False, **_NAMES)
        np.save(folder / SENTENCE_TERMS, self._sentence_terms, allow_pickle=False)
        np.save(folder / SENTENCE_STARTS, self._sentence_starts, allow_pickle=False)
        return {
            **dict.fromkeys(MATRIX_FILES, self._passages),
            SENTENCE_TERMS: len(self._sentence_terms),
            SENTENCE_STARTS: len(self._sentence_starts),
        }

    def vocabulary(self) -> dict[str, int]:
        """Return the id of every term; ids count from 0."""
        return dict(self._bm25.vocab_dict)

    def sentences(self) -> int:
        """Return the number of sentences."""
        return len(self._sentence_starts) - 1

    def sentence_lengths(self, first: int, last: int) -> IntArray:
        """Return the numbers of terms in the sentences from ``first`` to ``last``, exclusive."""
        return np.diff(self._sentence_starts[first : last + 1])

    def ids(self, wanted: Iterable[str]) -> dict[str, int]:
        """Return the ids of those terms that stand in some passage."""
        vocabulary = self._bm25.vocab_dict
        return {term: vocabulary[term] for term in wanted if term in vocabulary}

    def sentence_terms(self, first: int, last: int) -> Int32Array:
        """Return the ids of the terms in the sentences from ``first`` to ``last``, exclusive, as they stand there."""
        return self._sentence_terms[self._sentence_starts[first] : self._sentence_starts[last]]

    def holds(self, passage: int, term: int) -> bool:
        """Tell whether a passage, its title and headings included, holds the term of an id."""
        posting, _ = self.posting(term)
        place = int(np.searchsorted(posting, passage))
        return place < len(posting) and int(posting[place]) == passage

    def match(self, question: str) -> "BM25Match | None":
        """Return how a question meets the passages; ``None`` if it shares no term with any of them."""
        weights = self.weights(question)
        known = sorted(self.ids(weights).values())
        return BM25Match(self, known, weights) if known else None

    def posting(self, term: int) -> tuple[Int32Array, FloatArray]:
        """Return the numbers of the passages that hold the term of an id, growing, and its BM25 score in each."""
        span = slice(int(self._term_starts[term]), int(self._term_starts[term + 1]))
        return self._passages_by_term[span], self._term_scores[span]

    def by_passage(self) -> Any:
        """Return the BM25 scores as a sparse matrix (passages, terms) in rows, terms growing in each."""
        from scipy.sparse import csc_array  # noqa: PLC0415 - for who publishes an index

        given = (self._term_scores, self._passages_by_term, self._term_starts)
        return csc_array(given, shape=(self._passages, len(self._frequencies))).tocsr()

    def weights(self, question: str) -> dict[str, float]:
        """Return the idf of each of a question's terms; one that no passage holds has the largest there is."""
        vocabulary = self._bm25.vocab_dict
        return {term: self._idf(vocabulary.get(term)) for term in sorted(self.terms(question))}

    def terms(self, text: str) -> set[str]:
        """Return the set of a text's terms, as this index sees them."""
        return set(terms(text, self._language))

    def _idf(self, identifier: int | None) -> float:
        return idf_of_one(self._passages, 0 if identifier is None else int(self._frequencies[identifier]))

    def __len__(self) -> int:
        """Return the number of passages."""
        return self._passages


class BM25Match:
    """How a question meets an index. ``weights`` is the idf of each of its terms.

    Terms that stand in every eighth passage or more weigh little and would take nearly all of the time. They are
    added only to passages that they can still lift among the best, as in MaxScore (Turtle and Flood, 1995): the
    result is the same.
    """

    def __init__(self, index: BM25Index, terms: Sequence[int], weights: dict[str, float]) -> None:
        self.weights = weights
        passages = len(index)
        postings = [index.posting(term) for term in terms]
        self._common = [posting for posting in postings if len(posting[0]) * _COMMON >= passages]
        self._partial = np.zeros(passages, np.float32)
        """What the other terms add up to in each passage."""
        for holding, scores in postings:
            if len(holding) * _COMMON < passages:
                self._partial[holding] += scores

    def scores(self, numbers: IntArray) -> FloatArray:
        """Return the scores of some passages, which come in the order of their numbers."""
        scores: FloatArray = self._partial[numbers] + _added(self._common, numbers)
        return scores

    def best(self, depth: int, allowed: IntArray | None = None) -> IntArray:
        """Return the numbers of the ``depth`` best passages, of those allowed, best first, ties by number.

        Passages without any of the terms are not among them.
        """
        partial = self._partial
        if allowed is not None:
            partial = np.full(len(self._partial), -np.inf, np.float32)
            partial[allowed] = self._partial[allowed]
        # What common terms can add at most decides who can still be among the best.
        gain = sum(float(scores.max()) for _, scores in self._common)
        least = _least_of_best(partial, depth) - gain
        if least > 0:
            candidates = np.flatnonzero(partial >= least)
            scores = partial[candidates] + _added(self._common, candidates)
        else:
            total = partial.copy()
            for holding, added in self._common:
                total[holding] += added
            candidates = np.flatnonzero(total > 0)
            scores = total[candidates]
        least = _least_of_best(scores, depth)
        candidates, scores = candidates[scores >= least], scores[scores >= least]
        return candidates[np.lexsort((candidates, -scores))][:depth].astype(np.int64)


def _added(postings: Sequence[tuple[Int32Array, FloatArray]], numbers: IntArray) -> FloatArray:
    """Return the sums of the scores that some terms have in passages, given by growing numbers."""
    total = np.zeros(len(numbers), np.float32)
    numbers = numbers.astype(np.int32)  # as postings are: or else each of them would be converted
    for holding, scores in postings:
        places = np.minimum(np.searchsorted(holding, numbers), len(holding) - 1)
        found = holding[places] == numbers
        total[found] += scores[places[found]]
    return total


def _least_of_best(scores: FloatArray, depth: int) -> float:
    """Return a score that at least ``depth`` reach and few surpass; minus infinity if there are no so many.

    The scores are dealt out to more than ``depth`` groups. Of the best of each group, the ``depth``-th best is such.
    """
    rounds = max(1, len(scores) // max(_GROUPS, _GROUPS_A_PLACE * depth))
    groups = len(scores) // rounds
    if groups < depth:
        return -math.inf
    best = scores[: rounds * groups].reshape(rounds, groups).max(axis=0)
    return float(np.partition(best, groups - depth)[groups - depth])
