"""Confidence: the probability that the results contain the answer, by logistic models of evidence and reading (Platt).

One model is for results that the reader has read, one for all others. benchmarks/confidence.py fitted the built-in
constants to public question sets, half of them answerable. They hold for one embedding model, because the cosines of
different models are not comparable. For another model, the build of an index fits constants without labels
(:mod:`fitting`). ``qa-service calibrate`` fits them to one's own labelled questions.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qa_service.embedding import DEFAULT_WEIGHTS
from qa_service.index import Generations, Manifest
from qa_service.retrieval.evidence import EVIDENCE_NAMES, READ_NAMES, Evidence, ReadEvidence, evidence_row

_INTERCEPT = "intercept"


@dataclass(frozen=True, slots=True)
class LogisticModel:
    """``1 / (1 + exp(-(intercept + coefficients · features)))`` (Platt, 1999)."""

    intercept: float
    coefficients: tuple[float, ...]

    def probability(self, features: Sequence[float]) -> float:
        """Return a probability, 0 to 1."""
        products = (a * b for a, b in zip(self.coefficients, features, strict=True))
        return 1 / (1 + math.exp(-max(-50.0, min(50.0, self.intercept + sum(products)))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The model of evidence alone, and that of evidence and reading, fitted to readings in a ``mode``."""

    unread: LogisticModel
    read: LogisticModel | None = None
    mode: str = ""

    def confidence(self, evidence: Evidence, read: ReadEvidence | None = None) -> float:
        """Return the probability, 0 to 1, of a result with this evidence."""
        return self.probability(evidence_row(evidence), None if read is None else evidence_row(read))

    def probability(self, evidence: Sequence[float], read: Sequence[float] | None) -> float:
        """Return the same for rows of features; ``read`` is ``None`` if nothing was read."""
        if read is None or self.read is None:
            return self.unread.probability(evidence)
        return self.read.probability(read)

    def to_dict(self) -> dict[str, float]:
        """Return the constants by name; those for readings begin with the mode."""
        found = _named(self.unread, EVIDENCE_NAMES, "")
        if self.read is not None:
            found |= _named(self.read, READ_NAMES, f"{self.mode}.")
        return found

    @classmethod
    def from_dict(cls, constants: Mapping[str, float], mode: str = "") -> "Calibration":
        """Return the calibration for readings in a mode, if it has been fitted to such; else that of evidence alone.

        Raises ``KeyError`` if a constant is missing.
        """
        unread = _model(constants, EVIDENCE_NAMES, "")
        if not mode or f"{mode}.{_INTERCEPT}" not in constants:
            return cls(unread)
        return cls(unread, _model(constants, READ_NAMES, f"{mode}."), mode)


def _named(model: LogisticModel, names: Sequence[str], prefix: str) -> dict[str, float]:
    values = zip((_INTERCEPT, *names), (model.intercept, *model.coefficients), strict=True)
    return {prefix + name: value for name, value in values}


def _model(constants: Mapping[str, float], names: Sequence[str], prefix: str) -> LogisticModel:
    return LogisticModel(
        float(constants[prefix + _INTERCEPT]), tuple(float(constants[prefix + name]) for name in names)
    )


_UNREAD: Mapping[bool, LogisticModel] = {
    True: LogisticModel(-5.416, (2.565, 3.488, 1.555, 2.256, -0.272, 0.697, 0.191, -0.983)),
    False: LogisticModel(-7.050, (4.631, 0.0, 0.0, 1.832, -0.886, 1.621, 1.029, -3.212)),
}
_READ: Mapping[tuple[str, bool], LogisticModel] = {
    ("quick", True): LogisticModel(-8.932, (2.898, 16.485, 3.300, 0.332)),
    ("careful", True): LogisticModel(-8.597, (2.826, 15.875, 3.255, 0.318)),
}
"""Built-in constants of the default model, by mode of the reader and whether the index has token vectors."""


def is_built_in(weights_sha256: str) -> bool:
    """Tell whether there are built-in constants for the model with these weights."""
    return weights_sha256 == DEFAULT_WEIGHTS


def best_calibration(generations: Generations, manifest: Manifest, mode: str = "") -> Calibration | None:
    """Return the calibration from labelled questions, else the built-in one, else the one fitted without labels.

    ``mode`` is the reader's, empty without a reader.
    """
    weights, token_vectors = manifest.calibrated_for
    labelled = generations.calibration(weights, token_vectors=token_vectors, labels=True)
    if labelled is not None:
        return Calibration.from_dict(labelled, mode)
    if is_built_in(weights):
        return Calibration(_UNREAD[token_vectors], _READ.get((mode, token_vectors)), mode)
    constants = generations.calibration(weights, token_vectors=token_vectors, labels=False)
    return None if constants is None else Calibration.from_dict(constants)
