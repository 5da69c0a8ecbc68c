"""Documents and passages in one SQLite file: written once, then read as an immutable file."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cachetools import LRUCache

from qa_service.datatypes import Document, Filters, Passage, Position, SourceDocument
from qa_service.errors import IndexCorrupt, StorageError

_DOCUMENTS = 10_000  # whose title and path stay in memory once they were cited
_SCHEMA = """
CREATE TABLE documents (
  id TEXT PRIMARY KEY, uri TEXT NOT NULL UNIQUE, title TEXT NOT NULL, sha256 TEXT NOT NULL, metadata TEXT NOT NULL,
  text TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE passages (
  number INTEGER PRIMARY KEY, document_id TEXT NOT NULL REFERENCES documents(id), text TEXT NOT NULL,
  section_path TEXT NOT NULL, context TEXT NOT NULL,
  start_char INTEGER NOT NULL, end_char INTEGER NOT NULL, start_utf16 INTEGER NOT NULL, end_utf16 INTEGER NOT NULL,
  start_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
  sentences TEXT NOT NULL, first_sentence INTEGER NOT NULL, content_key BLOB NOT NULL
);
CREATE INDEX passages_by_place ON passages (document_id, start_char, end_char);
CREATE INDEX passages_by_content ON passages (content_key);
"""
_COLUMNS = (
    "number, document_id, text, section_path, context, start_char, end_char, start_utf16, end_utf16, "
    "start_byte, end_byte, start_line, end_line, sentences, first_sentence"
)


def write_passages(
    path: Path, documents: Iterable[Document], passages: Iterable[Passage], content_keys: Iterable[bytes]
) -> None:
    """Write a new file, with a key of what the model sees of each passage.

    Raises :class:`StorageError` if the disk does not take it.
    """
    with _sqlite_errors(path):
        connection = sqlite3.connect(path, isolation_level=None)
        try:
            # Nobody reads the file before its generation is whole, so it needs no journal of its own.
            connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;" + _SCHEMA)
            connection.executemany(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?)",
                (
                    (doc.id, doc.uri, doc.title, doc.sha256, json.dumps(dict(doc.metadata), sort_keys=True), doc.text)
                    for doc in documents
                ),
            )
            connection.executemany(
                f"INSERT INTO passages ({_COLUMNS}, content_key) VALUES ({', '.join('?' * 16)})",  # noqa: S608 - constants
                ((*row, key) for row, key in zip(_rows(passages), content_keys, strict=True)),
            )
            connection.execute("COMMIT")
        finally:
            connection.close()


def _rows(passages: Iterable[Passage]) -> Iterator[tuple[Any, ...]]:
    first_sentence = 0
    for passage in passages:
        yield (
            passage.number,
            passage.document_id,
            passage.text,
            json.dumps(passage.section_path),
            passage.context,
            *astuple(passage.position),
            json.dumps(passage.sentences),
            first_sentence,
        )
        first_sentence += len(passage.sentences)


class PassageReader:
    """Reads documents and passages by id. One thread at a time may be inside a method."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._documents: LRUCache[str, SourceDocument] = LRUCache(_DOCUMENTS)
        with _sqlite_errors(path):
            self._connection = sqlite3.connect(
                f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1", uri=True, check_same_thread=False
            )

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of documents, passages and sentences."""
        documents = self._one("SELECT count(*) FROM documents")[0]
        passages = self._one("SELECT count(*) FROM passages")[0]
        last = self._one("SELECT max(number), first_sentence, sentences FROM passages")
        sentences = 0 if last[0] is None else last[1] + len(json.loads(last[2]))
        return documents, passages, sentences

    def passage(self, number: int) -> tuple[Passage, int]:
        """Return a passage and the row of its first sentence's vector."""
        row = self._one(f"SELECT {_COLUMNS} FROM passages WHERE number = ?", number)  # noqa: S608 - a constant
        return _passage(row), int(row[-1])

    def document(self, document_id: str) -> SourceDocument | None:
        """Return a document, or ``None`` if there is none of that id."""
        row = self._one_or_none("SELECT id, uri, title, sha256, text FROM documents WHERE id = ?", document_id)
        return None if row is None else SourceDocument(*row)

    def document_without_text(self, document_id: str) -> SourceDocument:
        """Return a document with an empty text: all that a citation needs, without reading a large one."""
        if document_id not in self._documents:
            row = self._one("SELECT id, uri, title, sha256, '' FROM documents WHERE id = ?", document_id)
            self._documents[document_id] = SourceDocument(*row)
        return self._documents[document_id]

    def document_by_uri(self, uri: str) -> SourceDocument | None:
        """Return the document at a path below the source folder, or ``None``."""
        row = self._one_or_none("SELECT id, uri, title, sha256, text FROM documents WHERE uri = ?", uri)
        return None if row is None else SourceDocument(*row)

    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        """Return the numbers of the passages that share a character with ``[start, end)``."""
        with _sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT number FROM passages WHERE document_id = ? AND start_char < ? AND end_char > ? ORDER BY number",
                (document_id, end, start),
            ).fetchall()
        return [number for (number,) in rows]

    def same_passages(self, content_keys: Iterable[bytes]) -> dict[int, tuple[int, int]]:
        """Return, by the place of a key, number and first sentence's row of a passage that has it."""
        found: dict[int, tuple[int, int]] = {}
        for place, key in enumerate(content_keys):
            row = self._one_or_none("SELECT number, first_sentence FROM passages WHERE content_key = ?", key)
            if row is not None:
                found[place] = (row[0], row[1])
        return found

    def matching(self, filters: Filters) -> list[int]:
        """Return the numbers of the passages that pass the filters, in order."""
        with _sqlite_errors(self._path):
            rows = self._connection.execute("SELECT id, uri, metadata FROM documents").fetchall()
            wanted = [identifier for identifier, uri, metadata in rows if _passes(filters, identifier, uri, metadata)]
            numbers: list[int] = []
            for document_id in wanted:
                passages = self._connection.execute(
                    "SELECT number, section_path FROM passages WHERE document_id = ?", (document_id,)
                )
                numbers.extend(
                    number
                    for number, path in passages
                    if not filters.sections or not set(filters.sections).isdisjoint(json.loads(path))
                )
        return sorted(numbers)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _one_or_none(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with _sqlite_errors(self._path):
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        return row

    def _one(self, statement: str, *values: object) -> tuple[Any, ...]:
        row = self._one_or_none(statement, *values)
        if row is None:
            raise IndexCorrupt(f"{self._path} has no row for {values}; rebuild with `qa-service index`")
        return row


def _passes(filters: Filters, document_id: str, uri: str, metadata: str) -> bool:
    said = json.loads(metadata) if filters.metadata else {}
    return (
        (not filters.document_ids or document_id in filters.document_ids)
        and (not filters.path_prefixes or uri.startswith(filters.path_prefixes))
        and all(
            not set(values).isdisjoint([said[key]] if isinstance(said.get(key), str) else said.get(key, ()))
            for key, values in filters.metadata.items()
        )
    )


def _passage(row: tuple[Any, ...]) -> Passage:
    number, document_id, text, section_path, context, *position, sentences, _ = row
    return Passage(
        number=number,
        document_id=document_id,
        text=text,
        section_path=tuple(json.loads(section_path)),
        context=context,
        position=Position(*position),
        sentences=tuple((start, end) for start, end in json.loads(sentences)),
    )


@contextmanager
def _sqlite_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise StorageError(f"{path}: {error}; check the disk's space and permissions") from error
        raise IndexCorrupt(f"{path}: {error}; rebuild with `qa-service index`") from error
