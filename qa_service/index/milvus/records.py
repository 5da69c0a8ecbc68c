"""Key-value records in a collection of their own: all data of a generation that is not searched by vectors."""

import base64
import hashlib
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from qa_service.errors import StoreRefused
from qa_service.index.milvus.collection import finish
from qa_service.index.milvus.connection import WRITING, Connection

MAX_FIELD_BYTES = 65_000  # Milvus accepts 65,535
_KEY, _VALUE, _NOTHING = "id", "value", "nothing"
_RECORDS_PER_WRITE, _RECORDS_PER_READ = 2_000, 500
_BYTES_PER_WRITE = 4_000_000
_MAX_PLAIN_CHARACTERS = 200  # longer texts are compressed
_PLAIN, _PACKED, _PARTED = "=", "z", "@"


class Records:
    """A collection of records. Values are texts of any length; keys are ASCII."""

    def __init__(self, connection: Connection, name: str) -> None:
        self._connection = connection
        self._name = name

    @classmethod
    def create(cls, connection: Connection, name: str) -> "Records":
        """Create an empty collection."""
        from pymilvus import DataType, MilvusClient  # noqa: PLC0415 - an extra

        schema = MilvusClient.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field(_KEY, DataType.VARCHAR, is_primary=True, max_length=256)
        schema.add_field(_VALUE, DataType.VARCHAR, max_length=65_535)
        schema.add_field(_NOTHING, DataType.FLOAT_VECTOR, dim=2)  # Milvus requires a vector field
        index = MilvusClient.prepare_index_params()
        index.add_index(_NOTHING, index_type="FLAT", metric_type="L2")
        connection.call("create_collection", name, schema=schema, index_params=index, patience=WRITING)
        return cls(connection, name)

    def write(self, records: Iterable[tuple[str, str]]) -> None:
        """Write records; a record with the same key is replaced."""
        waiting: list[dict[str, Any]] = []
        length = 0
        for key, value in chain.from_iterable(_parted(*record) for record in records):
            waiting.append({_KEY: key, _VALUE: value, _NOTHING: [0.0, 0.0]})
            length += len(value)
            if len(waiting) == _RECORDS_PER_WRITE or length > _BYTES_PER_WRITE:
                self._send(waiting)
                waiting, length = [], 0
        if waiting:
            self._send(waiting)

    def finish(self) -> None:
        """Make all records visible to all readers."""
        finish(self._connection, self._name)

    def get(self, keys: Iterable[str], *, newest: bool = False) -> dict[str, str]:
        """Return the values of the keys that exist; ``newest`` includes records that were just written."""
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
        """Return up to ``limit`` keys with a prefix that sort after ``after``, in order."""
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
        for start in range(0, len(wanted), _RECORDS_PER_READ):
            rows = self._connection.call(
                "get",
                self._name,
                wanted[start : start + _RECORDS_PER_READ],
                output_fields=[_VALUE],
                consistency_level="Strong" if newest else "Eventually",
            )
            found.update((row[_KEY], row[_VALUE]) for row in rows)
        return found


def digest(text: str) -> str:
    """Return 32 hexadecimal digits of a text's sha256, as a key for any text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def packed(data: bytes) -> str:
    """Encode bytes as text for a field."""
    return base64.b64encode(data).decode("ascii")


def _parted(key: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the record of a text; a long text is one record with the number of its parts, and a record for each."""
    if len(text) <= _MAX_PLAIN_CHARACTERS and text.isascii():
        yield key, _PLAIN + text
        return
    value = _PACKED + packed(zlib.compress(text.encode("utf-8", "surrogatepass")))
    if len(value) <= MAX_FIELD_BYTES:
        yield key, value
        return
    parts = [value[start : start + MAX_FIELD_BYTES] for start in range(0, len(value), MAX_FIELD_BYTES)]
    yield key, f"{_PARTED}{len(parts)}"
    yield from ((f"part/{key}/{place}", part) for place, part in enumerate(parts))


def _part_keys(key: str, value: str) -> list[str]:
    return [f"part/{key}/{place}" for place in range(int(value[1:]))] if value[0] == _PARTED else []


def _unpacked(value: str) -> str:
    if value[0] == _PLAIN:
        return value[1:]
    return zlib.decompress(base64.b64decode(value[1:])).decode("utf-8", "surrogatepass")
