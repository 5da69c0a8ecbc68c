"""Feedback on answers: stored in SQLite, exported as lines of a question file.

An answer reaches the disk only with feedback. Until then recent answers are in memory or, with several server
processes, in a bounded file that they share.
"""

import json
import sqlite3
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from qa_service.datatypes import Answer
from qa_service.io.databases import database_errors, make_private_database

FEEDBACK, RECENT = "feedback.sqlite", "recent-answers.sqlite"
_SCHEMA = """
CREATE TABLE IF NOT EXISTS feedback (
    answer_id TEXT PRIMARY KEY, given_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    collection TEXT NOT NULL, index_version TEXT NOT NULL, question TEXT NOT NULL, found INTEGER NOT NULL, best TEXT,
    useful INTEGER NOT NULL, right_passage TEXT, note TEXT NOT NULL
) STRICT
"""
_RECENT_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, collection TEXT NOT NULL,
    index_version TEXT NOT NULL,
    question TEXT NOT NULL, found INTEGER NOT NULL, best TEXT
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Quote:
    """A span of a document, with the fields of a reference in a question file."""

    document: str
    start_index: int
    end_index: int
    content: str


@dataclass(frozen=True, slots=True)
class FeedbackAnswer:
    """An answer as feedback needs it: the question, whether it was answered, and the best quote."""

    id: str
    collection: str
    """Path of the collection; empty for the default one."""
    index_version: str
    question: str
    found: bool
    best: Quote | None

    @classmethod
    def of(cls, identifier: str, collection: str, answer: Answer) -> "FeedbackAnswer":
        """Return an answer as feedback needs it."""
        best = None
        if answer.results:
            citation = answer.results[answer.best].citation
            start = citation.position.start_char
            best = Quote(citation.uri, start + citation.quote_start, start + citation.quote_end, citation.quote)
        return cls(identifier, collection, answer.index_version, answer.question, answer.is_shown, best)


class RecentAnswers:
    """The last ``max_answers`` answers, by id. One thread at a time may be inside a method."""

    def __init__(self, path: Path | None, max_answers: int = 10_000) -> None:
        self._max_answers = max_answers
        self._path = path
        with database_errors(path or Path(":memory:")):
            if path is not None:
                make_private_database(path)
            self._connection = sqlite3.connect(
                ":memory:" if path is None else path, check_same_thread=False, isolation_level=None
            )
            if path is not None:
                self._connection.execute("PRAGMA journal_mode=WAL")
                self._connection.execute("PRAGMA synchronous=OFF")  # a crash loses only answers of the last minutes
            self._connection.execute(_RECENT_SCHEMA)

    def remember(self, answered: FeedbackAnswer) -> None:
        """Keep an answer, and delete the oldest one beyond the limit."""
        with database_errors(self._path or Path(":memory:")):
            added = self._connection.execute(
                "INSERT OR REPLACE INTO answers (id, collection, index_version, question, found, best) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                _row(answered),
            )
            self._connection.execute(
                "DELETE FROM answers WHERE number <= ?", ((added.lastrowid or 0) - self._max_answers,)
            )

    def recall(self, identifier: str) -> FeedbackAnswer | None:
        """Return the answer with an id, or ``None`` if it is not a recent one."""
        with database_errors(self._path or Path(":memory:")):
            row = self._connection.execute(
                "SELECT id, collection, index_version, question, found, best FROM answers WHERE id = ?", (identifier,)
            ).fetchone()
        if row is None:
            return None
        own_id, collection, version, question, found, best = row
        return FeedbackAnswer(own_id, collection, version, question, bool(found), _unpacked(best))

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


class FeedbackFile:
    """The feedback of a data folder. One thread at a time may be inside a method."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FEEDBACK
        with database_errors(self._path):
            make_private_database(self._path)
            self._connection = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=10)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute(_SCHEMA)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the database."""
        self.close()

    def add(self, answered: FeedbackAnswer, *, useful: bool, right: Quote | None, note: str) -> None:
        """Store feedback; it replaces earlier feedback on the same answer."""
        with database_errors(self._path):
            self._connection.execute(
                "INSERT OR REPLACE INTO feedback "
                "(answer_id, collection, index_version, question, found, best, useful, right_passage, note) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*_row(answered), useful, _packed(right), note),
            )

    def given_for(self, identifier: str) -> tuple[str, Quote | None] | None:
        """Return the question of an answer with feedback, and the passage that it names as right; ``None`` without."""
        with database_errors(self._path):
            row = self._connection.execute(
                "SELECT question, right_passage FROM feedback WHERE answer_id = ?", (identifier,)
            ).fetchone()
        return None if row is None else (row[0], _unpacked(row[1]))

    def export(self, collection: str = "") -> tuple[list[dict[str, Any]], int]:
        """Return lines of a question file, and how many useless answers came without the right passage.

        A passage named as right is gold, and so is the quote of a useful answer. A question is unanswerable if
        feedback confirms that it has no answer and no other feedback names a passage.
        """
        with database_errors(self._path):
            rows = self._connection.execute(
                "SELECT answer_id, question, found, best, useful, right_passage FROM feedback WHERE collection = ? "
                "ORDER BY given_at, rowid",
                (collection,),
            ).fetchall()
        gold: defaultdict[str, dict[Quote, None]] = defaultdict(dict)
        first: dict[str, tuple[str, str]] = {}
        left_out = 0
        for identifier, question, found, best, useful, right in rows:
            key = " ".join(question.casefold().split())
            named = _unpacked(right) or (_unpacked(best) if useful and found else None)
            if named is None and not (useful and not found):
                left_out += 1
                continue
            first.setdefault(key, (identifier, question))
            if named is not None:
                gold[key][named] = None
        lines = [
            {
                "id": identifier,
                "question": question,
                "answerable": bool(gold[key]),
                "references": [asdict(quote) for quote in gold[key]],
                "tags": ["feedback"],
            }
            for key, (identifier, question) in first.items()
        ]
        return lines, left_out

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _row(answered: FeedbackAnswer) -> tuple[object, ...]:
    return (
        *(answered.id, answered.collection, answered.index_version),
        *(answered.question, answered.found, _packed(answered.best)),
    )


def _packed(quote: Quote | None) -> str | None:
    return None if quote is None else json.dumps(asdict(quote), ensure_ascii=False)


def _unpacked(packed: str | None) -> Quote | None:
    return None if packed is None else Quote(**json.loads(packed))
