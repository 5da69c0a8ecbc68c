"""Phrases of a question that count as found in passages with a synonym."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from qa_service.datatypes import Expansion, Int32Array

_FOUND_ONCE = 0.45
"""BM25's score of a term that occurs once in a passage of average length, as a share of its idf."""


class _Words(Protocol):
    def weights(self, question: str) -> dict[str, float]: ...

    def ids(self, wanted: Iterable[str]) -> dict[str, int]: ...

    def terms(self, text: str) -> set[str]: ...


@dataclass(frozen=True, slots=True)
class ExpandedPhrase:
    """The ids of a phrase's own ``terms``, the score of a passage that has it once, and the ids of each synonym."""

    terms: Int32Array
    score: float
    synonyms: tuple[Int32Array, ...]


def expanded_phrases(words: _Words, expansions: Sequence[Expansion]) -> list[ExpandedPhrase]:
    """Return the phrases of expansions, with those synonyms of which all terms occur in the index."""
    found = []
    for expansion in expansions:
        weights = words.weights(expansion.phrase)
        terms = [words.terms(synonym) for synonym in expansion.synonyms]
        known = [(len(own), words.ids(own)) for own in terms]
        synonyms = tuple(_sorted(ids) for wanted, ids in known if len(ids) == wanted > 0)
        if synonyms:
            found.append(ExpandedPhrase(_sorted(words.ids(weights)), _FOUND_ONCE * sum(weights.values()), synonyms))
    return found


def _sorted(ids: dict[str, int]) -> Int32Array:
    return np.array(sorted(ids.values()), np.int32)
