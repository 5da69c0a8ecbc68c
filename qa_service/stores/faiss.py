"""The embedded store: FAISS, exact for small indexes, an HNSW graph for large ones; cosine either way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from qa_service.stores import LEAST_RECALL, Ids, Recall, Vectors, noisy_queries, unit

EXACT_UP_TO = 20_000
"""Vectors up to which exact search takes no longer than a graph's; above, a graph is tried."""

_WRAPPER = b"IxMp"  # IndexIDMap
_KINDS = {"flat": b"IxFI", "hnsw": b"IxRF"}  # IndexFlatIP, IndexRefineFlat
_HEADER_BYTES = 37  # fourcc 4, d 4, ntotal 8, unused 16, is_trained 1, metric 4
_LENGTH_BYTES = 8
_NEIGHBOURS, _EF_CONSTRUCTION = 32, 50
_REFINED = 2
"""So many times the vectors asked for come from the graph, for the exact ones to choose among."""
_EF_SEARCH = (64, 128, 256, 512, 1024, 2048)


@dataclass(frozen=True, slots=True)
class VectorIndex:
    """How vectors are searched: ``flat`` or ``hnsw``, how widely (0 for flat), and the recall@10 measured."""

    kind: str
    ef_search: int
    recall_at_10: float


class FaissStore:
    """An ``IndexIDMap`` over an ``IndexFlatIP``, or over an ``IndexRefineFlat``.

    That has a graph of the vectors in eight bits a component, which are a quarter to read, and a flat index, by which
    what the graph finds is put in order. Searches among allowed ids are exact in both.
    """

    def __init__(self, dimension: int) -> None:
        self._dimension = dimension
        self._index: Any = faiss.IndexIDMap(faiss.IndexFlatIP(dimension))
        self._ids: Ids = np.empty(0, np.int64)

    @classmethod
    def open(cls, path: Path, *, dimension: int, count: int, kind: str = "flat", ef_search: int = 0) -> "FaissStore":
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
        if kind == "hnsw":
            _set_width(store._index, ef_search)
        return store

    def save(self, path: Path) -> None:
        """Write the index in FAISS's own file format."""
        path.write_bytes(faiss.serialize_index(self._index).tobytes())

    def choose_index(self, exact_up_to: int = EXACT_UP_TO) -> VectorIndex:
        """Build a graph if there are many vectors, and keep it if it finds what exact search finds.

        Held against exact search on 200 vectors of the store, each moved by noise of twice its length, with ever
        wider searches until recall@10 is surely .99; the widest is taken if it seems to be .99 there. Built by one
        thread, so that the same vectors make the same graph.
        """
        if len(self) <= exact_up_to:
            return VectorIndex("flat", 0, 1.0)
        threads = faiss.omp_get_max_threads()
        faiss.omp_set_num_threads(1)
        try:
            searched = _with_graph(self._exact().reconstruct_n(0, len(self)), self._ids)
        finally:
            faiss.omp_set_num_threads(threads)
        queries = noisy_queries(self._exact().reconstruct_batch, len(self))
        _, exact = self._exact().search(queries, 10)
        for ef_search in _EF_SEARCH:
            _set_width(searched, ef_search)
            _, found = searched.search(queries, 10)
            recall = Recall.of(self._ids[exact], found)
            enough = recall.mean if ef_search == _EF_SEARCH[-1] else recall.least
            if enough >= LEAST_RECALL:
                self._index = searched
                return VectorIndex("hnsw", ef_search, recall.mean)
        return VectorIndex("flat", 0, 1.0)

    def _exact(self) -> Any:
        """Return the flat index that holds the vectors by their place."""
        inner = faiss.downcast_index(self._index.index)
        return faiss.downcast_index(inner.refine_index) if isinstance(inner, faiss.IndexRefine) else inner

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add unit copies of ``vectors`` under ``ids``, each larger than every id before it."""
        if vectors.shape != (len(ids), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self._dimension}")
        if len(ids) == 0:
            return
        if (np.diff(ids, prepend=self._ids[-1:] if len(self._ids) else [-1]) <= 0).any():
            raise ValueError("ids must be new, not negative and growing")
        self._index.add_with_ids(unit(vectors), np.ascontiguousarray(ids, dtype=np.int64))
        self._ids = np.concatenate([self._ids, ids])

    def search(self, queries: Vectors, top_k: int, allowed: Ids | None = None) -> tuple[Ids, Vectors]:
        """Return the ``top_k`` nearest ids, of those allowed, and their cosines, best first, ties by id."""
        if queries.ndim != 2 or queries.shape[1] != self._dimension:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"queries of shape {queries.shape} for dimension {self._dimension}")
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; it must be 1 or more")
        k = min(top_k, len(self) if allowed is None else len(allowed))
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        if allowed is None:
            scores, ids = self._index.search(unit(queries), k)
        else:
            selector = faiss.IDSelectorBatch(self._places(allowed))
            parameters = faiss.SearchParameters(sel=selector)  # type: ignore[call-arg]
            scores, places = self._exact().search(unit(queries), k, params=parameters)
            ids = self._ids[places]
        order = np.lexsort((ids, -scores), axis=1)
        rows = np.arange(len(queries))[:, None]
        return ids[rows, order], scores[rows, order]

    def vectors(self, ids: Ids) -> Vectors:
        """Return the unit vectors of ids."""
        vectors: Vectors = self._exact().reconstruct_batch(self._places(ids))
        return vectors

    def _places(self, ids: Ids) -> Ids:
        return np.searchsorted(self._ids, ids)

    def __len__(self) -> int:
        return len(self._ids)

    def close(self) -> None:
        """Free the vectors."""
        self._index = faiss.IndexIDMap(faiss.IndexFlatIP(self._dimension))
        self._ids = self._ids[:0]


def _with_graph(vectors: Vectors, ids: Ids) -> Any:
    """Return an index of unit vectors under ids that is searched by a graph."""
    eight_bits: Any = faiss.ScalarQuantizer.QT_8bit
    graph = faiss.IndexHNSWSQ(vectors.shape[1], eight_bits, _NEIGHBOURS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = _EF_CONSTRUCTION
    graph.train(vectors)
    refined = faiss.IndexRefineFlat(graph)
    refined.k_factor = _REFINED
    index: Any = faiss.IndexIDMap(refined)
    index.add_with_ids(vectors, ids)
    return index


def _set_width(index: Any, ef_search: int) -> None:
    refined: Any = faiss.downcast_index(index.index)
    graph: Any = faiss.downcast_index(refined.base_index)
    graph.hnsw.efSearch = ef_search
