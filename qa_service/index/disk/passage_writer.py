"""Writes documents and passages to the SQLite file of a new generation, one document after another."""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any
from urllib.parse import quote

from qa_service.citations import passage_id
from qa_service.datatypes import Document, Passage
from qa_service.index.disk.passage_reader import OWN_COLUMNS, ReusablePassage, address_of, sqlite_errors
from qa_service.index.words import acronyms
from qa_service.splitting import CoverageCount

_SCHEMA = """
CREATE TABLE documents (
  id TEXT PRIMARY KEY, uri TEXT NOT NULL UNIQUE, title TEXT NOT NULL, sha256 TEXT NOT NULL, source TEXT NOT NULL,
  media_type TEXT NOT NULL, url TEXT, pages TEXT NOT NULL, text TEXT NOT NULL, metadata TEXT NOT NULL,
  warnings TEXT NOT NULL,
  text_characters INTEGER NOT NULL, content_characters INTEGER NOT NULL, covered_characters INTEGER NOT NULL,
  acronyms TEXT NOT NULL
);
CREATE TABLE passages (
  number INTEGER PRIMARY KEY, document_id TEXT NOT NULL REFERENCES documents(id), text TEXT NOT NULL,
  section_path TEXT NOT NULL, context TEXT NOT NULL,
  start_char INTEGER NOT NULL, end_char INTEGER NOT NULL, start_utf16 INTEGER NOT NULL, end_utf16 INTEGER NOT NULL,
  start_byte INTEGER NOT NULL, end_byte INTEGER NOT NULL, start_line INTEGER NOT NULL, end_line INTEGER NOT NULL,
  sentences TEXT NOT NULL, tokens INTEGER NOT NULL, content_key BLOB NOT NULL,
  first_sentence INTEGER NOT NULL, id TEXT NOT NULL
);
CREATE TABLE page_lines (
  document_id TEXT NOT NULL REFERENCES documents(id), page INTEGER NOT NULL, lines BLOB NOT NULL,
  PRIMARY KEY (document_id, page)
) WITHOUT ROWID;
CREATE TABLE retired (
  id TEXT PRIMARY KEY, uri TEXT NOT NULL, start_char INTEGER NOT NULL, text TEXT NOT NULL, age INTEGER NOT NULL
) WITHOUT ROWID;
"""
_INDEXES = """
BEGIN;
CREATE INDEX passages_by_id ON passages (id);
CREATE INDEX documents_by_source ON documents (source);
CREATE INDEX passages_by_place ON passages (document_id, start_char, end_char);
CREATE INDEX passages_by_content ON passages (content_key);
COMMIT;
"""
_MAX_RETIRED_PASSAGES = 100_000
_RETIRE = f"""
BEGIN;
INSERT OR IGNORE INTO retired
  SELECT p.id, d.uri, p.start_char, p.text, 0 FROM old.passages AS p JOIN old.documents AS d ON d.id = p.document_id
  WHERE p.id NOT IN (SELECT id FROM main.passages);
INSERT OR IGNORE INTO retired
  SELECT id, uri, start_char, text, age + 1 FROM old.retired WHERE id NOT IN (SELECT id FROM main.passages)
  ORDER BY age LIMIT {_MAX_RETIRED_PASSAGES};
COMMIT;
DETACH old;
"""  # noqa: S608 - a constant
_ADD_DOCUMENT = f"INSERT INTO documents VALUES ({', '.join('?' * 15)})"  # noqa: S608 - no values
_ADD_PASSAGE = (
    f"INSERT INTO passages (number, document_id, first_sentence, id, {OWN_COLUMNS}) VALUES ({', '.join('?' * 18)})"  # noqa: S608 - constants
)
_COPY_DOCUMENTS = """
INSERT INTO main.documents SELECT * FROM part.documents
  WHERE id IN (SELECT document_id FROM part.passages WHERE number BETWEEN ? AND ?)
"""
_COPY_PAGE_LINES = """
INSERT INTO main.page_lines SELECT * FROM part.page_lines
  WHERE document_id IN (SELECT document_id FROM part.passages WHERE number BETWEEN ? AND ?)
"""
_COPY_PASSAGES = f"""
INSERT INTO main.passages (number, document_id, first_sentence, id, {OWN_COLUMNS})
  SELECT number + ?, document_id, first_sentence + ?, id, {OWN_COLUMNS} FROM part.passages WHERE number BETWEEN ? AND ?
"""  # noqa: S608 - constants


class PassageWriter:
    """Writes a new file, one document at a time; passages are numbered in the order of writing.

    Raises :class:`StorageError` if the file can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._passages = self._sentences = 0
        with sqlite_errors(path):
            self._connection = sqlite3.connect(f"file:{quote(str(path.resolve()))}", isolation_level=None, uri=True)
            # The file is not read before its generation is complete, so it needs no journal.
            self._connection.executescript("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;" + _SCHEMA)

    def add(
        self,
        document: Document,
        passages: Sequence[Passage],
        tokens: Sequence[int],
        content_keys: Sequence[bytes],
        covered: CoverageCount,
    ) -> None:
        """Add a document with its passages, each with its token count and the content key of its model input."""
        row = (
            *(document.id, document.uri, document.title, document.sha256, document.source or document.uri),
            *(document.media_type, document.url, json.dumps(document.pages), document.text),
            *(json.dumps(dict(document.metadata), sort_keys=True), json.dumps(document.warnings)),
            *(covered.text, covered.content, covered.covered),
            json.dumps(sorted({pair for passage in passages for pair in acronyms(passage.text)})),
        )
        with sqlite_errors(self._path):
            self._connection.execute(_ADD_DOCUMENT, row)
            self._connection.executemany(
                "INSERT INTO page_lines VALUES (?, ?, ?)",
                ((document.id, page, lines) for page, lines in enumerate(document.page_lines, 1)),
            )
            self._connection.executemany(_ADD_PASSAGE, self._numbered(document, passages, tokens, content_keys))

    def _numbered(
        self, document: Document, passages: Sequence[Passage], tokens: Sequence[int], content_keys: Sequence[bytes]
    ) -> Iterator[tuple[Any, ...]]:
        for passage, count, key in zip(passages, tokens, content_keys, strict=True):
            yield (
                *(self._passages, document.id, self._sentences),
                passage_id(document.uri, passage.position.start_char, passage.text),
                *(passage.text, json.dumps(passage.section_path), passage.context, *astuple(passage.position)),
                *(json.dumps(passage.sentences), count, key),
            )
            self._passages += 1
            self._sentences += len(passage.sentences)

    def reuse(self, part: Path, passages: Sequence[ReusablePassage]) -> None:
        """Copy consecutive passages and their documents from another file."""
        first, last = passages[0], passages[-1]
        with sqlite_errors(self._path):
            self._connection.execute("COMMIT")  # ATTACH and DETACH work between transactions only
            self._connection.execute("ATTACH ? AS part", (address_of(part),))
            self._connection.execute("BEGIN")
            self._connection.execute(_COPY_DOCUMENTS, (first.number, last.number))
            if self._connection.execute("SELECT 1 FROM part.sqlite_master WHERE name = 'page_lines'").fetchone():
                self._connection.execute(_COPY_PAGE_LINES, (first.number, last.number))
            moved = (self._passages - first.number, self._sentences - first.first_sentence)
            self._connection.execute(_COPY_PASSAGES, (*moved, first.number, last.number))
            self._connection.execute("COMMIT")
            self._connection.execute("DETACH part")
            self._connection.execute("BEGIN")
        self._passages += len(passages)
        self._sentences += last.first_sentence + last.sentences - first.first_sentence

    def close(self, previous: Path | None = None) -> None:
        """Finish the file. Passages that only the ``previous`` file has are added as retired."""
        with sqlite_errors(self._path):
            self._connection.executescript(_INDEXES)  # which commits the open transaction
            if previous is not None:
                self._connection.execute("ATTACH ? AS old", (address_of(previous),))
                self._connection.executescript(_RETIRE)
            self._connection.close()
