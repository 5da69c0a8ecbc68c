"""First-stage retrieval: the best passages by vectors (dense) and by words (lexical)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import Filters, FloatArray, IntArray
from qa_service.index import Index
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


def gather(
    index: Index,
    wording: Wording,
    depth: int,
    filters: Filters | None = None,
    *,
    extra: IntArray | None = None,
    without: IntArray | None = None,
) -> Candidates:
    """Return the best ``depth`` passages by vectors, those by words, and ``extra``, in order of their numbers.

    ``filters`` and ``without`` exclude passages. Each candidate has both scores, whichever search found it.
    """
    match = index.words.match(wording.text, wording.expansions)
    vector = wording.embedding.vector
    nearest, best = index.find(vector, match, depth + (0 if without is None else len(without)), filters)
    if without is not None:
        nearest, best = (numbers[~np.isin(numbers, without)][:depth] for numbers in (nearest, best))
    weights = index.words.weights(wording.text) if match is None else match.weights
    numbers = np.unique(np.concatenate([nearest, best, *(() if extra is None else (extra,))]))
    return Candidates(
        numbers=numbers,
        dense=index.vectors(numbers) @ vector,
        lexical=None if match is None else match.scores(numbers),
        dense_ranks=_ranks(numbers, nearest),
        lexical_ranks=_ranks(numbers, best),
        weights=weights,
        terms=index.words.ids(weights),
    )


def gather_together(
    index: Index,
    wordings: Sequence[Wording],
    depth: int,
    filters: Filters | None = None,
    *,
    extra: IntArray | None = None,
    without: IntArray | None = None,
) -> list[Candidates]:
    """Return the candidates of each wording of a question; all have the same passages, those of any wording."""

    def of(wording: Wording, extra: IntArray | None) -> Candidates:
        return gather(index, wording, depth, filters, extra=extra, without=without)

    found = [of(wording, extra) for wording in wordings]
    if len(found) == 1:
        return found
    numbers = np.unique(np.concatenate([candidates.numbers for candidates in found]))
    return [of(wording, numbers) for wording in wordings]


def _ranks(numbers: IntArray, ordered: IntArray) -> IntArray:
    ranks = np.zeros(len(numbers), np.int64)
    ranks[np.searchsorted(numbers, ordered)] = np.arange(1, len(ordered) + 1)
    return ranks
