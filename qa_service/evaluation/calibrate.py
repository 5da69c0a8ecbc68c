"""Fits confidence to questions with known answers: ``qa-service calibrate QUESTION_FILE``."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import AskOptions, Float64Array
from qa_service.errors import QuestionFileError
from qa_service.evaluation.gold import GoldFinder, IndexCorpus, Span, document_name
from qa_service.evaluation.question import LineProblem, Question
from qa_service.evaluation.statistics import auroc, expected_calibration_error
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import Calibration
from qa_service.retrieval.evidence import evidence_row
from qa_service.retrieval.fitting import fit

_RESULTS = 5
_FOLDS = 5
MIN_QUESTIONS = 20
"""Least number of questions of either kind for a fit."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The features of a question's answer, without and with those of its reading, and whether it is right.

    ``read`` is ``None`` if nothing was read. It is right if the first five results contain an answer.
    """

    evidence: list[float]
    read: list[float] | None
    is_right: bool


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
) -> tuple[list[Observation], tuple[LineProblem, ...]]:
    """Ask all questions; return an observation of each, and the unusable lines."""
    observations: list[Observation] = []
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
            is_right = item.answerable and any(name in gold.relevant for name in names)
            read = None if retrieved.read is None else evidence_row(retrieved.read)
            observations.append(Observation(evidence_row(retrieved.evidence), read, is_right))
        progress(len(observations))
    return observations, tuple(problems)


def calibrate(
    questions: Iterable[Question | LineProblem],
    answerer: QuestionAnswerer,
    progress: Callable[[int], None] = lambda _: None,
) -> CalibrationFit:
    """Fit a logistic model to the questions.

    Raises :class:`QuestionFileError` unless at least 20 questions are answered rightly and 20 are not.
    """
    observed, problems = observe(questions, answerer, progress)
    right = np.array([one.is_right for one in observed], dtype=bool)
    if min(right.sum(), (~right).sum()) < MIN_QUESTIONS:
        raise QuestionFileError(
            f"too few questions to calibrate: {right.sum()} with the answer among the results, {(~right).sum()} not; "
            f"{MIN_QUESTIONS} of each are needed"
        )
    mode = answerer.reader_mode
    held_out = np.empty(len(observed))
    for fold in range(_FOLDS):
        inside = np.arange(len(observed)) % _FOLDS == fold
        fitted = fit_calibration([one for one, out in zip(observed, inside, strict=True) if not out], mode)
        held_out[inside] = [
            fitted.probability(one.evidence, one.read) for one, out in zip(observed, inside, strict=True) if out
        ]
    return CalibrationFit(
        calibration=fit_calibration(observed, mode),
        questions=len(observed),
        right=int(right.sum()),
        auroc=auroc(held_out, right),
        ece=expected_calibration_error(held_out, right),
        problems=problems,
    )


def fit_calibration(observed: Sequence[Observation], mode: str, weights: Float64Array | None = None) -> Calibration:
    """Return a calibration for a mode of the reader, empty without one; ``weights`` (n,) are sample weights.

    The model of readings is left out if the reader read fewer than 20 right or 20 wrong answers.
    """
    right = np.array([one.is_right for one in observed], dtype=bool)
    unread = fit(np.array([one.evidence for one in observed]), right, weights)
    read = np.array([one.read is not None for one in observed])
    if min((right & read).sum(), (~right & read).sum()) < MIN_QUESTIONS:
        return Calibration(unread)
    rows = np.array([one.read for one in observed if one.read is not None])
    return Calibration(unread, fit(rows, right[read], None if weights is None else weights[read]), mode)
