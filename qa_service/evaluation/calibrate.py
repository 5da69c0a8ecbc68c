"""Fits confidence to questions with known answers: ``qa-service calibrate QUESTION_FILE``."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import AskOptions, BoolArray, Float64Array
from qa_service.errors import QuestionFileError
from qa_service.evaluation.gold import GoldFinder, IndexCorpus, Span, document_name
from qa_service.evaluation.question import LineProblem, Question
from qa_service.evaluation.statistics import auroc, expected_calibration_error
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import Calibration
from qa_service.retrieval.evidence import evidence_row
from qa_service.retrieval.fitting import confidences_of, fit

_RESULTS = 5
_FOLDS = 5
MIN_QUESTIONS = 20
"""Least number of questions of either kind for a fit."""


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A calibration and its quality on held-out questions (five-fold cross-validation)."""

    calibration: Calibration
    questions: int
    right: int
    auroc: float
    ece: float
    problems: tuple[LineProblem, ...]


def observe(
    questions: Iterable[Question | LineProblem], answerer: QuestionAnswerer, progress: Callable[[int], None]
) -> tuple[Float64Array, BoolArray, tuple[LineProblem, ...]]:
    """Ask all questions.

    Return the evidence (n, e), whether the first five results contain an answer (n,), and the unusable lines.
    """
    rows: list[list[float]] = []
    right: list[bool] = []
    problems: list[LineProblem] = []
    index = answerer.index
    for item, gold in GoldFinder(IndexCorpus(index)).with_gold(questions, problems):
        if item.answerable and not gold.relevant:
            problems.append(LineProblem(item.line, "answerable, but without a reference"))
            continue
        retrieved = answerer.retrieve(item.question, AskOptions(top_k=_RESULTS))
        if retrieved.evidence is not None:
            names = []
            for result in retrieved.results:
                place, uri = result.passage.position, index.document_without_text(result.passage.document_id).uri
                names.append(document_name(uri) if gold.whole else Span(uri, place.start_char, place.end_char).name)
            rows.append(evidence_row(retrieved.evidence))
            right.append(item.answerable and any(name in gold.relevant for name in names))
        progress(len(rows))
    return np.array(rows), np.array(right, dtype=bool), tuple(problems)


def calibrate(
    questions: Iterable[Question | LineProblem],
    answerer: QuestionAnswerer,
    progress: Callable[[int], None] = lambda _: None,
) -> CalibrationFit:
    """Fit a logistic model to the questions.

    Raises :class:`QuestionFileError` unless at least 20 questions are answered rightly and 20 are not.
    """
    rows, right, problems = observe(questions, answerer, progress)
    if min(right.sum(), (~right).sum()) < MIN_QUESTIONS:
        raise QuestionFileError(
            f"too few questions to calibrate: {right.sum()} with the answer among the results, {(~right).sum()} not; "
            f"{MIN_QUESTIONS} of each are needed"
        )
    held_out = np.empty(len(rows))
    for fold in range(_FOLDS):
        inside = np.arange(len(rows)) % _FOLDS == fold
        held_out[inside] = confidences_of(fit(rows[~inside], right[~inside]), rows[inside])
    return CalibrationFit(
        calibration=fit(rows, right),
        questions=len(rows),
        right=int(right.sum()),
        auroc=auroc(held_out, right),
        ece=expected_calibration_error(held_out, right),
        problems=problems,
    )
