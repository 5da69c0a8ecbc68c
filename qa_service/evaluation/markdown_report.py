"""Writes the figures of a run as Markdown."""

from qa_service.evaluation.advice import calibration_advice, threshold_advice
from qa_service.evaluation.figures import (
    THRESHOLD_COLUMNS,
    VERDICT_COLUMNS,
    answerability_rows,
    cards,
    tag_rows,
    threshold_rows,
    verdict_rows,
)
from qa_service.evaluation.statistics import Bin
from qa_service.evaluation.summary import Summary

_MAX_PROBLEMS = 300


def markdown_report(summary: Summary) -> str:
    """Return the figures as Markdown."""
    about, told = summary.about, summary.answerability
    lines = [
        f"# Evaluation of {about.get('questions', 'questions')}",
        "",
        (
            f"Index {about.get('index_version', '')}, {about.get('model', '')}; {summary.questions} questions, "
            f"{summary.scored} with gold, {summary.pinned} with a pinned answer."
        ),
        "",
        *(f"- {card.name}: {card.count} of {card.total} {card.noun} ({card.share})" for card in cards(summary)),
        "",
        "| measure | mean | 95 % interval | questions |",
        "| --- | --- | --- | --- |",
        *(f"| {name} | {e.mean:.4f} | {e.low:.4f}–{e.high:.4f} | {e.n} |" for name, e in summary.measures.items()),
        "",
    ]
    if verdicts := verdict_rows(summary):
        lines += ["| " + " | ".join(VERDICT_COLUMNS) + " |", "| --- " * len(VERDICT_COLUMNS) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in verdicts] + [""]
    if answerability := answerability_rows(summary):
        lines += ["| answerability | value |", "| --- | --- |"]
        lines += [*(f"| {name} | {value} |" for name, value in answerability), ""]
    lines += _confidence(summary)
    if told.reliability:
        lines += ["| confidence | questions | mean confidence | accuracy |", "| --- | --- | --- | --- |"]
        lines += [_bin_row(one) for one in told.reliability]
        lines.append("")
    if summary.latency_ms:
        lines += [
            f"Latency ({about.get('timed', '')}), ms: " + ", ".join(f"{k} {v}" for k, v in summary.latency_ms.items()),
            "",
        ]
    if summary.tags:
        lines += [*_tags(summary), ""]
    if summary.copied:
        lines += ["Questions that equal the text of a passage: " + ", ".join(map(_cell, summary.copied)), ""]
    if summary.problems:
        lines += ["| line | reason |", "| --- | --- |"]
        lines += [f"| {problem.line} | {_cell(problem.reason)} |" for problem in summary.problems[:_MAX_PROBLEMS]]
    return "\n".join(lines).rstrip() + "\n"


def _confidence(summary: Summary) -> list[str]:
    lines = []
    if rows := threshold_rows(summary):
        lines += ["| " + " | ".join(THRESHOLD_COLUMNS) + " |", "| --- " * len(THRESHOLD_COLUMNS) + "|"]
        lines += ["| " + " | ".join(row) + " |" for _, row in rows] + [""]
    for advice in (*threshold_advice(summary), " ".join(calibration_advice(summary))):
        lines += [advice, ""] if advice.strip() else []
    return lines


def _tags(summary: Summary) -> list[str]:
    names, rows = tag_rows(summary)
    head = ["| " + " | ".join(names) + " |", "| --- " * len(names) + "|"]
    return head + ["| " + " | ".join(map(_cell, row)) + " |" for row in rows]


def _bin_row(one: Bin) -> str:
    return f"| {one.low:.1f}–{one.high:.1f} | {one.n} | {one.confidence:.3f} | {one.right:.3f} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
