"""The report: the counts of a period, and what the current index says about its gaps.

:func:`summarize` reads the record. :func:`headings_near` and :class:`CitedFiles` read the index, in short steps, since
a server answers questions from it meanwhile.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from qa_service.analytics import figures
from qa_service.analytics.figures import Period
from qa_service.analytics.file import DAY_SECONDS, reading
from qa_service.analytics.gaps import MAX_MISSED, Cluster, cluster
from qa_service.datatypes import FloatArray, SourceDocument
from qa_service.index import Index
from qa_service.schemas.owner import Gap, GapHeading, NeverCited, OwnerReport

_MAX_HEADINGS = 3
_CANDIDATES = 12
_MIN_COSINE = 0.3
"""Cosine of a question and a passage below which the passage is about something else."""
_DOCUMENTS_STEP = 500
_MAX_NEVER_CITED = 200
_PREFIX = "/collections/"


@dataclass(frozen=True, slots=True)
class Summary:
    """A report without what the index adds, and what is needed to add it."""

    report: OwnerReport
    clusters: list[Cluster]
    """Those of the gaps, in their order."""
    cited: set[str]
    """Paths of the documents that were quoted."""


def summarize(record: Path, collection: str, days: int) -> Summary:
    """Count the questions of a collection, today's and those of the days before; ``collection`` is its name or empty.

    Raises :class:`NotFound` without a record, :class:`StorageError` if it can't be read.
    """
    until = int(time.time()) + 1
    since = (until // DAY_SECONDS - days + 1) * DAY_SECONDS
    period = Period(_PREFIX + collection if collection else "", since, until)
    with reading(record) as connection:
        names = [path.removeprefix(_PREFIX) for path in figures.collections_of(connection, period)]
        totals, by_day = figures.count(connection, period)
        before, _ = figures.count(connection, period.before())
        cited, disliked = figures.count_documents(connection, period)
        texts = figures.gather_wordings(connection, period)
        top = figures.top_questions(connection)
        missed = list(figures.missed_questions(connection, MAX_MISSED))
    clusters = cluster(missed)
    report = OwnerReport(
        collection=collection,
        collections=names,
        since=_iso(period.since),
        until=_iso(period.until),
        days=days,
        texts=texts,
        period=totals,
        before=before if before.questions else None,
        by_day=by_day,
        top_questions=top,
        gaps=[
            Gap(question=one.question, questions=[*one.questions], count=one.count, nearest_headings=[])
            for one in clusters
        ],
        disliked_documents=disliked,
        never_cited=None,
    )
    return Summary(report, clusters, cited)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def headings_near(index: Index, vector: FloatArray) -> list[GapHeading]:
    """Return the sections of an index that are nearest to a question's vector."""
    numbers, _ = index.find(vector, None, _CANDIDATES, None)
    if not len(numbers):
        return []
    near = numbers[index.vectors(numbers) @ vector >= _MIN_COSINE]
    passages = [index.passage(int(number)) for number in near]
    documents = index.documents_without_text({passage.document_id for passage in passages})
    found: dict[tuple[str, tuple[str, ...]], GapHeading] = {}
    for passage in passages:
        document = documents[passage.document_id]
        section = GapHeading(title=document.title, uri=document.uri, section_path=[*passage.section_path])
        found.setdefault((document.id, passage.section_path), section)
    return list(found.values())[:_MAX_HEADINGS]


@dataclass(slots=True)
class CitedFiles:
    """Tells which files of an index were never cited, given its documents step by step."""

    cited: set[str]
    _files: set[str] = field(default_factory=set)
    _cited_files: set[str] = field(default_factory=set)

    def step(self, index: Index, after: str) -> str | None:
        """Look at the next documents; return what to pass as ``after`` to the next step, or ``None`` at the end."""
        documents = index.list_documents(after, _DOCUMENTS_STEP)
        self._add(documents)
        return documents[-1].id if len(documents) == _DOCUMENTS_STEP else None

    def _add(self, documents: Iterable[SourceDocument]) -> None:
        for document in documents:
            file = document.source or document.uri
            self._files.add(file)
            if document.uri in self.cited:
                self._cited_files.add(file)

    def never(self) -> NeverCited:
        """Return the files that were not cited."""
        never = sorted(self._files - self._cited_files)
        return NeverCited(count=len(never), files=len(self._files), uris=never[:_MAX_NEVER_CITED])


def complete(summary: Summary, index: Index) -> OwnerReport:
    """Return the report with what an index adds, for a process that does nothing else."""
    report = summary.report
    for gap, one in zip(report.gaps, summary.clusters, strict=True):
        if one.vector is not None and one.model == index.manifest.model.weights_sha256:
            gap.nearest_headings = headings_near(index, one.vector)
    files = CitedFiles(summary.cited)
    after: str | None = ""
    while after is not None:
        after = files.step(index, after)
    report.never_cited = files.never()
    return report
