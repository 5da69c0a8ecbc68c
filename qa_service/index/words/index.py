"""BM25 over passages, and the terms of their sentences."""

import logging
import math
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
import numpy.typing as npt

from qa_service.datatypes import BoolArray, Expansion, Float64Array, FloatArray, Int32Array, IntArray
from qa_service.index.words.expansion import ExpandedPhrase, expanded_phrases
from qa_service.index.words.sentences import SENTENCE_FILES, SentenceWords
from qa_service.index.words.spellings import Spellings
from qa_service.index.words.synonyms import NO_SYNONYMS, Synonyms
from qa_service.index.words.terms import terms

# The library sets its logger to DEBUG at import.
logging.getLogger("bm25s").setLevel(logging.WARNING)


_COMMON_TERM_SHARE = 8  # a term in every eighth passage or more is common
_MIN_GROUPS, _GROUPS_PER_RESULT = 1000, 8
_NAMES = {
    "data_name": "lexical-data.npy",
    "indices_name": "lexical-indices.npy",
    "indptr_name": "lexical-indptr.npy",
    "vocab_name": "lexical-vocabulary.json",
    "params_name": "lexical-parameters.json",
}
MATRIX_FILES = tuple(sorted(_NAMES.values()))
SYNONYMS = "lexical-synonyms.json"
FILES = (*MATRIX_FILES, SYNONYMS, *SENTENCE_FILES)


def idf(passages: int, frequencies: npt.ArrayLike) -> Float64Array:
    """Return BM25's inverse document frequencies for numbers of passages that hold a term; the shape is kept."""
    counts = np.asarray(frequencies, dtype=np.float64)
    weights: Float64Array = np.log(1 + (passages - counts + 0.5) / (counts + 0.5))
    return weights


def idf_of_one(passages: int, frequency: int) -> float:
    """Return :func:`idf` of one number, without the overhead of an array."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


class BM25Index:
    """BM25 (Lucene's variant) over passages by their numbers, 0 to n - 1, and the words of their sentences.

    Built by :class:`BM25Builder`. ``synonyms`` are those of the collection.
    """

    def __init__(
        self, bm25: bm25s.BM25, sentences: SentenceWords, language: str, synonyms: Synonyms = NO_SYNONYMS
    ) -> None:
        self.synonyms = synonyms
        self._bm25 = bm25
        self._language = language
        self._sentences = sentences
        self._passages = int(bm25.scores["num_docs"])
        self._passages_by_term = np.asarray(bm25.scores["indices"])
        self._term_scores = np.asarray(bm25.scores["data"])
        self._term_starts = np.asarray(bm25.scores["indptr"])
        self._frequencies = np.diff(self._term_starts)
        self._highest: dict[int, float] = {}

    @classmethod
    def load(cls, folder: Path, language: str) -> "BM25Index":
        """Open the files of :meth:`save`, memory-mapped. The caller has checked their hashes."""
        bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False, **_NAMES)
        synonyms = Synonyms.parse((folder / SYNONYMS).read_bytes().decode())
        return cls(bm25, SentenceWords.load(folder), language, synonyms)

    def save(self, folder: Path) -> dict[str, int]:
        """Write the files in ``FILES`` and return the number of entries of each."""
        self._bm25.save(folder, show_progress=False, **_NAMES)
        (folder / SYNONYMS).write_bytes(self.synonyms.dump().encode())
        counts = {**dict.fromkeys(MATRIX_FILES, self._passages), SYNONYMS: len(self.synonyms)}
        return counts | self._sentences.save(folder)

    def vocabulary(self) -> dict[str, int]:
        """Return the id of every term; ids count from 0."""
        return dict(self._bm25.vocab_dict)

    def words(self) -> list[str]:
        """Return all words, folded but not stemmed, in the order of their ids."""
        return self._sentences.words.splitlines()

    @cached_property
    def spellings(self) -> Spellings:
        """The words by their spelling."""
        return Spellings(self._sentences.words, self._sentences.counts)

    def sentences(self) -> int:
        """Return the number of sentences."""
        return len(self._sentences.starts) - 1

    def sentence_lengths(self, first: int, last: int) -> IntArray:
        """Return the numbers of words of the sentences ``first`` to ``last``, exclusive."""
        return np.diff(self._sentences.starts[first : last + 1])

    def ids(self, wanted: Iterable[str]) -> dict[str, int]:
        """Return the ids of the terms that occur in any passage."""
        vocabulary = self._bm25.vocab_dict
        return {term: vocabulary[term] for term in wanted if term in vocabulary}

    def sentence_terms(self, first: int, last: int) -> Int32Array:
        """Return the term ids of the sentences ``first`` to ``last``, exclusive, in text order."""
        return self._sentences.terms[self.sentence_words(first, last)]

    def sentence_words(self, first: int, last: int) -> Int32Array:
        """Return the word ids of the sentences ``first`` to ``last``, exclusive, in text order."""
        starts = self._sentences.starts
        return self._sentences.ids[starts[first] : starts[last]]

    def holds(self, passage: int, term: int) -> bool:
        """Tell whether a passage, including its title and headings, holds the term with this id."""
        posting, _ = self.posting(term)
        place = int(np.searchsorted(posting, passage))
        return place < len(posting) and int(posting[place]) == passage

    def match(self, question: str, expansions: Sequence[Expansion] = ()) -> "BM25Match | None":
        """Match a question with the passages; ``None`` if it shares no term with any of them, nor a synonym."""
        weights = self.weights(question)
        known = sorted(self.ids(weights).values())
        phrases = expanded_phrases(self, expansions)
        return BM25Match(self, known, weights, phrases) if known or phrases else None

    def posting(self, term: int) -> tuple[Int32Array, FloatArray]:
        """Return the increasing numbers of the passages that hold a term, and its BM25 score in each."""
        span = slice(int(self._term_starts[term]), int(self._term_starts[term + 1]))
        return self._passages_by_term[span], self._term_scores[span]

    def highest(self, term: int) -> float:
        """Return the highest BM25 score of a common term in any passage, kept for the next question."""
        if term not in self._highest:
            self._highest[term] = float(self.posting(term)[1].max())
        return self._highest[term]

    def by_passage(self) -> Any:
        """Return the BM25 scores as a sparse matrix (passages, terms) in rows, with increasing terms in each."""
        from scipy.sparse import csc_array  # noqa: PLC0415 - only publishing needs it

        given = (self._term_scores, self._passages_by_term, self._term_starts)
        return csc_array(given, shape=(self._passages, len(self._frequencies))).tocsr()

    def weights(self, question: str) -> dict[str, float]:
        """Return the idf of each term of a question; a term that no passage holds has the largest possible idf."""
        vocabulary = self._bm25.vocab_dict
        return {term: self._idf(vocabulary.get(term)) for term in sorted(self.terms(question))}

    def terms(self, text: str) -> set[str]:
        """Return the distinct terms of a text, in the language of this index."""
        return set(terms(text, self._language))

    def _idf(self, identifier: int | None) -> float:
        return idf_of_one(self._passages, 0 if identifier is None else int(self._frequencies[identifier]))

    def __len__(self) -> int:
        """Return the number of passages."""
        return self._passages


class BM25Match:
    """The match of a question with an index. ``weights`` is the idf of each of its terms.

    Common terms (in every eighth passage or more) weigh little and would take nearly all of the time. They are added
    only to passages that they can still lift among the best, as in MaxScore (Turtle and Flood, 1995); the result is
    the same. Passages with a synonym of one of the ``phrases`` get what they lack of the score of the phrase.
    """

    def __init__(
        self,
        index: BM25Index,
        terms: Sequence[int],
        weights: dict[str, float],
        phrases: Sequence[ExpandedPhrase] = (),
    ) -> None:
        self.weights = weights
        passages = len(index)
        self._common: list[tuple[Int32Array, FloatArray]] = []
        self._gain = 0.0
        """The most that common terms can add to a score."""
        self._partial = np.zeros(passages, np.float32)
        """The sum of the scores of all other terms in each passage."""
        for term in terms:
            holding, scores = index.posting(term)
            if len(holding) * _COMMON_TERM_SHARE < passages:
                np.add.at(self._partial, holding, scores)  # twice as fast as +=
            else:
                self._common.append((holding, scores))
                self._gain += index.highest(term)
        for phrase in phrases:
            synonymous = np.zeros(passages, bool)
            for ids in phrase.synonyms:
                synonymous[_holding(index, ids)] = True
            holding = np.flatnonzero(synonymous).astype(np.int32)
            found = _added([index.posting(int(term)) for term in phrase.terms], holding)
            self._partial[holding] += np.maximum(0, phrase.score - found)

    def scores(self, numbers: IntArray) -> FloatArray:
        """Return the scores of passages, given by increasing numbers."""
        scores: FloatArray = self._partial[numbers] + _added(self._common, numbers)
        return scores

    def best(self, depth: int, allowed: IntArray | None = None) -> IntArray:
        """Return the numbers of the ``depth`` best passages, of all or of those allowed, best first, ties by number.

        Passages without any of the terms are left out.
        """
        partial = self._partial
        if allowed is not None:
            partial = np.full(len(self._partial), -np.inf, np.float32)
            partial[allowed] = self._partial[allowed]
        # The most that common terms can add decides which passages can still be among the best.
        least = _least_of_best(partial, depth) - self._gain
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


def _holding(index: BM25Index, terms: Int32Array) -> Int32Array:
    """Return the numbers of the passages that hold all of some terms."""
    rarest, *others = sorted((index.posting(int(term))[0] for term in terms), key=len)
    for holding in others:
        rarest = rarest[_find(holding, rarest)[1]]
    return rarest


def _find(holding: Int32Array, numbers: Int32Array) -> tuple[IntArray, BoolArray]:
    """Return the place of each passage in a posting, and whether it is there; the numbers of both increase.

    numpy's ``intersect1d`` sorts them again, which takes ten times as long or more.
    """
    places = np.minimum(np.searchsorted(holding, numbers), len(holding) - 1)
    return places, holding[places] == numbers


def _added(postings: Sequence[tuple[Int32Array, FloatArray]], numbers: IntArray | Int32Array) -> FloatArray:
    """Return the sums of the scores of terms in passages, given by increasing numbers."""
    total = np.zeros(len(numbers), np.float32)
    numbers = numbers.astype(np.int32)  # the type of postings; else each of them would be converted
    for holding, scores in postings:
        places, found = _find(holding, numbers)
        total[found] += scores[places[found]]
    return total


def _least_of_best(scores: FloatArray, depth: int) -> float:
    """Return a score that at least ``depth`` scores reach and few exceed; minus infinity if there are fewer.

    The scores are dealt into more than ``depth`` groups, and the ``depth``-th best of the groups' maxima is returned.
    """
    rounds = max(1, len(scores) // max(_MIN_GROUPS, _GROUPS_PER_RESULT * depth))
    groups = len(scores) // rounds
    if groups < depth:
        return -math.inf
    best = scores[: rounds * groups].reshape(rounds, groups).max(axis=0)
    return float(np.partition(best, groups - depth)[groups - depth])
