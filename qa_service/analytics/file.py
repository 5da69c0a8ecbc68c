"""The record of questions: one table of a SQLite file, which several server processes write and reports read."""

import hashlib
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Self

from qa_service.errors import NotFound
from qa_service.io.databases import database_errors, make_private_database

RECORD = "questions.sqlite"
MAX_QUESTIONS = 5_000_000
"""The oldest questions beyond these are deleted, whatever the retention: some 2 GB with texts."""
DAY_SECONDS = 86_400
_BUSY_SECONDS = 10
_DELETE_BATCH = 1000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS questions (
    number INTEGER PRIMARY KEY, asked_at INTEGER NOT NULL, collection TEXT NOT NULL, verdict TEXT NOT NULL,
    confidence REAL, documents TEXT NOT NULL, milliseconds REAL NOT NULL, answer INTEGER NOT NULL, useful INTEGER,
    question TEXT, wording INTEGER, model TEXT, vector BLOB
) STRICT;
CREATE INDEX IF NOT EXISTS by_time ON questions (asked_at);
CREATE INDEX IF NOT EXISTS by_answer ON questions (answer);
"""
_INSERT = (
    "INSERT INTO questions (asked_at, collection, verdict, confidence, documents, milliseconds, answer, "
    "question, wording, model, vector) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class RecordedQuestion:
    """A row of the record, in the order of its columns. The last four are empty unless texts are recorded."""

    asked_at: int
    """Seconds since 1970, UTC."""
    collection: str
    """Path of the collection; empty for the default one."""
    verdict: str
    confidence: float | None
    documents: str
    """JSON list of the paths of the quoted documents."""
    milliseconds: float
    answer: int
    """:func:`digest` of the answer's id, by which feedback finds the row."""
    question: str | None = None
    wording: int | None = None
    """:func:`digest` of the words, the same for questions that differ in case, spaces and punctuation only."""
    model: str | None = None
    vector: bytes | None = None
    """The question's vector in 8 bits a component, if it was not answered and nothing in it was masked."""


def digest(text: str) -> int:
    """Return 63 bits of a hash, which SQLite stores as an integer."""
    return int.from_bytes(hashlib.blake2b(text.encode(errors="replace"), digest_size=8).digest()) >> 1


def wording_of(question: str) -> int:
    """Return the digest of a question's words."""
    return digest(" ".join(_WORD.findall(question.casefold())) or question)


class RecordFile:
    """The record of a data folder, open to write. Only the thread that opened it may use it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with database_errors(path):
            make_private_database(path)
            self._connection = sqlite3.connect(path, isolation_level=None, timeout=_BUSY_SECONDS)
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=NORMAL")  # a power cut loses the last seconds at most
                self._connection.execute("PRAGMA secure_delete=ON")  # a deleted question leaves no bytes in the file
                self._connection.executescript(_SCHEMA)
            except BaseException:
                self._connection.close()
                raise

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self.close()

    def add(self, rows: Sequence[RecordedQuestion]) -> None:
        """Add questions in one transaction: all of them, or none. Raises :class:`StorageError`."""
        with self._transaction():
            self._connection.executemany(_INSERT, map(astuple, rows))

    def add_feedback(self, answer: int, *, useful: bool) -> bool:
        """Store feedback on an answer; return whether its question is in the record. Raises :class:`StorageError`."""
        with database_errors(self._path):
            changed = self._connection.execute("UPDATE questions SET useful = ? WHERE answer = ?", (useful, answer))
            return changed.rowcount > 0

    def recent_times(self, limit: int) -> list[int]:
        """Return when the last questions were asked, in the order in which they were recorded."""
        with database_errors(self._path):
            rows = self._connection.execute(
                "SELECT asked_at FROM questions ORDER BY number DESC LIMIT ?", (limit,)
            ).fetchall()
        return [asked_at for (asked_at,) in reversed(rows)]

    def delete_before(self, moment: float, now: float) -> int:
        """Delete the questions asked before a moment; return their number. Raises :class:`StorageError`.

        Only those recorded before all questions of the time until ``now`` are deleted: one that a wrong clock dated
        too early stays as long as those around it.
        """
        with database_errors(self._path):
            (first_kept, last) = self._connection.execute(
                "SELECT (SELECT min(number) FROM questions WHERE asked_at BETWEEN ? AND ?), "
                "(SELECT max(number) FROM questions)",
                (int(moment), int(now + DAY_SECONDS)),
            ).fetchone()
        if last is None:
            return 0
        expired = self._delete("number < ? AND asked_at < ?", last + 1 if first_kept is None else first_kept, moment)
        return expired + self._delete("number <= ?", last - MAX_QUESTIONS)

    def _delete(self, condition: str, *values: float) -> int:
        """Delete in short transactions, so that no other process waits long."""
        deleted = 0
        statement = f"DELETE FROM questions WHERE number IN (SELECT number FROM questions WHERE {condition} LIMIT ?)"  # noqa: S608 - no input
        while True:
            with database_errors(self._path):
                count = self._connection.execute(statement, (*map(int, values), _DELETE_BATCH)).rowcount
            deleted += count
            if count < _DELETE_BATCH:
                return deleted

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with database_errors(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it
                    self._connection.execute("ROLLBACK")
                raise


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Yield a connection that sees the record as it is now, whatever is written or deleted meanwhile.

    Raises :class:`NotFound` if there is no record, :class:`StorageError` if it can't be read.
    """
    if not path.exists():
        raise NotFound(f"{path} does not exist: no question was recorded; serve with QA_ANALYTICS=counts or questions")
    with database_errors(path):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None, timeout=_BUSY_SECONDS
        )
        try:
            connection.execute("BEGIN")
            yield connection
        finally:
            connection.close()
