"""Confidence: logistic models of evidence and of readings, and the choice of constants."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from qa_service.embedding.models import DEFAULT_WEIGHTS
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import Calibration
from qa_service.retrieval.confidence import LogisticModel, best_calibration, is_built_in
from qa_service.retrieval.evidence import EVIDENCE_NAMES, READ_NAMES, Evidence, ReadEvidence, evidence_row
from qa_service.settings import Settings

NUMBERS = st.floats(-100, 100)
UNREAD = LogisticModel(-1.0, (2.0, 0, 0, 0, 0, 0, 0, 1.0))
READ = LogisticModel(0.5, (0, 1.0, 0, 2.0))
EVIDENCE = Evidence(0.5, 0, 0, 0, 0, 0, 0, 1.0)
READING = ReadEvidence(0.3, 0.4, 0.1, -1.0)


def models(features: int) -> st.SearchStrategy[LogisticModel]:
    return st.builds(LogisticModel, NUMBERS, st.tuples(*[NUMBERS] * features))


def test_confidence_is_a_logistic_function() -> None:
    """Computed by hand: of the evidence, or of the reading if there is one and a model of readings."""
    unread, read = 1 / (1 + np.exp(-1.0)), 1 / (1 + np.exp(-(0.5 + 0.4 - 2.0)))
    assert Calibration(UNREAD).confidence(EVIDENCE) == pytest.approx(unread)
    assert Calibration(UNREAD).confidence(EVIDENCE, READING) == pytest.approx(unread)
    assert Calibration(UNREAD, READ, "quick").confidence(EVIDENCE, READING) == pytest.approx(read)
    assert Calibration(UNREAD, READ, "quick").confidence(EVIDENCE) == pytest.approx(unread)
    assert 0 < LogisticModel(-1e9, (0.0,)).probability([0.0]) < LogisticModel(1e9, (0.0,)).probability([0.0]) <= 1


@given(models(len(EVIDENCE_NAMES)), models(len(READ_NAMES)), st.sampled_from(["quick", "careful"]))
def test_constants_survive_the_form_on_disk(unread: LogisticModel, read: LogisticModel, mode: str) -> None:
    """With readings and without them."""
    for one in (Calibration(unread), Calibration(unread, read, mode)):
        assert Calibration.from_dict(json.loads(json.dumps(one.to_dict())), one.mode) == one


def test_constants_of_another_mode_are_those_of_evidence_alone() -> None:
    """Also constants from before there were modes; a missing constant is a ``KeyError``."""
    constants = Calibration(UNREAD, READ, "quick").to_dict()
    assert Calibration.from_dict(constants, "careful") == Calibration.from_dict(constants) == Calibration(UNREAD)
    old = {"intercept": -1.0, **dict.fromkeys(EVIDENCE_NAMES, 0.5)}
    assert Calibration.from_dict(old, "quick") == Calibration(LogisticModel(-1.0, (0.5,) * 8))
    for missing in constants.keys() - {"quick.intercept"}:
        with pytest.raises(KeyError):
            Calibration.from_dict({name: value for name, value in constants.items() if name != missing}, "quick")


def test_rows_have_the_features_in_the_order_of_their_names() -> None:
    for item, names in ((EVIDENCE, EVIDENCE_NAMES), (READING, READ_NAMES)):
        assert dict(zip(names, evidence_row(item), strict=True)) == dataclasses.asdict(item)


def test_labelled_constants_precede_the_built_in_ones(
    settings: Settings, fake: FakeEmbedder, answerer: QuestionAnswerer
) -> None:
    """The model of the test has built-in ones under the weights of the default model, but not under its own."""
    folder, manifest = IndexFolder(settings.index), answerer.index.manifest
    assert best_calibration(folder, manifest, "quick") is None
    built_in = manifest.model_copy(
        update={"model": manifest.model.model_copy(update={"weights_sha256": DEFAULT_WEIGHTS})}
    )
    assert is_built_in(DEFAULT_WEIGHTS)
    assert not is_built_in(fake.identity.weights_sha256)
    shipped = best_calibration(folder, built_in, "quick")
    assert shipped is not None
    assert shipped.mode == "quick"
    constants = Calibration(UNREAD, READ, "quick").to_dict()
    for mine in (manifest, built_in):
        weights, tokens = mine.calibrated_for
        folder.write_calibration(weights, constants, token_vectors=tokens, labels=True)
        assert best_calibration(folder, mine, "quick") == Calibration(UNREAD, READ, "quick")
        assert best_calibration(folder, mine, "careful") == best_calibration(folder, mine) == Calibration(UNREAD)
