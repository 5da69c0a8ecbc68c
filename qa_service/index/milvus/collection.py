"""A Milvus collection, searched exactly or by its HNSW graph; scores are cosines in both."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.interface import unit_length
from qa_service.errors import StoreRefused, StoreUnavailable
from qa_service.index.milvus.connection import WRITING, Connection
from qa_service.index.milvus.schema import ID, VECTOR, WORDS, layout
from qa_service.index.vectors import LEAST_RECALL, Recall, stored_length

ROWS_PER_CALL = 500
EXACT_UP_TO = 20_000
_SCORE_DIGITS = 6  # servers add up in different orders: scores that differ less are equal
_EXTRA_RESULTS = 8  # requested beyond the last one, in case of equal scores
_POLL_SECONDS = 0.5
_MAX_RESULTS_PER_CALL = 1_000
_EF_SEARCH = (64, 128, 256, 512, 1024, 2048)


class MilvusStore:
    """A collection of rows with an id, a vector, and further fields."""

    def __init__(
        self,
        connection: Connection,
        name: str,
        dimension: int,
        count: int | None = None,
        *,
        exact: bool = True,
        ef_search: int = 0,
    ) -> None:
        self.connection = connection
        self.name = name
        self._dimension = dimension
        self._exact = exact
        self.ef_search = ef_search
        self._last = -1
        self._count = count

    @classmethod
    def create(
        cls,
        connection: Connection,
        name: str,
        dimension: int,
        *,
        fields: Mapping[str, Mapping[str, Any]] | None = None,
        words: bool = False,
        exact: bool = True,
    ) -> "MilvusStore":
        """Create an empty collection. ``fields`` are further fields by name, as the client's ``add_field`` takes them.

        With ``words`` there is also a field of term ids, separated by spaces, for the server's BM25 (k1 1.2, b 0.75).
        Raises :class:`StoreRefused` if the server has no BM25.
        """
        schema, index = layout(dimension, fields or {}, words=words, exact=exact)
        try:
            connection.call("create_collection", name, schema=schema, index_params=index, patience=WRITING)
        except StoreRefused:
            # A server without BM25 creates the collection and then refuses its index.
            connection.call("drop_collection", name, patience=WRITING)
            raise
        return cls(connection, name, dimension, 0, exact=exact)

    def add(self, ids: IntArray, vectors: FloatArray) -> None:
        """Add vectors (n, d), scaled to length 1, under strictly increasing ``ids`` (n,)."""
        self.add_rows(ids, vectors, [{} for _ in ids])

    def add_rows(self, ids: IntArray, vectors: FloatArray, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add vectors with their other fields. Not thread-safe."""
        if vectors.shape != (len(ids), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self._dimension}")
        if len(ids) == 0:
            return
        if (np.diff(ids, prepend=self._last) <= 0).any():
            raise ValueError("ids must be new, not negative and strictly increasing")
        scaled = stored_length(vectors)
        for start in range(0, len(ids), ROWS_PER_CALL):
            block = slice(start, start + ROWS_PER_CALL)
            data = [
                {ID: int(number), VECTOR: vector.tolist(), **row}
                for number, vector, row in zip(ids[block], scaled[block], rows[block], strict=True)
            ]
            # Upsert: a call is repeated if only its reply was lost.
            self.connection.call("upsert", self.name, data, patience=WRITING)
        self._last = int(ids[-1])
        if self._count is not None:
            self._count += len(ids)

    def finish(self, *, poll_seconds: float = _POLL_SECONDS) -> None:
        """Flush all rows, wait for the server's index, and load the collection.

        Building the graph of many rows takes minutes; the wait continues while the server makes progress. Raises
        :class:`StoreUnavailable` if it makes none.
        """
        self.connection.call("flush", self.name, patience=WRITING)
        left, ends = self._pending_rows(), self._write_deadline()
        while left:
            time.sleep(poll_seconds)
            now = self._pending_rows()
            if now != left:  # it can grow: flushed rows are counted later
                left, ends = now, self._write_deadline()
            elif time.monotonic() > ends:
                message = "the vector store makes no progress with its index; publish again"
                raise StoreUnavailable(message, f"{self.name}: {left} rows are pending")
        self.connection.call("load_collection", self.name, patience=WRITING)

    def _pending_rows(self) -> int:
        """Return the number of rows that are not in the server's index yet."""
        return int(self.connection.call("describe_index", self.name, VECTOR).get("pending_index_rows", 0))

    def _write_deadline(self) -> float:
        """Return the deadline of a call that writes, on the monotonic clock."""
        return time.monotonic() + self.connection.address.timeout * WRITING

    def settle(self, queries: FloatArray, expected: FloatArray, *, poll_seconds: float = _POLL_SECONDS) -> float:
        """Wait until all rows are searchable, choose the smallest sufficient ``ef_search``, and return recall@k.

        ``expected`` (n, k) are the cosines of exact search for ``queries`` (n, d). A server counts rows before all
        searches find them, and builds graphs in the background. Raises :class:`StoreUnavailable` if recall with the
        largest ``ef_search`` stays below 0.99 until the deadline.
        """
        ends = self._write_deadline()
        widths = (0,) if self._exact else _EF_SEARCH
        while True:
            # With the largest ef_search, rows that are not found are not searchable yet.
            self.ef_search = widths[-1]
            waiting, recall = self._pending_rows(), self._recall(queries, expected)
            if recall.mean >= LEAST_RECALL and not waiting:
                break
            if time.monotonic() > ends:
                message = "the vector store does not find enough of its rows; publish again"
                raise StoreUnavailable(message, f"{self.name}: recall {recall.mean:.1%}")
            time.sleep(poll_seconds)
        for self.ef_search in widths[:-1]:
            narrow = self._recall(queries, expected)
            if narrow.least >= LEAST_RECALL:
                return narrow.mean
        self.ef_search = widths[-1]
        return recall.mean

    def _recall(self, queries: FloatArray, expected: FloatArray) -> Recall:
        most = max(1, _MAX_RESULTS_PER_CALL // expected.shape[1])
        found = np.concatenate(
            [self.search(queries[at : at + most], expected.shape[1])[1] for at in range(0, len(queries), most)]
        )
        return Recall.of(expected, found)

    def search(self, queries: FloatArray, top_k: int, condition: str = "") -> tuple[IntArray, FloatArray]:
        """Return the ids and cosines (queries, k) of the nearest rows that meet a condition, best first, ties by id.

        Raises :class:`StoreUnavailable` if the server does not answer.
        """
        if queries.ndim != 2 or queries.shape[1] != self._dimension:  # noqa: PLR2004 - rows and columns
            raise ValueError(f"queries of shape {queries.shape} for dimension {self._dimension}")
        if top_k < 1:
            raise ValueError(f"top_k is {top_k}; it must be 1 or more")
        scaled = unit_length(queries) if len(queries) else queries
        k = top_k if condition else min(top_k, len(self))
        if k == 0 or len(queries) == 0:
            return np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
        parameters = {"metric_type": "IP", "params": {} if self._exact else {"ef": max(self.ef_search, 2 * k)}}
        hits = self._search(scaled.tolist(), VECTOR, k + _EXTRA_RESULTS, condition, parameters)
        found = [sorted(row, key=lambda hit: (-round(hit[1], _SCORE_DIGITS), hit[0]))[:k] for row in hits]
        kept = min(map(len, found))  # a condition can leave fewer than top_k
        ids = np.array([[number for number, _ in row[:kept]] for row in found], np.int64).reshape(len(found), kept)
        scores = np.array([[score for _, score in row[:kept]] for row in found], np.float32).reshape(len(found), kept)
        return ids, scores

    def search_terms(self, terms: str, top_k: int, condition: str = "") -> IntArray:
        """Return the ids of the rows that the server's BM25 ranks first for terms, best first."""
        (hits,) = self._search([terms], WORDS, top_k, condition, {"metric_type": "BM25"})
        ranked = sorted(hits, key=lambda hit: -abs(hit[1]))  # servers differ in the sign of the score
        return np.array([number for number, _ in ranked[:top_k]], np.int64)

    def _search(
        self, data: list[Any], field: str, top_k: int, condition: str, parameters: dict[str, Any]
    ) -> list[list[tuple[int, float]]]:
        """Return the hits of each query: ids and scores."""
        found = self.connection.call(
            "search",
            self.name,
            data=data,
            anns_field=field,
            limit=top_k,
            search_params=parameters,
            filter=condition,
            output_fields=[ID],
            # A collection is complete before it is searched; waiting for the newest writes would cost 200 ms.
            consistency_level="Eventually",
        )
        return [[(int(hit[ID]), float(hit["distance"])) for hit in row] for row in found]

    def rows(self, ids: IntArray, fields: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Return fields of rows, by id. Raises :class:`StoreRefused` if a row is missing."""
        found: dict[int, dict[str, Any]] = {}
        for start in range(0, len(ids), ROWS_PER_CALL):
            given = ids[start : start + ROWS_PER_CALL].tolist()
            rows = self.connection.call(
                "get", self.name, given, output_fields=[ID, *fields], consistency_level="Eventually"
            )
            found.update((int(row[ID]), row) for row in rows)
        if len(found) < len(ids):
            raise StoreRefused("rows are missing in the vector store", f"{len(ids) - len(found)} in {self.name}")
        return found

    def vectors(self, ids: IntArray) -> FloatArray:
        """Return the unit vectors (n, d) of n ids."""
        rows = self.rows(ids, [VECTOR])
        return np.array([rows[int(number)][VECTOR] for number in ids], np.float32).reshape(len(ids), self._dimension)

    def __len__(self) -> int:
        """Return the number of rows; the server counts them if it is unknown."""
        if self._count is None:
            self._count = self.counted()
        return self._count

    def counted(self) -> int:
        """Return the server's count of rows, including the newest."""
        named: dict[str, Any] = {"filter": "", "output_fields": ["count(*)"], "consistency_level": "Strong"}
        return int(self.connection.call("query", self.name, **named, patience=WRITING)[0]["count(*)"])


def finish(connection: Connection, name: str) -> None:
    """Flush and load a collection, so that all readers see all rows."""
    connection.call("flush", name, patience=WRITING)
    connection.call("load_collection", name, patience=WRITING)


def load(connection: Connection, name: str) -> None:
    """Load a collection unless it is loaded; some servers forget it when they restart."""
    state = connection.call("get_load_state", name)["state"]
    if getattr(state, "name", str(state)) not in {"Loaded", "Loading"}:
        connection.call("load_collection", name, patience=WRITING)
