"""Search by vectors, and how recall is measured; every backend is tested against NumPy brute force."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.protocol import unit_length

_SEED = 20261123
_QUERIES, _NOISE = 200, 2.0
_STANDARD_ERRORS = 2
LEAST_RECALL = 0.99
_ROUNDING = 1e-5
"""Two ways to compute a cosine in float32 differ by less."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """How vectors are searched, and the recall@10 measured.

    ``flat`` is exact. ``pq`` finds so many ``candidates`` by codes, or sixteen for each result if those are more, which
    the exact vectors put in order.
    """

    kind: Literal["flat", "pq"]
    candidates: int
    recall_at_10: float


def noisy_queries(vectors: Callable[[IntArray], FloatArray], count: int) -> FloatArray:
    """Return 200 queries to measure recall by: some of ``count`` vectors, each moved by noise of twice its length.

    They are as hard to find neighbours of as real questions are: decision 0009 has the comparison.
    """
    generator = np.random.default_rng(_SEED)
    chosen = vectors(generator.integers(count, size=_QUERIES))
    return unit_length(chosen + _NOISE * unit_length(generator.normal(size=chosen.shape).astype(np.float32)))


@dataclass(frozen=True, slots=True)
class Recall:
    """Which share of the nearest a search finds: the mean over some queries, and what that of all is at least.

    The latter is two standard errors less: of so few queries a third finds the mean too high by one.
    """

    mean: float
    least: float

    @classmethod
    def of(cls, exact: FloatArray, found: FloatArray) -> "Recall":
        """Return recall@k of a search, held against exact search: the cosines (n, k) that each finds for n queries.

        What is as near as the last that exact search finds is as good, as in ann-benchmarks (Aumüller, Bernhardsson
        and Faithfull, 2020, doi 10.1016/j.is.2019.02.006): of passages that say the same any will do.
        """
        near = found >= exact.min(axis=1, keepdims=True) - _ROUNDING
        shares = near.sum(axis=1) / exact.shape[1]
        mean = float(np.mean(shares))
        return cls(mean, mean - _STANDARD_ERRORS * float(np.std(shares)) / math.sqrt(len(shares)))
