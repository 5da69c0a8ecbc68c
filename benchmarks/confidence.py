"""Fit the constants of retrieval.confidence to several question sets, and measure them on each set left out of the fit.

    python benchmarks/confidence.py EVAL_FOLDER [--work FOLDER] [--reader quick careful] [--without-tokens]

EVAL_FOLDER holds squad2_dev/, nq_passages/, xquad_en/ and chroma_chunking/, each with documents/ and questions.jsonl.
A question is right if its first five results hold the answer. In the fit every set weighs the same, and within a set
answerable questions, near misses and those off topic weigh 2 : 1 : 1. The project's own question files are never in
the fit.
"""

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from common import setup

import numpy as np
from observing import ANSWERABLE, NEAR_MISS, OFF_TOPIC, OWN_SETS, QuestionSet, SetObservation, observations

from qa_service.evaluation.calibrate import fit_calibration
from qa_service.evaluation.statistics import auroc, expected_calibration_error
from qa_service.retrieval.confidence import Calibration, LogisticModel

FITTED_SETS = ("squad2_dev", "nq_passages", "xquad_en", "chroma_chunking")
SHARES = {ANSWERABLE: 2, NEAR_MISS: 1, OFF_TOPIC: 1}
ANSWERED_SHARE = 0.94


def main() -> None:
    """Observe, fit, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("eval_folder", type=Path)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--reader", nargs="*", default=["off", "quick", "careful"])
    parser.add_argument("--without-tokens", action="store_true", help="also without token vectors")
    arguments = parser.parse_args()
    print(setup())
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        for token_vectors in (True, False) if arguments.without_tokens else (True,):
            for mode in arguments.reader:
                print(f"\nreader {mode}, token vectors: {token_vectors}", flush=True)
                names = (*FITTED_SETS, *OWN_SETS)
                settings = {"reader": mode, "token_vectors": token_vectors}
                sets = [QuestionSet(name, arguments.eval_folder, work, **settings) for name in names]
                measure(observations(sets))


def measure(observed: Sequence[SetObservation]) -> None:
    """Print the figures of each set, left out of the fit, and the constants fitted to all but the project's own."""
    for name in dict.fromkeys(one.name for one in observed):
        rest = [one for one in observed if one.name not in {name, *OWN_SETS}]
        own, model = [one for one in observed if one.name == name], calibration(rest)
        found = np.array([model.probability(one.evidence, one.read) for one in own])
        print(f"  {name:16}", figures(own, found), flush=True)
    chosen = calibration([one for one in observed if one.name not in OWN_SETS])
    print("  constants without a reading:", rounded(chosen.unread))
    if chosen.read is not None:
        print("  constants of a reading:     ", rounded(chosen.read))


def calibration(observed: Sequence[SetObservation]) -> Calibration:
    """Return the calibration fitted to observations, with the weights that the head of this file describes."""
    weights = np.array([1 / counts for counts in _counts(observed)]) * [SHARES[one.kind] for one in observed]
    return fit_calibration(observed, "", weights)


def _counts(observed: Sequence[SetObservation]) -> list[int]:
    """Return for each observation how many there are of its set and kind."""
    counts = Counter((one.name, one.kind) for one in observed)
    return [counts[one.name, one.kind] for one in observed]


def figures(observed: Sequence[SetObservation], found: np.ndarray) -> str:
    """Return the measures of the confidences (n,) of a set as a line."""
    kinds = np.array([one.kind for one in observed])
    right = np.array([one.is_right for one in observed])
    on, off = kinds != OFF_TOPIC, right | (kinds == OFF_TOPIC)
    threshold = np.quantile(found[kinds == ANSWERABLE], 1 - ANSWERED_SHARE)
    passing = np.mean(found[kinds == NEAR_MISS] >= threshold)
    return (
        f"AUROC near misses {auroc(found[on], right[on]):.3f}, off topic {auroc(found[off], right[off]):.3f}; "
        f"{passing:.0%} of near misses pass where {ANSWERED_SHARE:.0%} of the others are answered; "
        f"ECE {expected_calibration_error(found[on], right[on]):.3f}, mean {found[on].mean():.2f} for a share of "
        f"{right[on].mean():.2f}; off topic {np.mean(found[kinds == OFF_TOPIC]):.2f}"
    )


def rounded(model: LogisticModel) -> str:
    """Return a model as Python."""
    values = ", ".join(f"{value:.3f}" for value in model.coefficients)
    return f"LogisticModel({model.intercept:.3f}, ({values}))"


if __name__ == "__main__":
    main()
