"""First-stage retrieval: the best passages by vectors (dense) and by words (lexical)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import Filters, FloatArray, IntArray
from qa_service.index import Index, WordMatch
from qa_service.retrieval.query import Wording

CANDIDATE_DEPTH = 50


@dataclass(frozen=True, slots=True)
class Candidates:
    """Passages by number, with the dense and lexical score and rank of each.

    Ranks start at 1; 0 means not among the best ``depth``. ``lexical`` is ``None`` if the question shares no term
    with any passage. ``weights`` are the idfs of the question's terms, ``terms`` the ids of those that occur in the
    index.
    """

    numbers: IntArray
    dense: FloatArray
    lexical: FloatArray | None
    dense_ranks: IntArray
    lexical_ranks: IntArray
    weights: dict[str, float]
    terms: dict[str, int]

    def take(self, places: IntArray) -> "Candidates":
        """Return the candidates at these indices, in this order."""
        return Candidates(
            self.numbers[places],
            self.dense[places],
            None if self.lexical is None else self.lexical[places],
            self.dense_ranks[places],
            self.lexical_ranks[places],
            self.weights,
            self.terms,
        )


@dataclass(frozen=True, slots=True)
class _Found:
    """The results of both searches for a wording: numbers of passages, best first."""

    wording: Wording
    match: WordMatch | None
    nearest: IntArray
    best: IntArray

    @classmethod
    def of(
        cls, index: Index, wording: Wording, depth: int, filters: Filters | None, without: IntArray | None
    ) -> "_Found":
        match = index.words.match(wording.text, wording.expansions)
        searched = depth + (0 if without is None else len(without))
        nearest, best = index.find(wording.embedding.vector, match, searched, filters)
        if without is not None:
            nearest, best = (numbers[~np.isin(numbers, without)][:depth] for numbers in (nearest, best))
        return cls(wording, match, nearest, best)

    def scored(self, index: Index, numbers: IntArray) -> Candidates:
        """Return passages, in order of their numbers, as candidates for the wording."""
        weights = index.words.weights(self.wording.text) if self.match is None else self.match.weights
        return Candidates(
            numbers=numbers,
            dense=index.vectors(numbers) @ self.wording.embedding.vector,
            lexical=None if self.match is None else self.match.scores(numbers),
            dense_ranks=_ranks(numbers, self.nearest),
            lexical_ranks=_ranks(numbers, self.best),
            weights=weights,
            terms=index.words.ids(weights),
        )


def gather(
    index: Index,
    wordings: Sequence[Wording],
    depth: int,
    filters: Filters | None = None,
    *,
    extra: IntArray | None = None,
    without: IntArray | None = None,
) -> list[Candidates]:
    """Return the candidates of each wording of a question; all have the same passages, those of any wording."""
    found = [_Found.of(index, wording, depth, filters, without) for wording in wordings]
    given = [] if extra is None else [extra]
    numbers = np.unique(np.concatenate([*(each for one in found for each in (one.nearest, one.best)), *given]))
    return [one.scored(index, numbers) for one in found]


def _ranks(numbers: IntArray, ordered: IntArray) -> IntArray:
    ranks = np.zeros(len(numbers), np.int64)
    ranks[np.searchsorted(numbers, ordered)] = np.arange(1, len(ordered) + 1)
    return ranks
