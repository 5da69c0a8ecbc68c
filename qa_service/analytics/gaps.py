"""Content gaps: clusters of questions that were not answered, by the cosines of their vectors."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.analytics.figures import MissedQuestion
from qa_service.analytics.vectors import unpacked
from qa_service.datatypes import BoolArray, FloatArray, IntArray

MAX_MISSED = 5000
"""Questions that are clustered: their cosines are two dozen million numbers, a bit each."""
MAX_GAPS = 50
_MAX_QUESTIONS = 10
_MIN_COSINE = 0.65
"""Least cosine of two questions about one thing; see docs/decisions/0027."""
_BLOCK = 256


@dataclass(frozen=True, slots=True)
class Cluster:
    """Questions about one thing, the most frequent first. ``vector`` (d,) is that of the central one, if comparable."""

    question: str
    questions: tuple[str, ...]
    count: int
    model: str | None
    vector: FloatArray | None


def cluster(missed: Iterable[MissedQuestion]) -> list[Cluster]:
    """Return the largest clusters. Vectors of different models are not compared; without one, a question is alone."""
    by_model: defaultdict[str | None, list[MissedQuestion]] = defaultdict(list)
    for one in missed:
        by_model[one.model if one.vector else None].append(one)
    found = [Cluster(one.question, (one.question,), one.count, None, None) for one in by_model.pop(None, [])]
    for model, alike in by_model.items():
        found += _clusters(model, alike)
    return sorted(found, key=lambda one: -one.count)[:MAX_GAPS]


def _clusters(model: str | None, missed: Sequence[MissedQuestion]) -> list[Cluster]:
    """Take the question with the most others near it, then those others out, until there are enough clusters."""
    vectors = unpacked([one.vector or b"" for one in missed])
    weights = np.array([one.count for one in missed], np.float32)
    near = np.empty((len(missed), len(missed)), bool)
    for start in range(0, len(missed), _BLOCK):
        near[start : start + _BLOCK] = vectors[start : start + _BLOCK] @ vectors.T >= _MIN_COSINE
    np.fill_diagonal(near, val=True)
    mass = _mass(near, weights, np.arange(len(missed)))
    free = np.ones(len(missed), bool)
    found: list[Cluster] = []
    while len(found) < MAX_GAPS and free.any():
        best = int(np.where(free, mass, -1).argmax())
        members = np.flatnonzero(near[best] & free)
        free[members] = False
        mass -= _mass(near, weights, members)
        own = vectors[members]
        central = members[int((own @ (weights[members] @ own)).argmax())]
        found.append(
            Cluster(
                missed[central].question,
                tuple(missed[place].question for place in members[:_MAX_QUESTIONS]),
                int(weights[members].sum()),
                model,
                vectors[central],
            )
        )
    return found


def _mass(near: BoolArray, weights: FloatArray, members: IntArray) -> FloatArray:
    """Return for each question the weight of those members that are near it."""
    mass = np.zeros(len(near), np.float32)
    for start in range(0, len(members), _BLOCK):
        block = members[start : start + _BLOCK]
        mass += weights[block] @ near[block]
    return mass
