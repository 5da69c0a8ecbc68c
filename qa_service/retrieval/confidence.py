"""Confidence: the probability that the results contain the answer, computed from evidence by a logistic model (Platt).

benchmarks/confidence.py fitted the built-in constants to public question sets, half of them answerable. They hold for
one embedding model, because the cosines of different models are not comparable. For another model, the build of an
index fits constants without labels (:mod:`fitting`). ``qa-service calibrate`` fits them to one's own labelled
questions.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from qa_service.embedding import DEFAULT_WEIGHTS
from qa_service.index import Generations, Manifest
from qa_service.retrieval.evidence import EVIDENCE_NAMES, Evidence, evidence_row


@dataclass(frozen=True, slots=True)
class Calibration:
    """A logistic model: ``1 / (1 + exp(-(intercept + coefficients · evidence)))`` (Platt, 1999)."""

    intercept: float
    coefficients: tuple[float, ...]

    def confidence(self, evidence: Evidence) -> float:
        """Return a probability, 0 to 1."""
        products = (a * b for a, b in zip(self.coefficients, evidence_row(evidence), strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, self.intercept + sum(products)))))

    def to_dict(self) -> dict[str, float]:
        """Return the constants by name."""
        return {"intercept": self.intercept, **dict(zip(EVIDENCE_NAMES, self.coefficients, strict=True))}

    @classmethod
    def from_dict(cls, constants: Mapping[str, float]) -> "Calibration":
        """Return the calibration with these constants. Raises ``KeyError`` if one is missing."""
        return cls(float(constants["intercept"]), tuple(float(constants[name]) for name in EVIDENCE_NAMES))


CALIBRATIONS: Mapping[tuple[str, bool], Calibration] = {
    (DEFAULT_WEIGHTS, True): Calibration(-7.186, (4.106, 1.685, 0.368, 1.373, -0.873, 1.326, 0.993, -3.689)),
    (DEFAULT_WEIGHTS, False): Calibration(-7.050, (4.631, 0.0, 0.0, 1.832, -0.886, 1.621, 1.029, -3.212)),
}
"""Built-in constants, by sha256 of the model's weights and whether the index has token vectors."""


def best_calibration(generations: Generations, manifest: Manifest) -> Calibration | None:
    """Return the calibration from labelled questions, else the built-in one, else the one fitted without labels."""
    weights, token_vectors = manifest.calibrated_for
    labelled = generations.calibration(weights, token_vectors=token_vectors, labels=True)
    if labelled is None and (weights, token_vectors) in CALIBRATIONS:
        return CALIBRATIONS[weights, token_vectors]
    constants = labelled or generations.calibration(weights, token_vectors=token_vectors, labels=False)
    return None if constants is None else Calibration.from_dict(constants)
