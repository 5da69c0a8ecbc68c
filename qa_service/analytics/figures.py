"""Counts of the record, made by SQLite: it holds no more than its cache in memory, and other threads run meanwhile."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import orjson

from qa_service.analytics.file import DAY_SECONDS
from qa_service.schemas.owner import DayCount, DocumentFeedback, PeriodCount, TopQuestion

_MAX_TOP = 20
_MAX_DISLIKED = 50
_WHERE = "WHERE asked_at >= :since AND asked_at < :until AND collection = :collection"
_VERDICTS = ("answered", "uncertain", "not_found")
_P95 = 0.95


@dataclass(frozen=True, slots=True)
class Period:
    """A collection's path, and the seconds since 1970 from which and until which its questions count."""

    collection: str
    since: int
    until: int

    def before(self) -> "Period":
        """Return the period of the same length before this one."""
        return Period(self.collection, 2 * self.since - self.until, self.since)

    @property
    def parameters(self) -> dict[str, str | int]:
        """The parameters of a statement with the condition of this module."""
        return {"collection": self.collection, "since": self.since, "until": self.until}


@dataclass(frozen=True, slots=True)
class MissedQuestion:
    """A question without an answer: its text, how often it was asked so, and its vector if it is comparable."""

    question: str
    count: int
    model: str | None
    vector: bytes | None


def collections_of(connection: sqlite3.Connection, period: Period) -> list[str]:
    """Return the paths of the collections with questions in a period."""
    rows = connection.execute(
        "SELECT DISTINCT collection FROM questions WHERE asked_at >= :since AND asked_at < :until ORDER BY 1",
        period.parameters,
    )
    return [path for (path,) in rows]


def count(connection: sqlite3.Connection, period: Period) -> tuple[PeriodCount, list[DayCount]]:
    """Return the counts of a period, and those of each of its days."""
    first, last = (datetime.fromtimestamp(at, UTC).date() for at in (period.since, period.until - 1))
    days = {first + timedelta(day): dict.fromkeys(_VERDICTS, 0) for day in range((last - first).days + 1)}
    totals = dict.fromkeys(days, 0)
    feedback = [0, 0]
    for day_number, verdict, questions, useful, useless in connection.execute(
        "SELECT asked_at / :day, verdict, count(*), ifnull(sum(useful = 1), 0), ifnull(sum(useful = 0), 0) "  # noqa: S608
        f"FROM questions {_WHERE} GROUP BY 1, 2",
        {"day": DAY_SECONDS, **period.parameters},
    ):
        day = date(1970, 1, 1) + timedelta(day_number)
        totals[day] += questions
        if verdict in _VERDICTS:
            days[day][verdict] += questions
        feedback = [feedback[0] + useful, feedback[1] + useless]
    by_day = [DayCount(day=day.isoformat(), questions=totals[day], **counts) for day, counts in days.items()]
    median_ms, p95_ms = _durations(connection, period)
    return PeriodCount(
        questions=sum(totals.values()),
        **{name: sum(counts[name] for counts in days.values()) for name in _VERDICTS},
        useful=feedback[0],
        useless=feedback[1],
        median_ms=median_ms,
        p95_ms=p95_ms,
    ), by_day


def _durations(connection: sqlite3.Connection, period: Period) -> tuple[float | None, float | None]:
    """Return the median and the 95th percentile in whole milliseconds."""
    counts = connection.execute(
        f"SELECT CAST(round(milliseconds) AS INTEGER), count(*) FROM questions {_WHERE} GROUP BY 1 ORDER BY 1",  # noqa: S608
        period.parameters,
    ).fetchall()
    total = sum(number for _, number in counts)
    found: list[float | None] = []
    for share in (0.5, _P95):
        passed, value = 0, None
        for milliseconds, number in counts:
            passed, value = passed + number, milliseconds
            if passed >= share * total:
                break
        found.append(value)
    return found[0], found[1]


def count_documents(connection: sqlite3.Connection, period: Period) -> tuple[set[str], list[DocumentFeedback]]:
    """Return the paths of all documents that answers of a period quote, and those with useless answers."""
    cited: set[str] = set()
    disliked: dict[str, list[int]] = {}
    for packed, *counts in connection.execute(
        "SELECT documents, count(*), ifnull(sum(useful = 1), 0), ifnull(sum(useful = 0), 0) "  # noqa: S608 - no input
        f"FROM questions {_WHERE} AND documents != '[]' GROUP BY 1",
        period.parameters,
    ):
        for uri in orjson.loads(packed):
            cited.add(uri)
            known = disliked.setdefault(uri, [0, 0, 0])
            for place, number in enumerate(counts):
                known[place] += number
    ranked = sorted((item for item in disliked.items() if item[1][2]), key=lambda item: (-item[1][2], item[0]))
    return cited, [
        DocumentFeedback(uri=uri, questions=questions, useful=useful, useless=useless)
        for uri, (questions, useful, useless) in ranked[:_MAX_DISLIKED]
    ]


def gather_wordings(connection: sqlite3.Connection, period: Period) -> bool:
    """Make the temporary table of wordings, which the functions below read; return whether there are any.

    A wording has its number of questions, how many were not answered, and the number and verdict of the last one:
    SQLite takes the columns beside ``max()`` from the row that has it.
    """
    connection.execute(
        "CREATE TEMP TABLE wordings AS SELECT count(*) AS asked, sum(verdict IN ('uncertain', 'not_found')) AS missed, "  # noqa: S608
        f"max(number) AS last, verdict FROM questions {_WHERE} AND wording IS NOT NULL GROUP BY wording",
        period.parameters,
    )
    return bool(connection.execute("SELECT EXISTS (SELECT 1 FROM wordings)").fetchone()[0])


def top_questions(connection: sqlite3.Connection) -> list[TopQuestion]:
    """Return the most frequent questions."""
    rows = connection.execute(
        "WITH top AS (SELECT * FROM wordings ORDER BY asked DESC, last DESC LIMIT ?) "
        "SELECT question, asked, top.verdict FROM top JOIN questions ON number = last ORDER BY asked DESC, last DESC",
        (_MAX_TOP,),
    )
    return [TopQuestion(question=question, count=asked, verdict=verdict) for question, asked, verdict in rows]


def missed_questions(connection: sqlite3.Connection, limit: int) -> Iterator[MissedQuestion]:
    """Yield up to ``limit`` questions that were not answered the last time, the most frequent first."""
    rows = connection.execute(
        "WITH top AS (SELECT * FROM wordings WHERE verdict IN ('uncertain', 'not_found') "
        "ORDER BY missed DESC, last DESC LIMIT ?) SELECT question, missed, model, vector FROM top "
        "JOIN questions ON number = last ORDER BY missed DESC, last DESC",
        (limit,),
    )
    for row in rows:
        yield MissedQuestion(*row)
