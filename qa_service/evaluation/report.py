"""Writes the reports of a run: one self-contained HTML file, and the same figures in Markdown."""

import base64
import hashlib
import heapq
import itertools
from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from qa_service.datatypes import Offsets
from qa_service.evaluation import plots
from qa_service.evaluation.advice import calibration_advice, threshold_advice
from qa_service.evaluation.compare import Comparison, setting_text
from qa_service.evaluation.explanations import explanation
from qa_service.evaluation.figures import (
    THRESHOLD_COLUMNS,
    VERDICT_COLUMNS,
    answerability_rows,
    cards,
    cost_rows,
    tag_rows,
    threshold_rows,
    verdict_rows,
)
from qa_service.evaluation.gold import Corpus
from qa_service.evaluation.links import Links, no_link
from qa_service.evaluation.markdown_report import markdown_report
from qa_service.evaluation.measures import LOWER_IS_BETTER
from qa_service.evaluation.question_table import question_table
from qa_service.evaluation.run import QUESTIONS_CSV, REPORT, REPORT_MD, RunFolder
from qa_service.evaluation.states import CLASSES, state_of
from qa_service.evaluation.summary import Summary, first_right
from qa_service.evaluation.sweep import Sweep
from qa_service.evaluation.trend import Trend
from qa_service.rendering import blocks_of, clip, document_at
from qa_service.rendering.html import BLOCK_STYLE, html_of

MAX_QUESTIONS = 300
"""Maximum number of questions in a report; a larger run shows its worst ones."""
MAX_TABLE_QUESTIONS = 2_000
"""Maximum number of questions whose table is in the report; ``questions.csv`` has all."""
_CONTEXT_CHARACTERS = 160
_CLASS_VALUES = {"good": 1.0, "quiet": 0.5, "bad": 0.0}

_environment = Environment(
    loader=PackageLoader("qa_service.evaluation"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["share"] = lambda value: "–" if value is None else f"{value:.3f}"


_environment.filters["setting"] = setting_text
_environment.filters["explanation"] = explanation


def page(template: str, **values: Any) -> str:
    """Return a page with inline style and script; its policy allows no other script and no requests."""
    script = _environment.get_template("report.js").render()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment.get_template(template).render(
        script=Markup(script),  # noqa: S704 - our own file
        digest=digest,
        numbers=itertools.count().__next__,
        style=Markup(_environment.get_template("report.css").render() + BLOCK_STYLE),  # noqa: S704 - our own file
        **values,
    )


def svg(drawing: str) -> Markup:
    """Return a plot for a page; the plotting library has escaped its texts."""
    return Markup(drawing)  # noqa: S704 - escaped by the plotting library


def write_reports(
    run: RunFolder, summary: Summary, corpus: Corpus, baseline: RunFolder | None = None, links: Links = no_link
) -> None:
    """Write ``questions.csv``, ``report.html`` and ``report.md`` for a finished run."""
    run.write(QUESTIONS_CSV, question_table(run.results(), list(summary.measures)))
    run.write(REPORT, [html_report(run, summary, corpus, baseline, links)])
    run.write(REPORT_MD, [markdown_report(summary)])


def comparison_page(comparison: Comparison) -> str:
    """Return a comparison as HTML."""
    figures = [
        (
            f"{name}: difference in {comparison.measure}",
            svg(plots.differences(comparison.measure, moved, f"moved{number}")),
        )
        for number, (name, moved) in enumerate(comparison.of_questions.items())
    ]
    lower_is_better = comparison.measure in LOWER_IS_BETTER
    return page("compare.html", comparison=comparison, figures=figures, lower_is_better=lower_is_better)


def sweep_page(sweep: Sweep) -> str:
    """Return a sweep as HTML, with a plot of quality against time."""
    best = next(row for row in sweep.rows if row.rank == "best")
    even = [row for row in sweep.rows if row.rank == "even"]
    fastest = min([best, *even], key=lambda row: row.milliseconds)
    drawing = svg(plots.pareto(sweep.rows, sweep.measure))
    return page("sweep.html", sweep=sweep, drawing=drawing, best=best, even=len(even), fastest=fastest)


def trend_page(trend: Trend) -> str:
    """Return a trend as HTML."""
    return page("trend.html", trend=trend, drawing=svg(plots.trend(trend.rows, trend.measures)))


def html_report(
    run: RunFolder, summary: Summary, corpus: Corpus, baseline: RunFolder | None = None, links: Links = no_link
) -> str:
    """Return the report as HTML: figures, plots, and the worst questions with their results and gold."""
    main = main_measure(summary)
    worst = heapq.nsmallest(MAX_QUESTIONS, run.results(), key=lambda result: _badness(result, main))
    return page(
        "report.html",
        summary=summary,
        main=main,
        cards=cards(summary),
        tags=tag_rows(summary),
        threshold_columns=THRESHOLD_COLUMNS,
        thresholds=threshold_rows(summary),
        threshold_advice=threshold_advice(summary),
        calibration_advice=calibration_advice(summary),
        figures=_figures(run, summary, main, baseline),
        questions=[_shown(result, main, corpus, links) for result in worst],
        table=_table(run, summary),
        costs=cost_rows(summary),
        classes=CLASSES,
        verdict_columns=VERDICT_COLUMNS,
        verdicts=verdict_rows(summary),
        answerability=answerability_rows(summary),
    )


def main_measure(summary: Summary) -> str:
    """Return the measure by which questions are ordered: the first."""
    return next(iter(summary.measures), "")


def _badness(result: dict[str, Any], main: str) -> tuple[float, float]:
    """Return a sort key that puts the worst questions first: low in the main measure, then confidently wrong."""
    got = result["got"]
    value = result["measures"].get(main)
    if value is None:
        value = _CLASS_VALUES[CLASSES[state_of(result)]]
    return (value, -(got["confidence"] or 0.0) if not got["right_in_five"] else got["confidence"] or 0.0)


def _figures(run: RunFolder, summary: Summary, main: str, baseline: RunFolder | None) -> list[tuple[str, Markup]]:
    told = summary.answerability
    drawings: list[tuple[str, Callable[[], str], bool]] = [
        ("Rank of the first relevant result", lambda: plots.ranks(summary.ranks), bool(summary.ranks)),
        (
            "Is confidence calibrated on these questions? Points would lie on the line; larger ones are more questions",
            lambda: plots.calibration(told.reliability),
            bool(told.reliability),
        ),
        (
            "Risk and coverage: wrong quotes if only the most confident are given",
            lambda: plots.risk(told.risk_coverage),
            bool(told.risk_coverage),
        ),
        ("Latency of an answer", lambda: plots.latency(run.times()), bool(summary.latency_ms)),
    ]
    values = {result["id"]: result["measures"][main] for result in run.results() if main in result["measures"]}
    if baseline is None:
        drawings.append((f"{main} per question", lambda: plots.values(main, list(values.values())), bool(values)))
    else:
        before = {result["id"]: result["measures"].get(main) for result in baseline.results()}
        moved = [value - before[key] for key, value in values.items() if before.get(key) is not None]
        drawings.append((f"{main} compared with the baseline", lambda: plots.differences(main, moved), bool(moved)))
    return [(caption, svg(draw())) for caption, draw, there in drawings if there]


def _table(run: RunFolder, summary: Summary) -> str:
    """Return the questions as a CSV file in an address, so that a report alone has them; empty if they are many."""
    if summary.questions > MAX_TABLE_QUESTIONS:
        return ""
    lines = "".join(question_table(run.results(), list(summary.measures)))
    return "data:text/csv;charset=utf-8;base64," + base64.b64encode(lines.encode()).decode()


def _shown(result: dict[str, Any], main: str, corpus: Corpus, links: Links) -> dict[str, Any]:
    """Return the values of a question in the report."""
    got = result["got"]
    return {
        **result,
        "value": result["measures"].get(main),
        "first": first_right(result),
        "state": state_of(result),
        "results": [
            {**found, "shown": _result(found, corpus), "link": links(found["uri"], (found["start"], found["end"]))}
            for found in got["results"][:5]
        ],
        "places": [
            {**_place(span, corpus), "link": links(span["uri"], (span["start"], span["end"]))}
            for span in result["right"][:5]
        ],
    }


def _result(found: dict[str, Any], corpus: Corpus) -> Markup:
    """Return a passage as HTML, read with the document around it if the corpus still has it."""
    start, end = found["start"], found["end"]
    document = corpus.text(found["uri"])
    text = found["text"]
    if document is not None and document.text[start:end] == text:
        return _excerpt(
            found["uri"], document.text, (start, end), (start + found["quote"][0], start + found["quote"][1])
        )
    return _excerpt(found["uri"], text, (0, len(text)), tuple(found["quote"]))


def _place(span: dict[str, Any], corpus: Corpus) -> dict[str, Any]:
    document = corpus.text(span["uri"])
    text = "" if document is None else document.text
    start, end = span["start"], span["end"]
    around = max(0, start - _CONTEXT_CHARACTERS), min(len(text), end + _CONTEXT_CHARACTERS)
    return {**span, "shown": _excerpt(span["uri"], text, around, (start, end))}


def _excerpt(uri: str, text: str, part: Offsets, quote: Offsets) -> Markup:
    """Return a part of a document as HTML with the quote marked."""
    start, end = part
    blocks = clip(blocks_of(document_at(uri, text), start, end), start, end)
    shown = html_of(text[start:end], blocks, (quote[0] - start, quote[1] - start), is_excerpt=True)
    return Markup(shown)  # noqa: S704 - the renderer has escaped the text
