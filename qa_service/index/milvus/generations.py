"""The generations in a Milvus server, and the alias of the current one.

A generation is two collections: ``<alias>_<generation>`` with a row for each passage, and ``…_records`` with all other
data. It is written, counted and tested before the alias is moved to it; moving is atomic for readers.
"""

import json
import logging
import re
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from qa_service.embedding import ModelIdentity
from qa_service.errors import IndexCorrupt, IndexMissing, QAServiceError, StoreRefused, StoreUnavailable
from qa_service.index import Index, Manifest, OpenResult, check_model, parse_manifest
from qa_service.index.disk import OpenIndex
from qa_service.index.milvus.collection import EXACT_UP_TO, MilvusStore, load
from qa_service.index.milvus.connection import WRITING, Connection, missing
from qa_service.index.milvus.index import MilvusIndex
from qa_service.index.milvus.keys import MANIFEST, PARTS
from qa_service.index.milvus.publish import write_records, write_rows
from qa_service.index.milvus.records import Records
from qa_service.index.milvus.rows import extra_fields
from qa_service.index.vectors import noisy_queries

_GENERATION = re.compile(r"[0-9a-f]{16}\Z")
_RECORDS = "_records"
_logger = logging.getLogger(__name__)


class MilvusGenerations:
    """The generations of one alias in a Milvus server."""

    def __init__(self, connection: Connection, alias: str) -> None:
        self._connection = connection
        self.alias = alias

    def current_pointer(self) -> tuple[str, int]:
        """Return the id of the current generation, and 0, since Milvus has no time for an alias.

        The server is asked even if the circuit breaker is open. The generation is loaded and read from: a server that
        restarts knows its aliases before its rows. Raises :class:`IndexMissing` without an alias,
        :class:`StoreUnavailable` if nothing can be read.
        """
        self._connection.probe()
        generation = self.current_id()
        first: dict[str, int | str] = {self._name(generation): 0, self._records_name(generation): MANIFEST}
        for name, key in first.items():
            load(self._connection, name)
            if not self._connection.call("get", name, [key], output_fields=["id"], consistency_level="Eventually"):
                raise StoreUnavailable("the vector store does not find its rows; try again", name)
        return generation, 0

    def current_id(self) -> str:
        """Return the id of the current generation. Raises :class:`IndexMissing` without an alias."""
        try:
            name: str = self._connection.call("describe_alias", self.alias)["collection_name"]
        except StoreRefused as error:
            if missing(error):
                raise IndexMissing(
                    f"nothing is published as {self.alias} in the vector store; run `qa-service index`"
                ) from error
            raise
        generation = name.removeprefix(self.alias + "_")
        if not _GENERATION.match(generation):
            raise IndexCorrupt(f"the alias {self.alias} points to {name}, which no build wrote; run `qa-service index`")
        return generation

    def open_current(self, identity: ModelIdentity | None) -> OpenResult:
        """Open the current generation; there is no fallback to an older one."""
        generation, _ = self.current_pointer()
        index = self._open(generation, identity)
        if not index.words.finds:
            _logger.warning("%s has no BM25, so passages are found by vectors alone", self._name(generation))
        return OpenResult(index, None)

    def _open(self, generation: str, identity: ModelIdentity | None, *, newest: bool = False) -> MilvusIndex:
        records = self._records(generation)
        found = records.get([MANIFEST, PARTS], newest=newest)
        manifest = self._parsed(generation, found.get(MANIFEST))
        if identity is not None:
            check_model(manifest, identity)
        parts = json.loads(found[PARTS])
        store = MilvusStore(
            self._connection,
            self._name(generation),
            manifest.model.dimension,
            manifest.passages,
            exact=parts["exact"],
            ef_search=parts["ef_search"],
        )
        counted = store.counted()
        if counted != manifest.passages:
            raise IndexCorrupt(f"{store.name} has {counted} rows, expected {manifest.passages}; run `qa-service index`")
        return MilvusIndex(manifest, store, records, words=parts["words"])

    def manifest(self, generation: str, *, newest: bool = False) -> Manifest:
        """Return the manifest of a generation."""
        return self._parsed(generation, self._records(generation).one(MANIFEST, newest=newest))

    def _parsed(self, generation: str, text: str | None) -> Manifest:
        where = f"{self._name(generation)}{_RECORDS}"
        if text is None:
            raise IndexCorrupt(f"{where} has no manifest: publishing did not finish; run `qa-service index`")
        return parse_manifest(text.encode(), where)

    def manifest_before(self, generation: str) -> Manifest | None:
        """Return the manifest of the newest generation older than this one, or ``None``."""
        own = self.manifest(generation)
        older = [other for other in self._published() if other.created_at < own.created_at]
        return max(older, key=lambda other: other.created_at, default=None)

    def calibration(self, weights_sha256: str, *, token_vectors: bool, labels: bool) -> dict[str, float] | None:
        """Return the confidence constants that were published with the current generation, or ``None``."""
        key = _calibration_key(weights_sha256, token_vectors=token_vectors, labels=labels)
        found = self._records(self.current_id()).one(key)
        return None if found is None else {str(name): float(value) for name, value in json.loads(found).items()}

    def publish(
        self,
        index: OpenIndex,
        constants: dict[tuple[str, bool, bool], dict[str, float]],
        check: Callable[[Index], None],
    ) -> None:
        """Publish a generation and move the alias to it once ``check`` passes.

        ``constants`` are the confidence constants by weights, token vectors and labels. The collections of an
        interrupted publication are dropped first. If anything fails, the alias is not moved.
        """
        generation = index.generation
        if generation not in {manifest.generation for manifest in self._published()}:
            self._drop(generation)
            self._write(index)
        records = self._records(generation)
        records.write(
            (_calibration_key(weights, token_vectors=tokens, labels=labels), json.dumps(values))
            for (weights, tokens, labels), values in constants.items()
        )
        opened = self._open(generation, None, newest=True)
        try:
            check(opened)
        finally:
            opened.close()
        self.point_to(generation)

    def _write(self, index: OpenIndex) -> None:
        name = self._name(index.generation)
        exact = len(index) <= EXACT_UP_TO
        words = True
        create = {"fields": extra_fields(), "exact": exact}
        dimension = index.manifest.model.dimension
        try:
            store = MilvusStore.create(self._connection, name, dimension, words=True, **create)  # type: ignore[arg-type]
        except StoreRefused as error:
            _logger.warning("the vector store has no BM25, so passages are found by vectors alone (%s)", error.reason)
            words = False
            store = MilvusStore.create(self._connection, name, dimension, words=False, **create)  # type: ignore[arg-type]
        records = Records.create(self._connection, name + _RECORDS)
        write_rows(index, store, records, words=words)
        write_records(index, records)
        store.finish()
        counted = store.counted()
        if counted != len(index):
            raise IndexCorrupt(f"{name} has {counted} rows after {len(index)} were sent; publish again")
        queries = noisy_queries(index.vectors, len(index))
        _, cosines = index.store.search(queries, min(10, len(index)), np.arange(len(index)))
        recall = store.settle(queries, cosines)
        _logger.info("%s: recall@10 %.4f with ef_search %d", name, recall, store.ef_search)
        searched = {"rows": [len(index)], "words": words, "exact": exact, "ef_search": store.ef_search}
        records.write([(PARTS, json.dumps(searched))])
        records.finish()
        records.write([(MANIFEST, index.manifest.to_bytes().decode())])  # last: a generation without it is incomplete
        records.finish()

    def point_to(self, generation: str) -> None:
        """Move the alias to a published generation."""
        name = self._name(generation)
        try:
            self._connection.call("alter_alias", name, self.alias, patience=WRITING)
        except StoreRefused as error:
            if not missing(error):
                raise
            self._connection.call("create_alias", name, self.alias, patience=WRITING)

    def rollback(self) -> str:
        """Move the alias to the newest complete generation before the current one; return its id."""
        current = self.current_id()
        older = self.manifest_before(current)
        if older is None:
            raise IndexMissing(f"the vector store holds no generation of {self.alias} older than {current}")
        self.point_to(older.generation)
        return older.generation

    def delete_old(self, keep: int) -> None:
        """Drop unfinished generations and all but the newest ``keep``; the current one always stays."""
        current = self.current_id()
        newest = sorted(self._published(), key=lambda manifest: manifest.created_at, reverse=True)
        others = [manifest.generation for manifest in newest if manifest.generation != current]
        kept = {current, *others[: keep - 1]}
        for generation in self._generations():
            if generation not in kept:
                self._drop(generation)

    def _drop(self, generation: str) -> None:
        for name in (self._name(generation) + _RECORDS, self._name(generation)):
            if self._connection.call("has_collection", name):
                self._connection.call("drop_collection", name, patience=WRITING)

    def _published(self) -> list[Manifest]:
        """Return the manifests of all complete generations."""
        found = []
        for generation in self._generations():
            with suppress(IndexCorrupt, StoreRefused):
                found.append(self.manifest(generation, newest=True))
        return found

    def _generations(self) -> list[str]:
        names: list[str] = self._connection.call("list_collections", patience=WRITING)
        own = self.alias + "_"
        ends = {name.removeprefix(own).removesuffix(_RECORDS) for name in names if name.startswith(own)}
        return sorted(end for end in ends if _GENERATION.match(end))

    def close(self) -> None:
        """Close the connection."""
        with suppress(QAServiceError):
            self._connection.close()

    def _name(self, generation: str) -> str:
        return f"{self.alias}_{generation}"

    def _records(self, generation: str) -> Records:
        return Records(self._connection, self._records_name(generation))

    def _records_name(self, generation: str) -> str:
        return self._name(generation) + _RECORDS


def _calibration_key(weights_sha256: str, *, token_vectors: bool, labels: bool) -> str:
    return f"calibration/{weights_sha256}/{int(token_vectors)}{int(labels)}"
