"""The dense signal: search by vectors, and the measurement of its recall."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.interface import unit_length

_SEED = 20261123
_QUERY_COUNT = 200
_NOISE_LENGTH = 2.0  # of a vector's own
_STANDARD_ERRORS = 2
_LENGTH_TOLERANCE = 1e-3
LEAST_RECALL = 0.99
_COSINE_TOLERANCE = 1e-5
"""Cosines in float32 differ by less between two ways to compute them."""


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """The kind of a vector index, and its measured recall@10.

    ``flat`` is exact. ``pq`` finds ``candidates`` by codes, or sixteen a result if that is more, and orders them by the
    exact vectors.
    """

    kind: Literal["flat", "pq"]
    candidates: int
    recall_at_10: float


def stored_length(vectors: FloatArray) -> FloatArray:
    """Return vectors (n, d) scaled to length 1, or as they are if all are as long as that to 1e-3.

    Vectors of 16 bits have lost a little of their length. Scaled, they would be rounded to others in the next index,
    and would have other cosines in another kind of store.
    """
    near = np.abs(np.linalg.norm(vectors, axis=1) - 1) < _LENGTH_TOLERANCE
    return vectors if near.all() else unit_length(vectors)


def noisy_queries(vectors: Callable[[IntArray], FloatArray], count: int) -> FloatArray:
    """Return 200 queries for measuring recall: a sample of ``count`` vectors, each with noise of twice its length.

    Their neighbours are as hard to find as those of real questions; see the comparison in decision 0009.
    """
    generator = np.random.default_rng(_SEED)
    chosen = vectors(generator.integers(count, size=_QUERY_COUNT))
    return unit_length(chosen + _NOISE_LENGTH * unit_length(generator.normal(size=chosen.shape).astype(np.float32)))


@dataclass(frozen=True, slots=True)
class Recall:
    """Recall@k of a search: the mean over a sample of queries, and a lower bound (mean - 2 standard errors).

    The mean of so few queries is often a standard error too high; the bound allows for two.
    """

    mean: float
    least: float

    @classmethod
    def of(cls, exact: FloatArray, found: FloatArray) -> "Recall":
        """Compute recall@k from the cosines (n, k) that exact search and the search itself find for n queries.

        A result counts if it is as near as the last one of exact search, as in ann-benchmarks (Aumüller, Bernhardsson
        and Faithfull, 2020, doi 10.1016/j.is.2019.02.006): equal passages are interchangeable.
        """
        near = found >= exact.min(axis=1, keepdims=True) - _COSINE_TOLERANCE
        shares = near.sum(axis=1) / exact.shape[1]
        mean = float(np.mean(shares))
        return cls(mean, mean - _STANDARD_ERRORS * float(np.std(shares)) / math.sqrt(len(shares)))
