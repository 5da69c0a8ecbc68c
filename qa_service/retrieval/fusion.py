"""Score fusion: a convex combination of the signals, each min-max scaled to 0..1 among the candidates.

Bruch, Gai and Ingber (2023, doi 10.1145/3596512) found it better than reciprocal rank fusion, and so did we:
docs/decisions/0006-retrieval.md has the measurements that the weights come from.
"""

import numpy as np

from qa_service.datatypes import FloatArray
from qa_service.settings import default_of

LEXICAL: float = default_of("lexical_weight")
DENSE, RERANK = 0.2, 0.5


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
