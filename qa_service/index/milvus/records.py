"""Texts by key in a collection of their own: all of a generation that is not searched by vectors."""

import base64
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from qa_service.errors import StoreRefused
from qa_service.index.milvus.collection import finish
from qa_service.index.milvus.connection import WRITING, Connection

LONGEST = 65_000
"""Bytes of a field; a Milvus server takes 65,535."""
_KEY, _VALUE, _NOTHING = "id", "value", "nothing"
_SENT, _ASKED = 2_000, 500
_SENT_BYTES = 4_000_000
_SHORT = 200
_PLAIN, _PACKED, _PARTED = "=", "z", "@"


class Records:
    """A collection of records that are written once. Values of any length are text; keys are plain ASCII."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    @classmethod
    def create(cls, connection: Connection, name: str) -> "Records":
        """Make a new, empty collection."""
        from pymilvus import DataType, MilvusClient  # noqa: PLC0415 - an extra

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(_KEY, DataType.VARCHAR, is_primary=True, max_length=256)
        schema.add_field(_VALUE, DataType.VARCHAR, max_length=65_535)
        schema.add_field(_NOTHING, DataType.FLOAT_VECTOR, dim=2)  # a collection must have a vector
        index = MilvusClient.prepare_index_params()
        index.add_index(_NOTHING, index_type="FLAT", metric_type="L2")
        connection.call("create_collection", name, schema=schema, index_params=index, patience=WRITING)
        return cls(connection, name)

    def write(self, records: Iterable[tuple[str, str]]) -> None:
        """Write records; those of the same key are replaced."""
        waiting: list[dict[str, Any]] = []
        length = 0
        for key, value in chain.from_iterable(_parted(*record) for record in records):
            waiting.append({_KEY: key, _VALUE: value, _NOTHING: [0.0, 0.0]})
            length += len(value)
            if len(waiting) == _SENT or length > _SENT_BYTES:
                self._send(waiting)
                waiting, length = [], 0
        if waiting:
            self._send(waiting)

    def finish(self) -> None:
        """Make all that was written visible to every reader from now on."""
        finish(self._connection, self._name)

    def get(self, keys: Iterable[str], *, newest: bool = False) -> dict[str, str]:
        """Return the values of those keys that there are; ``newest`` waits for what was written a moment ago."""
        raw = self._raw(keys, newest=newest)
        parts = self._raw((part for key, value in raw.items() for part in _part_keys(key, value)), newest=newest)
        found = {}
        for key, value in raw.items():
            names = _part_keys(key, value)
            if any(name not in parts for name in names):
                raise StoreRefused("rows are missing in the vector store", f"a part of {key} in {self._name}")
            found[key] = _unpacked("".join(parts[name] for name in names) if names else value)
        return found

    def one(self, key: str, *, newest: bool = False) -> str | None:
        """Return the value of a key, or ``None``."""
        return self.get([key], newest=newest).get(key)

    def scan(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Return up to ``limit`` keys that begin so and come after another key, in order."""
        rows = self._connection.call(
            "query",
            self._name,
            filter=f'{_KEY} > "{max(prefix, after)}" and {_KEY} < "{prefix}~"',
            output_fields=[_KEY],
            limit=limit,
            consistency_level="Eventually",
        )
        return sorted(row[_KEY] for row in rows)

    def _send(self, rows: list[dict[str, Any]]) -> None:
        self._connection.call("upsert", self._name, rows, patience=WRITING)

    def _raw(self, keys: Iterable[str], *, newest: bool) -> dict[str, str]:
        found: dict[str, str] = {}
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _ASKED):
            rows = self._connection.call(
                "get",
                self._name,
                wanted[start : start + _ASKED],
                output_fields=[_VALUE],
                consistency_level="Strong" if newest else "Eventually",
            )
            found.update((row[_KEY], row[_VALUE]) for row in rows)
        return found


def digest(text: str) -> str:
    """Return what stands for a text of any length and any characters: 32 digits of its sha256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def packed(data: bytes) -> str:
    """Return bytes as text that a field takes."""
    return base64.b64encode(data).decode("ascii")


def _parted(key: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the records that hold a text: one, or one that counts its parts, and those."""
    if len(text) <= _SHORT and text.isascii():
        yield key, _PLAIN + text
        return
    value = _PACKED + packed(zlib.compress(text.encode("utf-8", "surrogatepass")))
    if len(value) <= LONGEST:
        yield key, value
        return
    parts = [value[start : start + LONGEST] for start in range(0, len(value), LONGEST)]
    yield key, f"{_PARTED}{len(parts)}"
    yield from ((f"part/{key}/{place}", part) for place, part in enumerate(parts))


def _part_keys(key: str, value: str) -> list[str]:
    return [f"part/{key}/{place}" for place in range(int(value[1:]))] if value[0] == _PARTED else []


def _unpacked(value: str) -> str:
    if value[0] == _PLAIN:
        return value[1:]
    return zlib.decompress(base64.b64decode(value[1:])).decode("utf-8", "surrogatepass")
