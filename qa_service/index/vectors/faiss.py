"""FAISS: search of all vectors for small indexes, four-bit codes for large ones; scores are cosines in both."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.interface import unit_length
from qa_service.index.vectors import LEAST_RECALL, Recall, VectorIndex, noisy_queries, stored_length

EXACT_UP_TO = 5_000
"""Vectors. Exact search of so many takes at most a quarter of a millisecond; above, codes are tried."""

_WRAPPER = b"IxMp"  # IndexIDMap
_KINDS = {"flat": b"IxSQ", "pq": b"IxRF"}  # IndexScalarQuantizer, IndexRefine
_HEADER_BYTES = 37  # fourcc 4, d 4, ntotal 8, unused 16, is_trained 1, metric 4
_COMPONENT_BYTES, _ID_BYTES = 2, 8
_COMPONENTS_PER_CODE, _BITS_PER_CODE, _KMEANS_ROUNDS = 4, 4, 4
_SEED = 20261123
_TRAINING_VECTORS = 4_096  # as many as FAISS uses at most for such codes
_ADD_BATCH = 10_000  # vectors
_CANDIDATES, _CANDIDATES_PER_RESULT = (128, 256, 512, 1024, 2048), 16
_MORE_CANDIDATES, _MOST_CANDIDATES_SHARE = (4096, 8192, 16_384), 64  # at most every 64th vector


class FaissStore:
    """An ``IndexIDMap`` over an ``IndexScalarQuantizer``, or over an ``IndexRefine``.

    The former holds vectors of 16-bit floats: cosines are exact to 1e-4. The latter combines one with an
    ``IndexPQFastScan``, which has four bits for each four components of a vector, and a core compares 32 codes at once
    (André, Kermarrec and Le Scouarnec, 2017, doi 10.1145/3078971.3078992); the vectors order its best candidates.
    Search among allowed ids compares vectors in both, and so does search for a large share of all of them.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index: Any = _empty(dimension)
        self._ids: IntArray = np.empty(0, np.int64)
        self._candidates = 0

    @classmethod
    def open(cls, path: Path, *, dimension: int, count: int, kind: str = "flat", candidates: int = 0) -> "FaissStore":
        """Open the store that :meth:`save` wrote, with its vectors mapped from the file.

        FAISS accepts most damaged files, so the caller must have checked a hash, and the file must never change. Type
        and, for a flat index, size are compared with ``kind``, ``dimension`` and ``count`` before FAISS parses the
        file. Raises ``ValueError`` if they differ.
        """
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES + 4)
            length = file.seek(0, 2)
        if head[:4] != _WRAPPER or head[_HEADER_BYTES:] != _KINDS.get(kind):
            raise ValueError(f"not a {kind} inner product index with ids")
        expected = len(faiss.serialize_index(_empty(dimension))) + count * (dimension * _COMPONENT_BYTES + _ID_BYTES)
        if length < expected or (kind == "flat" and length > expected):
            raise ValueError(f"{length} bytes, expected {expected} for {count} vectors of {dimension}")
        store = cls(dimension)
        store._index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if (store._index.d, store._index.ntotal) != (dimension, count):
            raise ValueError(f"holds {store._index.ntotal} vectors of {store._index.d}")
        store._ids = faiss.vector_to_array(store._index.id_map).astype(np.int64)
        store._candidates = candidates
        return store

    def save(self, path: Path) -> None:
        """Write the index in FAISS's own file format, without a copy of it in memory."""
        with path.open("wb") as file:
            writer = faiss.PyCallbackIOWriter(file.write)  # type: ignore[attr-defined]
            faiss.write_index(self._index, writer)

    def choose_index(self, exact_up_to: int = EXACT_UP_TO, *, least_recall: float = LEAST_RECALL) -> VectorIndex:
        """Choose between flat search and codes, and return the choice.

        Above ``exact_up_to`` vectors, codes are added and compared with exact search on 200 noisy queries, with more
        and more candidates until the lower bound of recall@10 reaches ``least_recall``; for the largest numbers of
        candidates the mean suffices. If that fails, the store stays flat. One thread trains the codes, so that equal
        vectors have equal codes.
        """
        if len(self) <= exact_up_to:
            return VectorIndex("flat", 0, 1.0)
        queries = noisy_queries(self._exact().reconstruct_batch, len(self))
        exact = _best_cosines(self._exact(), queries, 10)
        flat = self._index
        self._index = _with_codes(self._exact(), self._ids)
        more = [count for count in _MORE_CANDIDATES if count * _MOST_CANDIDATES_SHARE <= len(self)]
        for self._candidates in (*_CANDIDATES, *more):
            _, found = self.search(queries, 10)
            recall = Recall.of(exact, found)
            enough = recall.least if self._candidates < _CANDIDATES[-1] else recall.mean
            if enough >= least_recall:
                return VectorIndex("pq", self._candidates, recall.mean)
        self._index, self._candidates = flat, 0
        return VectorIndex("flat", 0, 1.0)

    def _by_codes(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray] | None:
        """Return ids and cosines of the best ``k`` among the candidates with the best codes.

        ``None`` without codes, with no more vectors than candidates, or if fewer than ``k`` are found: FAISS skips the
        codes with the worst possible score, which can be all of them if all vectors are equal.
        """
        candidates = max(self._candidates, _CANDIDATES_PER_RESULT * k)
        if not self._candidates or candidates >= len(self):
            return None
        parameters = faiss.IndexRefineSearchParameters(k_factor=candidates / k)  # type: ignore[call-arg]
        scores, ids = self._index.search(queries, k, params=parameters)
        return None if (ids < 0).any() else (ids, scores)

    def _exactly(self, queries: FloatArray, k: int, allowed: IntArray | None) -> tuple[IntArray, FloatArray]:
        """Return ids and cosines of the best ``k`` of all, or of the allowed ids, by exact search."""
        parameters = None
        if allowed is not None:
            selector = faiss.IDSelectorBatch(self._places(allowed))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, places = self._exact().search(queries, k, params=parameters)
        return self._ids[places], scores

    def _exact(self) -> Any:
        """Return the index of the vectors, which are numbered by place."""
        inner = faiss.downcast_index(self._index.index)
        return faiss.downcast_index(inner.refine_index) if isinstance(inner, faiss.IndexRefine) else inner

    def add(self, ids: IntArray, vectors: FloatArray) -> None:
        """Add vectors (n, d), scaled to length 1, under strictly increasing ``ids`` (n,)."""
        if vectors.shape != (len(ids), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self._dimension}")
        if len(ids) == 0:
            return
        if (np.diff(ids, prepend=self._ids[-1:] if len(self._ids) else [-1]) <= 0).any():
            raise ValueError("ids must be new, not negative and strictly increasing")
        stored = np.ascontiguousarray(stored_length(vectors), np.float32)
        self._index.add_with_ids(stored, np.ascontiguousarray(ids, dtype=np.int64))
        self._ids = np.concatenate([self._ids, ids])

    def search(self, queries: FloatArray, top_k: int, allowed: IntArray | None = None) -> tuple[IntArray, FloatArray]:
        """Return the ids and cosines (queries, k) of the nearest vectors, best first, ties by id.

        ``k`` is ``top_k``, or the number of vectors or of ``allowed`` ids if that is smaller. ``allowed`` increases.
        """
        if queries.ndim != 2 or queries.shape[1] != self._dimension:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"queries of shape {queries.shape} for dimension {self._dimension}")
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; it must be 1 or more")
        k = min(top_k, len(self) if allowed is None else len(allowed))
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        queries = unit_length(queries)
        found = self._by_codes(queries, k) if allowed is None else None
        ids, scores = found or self._exactly(queries, k, allowed)
        order = np.lexsort((ids, -scores), axis=1)
        rows = np.arange(len(queries))[:, None]
        return ids[rows, order], scores[rows, order]

    def vectors(self, ids: IntArray) -> FloatArray:
        """Return the vectors (n, d) of n ids; their lengths are 1, to 1e-4."""
        vectors: FloatArray = self._exact().reconstruct_batch(self._places(ids))
        return vectors

    def _places(self, ids: IntArray) -> IntArray:
        return np.searchsorted(self._ids, ids)

    def __len__(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        """Release the vectors."""
        self._index = _empty(self._dimension)
        self._ids = self._ids[:0]


def _half_precision(dimension: int) -> Any:
    return faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


def _empty(dimension: int) -> Any:
    return faiss.IndexIDMap(_half_precision(dimension))


def _best_cosines(vectors: Any, queries: FloatArray, k: int) -> FloatArray:
    """Return the ``k`` best cosines (queries, k) of all vectors, block by block; FAISS takes four times as long."""
    best = np.full((len(queries), k), -np.inf, np.float32)
    for start in range(0, vectors.ntotal, _ADD_BATCH):
        block = vectors.reconstruct_n(start, min(_ADD_BATCH, vectors.ntotal - start))
        found = np.concatenate([best, queries @ block.T], axis=1)
        best = np.partition(found, -k, axis=1)[:, -k:]
    return best


def _with_codes(vectors: Any, ids: IntArray) -> Any:
    """Return an index with codes for the vectors of another one, and the vectors."""
    parts = vectors.d // math.gcd(_COMPONENTS_PER_CODE, vectors.d)
    codes: Any = faiss.IndexPQFastScan(vectors.d, parts, _BITS_PER_CODE, faiss.METRIC_INNER_PRODUCT)
    codes.pq.cp.niter = _KMEANS_ROUNDS
    sample = np.random.default_rng(_SEED).permutation(len(ids))[:_TRAINING_VECTORS]
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        codes.train(vectors.reconstruct_batch(np.sort(sample)))
    finally:
        faiss.omp_set_num_threads(threads)
    index: Any = faiss.IndexIDMap(faiss.IndexRefine(codes, _half_precision(vectors.d)))
    for start in range(0, len(ids), _ADD_BATCH):
        own = ids[start : start + _ADD_BATCH]
        index.add_with_ids(vectors.reconstruct_n(start, len(own)), own)
    return index
