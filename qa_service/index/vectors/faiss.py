"""The embedded store: FAISS, exact for small indexes, codes of four bits for large ones; cosine either way."""

import math
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.protocol import unit_length
from qa_service.index.vectors import LEAST_RECALL, Recall, VectorIndex, noisy_queries

EXACT_UP_TO = 5_000
"""Vectors up to which exact search takes a quarter of a millisecond at most; above, codes are tried."""

_WRAPPER = b"IxMp"  # IndexIDMap
_KINDS = {"flat": b"IxFI", "pq": b"IxRF"}  # IndexFlatIP, IndexRefineFlat
_HEADER_BYTES = 37  # fourcc 4, d 4, ntotal 8, unused 16, is_trained 1, metric 4
_LENGTH_BYTES = 8
_COMPONENTS, _BITS, _ROUNDS = 4, 4, 4
"""So many components have one code of so many bits, which this many rounds of k-means choose."""
_SEED, _SAMPLE = 20261123, 4_096
"""As many vectors as FAISS trains such codes with at most."""
_BLOCK = 10_000
_CANDIDATES, _CANDIDATES_A_RESULT = (128, 256, 512, 1024, 2048), 16


class FaissStore:
    """An ``IndexIDMap`` over an ``IndexFlatIP``, or over an ``IndexRefineFlat``.

    That has an ``IndexPQFastScan``, four bits for each four components of a vector, of which a core compares 32 at once
    (André, Kermarrec and Le Scouarnec, 2017, doi 10.1145/3078971.3078992), and a flat index, by which the best of
    those are put in order. Searches among allowed ids are exact in both, and so is one for a good part of all.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index: Any = faiss.IndexIDMap(faiss.IndexFlatIP(dimension))
        self._ids: IntArray = np.empty(0, np.int64)
        self._candidates = 0

    @classmethod
    def open(cls, path: Path, *, dimension: int, count: int, kind: str = "flat", candidates: int = 0) -> "FaissStore":
        """Return the store that :meth:`save` wrote, its vectors mapped from the file, not read.

        FAISS reads most damaged files without complaint, so the caller must have checked a hash, and the file
        must never be changed. Type and, of a flat one, length are compared with ``kind``, ``dimension`` and
        ``count`` before FAISS parses anything; ``ValueError`` if they differ.
        """
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES + 4)
            length = file.seek(0, 2)
        if head[:4] != _WRAPPER or head[_HEADER_BYTES:] != _KINDS.get(kind):
            raise ValueError(f"not a {kind} inner product index with ids")
        expected = 2 * _HEADER_BYTES + 2 * _LENGTH_BYTES + count * (dimension * 4 + 8)
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
        """Write the index in FAISS's own file format."""
        path.write_bytes(faiss.serialize_index(self._index).tobytes())

    def choose_index(self, exact_up_to: int = EXACT_UP_TO) -> VectorIndex:
        """Add codes if there are many vectors, and search by them if they find what exact search finds.

        Held against exact search on 200 vectors of the store, each moved by noise of twice its length, with ever
        more to choose among until recall@10 is surely .99; the most are taken if it seems to be .99 there. Made by one
        thread, so that the same vectors have the same codes.
        """
        if len(self) <= exact_up_to:
            return VectorIndex("flat", 0, 1.0)
        queries = noisy_queries(self._exact().reconstruct_batch, len(self))
        _, exact = self._exactly(queries, 10, None)
        flat = self._index
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            self._index = _with_codes(self._exact(), self._ids)
        finally:
            faiss.omp_set_num_threads(threads)
        for self._candidates in _CANDIDATES:
            _, found = self.search(queries, 10)
            recall = Recall.of(exact, found)
            enough = recall.mean if self._candidates == _CANDIDATES[-1] else recall.least
            if enough >= LEAST_RECALL:
                return VectorIndex("pq", self._candidates, recall.mean)
        self._index, self._candidates = flat, 0
        return VectorIndex("flat", 0, 1.0)

    def _by_codes(self, queries: FloatArray, k: int) -> tuple[IntArray, FloatArray] | None:
        """Return ids and cosines of the best ``k`` among the candidates that have the best codes.

        ``None`` if there are no codes, or no more vectors than candidates. Or if fewer are found: FAISS passes over
        codes that are the worst of all there are, which all may be where all vectors are the same.
        """
        candidates = max(self._candidates, _CANDIDATES_A_RESULT * k)
        if not self._candidates or candidates >= len(self):
            return None
        parameters = faiss.IndexRefineSearchParameters(k_factor=candidates / k)  # type: ignore[call-arg]
        scores, ids = self._index.search(queries, k, params=parameters)
        return None if (ids < 0).any() else (ids, scores)

    def _exactly(self, queries: FloatArray, k: int, allowed: IntArray | None) -> tuple[IntArray, FloatArray]:
        """Return ids and cosines of the best ``k`` of all, or of those allowed."""
        parameters = None
        if allowed is not None:
            selector = faiss.IDSelectorBatch(self._places(allowed))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, places = self._exact().search(queries, k, params=parameters)
        return self._ids[places], scores

    def _exact(self) -> Any:
        """Return the flat index that holds the vectors by their place."""
        inner = faiss.downcast_index(self._index.index)
        return faiss.downcast_index(inner.refine_index) if isinstance(inner, faiss.IndexRefine) else inner

    def add(self, ids: IntArray, vectors: FloatArray) -> None:
        """Add unit copies of ``vectors`` under ``ids``, each larger than every id before it."""
        if vectors.shape != (len(ids), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self._dimension}")
        if len(ids) == 0:
            return
        if (np.diff(ids, prepend=self._ids[-1:] if len(self._ids) else [-1]) <= 0).any():
            raise ValueError("ids must be new, not negative and growing")
        self._index.add_with_ids(unit_length(vectors), np.ascontiguousarray(ids, dtype=np.int64))
        self._ids = np.concatenate([self._ids, ids])

    def search(self, queries: FloatArray, top_k: int, allowed: IntArray | None = None) -> tuple[IntArray, FloatArray]:
        """Return the ``top_k`` nearest ids, of those allowed, and their cosines, best first, ties by id."""
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
        """Return the unit vectors of ids."""
        vectors: FloatArray = self._exact().reconstruct_batch(self._places(ids))
        return vectors

    def _places(self, ids: IntArray) -> IntArray:
        return np.searchsorted(self._ids, ids)

    def __len__(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        """Free the vectors."""
        self._index = faiss.IndexIDMap(faiss.IndexFlatIP(self._dimension))
        self._ids = self._ids[:0]


def _with_codes(flat: Any, ids: IntArray) -> Any:
    """Return an index of the vectors of a flat one, under ids, that is searched by codes."""
    parts = flat.d // math.gcd(_COMPONENTS, flat.d)
    codes: Any = faiss.IndexPQFastScan(flat.d, parts, _BITS, faiss.METRIC_INNER_PRODUCT)
    codes.pq.cp.niter = _ROUNDS
    sample = np.random.default_rng(_SEED).permutation(len(ids))[:_SAMPLE]
    codes.train(flat.reconstruct_batch(np.sort(sample)))
    index: Any = faiss.IndexIDMap(faiss.IndexRefineFlat(codes))
    for start in range(0, len(ids), _BLOCK):
        own = ids[start : start + _BLOCK]
        index.add_with_ids(flat.reconstruct_n(start, len(own)), own)
    return index
