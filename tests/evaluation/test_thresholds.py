"""The table of thresholds, and the advice on thresholds and calibration."""

from typing import Any

import pytest

from qa_service.evaluation.advice import calibration_advice, threshold_advice
from qa_service.evaluation.figures import threshold_rows
from qa_service.evaluation.markdown_report import markdown_report
from qa_service.evaluation.summary import Summary, summarize
from qa_service.evaluation.thresholds import JudgedConfidence, Threshold, best_threshold, threshold_table


def judged(confidence: float, *, answerable: bool = True, is_right: bool = False) -> JudgedConfidence:
    return JudgedConfidence(confidence, answerable, is_right)


def test_thresholds_count_the_questions_that_they_answer_and_refuse() -> None:
    """The values are computed by hand; the best threshold is worth most, and of equal ones it is the highest."""
    some = [
        *[judged(0.9, is_right=True)] * 4,
        judged(0.9),
        *[judged(0.62, is_right=True)] * 3,
        judged(0.62, answerable=False),
        judged(0.3, is_right=True),
        *[judged(0.3, answerable=False)] * 2,
    ]
    table = threshold_table(some, {"min_confidence": 0.62})
    rows = {row.value: row for row in table.rows}
    assert len(rows) == 20
    assert rows[0.62] == Threshold(0.62, 7, 1, 1, 1, 1, 2)
    assert rows[0.65] == Threshold(0.65, 4, 1, 4, 4, 0, 3)
    assert rows[0.95] == Threshold(0.95, 0, 0, 9, 8, 0, 3)
    assert (rows[0.62].precision, rows[0.95].precision) == (7 / 9, None)
    assert [best_threshold(table.rows, cost).value for cost in (0.25, 1, 2, 5)] == [0.3, 0.62, 0.62, 0.95]
    assert table.recommended == []  # too few questions
    assert threshold_rows(Summary({}, thresholds=table))[-1][1][-1] == "–"
    assert threshold_table([judged(0.5, answerable=False)] * 50, {}).rows == []


@pytest.mark.parametrize(
    ("current", "advice"), [(0.5, "is worth"), (0.3, "is the current value"), (None, "right one.")]
)
def test_a_threshold_is_recommended_with_its_gain(current: float | None, advice: str) -> None:
    """Over the current value, if the questions are enough to tell."""
    some = [*[judged(0.3, is_right=True)] * 60, *[judged(0.2, answerable=False)] * 30]
    summary = Summary({}, thresholds=threshold_table(some, {"min_confidence": current, "min_uncertain": 0.25}))
    certain, uncertain = threshold_advice(summary)
    assert certain.startswith("QA_MIN_CONFIDENCE=0.30 is best on these questions, if a wrong answer costs 1 right one")
    assert advice in certain
    assert uncertain.endswith("the questions are too few to tell it from the current value, 0.25.")
    if current == 0.5:
        assert "66.7 right answers in 100 questions more than the current value, 0.50" in certain
    few = Summary({}, thresholds=threshold_table(some[:70], {}))
    assert "20 questions with a right quote and 20 others are needed" in threshold_advice(few)[0]


@pytest.mark.parametrize(
    ("confidence", "found", "advice", "command"),
    [
        (0.7, 70, "Confidence fits these questions", ""),
        (0.3, 70, "0.40 too low overall. This command fits it", "qa-service calibrate q.jsonl"),
        (0.9, 60, "0.30 too high overall", "qa-service calibrate q.jsonl"),
        (0.3, 95, "20 others; here are 95 and 5.", ""),
    ],
)
def test_calibration_is_advised_beyond_chance(confidence: float, found: int, advice: str, command: str) -> None:
    """If there are enough questions of both kinds."""

    def result(number: int) -> dict[str, Any]:
        got = {"verdict": "answered", "confidence": confidence, "right_in_five": number < found, "best_is_right": True}
        asked = {"id": str(number), "question": "x", "answerable": True, "tags": [], "relevant": {"a": 1}}
        return {**asked, "got": {**got, "quotes": [], "ranked": [], "results": []}, "measures": {}}

    summary = summarize(map(result, range(100)), [], {"calibrate": "qa-service calibrate q.jsonl"}, [])
    text, line = calibration_advice(summary)
    assert advice in text
    assert line == command
    assert (line or text) in markdown_report(summary)
    assert calibration_advice(summarize([], [], {}, [])) == ("", "")
