"""Reads documents and passages from the immutable SQLite file of a generation; ``passage_writer`` writes it."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
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

_DOCUMENT_CACHE_SIZE = 10_000  # documents without their texts
_PASSAGE_CACHE_SIZE = 2_000
OWN_COLUMNS = (
    "text, section_path, context, start_char, end_char, start_utf16, end_utf16, start_byte, end_byte, "
    "start_line, end_line, sentences, tokens, content_key"
)
_COLUMNS = (
    "number, document_id, text, section_path, context, start_char, end_char, start_utf16, end_utf16, "
    "start_byte, end_byte, start_line, end_line, sentences, first_sentence"
)
_END = 2**62  # greater than the length of any document
_DOCUMENT = "id, uri, title, sha256, source, media_type, url, pages"


@dataclass(frozen=True, slots=True)
class ReusablePassage:
    """A passage of an existing index, as the next build reuses it.

    ``first_sentence`` is the row of its first sentence, ``sentences`` and ``tokens`` are counts.
    """

    number: int
    first_sentence: int
    sentences: int
    context: str
    tokens: int


class PassageReader:
    """Reads documents and passages. Not thread-safe: one call at a time."""

    def __init__(self, path: Path) -> None:
        self.path = self._path = path
        self._documents: LRUCache[str, SourceDocument] = LRUCache(_DOCUMENT_CACHE_SIZE)
        self._passages: LRUCache[int, tuple[Passage, int]] = LRUCache(_PASSAGE_CACHE_SIZE)
        with sqlite_errors(path):
            self._connection = sqlite3.connect(address_of(path), uri=True, check_same_thread=False)
        self._has_page_lines = self._one_or_none("SELECT 1 FROM sqlite_master WHERE name = 'page_lines'") is not None

    def counts(self) -> tuple[int, int, int]:
        """Return the counts of documents, passages and sentences."""
        documents = self._one("SELECT count(*) FROM documents")[0]
        passages = self._one("SELECT count(*) FROM passages")[0]
        last = self._one("SELECT max(number), first_sentence, sentences FROM passages")
        sentences = 0 if last[0] is None else last[1] + len(json.loads(last[2]))
        return documents, passages, sentences

    def passage(self, number: int) -> tuple[Passage, int]:
        """Return a passage and the row of its first sentence."""
        if number not in self._passages:
            row = self._one(f"SELECT {_COLUMNS} FROM passages WHERE number = ?", number)  # noqa: S608 - a constant
            self._passages[number] = _passage(row), int(row[-1])
        return self._passages[number]

    def document(self, document_id: str) -> SourceDocument | None:
        """Return the document with an id, or ``None``."""
        row = self._one_or_none(f"SELECT {_DOCUMENT}, text FROM documents WHERE id = ?", document_id)  # noqa: S608 - constants
        return None if row is None else _document(row)

    def document_without_text(self, document_id: str) -> SourceDocument:
        """Return a document with an empty text: a citation needs no more, and a large text is not read."""
        if document_id not in self._documents:
            row = self._one(f"SELECT {_DOCUMENT}, '' FROM documents WHERE id = ?", document_id)  # noqa: S608 - constants
            self._documents[document_id] = _document(row)
        return self._documents[document_id]

    def page_lines(self, document_id: str, pages: Iterable[int] | None = None) -> dict[int, bytes]:
        """Return the packed lines of pages of a document, those that have any; of all its pages by default.

        An index of an earlier version has none.
        """
        if not self._has_page_lines:
            return {}
        if pages is None:
            with sqlite_errors(self._path):
                statement = "SELECT page, lines FROM page_lines WHERE document_id = ? ORDER BY page"
                return dict(self._connection.execute(statement, (document_id,)))
        found = {}
        for page in pages:
            row = self._one_or_none(
                "SELECT lines FROM page_lines WHERE document_id = ? AND page = ?", document_id, page
            )
            if row is not None:
                found[page] = row[0]
        return found

    def cited_passage(self, identifier: str) -> tuple[str, int, str] | None:
        """Return a passage's document uri, first character and text, by its id; retired passages are included."""
        statement = (
            "SELECT uri, start_char, passages.text FROM passages JOIN documents ON documents.id = document_id "
            "WHERE passages.id = ? UNION ALL SELECT uri, start_char, text FROM retired WHERE id = ?"
        )
        return self._one_or_none(statement, identifier, identifier)

    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        """Return the numbers of the passages that overlap ``[start, end)``."""
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT number FROM passages WHERE document_id = ? AND start_char < ? AND end_char > ? ORDER BY number",
                (document_id, end, start),
            ).fetchall()
        return [number for (number,) in rows]

    def spans(self, document_id: str, start: int = 0, end: int = _END) -> list[tuple[int, int]]:
        """Return the start and end of each passage that overlaps ``[start, end)``, in order."""
        with sqlite_errors(self._path):
            return self._connection.execute(
                "SELECT start_char, end_char FROM passages WHERE document_id = ? AND start_char < ? AND end_char > ? "
                "ORDER BY number",
                (document_id, end, start),
            ).fetchall()

    def sections(self, document_id: str) -> list[tuple[int, tuple[str, ...]]]:
        """Return the first character and the section path of each passage of a document, in order."""
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT start_char, section_path FROM passages WHERE document_id = ? ORDER BY number", (document_id,)
            ).fetchall()
        return [(start, tuple(json.loads(path))) for start, path in rows]

    def document_id_at(self, uri: str) -> str | None:
        """Return the id of the document at a path, or ``None``."""
        row = self._one_or_none("SELECT id FROM documents WHERE uri = ?", uri)
        return None if row is None else row[0]

    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the path and the text of every document."""
        with sqlite_errors(self._path):
            yield from self._connection.execute("SELECT uri, text FROM documents ORDER BY id")

    def list_documents(self, after: str, limit: int) -> list[SourceDocument]:
        """Return up to ``limit`` documents with ids after ``after``, by id, with empty texts."""
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                f"SELECT {_DOCUMENT}, '' FROM documents WHERE id > ? ORDER BY id LIMIT ?",  # noqa: S608 - constants
                (after, limit),
            ).fetchall()
        return [_document(row) for row in rows]

    def same_passage(self, content_key: bytes) -> tuple[int, int] | None:
        """Return the number and the first sentence's row of a passage with this content key, or ``None``."""
        return self._one_or_none("SELECT number, first_sentence FROM passages WHERE content_key = ?", content_key)

    def places_of_file(self, uri: str, sha256: str) -> list[tuple[int, int]]:
        """Return the first and last passage of each document that was read from a file with this hash, in order."""
        with sqlite_errors(self._path):
            return self._connection.execute(
                "SELECT min(number), max(number) FROM documents JOIN passages ON document_id = documents.id "
                "WHERE source = ? AND sha256 = ? GROUP BY documents.id ORDER BY 1",
                (uri, sha256),
            ).fetchall()

    def reusable(self, first: int, last: int) -> list[ReusablePassage]:
        """Return the passages from ``first`` to ``last``, inclusive, for reuse."""
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT number, first_sentence, json_array_length(sentences), context, tokens FROM passages "
                "WHERE number BETWEEN ? AND ? ORDER BY number",
                (first, last),
            )
            return [ReusablePassage(*row) for row in rows]

    def metadata(self, document_id: str) -> dict[str, Any]:
        """Return the front matter of a document."""
        said: dict[str, Any] = json.loads(self._one("SELECT metadata FROM documents WHERE id = ?", document_id)[0])
        return said

    def retired(self) -> Iterator[tuple[str, str, int, str]]:
        """Yield the id, document uri, first character and text of each retired passage."""
        with sqlite_errors(self._path):
            yield from self._connection.execute("SELECT id, uri, start_char, text FROM retired ORDER BY id")

    def summary(self) -> tuple[CoverageCount, list[str]]:
        """Return how many characters the passages cover, and the warnings on documents, by uri."""
        counts = self._one(
            "SELECT coalesce(sum(text_characters), 0), coalesce(sum(content_characters), 0), "
            "coalesce(sum(covered_characters), 0) FROM documents"
        )
        with sqlite_errors(self._path):
            rows = self._connection.execute(
                "SELECT uri, warnings FROM documents WHERE warnings != '[]' ORDER BY uri"
            ).fetchall()
        return CoverageCount(*counts), [f"{uri}: {text}" for uri, texts in rows for text in json.loads(texts)]

    def kept_of_files(self) -> list[tuple[str, float]]:
        """Return for each file the share of its visible text, 0 to 1, that its passages cover; the least first."""
        with sqlite_errors(self._path):
            return self._connection.execute(
                "SELECT source, 1.0 * sum(covered_characters) / max(sum(text_characters), 1) AS kept FROM documents "
                "GROUP BY source ORDER BY kept, source"
            ).fetchall()

    def acronyms(self) -> Counter[tuple[str, str]]:
        """Return in how many documents each acronym is introduced with a long form."""
        with sqlite_errors(self._path):
            rows = self._connection.execute("SELECT acronyms FROM documents WHERE acronyms != '[]'")
            return Counter((short, long) for (pairs,) in rows for short, long in json.loads(pairs))

    def matching(self, filters: Filters) -> list[int]:
        """Return the numbers of the passages that pass the filters, in order.

        Raises :class:`InvalidRequest` if a filter does not fit this index.
        """
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
        """Yield the id and attributes of each document that passes the filters on ids, paths and front matter."""
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
    """Combine the filters on sections and on attributes."""
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
    """Return the SQLite URI of a finished file: read-only and without locks."""
    return f"file:{quote(str(path.resolve()))}?mode=ro&immutable=1"


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Convert SQLite's errors to :class:`StorageError` or :class:`IndexCorrupt`, with the file's name."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise StorageError(f"{path}: {error}; check the disk's space and permissions") from error
        raise IndexCorrupt(f"{path}: {error}; rebuild with `qa-service index`") from error
