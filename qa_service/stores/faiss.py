"""The embedded store: an exact FAISS index (inner product of unit vectors, which is cosine)."""

from typing import Any

import faiss
import numpy as np

from qa_service.stores import Ids, Vectors

_WRAPPER = b"IxMp"  # IndexIDMap
_FLAT = b"IxFI"  # IndexFlatIP
_HEADER_BYTES = 37  # fourcc 4, d 4, ntotal 8, unused 16, is_trained 1, metric 4
_LENGTH_BYTES = 8


class FaissStore:
    """An ``IndexIDMap`` over an ``IndexFlatIP``: exact, deterministic, for up to some 20,000 vectors."""

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index: Any = faiss.IndexIDMap(faiss.IndexFlatIP(dimension))
        self._last_id = -1

    @classmethod
    def from_bytes(cls, data: bytes, *, dimension: int, count: int) -> "FaissStore":
        """Return the store that :meth:`to_bytes` wrote.

        FAISS reads most damaged files without complaint, so the caller must have checked a hash. Length
        and type are compared with ``dimension`` and ``count`` before FAISS parses anything; ``ValueError``
        if they differ.
        """
        expected = 2 * _HEADER_BYTES + 2 * _LENGTH_BYTES + count * (dimension * 4 + 8)
        if data[:4] != _WRAPPER or data[_HEADER_BYTES : _HEADER_BYTES + 4] != _FLAT:
            raise ValueError("not an exact inner product index with ids")
        if len(data) != expected:
            raise ValueError(f"{len(data)} bytes, expected {expected} for {count} vectors of {dimension}")
        store = cls(dimension)
        store._index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
        store._last_id = max(faiss.vector_to_array(store._index.id_map), default=-1)
        if (store._index.d, store._index.ntotal) != (dimension, count):
            raise ValueError(f"holds {store._index.ntotal} vectors of {store._index.d}")
        return store

    def to_bytes(self) -> bytes:
        """Return the index in FAISS's own file format."""
        return bytes(faiss.serialize_index(self._index))

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add unit copies of ``vectors`` under ``ids``, each larger than every id before it."""
        if vectors.shape != (len(ids), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self._dimension}")
        if len(ids) == 0:
            return
        if (np.diff(ids, prepend=self._last_id) <= 0).any():
            raise ValueError("ids must be new, not negative and growing")
        self._index.add_with_ids(_unit(vectors), np.ascontiguousarray(ids, dtype=np.int64))
        self._last_id = int(ids[-1])

    def search(self, queries: Vectors, top_k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        """Return the ``top_k`` nearest ids, of those allowed, and their cosines, best first, ties by id."""
        if queries.ndim != 2 or queries.shape[1] != self._dimension:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"queries of shape {queries.shape} for dimension {self._dimension}")
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; it must be 1 or more")
        k = min(top_k, len(self) if allowed is None else len(allowed))
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        selector = None if allowed is None else faiss.IDSelectorBatch(np.ascontiguousarray(allowed, dtype=np.int64))
        parameters = None if selector is None else faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
        scores, ids = self._index.search(_unit(queries), k, params=parameters)
        order = np.lexsort((ids, -scores), axis=1)
        return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)

    def vectors(self, ids: Ids) -> Vectors:
        """Return the unit vectors of ids."""
        places = np.searchsorted(faiss.vector_to_array(self._index.id_map), ids)
        vectors: Vectors = faiss.downcast_index(self._index.index).reconstruct_batch(places)
        return vectors

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def close(self) -> None:
        """Free the vectors."""
        self._index = faiss.IndexIDMap(faiss.IndexFlatIP(self._dimension))


def _unit(vectors: Vectors) -> Vectors:
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ValueError("a vector has no direction: zero, infinite or not a number")
    unit: Vectors = (vectors / norms).astype(np.float32)
    return unit
