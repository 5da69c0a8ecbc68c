"""Advice drawn from the questions of a run: which thresholds to set, and whether to calibrate."""

from qa_service.evaluation.calibrate import MIN_QUESTIONS
from qa_service.evaluation.summary import Summary
from qa_service.evaluation.thresholds import Recommendation


def threshold_advice(summary: Summary) -> list[str]:
    """Return a sentence for each threshold that can be set."""
    table = summary.thresholds
    if table.rows and not table.recommended:
        needed = f"{MIN_QUESTIONS} questions with a right quote and {MIN_QUESTIONS} others"
        return [f"No threshold is recommended: {needed} are needed. Add some that the documents do not answer."]
    return [_of_setting(one) for one in table.recommended]


def _of_setting(one: Recommendation) -> str:
    kind = "wrong answer" if one.setting == "min_confidence" else "wrong answer that is called uncertain"
    rule = f"a {kind} costs {one.cost:g} right {'one' if one.cost == 1 else 'ones'}"
    found = f"QA_{one.setting.upper()}={one.value:.2f} is best on these questions, if {rule}"
    if one.gain is None:
        return f"{found}."
    if one.value == one.current:
        return f"{found}; it is the current value."
    if one.gain.low <= 0:
        return f"{found}; the questions are too few to tell it from the current value, {one.current:.2f}."
    low, mean, high = (100 * value for value in (one.gain.low, one.gain.mean, one.gain.high))
    return (
        f"{found}. It is worth {mean:.1f} right answers in 100 questions more than the current value, "
        f"{one.current:.2f} (95 %: {low:.1f}–{high:.1f}); expect less of other questions."
    )


def calibration_advice(summary: Summary) -> tuple[str, str]:
    """Return whether confidence fits the questions, and the command to type if it does not; empty if not known."""
    told = summary.answerability
    if told.ece is None or told.ece_by_chance is None or told.confidence_gap is None:
        return "", ""
    off = f"it is {told.ece:.2f} off on average, where chance explains {told.ece_by_chance:.2f}"
    if told.ece <= told.ece_by_chance:
        return f"Confidence fits these questions: {off}.", ""
    direction = "low" if told.confidence_gap < 0 else "high"
    found = (
        f"Confidence does not fit these questions: {off}, and {abs(told.confidence_gap):.2f} too {direction} overall."
    )
    if min(told.found, told.not_found) < MIN_QUESTIONS:
        needed = f"{MIN_QUESTIONS} questions with a relevant passage among five results and {MIN_QUESTIONS} others"
        return f"{found} It can be fitted to {needed}; here are {told.found} and {told.not_found}.", ""
    command = summary.about.get("calibrate") or "qa-service calibrate FILE"
    return f"{found} This command fits it; evaluate other questions afterwards:", command
