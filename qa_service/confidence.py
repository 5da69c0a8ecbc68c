"""Which calibration of confidence an index has: by labels, by public question sets, or by the index itself."""

from typing import Protocol

from qa_service.embedding import Embedder
from qa_service.index import Manifest
from qa_service.index.disk import IndexFolder
from qa_service.retrieval import Calibration
from qa_service.retrieval.answerability import CALIBRATIONS
from qa_service.retrieval.calibration import fit_to_own_sentences


class Calibrations(Protocol):
    """Where constants of confidence are kept."""

    def calibration(self, weights_sha256: str, *, token_vectors: bool, labels: bool) -> dict[str, float] | None:
        """Return the constants that were fitted to an index of such a model, or ``None``."""


def calibration_of(folder: Calibrations, manifest: Manifest) -> Calibration | None:
    """Return the best calibration there is: by labels, by public question sets, or by the index itself."""
    weights, token_vectors = manifest.calibrated_for
    labelled = folder.calibration(weights, token_vectors=token_vectors, labels=True)
    if labelled is None and (weights, token_vectors) in CALIBRATIONS:
        return CALIBRATIONS[weights, token_vectors]
    constants = labelled or folder.calibration(weights, token_vectors=token_vectors, labels=False)
    return None if constants is None else Calibration.from_dict(constants)


def calibrate_unlabelled(folder: IndexFolder, manifest: Manifest, embedder: Embedder) -> None:
    """Fit confidence to the index itself where its model has no constants of its own."""
    weights, token_vectors = manifest.calibrated_for
    if (weights, token_vectors) in CALIBRATIONS:
        return
    index = folder.open(embedder.identity).index
    try:
        fitted = fit_to_own_sentences(index, embedder)
        if fitted is not None:
            folder.write_calibration(weights, fitted.to_dict(), token_vectors=token_vectors, labels=False)
    finally:
        index.close()
