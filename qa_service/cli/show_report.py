"""The report on recorded questions as text."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

from qa_service.cli.show import console, counted, printable
from qa_service.schemas.owner import OwnerReport, PeriodCount

if TYPE_CHECKING:
    from rich.table import Table

_MAX_DAYS, _MAX_ROWS, _MAX_VARIANTS = 14, 10, 3
_SHARES = ("answered", "uncertain", "not_found")


def print_report(report: OwnerReport) -> None:
    """Print the figures, the last days, the top questions, the gaps, and the documents; JSON and CSV have all rows."""
    where = f"collection {report.collection}" if report.collection else "the default collection"
    click.echo(f"{counted(report.period.questions, 'question')} to {where} since {report.since[:10]}")
    others = [name or "the default one" for name in report.collections if name != report.collection]
    if others:
        click.echo(f"other collections with questions: {', '.join(map(printable, others))} (--collection)")
    if not report.period.questions:
        return
    console().print(_figures(report))
    _print(
        "Day",
        ("questions", *_SHARES),
        [(day.day, day.questions, day.answered, day.uncertain, day.not_found) for day in report.by_day[-_MAX_DAYS:]],
    )
    _print(
        "Top question",
        ("count", "last verdict"),
        [(top.question, top.count, top.verdict) for top in report.top_questions[:_MAX_ROWS]],
    )
    _print(
        "Gap",
        ("count", "nearest sections"),
        [
            (
                "\n".join(
                    (gap.question, *(f"  {one}" for one in gap.questions[: _MAX_VARIANTS + 1] if one != gap.question))
                ),
                gap.count,
                "\n".join(" › ".join((place.title, *place.section_path)) for place in gap.nearest_headings),
            )
            for gap in report.gaps[:_MAX_ROWS]
        ],
    )
    _print(
        "Document with useless answers",
        ("useless", "useful", "answers"),
        [(one.uri, one.useless, one.useful, one.questions) for one in report.disliked_documents[:_MAX_ROWS]],
    )
    _print_rest(report)


def _print_rest(report: OwnerReport) -> None:
    if not report.texts:
        click.echo("no texts were recorded, so there are no questions and no gaps; QA_ANALYTICS=questions records them")
    if report.never_cited is not None and report.never_cited.count:
        found = report.never_cited
        shown = ", ".join(map(printable, found.uris[:_MAX_ROWS]))
        click.echo(
            f"never cited: {found.count} of {counted(found.files, 'file')}: {shown}"
            f"{', …' if found.count > _MAX_ROWS else ''}"
        )


def _figures(report: OwnerReport) -> "Table":
    from rich.table import Table  # noqa: PLC0415

    table = Table("", f"last {counted(report.days, 'day')}", "before")
    before = report.before
    table.add_row("questions", str(report.period.questions), "" if before is None else str(before.questions))
    for name in _SHARES:
        table.add_row(
            name.replace("_", " "),
            *(("" if one is None else _share(one, getattr(one, name))) for one in (report.period, before)),
        )
    for name, of in (("useful", "useful"), ("useless", "useless")):
        table.add_row(name, *(("" if one is None else str(getattr(one, of))) for one in (report.period, before)))
    table.add_row("median, p95", *(("" if one is None else _durations(one)) for one in (report.period, before)))
    return table


def _share(one: PeriodCount, number: int) -> str:
    return f"{number / one.questions:.1%} ({number})"


def _durations(one: PeriodCount) -> str:
    return "" if one.median_ms is None else f"{one.median_ms:.0f} ms, {one.p95_ms:.0f} ms"


def _print(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(title, *(name.replace("_", " ") for name in columns))
    for row in rows:
        table.add_row(*(Text(printable(str(cell))) for cell in row))
    if table.row_count:
        console().print(table)
