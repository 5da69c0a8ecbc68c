"""Fit confidence to questions whose answers are known: ``qa-service calibrate QUESTION_FILE``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_service.errors import QuestionFileError
from qa_service.evaluation.questions import LineProblem, Question
from qa_service.evaluation.report import with_gold
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import Calibration
from qa_service.retrieval.answerability import evidence_row
from qa_service.retrieval.calibration import confidences_of, fit

_DEPTH = 5
_FOLDS = 5
FEWEST = 20
"""Questions of either kind below which nothing is fitted."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A calibration and how well it does on questions that it was not fitted to (five-fold)."""

    calibration: Calibration
    questions: int
    right: int
    auroc: float
    ece: float
    problems: tuple[LineProblem, ...]


def observe(
    questions: Iterable[Question | LineProblem], answerer: QuestionAnswerer, progress: Callable[[int], None]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_], tuple[LineProblem, ...]]:
    """Ask all questions; return the evidence (n, e), whether the first five results hold an answer, and problems."""
    rows: list[list[float]] = []
    right: list[bool] = []
    problems: list[LineProblem] = []
    for item, relevant in with_gold(questions, answerer.index, problems):
        if item.answerable and not relevant:
            problems.append(LineProblem(item.line, "answerable, but no reference says where"))
            continue
        retrieved = answerer.retrieve(item.question, _DEPTH)
        if retrieved.evidence is not None:
            rows.append(evidence_row(retrieved.evidence))
            right.append(
                item.answerable and any(str(result.passage.number) in relevant for result in retrieved.results)
            )
        progress(len(rows))
    return np.array(rows), np.array(right, dtype=bool), tuple(problems)


def calibrate(
    questions: Iterable[Question | LineProblem],
    answerer: QuestionAnswerer,
    progress: Callable[[int], None] = lambda _: None,
) -> Fitted:
    """Fit a logistic model to the questions.

    Raises :class:`QuestionFileError` if there are fewer than 20 questions with an answer found, or without.
    """
    rows, right, problems = observe(questions, answerer, progress)
    if min(right.sum(), (~right).sum()) < FEWEST:
        raise QuestionFileError(
            f"{right.sum()} questions whose answer is found and {(~right).sum()} without are too few to calibrate; "
            f"{FEWEST} of each are needed"
        )
    held_out = np.empty(len(rows))
    for fold in range(_FOLDS):
        inside = np.arange(len(rows)) % _FOLDS == fold
        held_out[inside] = confidences_of(fit(rows[~inside], right[~inside]), rows[inside])
    return Fitted(
        calibration=fit(rows, right),
        questions=len(rows),
        right=int(right.sum()),
        auroc=auroc(held_out, right),
        ece=expected_calibration_error(held_out, right),
        problems=problems,
    )


def auroc(confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> float:
    """Return the probability that a right question's confidence is above a wrong one's (Mann and Whitney's U)."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - a second of import

    return float(roc_auc_score(right, confidences))


def expected_calibration_error(
    confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], bins: int = 10
) -> float:
    """Return the mean distance, by bins of equal width, of confidence from the share that is right."""
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    error = 0.0
    for number in np.unique(places):
        inside = places == number
        error += abs(float(confidences[inside].mean()) - float(right[inside].mean())) * int(inside.sum())
    return error / len(right)


def risk_coverage(
    confidences: npt.NDArray[np.float64], right: npt.NDArray[np.bool_], coverages: Iterable[float]
) -> dict[float, float]:
    """Return, for each share of questions answered, most confident first, the share of those that are wrong."""
    ordered = right[np.argsort(-confidences, kind="stable")]
    return {share: float(1 - ordered[: max(1, round(share * len(ordered)))].mean()) for share in coverages}
