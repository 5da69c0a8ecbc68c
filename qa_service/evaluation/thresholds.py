"""Thresholds of confidence: what each would answer and refuse of these questions, and which one is best.

A right answer counts 1, a wrong one costs as much as ``WRONG_COST`` right ones. Where confidence is calibrated, the
best threshold is ``cost / (1 + cost)``: 0.5 for answers that are given as certain, 0.2 for those given as uncertain,
which are the defaults of the two settings.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from qa_service.evaluation.statistics import Estimate, estimate

MIN_QUESTIONS = 20
"""Least number of questions of either kind, with a right quote and without, for a recommendation."""
WRONG_COST = {"min_confidence": 1.0, "min_uncertain": 0.25}
"""Cost of a wrong answer in right ones, by the setting of the threshold; less if the answer is called uncertain."""
_STEPS = tuple(step / 20 for step in range(1, 20))


@dataclass(frozen=True, slots=True)
class JudgedConfidence:
    """A question's confidence, whether it is answerable, and whether its best quote is right."""

    confidence: float
    answerable: bool
    is_right: bool


@dataclass(frozen=True, slots=True)
class Threshold:
    """The numbers of questions that a threshold answers and refuses."""

    value: float
    right: int
    """Answerable, and answered by a right quote."""
    wrong: int
    """Answerable, and answered by a wrong quote."""
    refused: int
    refused_right: int
    """Those of the refused ones whose quote would have been right."""
    unanswerable_answered: int
    unanswerable_refused: int

    @property
    def all_wrong(self) -> int:
        """The number of wrong answers, whether there was a right one or not."""
        return self.wrong + self.unanswerable_answered

    @property
    def precision(self) -> float | None:
        """The share of answers that are right."""
        answered = self.right + self.all_wrong
        return self.right / answered if answered else None


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The best threshold for a setting, and its gain over the current value, in right answers a question."""

    setting: str
    cost: float
    value: float
    current: float | None
    gain: Estimate | None


@dataclass(slots=True)
class ThresholdTable:
    """The thresholds, and the recommended ones; there are none if there are too few questions of a kind."""

    rows: list[Threshold] = field(default_factory=list)
    recommended: list[Recommendation] = field(default_factory=list)


def judged_confidence(result: dict[str, Any]) -> JudgedConfidence | None:
    """Return what thresholds need of an entry of ``results.jsonl``; ``None`` if its quote can't be judged."""
    got = result["got"]
    is_right = got.get("best_is_right")  # runs of earlier versions lack it
    if got["confidence"] is None or is_right is None:
        return None
    return JudgedConfidence(got["confidence"], result["answerable"], is_right)


def threshold_table(judged: Sequence[JudgedConfidence], settings: dict[str, Any]) -> ThresholdTable:
    """Return the table for these questions; the current values of the ``settings`` are among the thresholds."""
    if not any(one.answerable for one in judged):
        return ThresholdTable()
    current = {name: settings.get(name) for name in WRONG_COST}
    values = sorted({*_STEPS, *(value for value in current.values() if value is not None)})
    table = ThresholdTable([_threshold(value, judged) for value in values])
    right = sum(one.is_right for one in judged)
    if min(right, len(judged) - right) >= MIN_QUESTIONS:
        table.recommended = [
            _recommendation(name, cost, current[name], table.rows, judged) for name, cost in WRONG_COST.items()
        ]
    return table


def best_threshold(rows: Iterable[Threshold], cost: float) -> Threshold:
    """Return the threshold of the highest worth; of equal ones the highest, which gives fewer wrong answers."""
    return max(rows, key=lambda row: (row.right - cost * row.all_wrong, row.value))


def _threshold(value: float, judged: Sequence[JudgedConfidence]) -> Threshold:
    given = [one for one in judged if one.confidence >= value]
    answerable = [one for one in judged if one.answerable]
    right, answered = sum(one.is_right for one in given), sum(one.answerable for one in given)
    return Threshold(
        value=value,
        right=right,
        wrong=answered - right,
        refused=len(answerable) - answered,
        refused_right=sum(one.is_right for one in answerable) - right,
        unanswerable_answered=len(given) - answered,
        unanswerable_refused=len(judged) - len(answerable) - (len(given) - answered),
    )


def _recommendation(
    name: str, cost: float, current: float | None, rows: Sequence[Threshold], judged: Sequence[JudgedConfidence]
) -> Recommendation:
    best = best_threshold(rows, cost).value
    if current is None:
        return Recommendation(name, cost, best, None, None)
    worth = [1.0 if one.is_right else -cost for one in judged]
    gains = [
        value * ((one.confidence >= best) - (one.confidence >= current))
        for one, value in zip(judged, worth, strict=True)
    ]
    return Recommendation(name, cost, best, current, estimate(gains))
