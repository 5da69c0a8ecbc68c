"""The report as CSV: one table, a row for each figure, which spreadsheets open without running anything."""

import csv
import io
from collections.abc import Iterator

from qa_service.schemas.owner import OwnerReport, PeriodCount

_HEADER = ("list", "item", "questions", "answered", "uncertain", "not_found", "useful", "useless", "more")
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def csv_of(report: OwnerReport) -> str:
    """Return the report as CSV.

    A cell that a spreadsheet could take for a formula begins with an apostrophe, which spreadsheets do not show.
    """
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(_HEADER)
    for row in _rows(report):
        writer.writerow([_inert(cell) if isinstance(cell, str) else cell for cell in row])
    return written.getvalue()


def _inert(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" \0").startswith(_FORMULA_STARTS) or cell.startswith("\0") else cell


def _rows(report: OwnerReport) -> Iterator[tuple[object, ...]]:
    yield _counts("period", f"{report.since} to {report.until}", report.period)
    if report.before is not None:
        yield _counts("before", f"the {report.days} days before", report.before)
    for day in report.by_day:
        yield "day", day.day, day.questions, day.answered, day.uncertain, day.not_found, "", "", ""
    for top in report.top_questions:
        yield "top question", top.question, top.count, "", "", "", "", "", top.verdict
    for gap in report.gaps:
        places = "; ".join(" › ".join((place.title, *place.section_path)) for place in gap.nearest_headings)
        for question in gap.questions:
            count = gap.count if question == gap.question else ""
            yield "gap" if question == gap.question else "of the gap", question, count, "", "", "", "", "", places
    for one in report.disliked_documents:
        yield "disliked document", one.uri, one.questions, "", "", "", one.useful, one.useless, ""
    for uri in () if report.never_cited is None else report.never_cited.uris:
        yield "never cited", uri, 0, "", "", "", "", "", ""


def _counts(name: str, item: str, one: PeriodCount) -> tuple[object, ...]:
    return name, item, one.questions, one.answered, one.uncertain, one.not_found, one.useful, one.useless, ""
