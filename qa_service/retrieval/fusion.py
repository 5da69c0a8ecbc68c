"""Score fusion: a convex combination of the signals, each min-max scaled to 0..1 among the candidates.

Bruch, Gai and Ingber (2023, doi 10.1145/3596512) found it better than reciprocal rank fusion, and so did we:
docs/decisions/0006-retrieval.md has the measurements that the weights come from.
"""

from collections.abc import Mapping

import numpy as np

from qa_service.datatypes import FloatArray
from qa_service.settings import default_of

LEXICAL: float = default_of("lexical_weight")
DENSE, RERANK = 0.2, 0.5
_FULL_COVERAGE = 0.44


def lexical_weight_for(weights: Mapping[str, float], lexical: FloatArray | None, largest: float = LEXICAL) -> float:
    """Return the weight of words for a question, at most ``largest``.

    It grows with the square of the coverage: the best BM25 score of a passage, as a share of the idf ``weights`` of
    all the question's terms. If no passage holds the words that were typed, the few that it shares by chance should
    not decide.
    """
    total = sum(weights.values())
    if lexical is None or not total:
        return largest
    coverage = float(lexical.max(initial=0.0)) / total
    return largest * min(1.0, (coverage / _FULL_COVERAGE) ** 2)


def fuse(
    dense: FloatArray, lexical: FloatArray | None, rerank: FloatArray | None = None, lexical_weight: float = LEXICAL
) -> FloatArray:
    """Return the fused score, 0..1, of each candidate.

    ``lexical_weight`` replaces the default; dense and rerank share the rest in their default proportion. The weight
    of an absent signal (``None``) is distributed over the others.
    """
    rest = (1 - lexical_weight) / (DENSE + RERANK)
    signals = [(rest * DENSE, dense), (lexical_weight, lexical), (rest * RERANK, rerank)]
    present = [(weight, scaled(signal)) for weight, signal in signals if signal is not None]
    total = sum(weight for weight, _ in present)
    fused: FloatArray = np.sum([weight / total * signal for weight, signal in present], axis=0)
    return fused


def scaled(scores: FloatArray) -> FloatArray:
    """Return min-max scaled scores, 0..1; all 0 if all scores are equal."""
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    result: FloatArray = (scores - low) / (high - low) if high > low else np.zeros_like(scores)
    return result
