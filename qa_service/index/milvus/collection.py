"""The shared store: a collection of a Milvus server, searched exactly or by its HNSW graph; cosine either way."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.protocol import unit_length
from qa_service.errors import StoreRefused, StoreUnavailable
from qa_service.index.milvus.connection import WRITING, Connection
from qa_service.index.milvus.schema import ID, VECTOR, WORDS, layout
from qa_service.index.vectors import LEAST_RECALL, Recall

ROWS = 500
"""Rows that are sent at once."""
EXACT_UP_TO = 20_000
_DIGITS, _TIES = 6, 8
"""Scores that differ less are equal, for servers add up in one order or another; so many more are asked for."""
_LOOKS = 0.5  # seconds
_MOST_RESULTS = 1_000  # of one call
_EF_SEARCH = (64, 128, 256, 512, 1024, 2048)


class MilvusStore:
    """A collection whose rows have an id and a vector, and whatever else ``fields`` name."""

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
        """Make a new, empty collection. ``fields`` are further ones by name, as the client's ``add_field`` takes them.

        With ``words`` there is also a field of terms, which are numbers parted by spaces, searched by the server's
        BM25 with k1 1.2 and b 0.75. Raises :class:`StoreRefused` if the server has none.
        """
        schema, index = layout(dimension, fields or {}, words=words, exact=exact)
        try:
            connection.call("create_collection", name, schema=schema, index_params=index, patience=WRITING)
        except StoreRefused:
            # A server without BM25 makes the collection and then refuses its index.
            connection.call("drop_collection", name, patience=WRITING)
            raise
        return cls(connection, name, dimension, 0, exact=exact)

    def add(self, ids: IntArray, vectors: FloatArray) -> None:
        """Add unit copies of ``vectors`` under ``ids``, each larger than every id before it."""
        self.add_rows(ids, vectors, [{} for _ in ids])

    def add_rows(self, ids: IntArray, vectors: FloatArray, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add vectors with their other fields. One thread at a time: a collection takes no more."""
        if vectors.shape != (len(ids), self._dimension):
            raise ValueError(f"vectors of shape {vectors.shape} for {len(ids)} ids of dimension {self._dimension}")
        if len(ids) == 0:
            return
        if (np.diff(ids, prepend=self._last) <= 0).any():
            raise ValueError("ids must be new, not negative and growing")
        scaled = unit_length(vectors)
        for start in range(0, len(ids), ROWS):
            block = slice(start, start + ROWS)
            data = [
                {ID: int(number), VECTOR: vector.tolist(), **row}
                for number, vector, row in zip(ids[block], scaled[block], rows[block], strict=True)
            ]
            # Upsert, as a call may be repeated of which only the answer was lost.
            self.connection.call("upsert", self.name, data, patience=WRITING)
        self._last = int(ids[-1])
        if self._count is not None:
            self._count += len(ids)

    def finish(self) -> None:
        """Make all rows that were added visible to every search from now on, and load them to be searched.

        A server builds graphs when it has time, which takes minutes where there are many rows: it is waited for as
        long as it gets on. Raises :class:`StoreUnavailable` if it does not.
        """
        self.connection.call("flush", self.name, patience=WRITING)
        left, ends = self._waiting(), self._patience()
        while left:
            time.sleep(_LOOKS)
            now = self._waiting()
            if now != left:  # it may grow: what was flushed is counted later
                left, ends = now, self._patience()
            elif time.monotonic() > ends:
                message = "the vector store does not get on with its index; publish again"
                raise StoreUnavailable(message, f"{self.name}: {left} rows are waiting")
        self.connection.call("load_collection", self.name, patience=WRITING)

    def _waiting(self) -> int:
        """Return how many rows the server has not put into its index yet."""
        return int(self.connection.call("describe_index", self.name, VECTOR).get("pending_index_rows", 0))

    def _patience(self) -> float:
        """Return until when a server may take that writes."""
        return time.monotonic() + self.connection.address.timeout * WRITING

    def settle(self, queries: FloatArray, expected: FloatArray) -> float:
        """Wait until searches find what they should, and choose how widely a graph is searched; return recall@k.

        ``expected`` (n, k) are the cosines of what exact search finds for ``queries`` (n, d). A server counts rows
        before all searches find them, and builds graphs when it has time; so the connection is to be a patient one.
        Raises :class:`StoreUnavailable` if less than 99 % is found by the widest search when the time is over.
        """
        ends = self._patience()
        widths = (0,) if self._exact else _EF_SEARCH
        while True:
            # As widely as can be: what is still not found is not there yet.
            self.ef_search = widths[-1]
            waiting, recall = self._waiting(), self._recall(queries, expected)
            if recall.mean >= LEAST_RECALL and not waiting:
                break
            if time.monotonic() > ends:
                message = "the vector store does not find what it should; publish again"
                raise StoreUnavailable(message, f"{self.name}: {recall.mean:.1%}")
            time.sleep(_LOOKS)
        for self.ef_search in widths[:-1]:
            narrow = self._recall(queries, expected)
            if narrow.least >= LEAST_RECALL:
                return narrow.mean
        self.ef_search = widths[-1]
        return recall.mean

    def _recall(self, queries: FloatArray, expected: FloatArray) -> Recall:
        most = max(1, _MOST_RESULTS // expected.shape[1])
        found = np.concatenate(
            [self.search(queries[at : at + most], expected.shape[1])[1] for at in range(0, len(queries), most)]
        )
        return Recall.of(expected, found)

    def search(self, queries: FloatArray, top_k: int, condition: str = "") -> tuple[IntArray, FloatArray]:
        """Return the ``top_k`` nearest ids, of the rows that meet a condition, and their cosines, ties by id.

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
        hits = self._found(scaled.tolist(), VECTOR, k + _TIES, condition, parameters)
        found = [sorted(row, key=lambda hit: (-round(hit[1], _DIGITS), hit[0]))[:k] for row in hits]
        kept = min(map(len, found))  # a condition may leave fewer than were asked for
        ids = np.array([[number for number, _ in row[:kept]] for row in found], np.int64).reshape(len(found), kept)
        scores = np.array([[score for _, score in row[:kept]] for row in found], np.float32).reshape(len(found), kept)
        return ids, scores

    def holding(self, terms: str, top_k: int, condition: str = "") -> IntArray:
        """Return the ids of the rows that the server's BM25 puts first for terms, best first."""
        (hits,) = self._found([terms], WORDS, top_k, condition, {"metric_type": "BM25"})
        ranked = sorted(hits, key=lambda hit: -abs(hit[1]))  # servers differ in the sign of the score
        return np.array([number for number, _ in ranked[:top_k]], np.int64)

    def _found(
        self, data: list[Any], field: str, top_k: int, condition: str, parameters: dict[str, Any]
    ) -> list[list[tuple[int, float]]]:
        """Return the hits of each query, each an id and a score."""
        found = self.connection.call(
            "search",
            self.name,
            data=data,
            anns_field=field,
            limit=top_k,
            search_params=parameters,
            filter=condition,
            output_fields=[ID],
            # What is searched was whole before it was named; waiting for the newest writes would cost 200 ms.
            consistency_level="Eventually",
        )
        return [[(int(hit[ID]), float(hit["distance"])) for hit in row] for row in found]

    def rows(self, ids: IntArray, fields: Sequence[str]) -> dict[int, dict[str, Any]]:
        """Return some fields of rows, by id. Raises :class:`StoreRefused` if a row is not there."""
        found: dict[int, dict[str, Any]] = {}
        for start in range(0, len(ids), ROWS):
            given = ids[start : start + ROWS].tolist()
            rows = self.connection.call(
                "get", self.name, given, output_fields=[ID, *fields], consistency_level="Eventually"
            )
            found.update((int(row[ID]), row) for row in rows)
        if len(found) < len(ids):
            raise StoreRefused("rows are missing in the vector store", f"{len(ids) - len(found)} in {self.name}")
        return found

    def vectors(self, ids: IntArray) -> FloatArray:
        """Return the unit vectors of ids."""
        rows = self.rows(ids, [VECTOR])
        return np.array([rows[int(number)][VECTOR] for number in ids], np.float32).reshape(len(ids), self._dimension)

    def __len__(self) -> int:
        """Return the number of rows, as the server counts them where it is not known."""
        if self._count is None:
            self._count = self.counted()
        return self._count

    def counted(self) -> int:
        """Return the number of rows that the server counts, all that was added considered."""
        named: dict[str, Any] = {"filter": "", "output_fields": ["count(*)"], "consistency_level": "Strong"}
        return int(self.connection.call("query", self.name, **named, patience=WRITING)[0]["count(*)"])


def finish(connection: Connection, name: str) -> None:
    """Make all that was written to a collection visible to every reader from now on."""
    connection.call("flush", name, patience=WRITING)
    connection.call("load_collection", name, patience=WRITING)


def load(connection: Connection, name: str) -> None:
    """Have a collection in memory that is not: some servers forget it when they start again."""
    state = connection.call("get_load_state", name)["state"]
    if getattr(state, "name", str(state)) not in {"Loaded", "Loading"}:
        connection.call("load_collection", name, patience=WRITING)
