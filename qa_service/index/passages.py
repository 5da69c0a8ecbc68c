"""Documents and passages in one SQLite file: written once, document after document, then read as an immutable file."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cachetools import LRUCache

from qa_service.citing import passage_id
from qa_service.datatypes import Document, Filters, Passage, Position, SourceDocument
from qa_service.errors import IndexCorrupt, StorageError

_DOCUMENTS = 10_000  # whose title and path stay in memory once they were cited
_SCHEMA = """
CREATE TABLE documents (
  id TEXT PRIMARY KEY, uri TEXT NOT NULL UNIQUE, title TEXT NOT NULL, sha256 TEXT NOT NULL, source TEXT NOT NULL,
  media_type TEXT NOT NULL, url TEXT, pages TEXT NOT NULL, text TEXT NOT NULL, metadata TEXT NOT NULL,
  warnings TEXT NOT NULL, content_characters INTEGER NOT NULL, covered_characters INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE passages (
  number INTEGER PRIMARY KEY, document_id TEXT NOT NULL REFERENCES documents(id), text TEXT NOT NULL,
  section_path TEXT NOT NULL, context TEXT NOT NULL,
  start_char INTEGER NOT NULL, end_char INTEGER NOT NULL, start_utf16 INTEGER NOT NULL, end_utf16 INTEGER NOT NULL,
  start_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
  sentences TEXT NOT NULL, tokens INTEGER NOT NULL, content_key BLOB NOT NULL,
  first_sentence INTEGER NOT NULL, id TEXT NOT NULL
);
CREATE TABLE retired (
  id TEXT PRIMARY KEY, uri TEXT NOT NULL, start_char INTEGER NOT NULL, text TEXT NOT NULL, age INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX passages_by_id ON passages (id);
CREATE INDEX documents_by_source ON documents (source);
CREATE INDEX passages_by_place ON passages (document_id, start_char, end_char);
CREATE INDEX passages_by_content ON passages (content_key);
"""
_RETIRED = 100_000
_RETIRE = f"""
BEGIN;
INSERT OR IGNORE INTO retired
  SELECT p.id, d.uri, p.start_char, p.text, 0 FROM old.passages AS p JOIN old.documents AS d ON d.id = p.document_id
  WHERE p.id NOT IN (SELECT id FROM main.passages);
INSERT OR IGNORE INTO retired
  SELECT id, uri, start_char, text, age + 1 FROM old.retired WHERE id NOT IN (SELECT id FROM main.passages)
  ORDER BY age LIMIT {_RETIRED};
COMMIT;
DETACH old;
"""  # noqa: S608 - a constant
_COLUMNS = (
    "number, document_id, text, section_path, context, start_char, end_char, start_utf16, end_utf16, "
    "start_byte, end_byte, start_line, end_line, sentences, first_sentence"
)
_OWN_COLUMNS = (
    "text, section_path, context, start_char, end_char, start_utf16, end_utf16, start_byte, end_byte, "
    "start_line, end_line, sentences, tokens, content_key"
)
_DOCUMENT = "id, uri, title, sha256, source, media_type, url, pages"
_PLACE_OF_CONTEXT, _PLACE_OF_SENTENCES, _PLACE_OF_TOKENS = 2, 11, 12


@dataclass(frozen=True, slots=True)
class Taken:
    """A passage that was taken over: its number and its first sentence's row there, and what is needed of it here."""

    number: int
    first_sentence: int
    sentences: int
    context: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Covered:
    """Visible characters of a document's content, and those of them that stand in a passage."""

    content: int
    covered: int


class PassageWriter:
    """Writes a new file, a document at a time, its passages numbered on from those before.

    Raises :class:`StorageError` if the disk does not take it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passages = self._sentences = 0
        with _sqlite_errors(path):
            self._connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}", isolation_level=None, uri=True)
            # Nobody reads the file before its generation is whole, so it needs no journal of its own.
            self._connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;" + _SCHEMA)

    def add(
        self,
        document: Document,
        passages: Sequence[Passage],
        tokens: Sequence[int],
        content_keys: Sequence[bytes],
        covered: Covered,
    ) -> None:
        """Add a document with its passages, each with its number of tokens and a key of what the model sees of it."""
        row = (
            *(document.id, document.uri, document.title, document.sha256, document.source or document.uri),
            *(document.media_type, document.url, json.dumps(document.pages), document.text),
            *(json.dumps(dict(document.metadata), sort_keys=True), json.dumps(document.warnings)),
            *(covered.content, covered.covered),
        )
        rows = (
            (
                passage.text,
                json.dumps(passage.section_path),
                passage.context,
                *astuple(passage.position),
                json.dumps(passage.sentences),
                count,
                key,
            )
            for passage, count, key in zip(passages, tokens, content_keys, strict=True)
        )
        with _sqlite_errors(self._path):
            self._add(row, rows)

    def take_over(self, previous: "PassageReader", document_id: str) -> list[Taken]:
        """Add a document with its passages as another file has them; return them in order."""
        document, rows = previous.document_as_written(document_id)
        taken = [
            Taken(
                number,
                first_sentence,
                len(json.loads(row[_PLACE_OF_SENTENCES])),
                row[_PLACE_OF_CONTEXT],
                row[_PLACE_OF_TOKENS],
            )
            for number, first_sentence, *row in rows
        ]
        with _sqlite_errors(self._path):
            self._add(document, (tuple(row) for _, _, *row in rows))
        return taken

    def _add(self, document: tuple[Any, ...], rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.execute(f"INSERT INTO documents VALUES ({', '.join('?' * 13)})", document)  # noqa: S608 - no values
        for row in rows:
            self._connection.execute(
                f"INSERT INTO passages (number, document_id, first_sentence, id, {_OWN_COLUMNS}) "  # noqa: S608 - constants
                f"VALUES ({', '.join('?' * 18)})",
                (self._passages, document[0], self._sentences, passage_id(document[1], row[3], row[0]), *row),
            )
            self._passages += 1
            self._sentences += len(json.loads(row[_PLACE_OF_SENTENCES]))

    def close(self, previous: Path | None = None) -> None:
        """Finish the file. Passages of the ``previous`` one that are not in this are kept as retired."""
        with _sqlite_errors(self._path):
            self._connection.execute("COMMIT")
            if previous is not None:
                self._connection.execute("ATTACH ? AS old", (f"file:{quote(str(previous.resolve()))}?immutable=1",))
                self._connection.executescript(_RETIRE)
            self._connection.close()


class PassageReader:
    """Reads documents and passages by id. One thread at a time may be inside a method."""

    def __init__(self, path: Path) -> None:
        self.path = self._path = path
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
        row = self._one_or_none(f"SELECT {_DOCUMENT}, text FROM documents WHERE id = ?", document_id)  # noqa: S608 - constants
        return None if row is None else _document(row)

    def document_without_text(self, document_id: str) -> SourceDocument:
        """Return a document with an empty text: all that a citation needs, without reading a large one."""
        if document_id not in self._documents:
            row = self._one(f"SELECT {_DOCUMENT}, '' FROM documents WHERE id = ?", document_id)  # noqa: S608 - constants
            self._documents[document_id] = _document(row)
        return self._documents[document_id]

    def document_by_uri(self, uri: str) -> SourceDocument | None:
        """Return the document at a path below the source folder, or ``None``."""
        row = self._one_or_none(f"SELECT {_DOCUMENT}, text FROM documents WHERE uri = ?", uri)  # noqa: S608 - constants
        return None if row is None else _document(row)

    def cited(self, identifier: str) -> tuple[str, int, str] | None:
        """Return document's uri, first character and text of the passage of an id, one retired included."""
        statement = (
            "SELECT uri, start_char, passages.text FROM passages JOIN documents ON documents.id = document_id "
            "WHERE passages.id = ? UNION ALL SELECT uri, start_char, text FROM retired WHERE id = ?"
        )
        return self._one_or_none(statement, identifier, identifier)

    def document_holding(self, text: str) -> SourceDocument | None:
        """Return the first document that has a passage which holds a text, word for word."""
        row = self._one_or_none("SELECT document_id FROM passages WHERE instr(text, ?) ORDER BY number LIMIT 1", text)
        return None if row is None else self.document(row[0])

    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        """Return the numbers of the passages that share a character with ``[start, end)``."""
        with _sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT number FROM passages WHERE document_id = ? AND start_char < ? AND end_char > ? ORDER BY number",
                (document_id, end, start),
            ).fetchall()
        return [number for (number,) in rows]

    def same_passage(self, content_key: bytes) -> tuple[int, int] | None:
        """Return number and first sentence's row of a passage that has the key."""
        return self._one_or_none("SELECT number, first_sentence FROM passages WHERE content_key = ?", content_key)

    def ids_of_file(self, uri: str, sha256: str) -> list[str]:
        """Return the ids of the documents read from a file with these bytes, in the order of their passages."""
        with _sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT documents.id FROM documents JOIN passages ON document_id = documents.id "
                "WHERE source = ? AND sha256 = ? GROUP BY documents.id ORDER BY min(number)",
                (uri, sha256),
            ).fetchall()
        return [identifier for (identifier,) in rows]

    def document_as_written(self, document_id: str) -> tuple[tuple[Any, ...], list[tuple[Any, ...]]]:
        """Return a document's row, and of each passage its number, first sentence's row and own columns."""
        document = self._one("SELECT * FROM documents WHERE id = ?", document_id)
        with _sqlite_errors(self._path):
            rows = self._connection.execute(
                f"SELECT number, first_sentence, {_OWN_COLUMNS} FROM passages WHERE document_id = ? ORDER BY number",  # noqa: S608 - constants
                (document_id,),
            ).fetchall()
        return document, rows

    def summary(self) -> tuple[Covered, list[str]]:
        """Return how much of all documents stands in passages, and what was remarked on them, by uri."""
        content, covered = self._one(
            "SELECT coalesce(sum(content_characters), 0), coalesce(sum(covered_characters), 0) FROM documents"
        )
        with _sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT uri, warnings FROM documents WHERE warnings != '[]' ORDER BY uri"
            ).fetchall()
        return Covered(content, covered), [f"{uri}: {text}" for uri, texts in rows for text in json.loads(texts)]

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


def _document(row: tuple[Any, ...]) -> SourceDocument:
    identifier, uri, title, sha256, source, media_type, url, pages, text = row
    return SourceDocument(identifier, uri, title, sha256, source, media_type, url, tuple(json.loads(pages)), text)


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
