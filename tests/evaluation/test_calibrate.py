"""Calibration to labelled questions, of results that were read and of those that were not."""

import math
from collections.abc import Callable, Sequence
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
from conftest import FakeEmbedder

from qa_service import pipeline
from qa_service.embedding import DEFAULT_WEIGHTS
from qa_service.errors import QuestionFileError
from qa_service.evaluation.calibrate import MIN_QUESTIONS, Observation, calibrate, fit_calibration
from qa_service.evaluation.question import Question, question_of
from qa_service.pipeline import build, open_answerer
from qa_service.reading import Reading, Window
from qa_service.retrieval import Calibration
from qa_service.retrieval.evidence import Evidence, ReadEvidence
from qa_service.retrieval.fitting import fit
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]


def observations(count: int, *, read_from: int = 0) -> list[Observation]:
    """Return questions of which every second one is right; only cosine and logit tell which, the logit better."""
    generator = np.random.default_rng(7)
    found = []
    for place in range(count):
        right = place % 2 == 0
        dense, logit = generator.normal(0.3 + 0.1 * right, 0.1), generator.normal(2.0 if right else -2.0, 1.0)
        evidence = Evidence(dense, 0.5, 0.1, 0.5, 0.1, 1.0, 1.0, 0.0)
        read = ReadEvidence(min(dense, 0.35), 0.4, 0.1, logit)
        found.append(Observation(list(astuple(evidence)), list(astuple(read)) if place >= read_from else None, right))
    return found


def probability(calibration: Calibration, one: Observation) -> float:
    return calibration.probability(one.evidence, one.read)


def test_each_kind_of_result_has_a_model() -> None:
    """That of readings is the surer one; a result that was not read has the confidence of its evidence."""
    observed = observations(200)
    calibration = fit_calibration(observed, "careful")
    assert calibration.mode == "careful"
    assert calibration.read is not None
    assert calibration.read.coefficients[3] > 0
    unread = [Observation(one.evidence, None, one.is_right) for one in observed]
    right = np.array([one.is_right for one in observed])
    losses = []
    for kind in (observed, unread):
        confidences = np.array([probability(calibration, one) for one in kind])
        assert ((confidences > 0) & (confidences < 1)).all()
        assert abs(confidences.mean() - right.mean()) < 0.02
        losses.append(float(((confidences - right) ** 2).mean()))
    assert losses[0] < 0.5 * losses[1]
    assert probability(Calibration(calibration.unread), observed[0]) == probability(calibration, unread[0])


def test_few_readings_give_no_model_of_readings() -> None:
    """Fewer than twenty of either kind: the constants are those of evidence, and hold for no mode."""
    for read, expected in ((2 * MIN_QUESTIONS, True), (2 * MIN_QUESTIONS - 2, False), (0, False)):
        calibration = fit_calibration(observations(100, read_from=100 - read), "quick")
        assert (calibration.read is not None) == expected
        assert calibration.mode == ("quick" if expected else "")
        assert Calibration.from_dict(calibration.to_dict(), "quick") == calibration


def test_a_constant_feature_counts_nothing() -> None:
    """Also one whose mean is not exact: a logarithm, sixty times."""
    right = np.arange(60) % 3 == 0
    rows = np.stack([np.where(right, 0.6, 0.4), np.full(60, math.log(3)), np.zeros(60)], axis=1)
    model = fit(rows, right)
    assert abs(model.intercept) < 100
    assert abs(model.coefficients[1]) < 1e-6
    assert model.probability([0.6, 1.2, 0.0]) == pytest.approx(model.probability([0.6, 1.1, 0.0]))


def test_questions_count_by_their_weights() -> None:
    """With wrong answers at a hundredth of their weight nearly all are right."""
    observed = observations(200)
    weights = np.array([1.0 if one.is_right else 0.01 for one in observed])
    for kind in (observed, [Observation(one.evidence, None, one.is_right) for one in observed]):
        plain, weighted = (fit_calibration(observed, "quick", given) for given in (None, weights))
        assert sum(probability(weighted, one) for one in kind) > sum(probability(plain, one) for one in kind)


class KnowsBoats:
    """Says yes to windows with the number that the question names."""

    def load(self) -> None:
        pass

    def read(self, question: str, window: Window, *, deep: bool = False) -> Reading:
        number = question.split()[1]
        return Reading(3.0 if f"boat {number} " in window.text else -3.0, (0, 3), 0.9)


def questions(numbers: Sequence[int]) -> list[Question]:
    found = []
    for number in numbers:
        fields: dict[str, object] = {"question": f"boat {number} lies where?", "answerable": number < 30}
        if number < 30:
            fields["references"] = [{"document": f"{number}.txt", "content": f"pier {number * 3} "}]
        found.append(question_of(number + 1, fields))
    return found


@pytest.mark.parametrize("mode", ["quick", "careful", "off"])
def test_questions_are_asked_with_the_reader_of_the_settings(
    mode: str, folder: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Near misses ask for boats that are in no document; the reader tells them from the others, the words hardly."""
    monkeypatch.setattr(pipeline, "open_reader", lambda chosen, _: None if chosen == "off" else KnowsBoats())
    folder({f"{number}.txt": f"The boat {number} lies at pier {number * 3} tonight." for number in range(30)})
    model = FakeEmbedder(weights=DEFAULT_WEIGHTS)
    build(settings, model)
    answerer, _ = open_answerer(settings.model_copy(update={"reader": mode}), model)
    fitted = calibrate(questions(range(60)), answerer)
    assert (fitted.questions, fitted.right) == (60, 30)
    assert fitted.calibration.mode == ("" if mode == "off" else mode)
    assert fitted.auroc > (0.7 if mode == "off" else 0.95)
    with pytest.raises(QuestionFileError, match="too few questions"):
        calibrate(questions(range(25)), answerer)
