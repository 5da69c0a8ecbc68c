"""The figures of a summary as rows and cards, for terminal, Markdown and HTML."""

from dataclasses import dataclass

from qa_service.evaluation.explanations import explanation
from qa_service.evaluation.measures import SERVED, WRONGLY_ANSWERED, WRONGLY_REFUSED, headlines
from qa_service.evaluation.statistics import share_interval
from qa_service.evaluation.summary import Summary
from qa_service.evaluation.thresholds import Threshold

VERDICT_COLUMNS = ("verdict", "answerable", "with a right quote", "unanswerable")


@dataclass(frozen=True, slots=True)
class Card:
    """A number of questions out of a total."""

    name: str
    count: int
    total: int
    noun: str
    """The kind of the questions in the total."""
    explanation: str

    @property
    def share(self) -> str:
        """The share in percent."""
        return percent(self.count / self.total)

    @property
    def interval(self) -> str:
        """The 95 % interval of the share."""
        low, high = share_interval(self.count, self.total)
        return f"{100 * low:.1f}–{percent(high)}"


def percent(share: float) -> str:
    """Return a share in percent, such as ``84.4 %``."""
    return f"{100 * share:.1f}\N{NO-BREAK SPACE}%"


def cards(summary: Summary) -> list[Card]:
    """Return the cards of a report, the most important first; those without questions are left out."""
    told = summary.answerability
    found = []
    if summary.scored:
        first = summary.ranks.get("1", 0)
        found.append(
            Card("right passage first", first, summary.scored, "with gold", explanation("right passage first"))
        )
    for measure, name, noun in (
        (SERVED, "served rightly", "answerable"),
        (WRONGLY_REFUSED, "wrongly refused", "answerable"),
        (WRONGLY_ANSWERED, "wrongly answered", "judged"),
    ):
        if measure in summary.measures:
            mean, total = summary.measures[measure].mean, summary.measures[measure].n
            found.append(Card(name, round(mean * total), total, noun, explanation(measure)))
    if told.unanswerable:
        text = explanation("rightly refused")
        found.append(Card("rightly refused", told.refused, told.unanswerable, "unanswerable", text))
    return found


THRESHOLD_COLUMNS = (
    "from",
    "answered rightly",
    "answered wrongly",
    "refused",
    "refused, though right",
    "unanswerable, answered",
    "unanswerable, refused",
    "precision",
)


def threshold_rows(summary: Summary) -> list[tuple[Threshold, tuple[str, ...]]]:
    """Return each threshold with its row of the table."""
    return [
        (
            row,
            (
                f"{row.value:.2f}",
                str(row.right),
                str(row.wrong),
                str(row.refused),
                str(row.refused_right),
                str(row.unanswerable_answered),
                str(row.unanswerable_refused),
                "–" if row.precision is None else percent(row.precision),
            ),
        )
        for row in summary.thresholds.rows
    ]


def cost_rows(summary: Summary) -> list[tuple[str, str]]:
    """Return the names and values of what the evaluation and its index cost, as far as it is known."""
    cost = summary.cost
    found = []
    if "cpu_ms" in cost:
        found.append(("CPU seconds", f"{cost['cpu_ms'] * summary.questions / 1000:.1f}"))
        found.append(("CPU milliseconds a question", f"{cost['cpu_ms']:.1f}"))
    if "index_bytes" in cost:
        found.append(("index, megabytes", f"{cost['index_bytes'] / 1e6:.2f}"))
        found.append(("passages", f"{cost['passages']:,.0f}"))
    return found


def tag_rows(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Return the names of the columns by tag, and the rows; without refusals if there were no verdicts."""
    names = headlines(summary.measures)
    refusals = ["refused", "unanswerable, refused"] if verdict_rows(summary) else []
    rows = []
    for tag, values in summary.tags.items():
        refused = [
            f"{values['refused']:.0f} of {values['n']:.0f}",
            f"{values['unanswerable_refused']:.0f} of {values['unanswerable']:.0f}" if values["unanswerable"] else "–",
        ]
        shown = [f"{values[name]:.3f}" if name in values else "–" for name in names]
        rows.append([tag, f"{values['n']:.0f}", *shown, *refused[: len(refusals)]])
    return ["tag", "questions", *names, *refusals], rows


def verdict_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Return the rows of the table of verdicts; it is empty if no question got a verdict."""
    counted = summary.answerability.verdicts.items()
    if not any(counts.answerable or counts.unanswerable for _, counts in counted):
        return []
    return [
        (
            verdict.replace("_", " "),
            str(counts.answerable),
            f"{counts.right} of {counts.judged}" if counts.judged else "–",
            str(counts.unanswerable),
        )
        for verdict, counts in counted
    ]


def answerability_rows(summary: Summary) -> list[tuple[str, str]]:
    """Return the names and values of the figures of answerability that are defined."""
    told = summary.answerability
    rows = [
        ("precision of answers", told.answer_precision),
        ("precision of refusal", told.refusal_precision),
        ("AUROC of confidence, answerable against unanswerable", told.auroc),
        ("expected calibration error", told.ece),
    ]
    return [(name, f"{value:.4f}") for name, value in rows if value is not None]
