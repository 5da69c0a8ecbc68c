"""Intervals and tests (bootstrap, paired randomisation, Holm's correction), and measures of calibration."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import BoolArray, Float64Array

_SEED = 20_240_229
_RESAMPLES = 1_000
_PERMUTATIONS = 10_000
_LARGE_SAMPLE = 20_000
"""Sample size above which the normal interval equals the bootstrap's in all decimals that are shown."""
_NORMAL_95 = 1.959964
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean over ``n`` questions with its 95 % interval."""

    mean: float
    low: float
    high: float
    n: int


def estimate(values: Sequence[float] | Float64Array) -> Estimate:
    """Return the mean and its percentile bootstrap interval (Efron, 1979); the seed is fixed."""
    sample = np.asarray(values, dtype=np.float64)
    mean = float(sample.mean())
    if len(sample) == 1 or float(np.ptp(sample)) == 0.0:
        return Estimate(mean, mean, mean, len(sample))
    if len(sample) > _LARGE_SAMPLE:
        half = _NORMAL_95 * float(sample.std(ddof=1)) / np.sqrt(len(sample))
        return Estimate(mean, mean - half, mean + half, len(sample))
    from scipy.stats import bootstrap  # noqa: PLC0415 - a second of import

    found = bootstrap(
        (sample,), np.mean, n_resamples=_RESAMPLES, method="percentile", batch=100, rng=np.random.default_rng(_SEED)
    ).confidence_interval
    return Estimate(mean, float(found.low), float(found.high), len(sample))


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Wilson, 1927), which has a width for none and for all, too."""
    share, z2 = count / total, _NORMAL_95**2
    middle = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = _NORMAL_95 / (1 + z2 / total) * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def randomisation_p(differences: Float64Array) -> float:
    """Return the two-sided p-value of a paired randomisation test, which flips the signs of differences at random.

    Smucker, Allan and Carterette (2007, doi 10.1145/1321440.1321528) recommend it for rankings.
    """
    moved = differences[differences != 0]
    if len(moved) < 2:  # noqa: PLR2004 - one difference proves nothing
        return 1.0
    from scipy.stats import permutation_test  # noqa: PLC0415 - a second of import

    found = permutation_test(
        (moved,),
        lambda sample, axis: np.sum(sample, axis=axis),
        permutation_type="samples",
        n_resamples=_PERMUTATIONS,
        batch=500,
        vectorized=True,
        rng=np.random.default_rng(_SEED),
    )
    return float(found.pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values, adjusted by Holm's method (1979), in the given order."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def effect_size(differences: Float64Array) -> float:
    """Return Cohen's d of paired differences: mean divided by standard deviation."""
    if len(differences) < 2 or float(np.ptp(differences)) == 0.0:  # noqa: PLR2004 - one value has no deviation
        return 0.0
    return float(differences.mean() / differences.std(ddof=1))


def auroc(confidences: Float64Array, right: BoolArray) -> float:
    """Return the area under the ROC curve of the confidences."""
    from sklearn.metrics import roc_auc_score  # noqa: PLC0415 - a second of import

    return float(roc_auc_score(right, confidences))


@dataclass(frozen=True, slots=True)
class Bin:
    """A bin of a reliability diagram: bounds, number of questions, mean confidence, and the share that is right."""

    low: float
    high: float
    n: int
    confidence: float
    right: float


def reliability(confidences: Float64Array, right: BoolArray, bins: int = 10) -> list[Bin]:
    """Return the non-empty bins of a reliability diagram with bins of equal width."""
    places = np.minimum((confidences * bins).astype(int), bins - 1)
    return [
        Bin(
            number / bins,
            (number + 1) / bins,
            int((places == number).sum()),
            float(confidences[places == number].mean()),
            float(right[places == number].mean()),
        )
        for number in np.unique(places).tolist()
    ]


def expected_calibration_error(confidences: Float64Array, right: BoolArray, bins: int = 10) -> float:
    """Return the mean distance of confidence from accuracy, over bins of equal width."""
    found = reliability(confidences, right, bins)
    return sum(abs(one.confidence - one.right) * one.n for one in found) / len(right)


def calibrated_error(bins: Sequence[Bin]) -> float:
    """Return the calibration error that a calibrated model would exceed in 5 % of samples with these bins."""
    sizes, means = np.array([one.n for one in bins]), np.array([one.confidence for one in bins])
    draws = np.random.default_rng(_SEED).binomial(sizes, means, (_PERMUTATIONS, len(bins)))
    errors = np.abs(draws - sizes * means).sum(axis=1) / sizes.sum()
    return float(np.quantile(errors, 1 - LEVEL))


def risk_coverage(confidences: Float64Array, right: BoolArray, coverages: Sequence[float]) -> dict[float, float]:
    """Return the risk at each coverage: the share of wrong answers among the most confident questions."""
    ordered = right[np.argsort(-confidences, kind="stable")]
    return {share: float(1 - ordered[: max(1, round(share * len(ordered)))].mean()) for share in coverages}
