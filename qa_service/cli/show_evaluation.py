"""Prints the results of evaluations."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

from qa_service.cli.show import console, printable

if TYPE_CHECKING:
    from qa_service.evaluation import LineProblem
    from qa_service.evaluation.compare import Comparison
    from qa_service.evaluation.summary import Summary
    from qa_service.evaluation.sweep import Sweep
    from qa_service.evaluation.trend import Trend

_MAX_CHANGED_QUESTIONS = 5
_MAX_MEASURES = 3


def print_problems(problems: Iterable["LineProblem"]) -> None:
    """Print the unusable lines of a question file on stderr."""
    for problem in problems:
        click.echo(f"line {problem.line}: {printable(problem.reason)}", err=True)


def print_summary(summary: "Summary") -> None:
    """Print the table of an evaluation."""
    from rich.table import Table  # noqa: PLC0415

    from qa_service.evaluation.figures import answerability_rows, cards  # noqa: PLC0415

    for card in cards(summary):
        click.echo(f"{card.name}: {card.count} of {card.total} {card.noun} ({card.share})")
    table = Table(
        "measure", "mean", "95 % interval", title=f"{summary.scored} of {summary.questions} questions have gold"
    )
    for name, found in summary.measures.items():
        table.add_row(name, f"{found.mean:.4f}", f"{found.low:.4f}–{found.high:.4f} (n {found.n})")
    for name, value in answerability_rows(summary):
        table.add_row(name, value, "")
    if summary.pinned:
        table.add_row("pinned answers", str(summary.pinned), "")
    for name, milliseconds in summary.latency_ms.items():
        if name != "n":
            table.add_row(f"{name} ms", f"{milliseconds:.1f}", "")
    if summary.latency_ms:
        table.caption = f"{summary.latency_ms['n']:.0f} questions timed {summary.about.get('timed', '')}"
    console().print(table)
    _print_verdicts(summary)


def _print_verdicts(summary: "Summary") -> None:
    """Print the table of verdicts, and advice on thresholds and calibration."""
    from rich.table import Table  # noqa: PLC0415

    from qa_service.evaluation.advice import calibration_advice, threshold_advice  # noqa: PLC0415
    from qa_service.evaluation.figures import VERDICT_COLUMNS, verdict_rows  # noqa: PLC0415

    if rows := verdict_rows(summary):
        verdicts = Table(*VERDICT_COLUMNS)
        for row in rows:
            verdicts.add_row(*row)
        console().print(verdicts)
    for advice in (*threshold_advice(summary), *calibration_advice(summary)):
        if advice:
            click.echo(advice)


def print_comparison(comparison: "Comparison") -> None:
    """Print the settings that differ, the verdicts, and the questions that changed most."""
    from qa_service.evaluation.compare import setting_text  # noqa: PLC0415

    for name, values in comparison.settings.items():
        click.echo(printable(f"{name}: {' -> '.join(map(setting_text, values))}"))
    for one in comparison.differences:
        click.echo(printable(f"{one.verdict} (wins {one.wins}, losses {one.losses}, ties {one.ties})"))
    for moved in comparison.moved[:_MAX_CHANGED_QUESTIONS]:
        click.echo(
            printable(f"  {moved.run}, {comparison.measure} {moved.before:.3f} -> {moved.after:.3f}: {moved.question}")
        )


def print_sweep(sweep: "Sweep") -> None:
    """Print the table of a sweep; a star marks the Pareto front, the rank is a comparison with the best row."""
    from rich.table import Table  # noqa: PLC0415

    from qa_service.evaluation.measures import headlines  # noqa: PLC0415

    shown = headlines(sweep.measures)[:_MAX_MEASURES]
    table = Table("", *sweep.varied, *shown, "p50 ms", "passages", "rank")
    for row in sweep.rows:
        values = [str(row.settings[name]) for name in sweep.varied]
        if row.problem:
            table.add_row("!", *values, printable(row.problem))
            continue
        measured = [f"{row.measures[name]:.4f}" if name in row.measures else "-" for name in shown]
        last = (f"{row.milliseconds:.1f}", str(row.passages), row.rank)
        table.add_row("*" if row.front else "", *values, *measured, *last)
    console().print(table)


def print_trend(trend: "Trend") -> None:
    """Print the runs of a folder by time; + and - mark what is significantly better or worse than before."""
    from rich.table import Table  # noqa: PLC0415

    from qa_service.evaluation.compare import setting_text  # noqa: PLC0415

    marks = {"better": " +", "worse": " -"}
    table = Table("run", "questions", *trend.measures, "p50 ms", "changed since the run before")
    for row in trend.rows:
        measured = [
            f"{row.measures[name]:.3f}{marks.get(row.significant.get(name, ''), '')}" if name in row.measures else "-"
            for name in trend.measures
        ]
        changed = [f"{name} {setting_text(old)} -> {setting_text(new)}" for name, (old, new) in row.changed.items()]
        milliseconds = "-" if row.milliseconds is None else f"{row.milliseconds:.1f}"
        table.add_row(printable(row.run), str(row.questions), *measured, milliseconds, printable("; ".join(changed)))
    console().print(table)
    for reason in trend.skipped.values():
        click.echo(printable(f"skipped: {reason}"), err=True)
