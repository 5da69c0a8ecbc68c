"""Documents and passages read from the SQLite file of a generation, which never changes; :mod:`writing` made it."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cachetools import LRUCache

from qa_service.datatypes import ComparisonFilter, CompoundFilter, Filters, Metadata, Passage, Position, SourceDocument
from qa_service.errors import IndexCorrupt, StorageError
from qa_service.index.attributes import (
    SECTION,
    Attributes,
    attributes_of,
    check_filter,
    comparisons,
    passing,
    values_of,
)
from qa_service.splitting import CoverageCount

# Once read, so many stay in memory: documents without their texts, and passages.
_DOCUMENTS, _PASSAGES = 10_000, 2_000
OWN_COLUMNS = (
    "text, section_path, context, start_char, end_char, start_utf16, end_utf16, start_byte, end_byte, "
    "start_line, end_line, sentences, tokens, content_key"
)
_COLUMNS = (
    "number, document_id, text, section_path, context, start_char, end_char, start_utf16, end_utf16, "
    "start_byte, end_byte, start_line, end_line, sentences, first_sentence"
)
_END = 2**62
"""Behind the end of every document."""
_DOCUMENT = "id, uri, title, sha256, source, media_type, url, pages"


@dataclass(frozen=True, slots=True)
class ReusablePassage:
    """A passage to be taken over: its number, its first sentence's row, and what else the next index needs of it."""

    number: int
    first_sentence: int
    sentences: int
    context: str
    tokens: int


class PassageReader:
    """Reads documents and passages by id. One thread at a time may be inside a method."""

    def __init__(self, path: Path) -> None:
        self.path = self._path = path
        self._documents: LRUCache[str, SourceDocument] = LRUCache(_DOCUMENTS)
        self._passages: LRUCache[int, tuple[Passage, int]] = LRUCache(_PASSAGES)
        with sqlite_errors(path):
            self._connection = sqlite3.connect(address_of(path), uri=True, check_same_thread=False)

    def counts(self) -> tuple[int, int, int]:
        """Return the numbers of documents, passages and sentences."""
        documents = self._one("SELECT count(*) FROM documents")[0]
        passages = self._one("SELECT count(*) FROM passages")[0]
        last = self._one("SELECT max(number), first_sentence, sentences FROM passages")
        sentences = 0 if last[0] is None else last[1] + len(json.loads(last[2]))
        return documents, passages, sentences

    def passage(self, number: int) -> tuple[Passage, int]:
        """Return a passage and the row of its first sentence's vector."""
        if number not in self._passages:
            row = self._one(f"SELECT {_COLUMNS} FROM passages WHERE number = ?", number)  # noqa: S608 - a constant
            self._passages[number] = _passage(row), int(row[-1])
        return self._passages[number]

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

    def cited_passage(self, identifier: str) -> tuple[str, int, str] | None:
        """Return document's uri, first character and text of the passage of an id, one retired included."""
        statement = (
            "SELECT uri, start_char, passages.text FROM passages JOIN documents ON documents.id = document_id "
            "WHERE passages.id = ? UNION ALL SELECT uri, start_char, text FROM retired WHERE id = ?"
        )
        return self._one_or_none(statement, identifier, identifier)

    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        """Return the numbers of the passages that share a character with ``[start, end)``."""
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT number FROM passages WHERE document_id = ? AND start_char < ? AND end_char > ? ORDER BY number",
                (document_id, end, start),
            ).fetchall()
        return [number for (number,) in rows]

    def spans(self, document_id: str, start: int = 0, end: int = _END) -> list[tuple[int, int]]:
        """Return first character and end of the passages that share a character with ``[start, end)``, in order."""
        with sqlite_errors(self._path):
            return self._connection.execute(
                "SELECT start_char, end_char FROM passages WHERE document_id = ? AND start_char < ? AND end_char > ? "
                "ORDER BY number",
                (document_id, end, start),
            ).fetchall()

    def document_id_at(self, uri: str) -> str | None:
        """Return the id of the document at a path, or ``None``."""
        row = self._one_or_none("SELECT id FROM documents WHERE uri = ?", uri)
        return None if row is None else row[0]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield path and text of every document."""
        with sqlite_errors(self._path):
            yield from self._connection.execute("SELECT uri, text FROM documents ORDER BY id")

    def list_documents(self, after: str, limit: int) -> list[SourceDocument]:
        """Return the documents whose ids come after one, by id, without their texts."""
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                f"SELECT {_DOCUMENT}, '' FROM documents WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - constants
                (after, limit),
            ).fetchall()
        return [_document(row) for row in rows]

    def same_passage(self, content_key: bytes) -> tuple[int, int] | None:
        """Return number and first sentence's row of a passage that has the key."""
        return self._one_or_none("SELECT number, first_sentence FROM passages WHERE content_key = ?", content_key)

    def places_of_file(self, uri: str, sha256: str) -> list[tuple[int, int]]:
        """Return first and last passage of the documents read from a file with these bytes, in order."""
        with sqlite_errors(self._path):
            return self._connection.execute(
                "SELECT min(number), max(number) FROM documents JOIN passages ON document_id = documents.id "
                "WHERE source = ? AND sha256 = ? GROUP BY documents.id ORDER BY 1",
                (uri, sha256),
            ).fetchall()

    def reusable(self, first: int, last: int) -> list[ReusablePassage]:
        """Return what is needed of the passages from one number to another to take them over."""
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT number, first_sentence, json_array_length(sentences), context, tokens FROM passages "
                "WHERE number BETWEEN ? AND ? ORDER BY number",
                (first, last),
            )
            return [ReusablePassage(*row) for row in rows]

    def metadata(self, document_id: str) -> dict[str, Any]:
        """Return what a document says of itself, by names."""
        said: dict[str, Any] = json.loads(self._one("SELECT metadata FROM documents WHERE id = ?", document_id)[0])
        return said

    def retired(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield id, document's uri, first character and text of passages that come no more."""
        with sqlite_errors(self._path):
            yield from self._connection.execute("SELECT id, uri, start_char, text FROM retired ORDER BY id")

    def summary(self) -> tuple[CoverageCount, list[str]]:
        """Return how much of all documents stands in passages, and what was remarked on them, by uri."""
        content, covered = self._one(
            "SELECT coalesce(sum(content_characters), 0), coalesce(sum(covered_characters), 0) FROM documents"
        )
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT uri, warnings FROM documents WHERE warnings != '[]' ORDER BY uri"
            ).fetchall()
        return CoverageCount(content, covered), [f"{uri}: {text}" for uri, texts in rows for text in json.loads(texts)]

    def matching(self, filters: Filters) -> list[int]:
        """Return the numbers of the passages that pass the filters, in order."""
        wanted = _attribute_filter(filters)
        passes = passing(wanted)
        by_section = any(one.key == SECTION for one in comparisons(wanted))
        numbers: list[int] = []
        for document_id, attributes in self._with_attributes(filters):
            if not by_section:
                if passes(attributes):
                    numbers += self.overlapping(document_id, 0, _END)
                continue
            with sqlite_errors(self._path):
                passages = self._connection.execute(
                    "SELECT number, section_path FROM passages WHERE document_id = ?", (document_id,)
                ).fetchall()
            numbers += [number for number, path in passages if passes({**attributes, SECTION: json.loads(path)})]
        return sorted(numbers)

    def _with_attributes(self, filters: Filters) -> Iterator[tuple[str, Attributes]]:
        """Yield ids and attributes of the documents that pass the filters on ids, paths and front matter."""
        with sqlite_errors(self._path):
            rows = self._connection.execute("SELECT id, uri, title, metadata FROM documents").fetchall()
        front_matter = [json.loads(row[3]) for row in rows]
        if filters.attributes is not None:
            check_filter(filters.attributes, {key for own in front_matter for key in own})
        for (document_id, uri, title, _), own in zip(rows, front_matter, strict=True):
            if _passes(filters, document_id, uri, own):
                yield document_id, attributes_of(document_id, uri, title, own)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _one_or_none(self, statement: str, *values: object) -> tuple[Any, ...] | None:
        with sqlite_errors(self._path):
            row: tuple[Any, ...] | None = self._connection.execute(statement, values).fetchone()
        return row

    def _one(self, statement: str, *values: object) -> tuple[Any, ...]:
        row = self._one_or_none(statement, *values)
        if row is None:
            raise IndexCorrupt(f"{self._path} has no row for {values}; rebuild with `qa-service index`")
        return row


def _passes(filters: Filters, document_id: str, uri: str, front_matter: Metadata) -> bool:
    return (
        (not filters.document_ids or document_id in filters.document_ids)
        and (not filters.path_prefixes or uri.startswith(filters.path_prefixes))
        and all(
            not set(values).isdisjoint(values_of(front_matter.get(key, ()))) for key, values in filters.metadata.items()
        )
    )


def _attribute_filter(filters: Filters) -> CompoundFilter:
    """Return the filters on sections and on attributes as one."""
    sections = [ComparisonFilter(SECTION, "in", filters.sections)] if filters.sections else []
    return CompoundFilter("and", (*sections, *([] if filters.attributes is None else [filters.attributes])))


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


def address_of(path: Path) -> str:
    """Return by which address SQLite opens the file of a generation that is whole: to read, without any lock."""
    return f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours, the file named."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise StorageError(f"{path}: {error}; check the disk's space and permissions") from error
        raise IndexCorrupt(f"{path}: {error}; rebuild with `qa-service index`") from error
