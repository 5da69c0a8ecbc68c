"""Lets the first results cover all of a question before they repeat a part of it: for lists and comparisons.

Behind the first results, the next one is the candidate with the highest score plus ``WEIGHT`` times its gain: how much
closer the question's tokens get, in the weighted mean, to their best cosine among the results so far. This is
maximal marginal relevance (Carbonell and Goldstein, 1998, doi 10.1145/290941.291025) by the question's tokens.
"""

import numpy as np

from qa_service.datatypes import FloatArray, IntArray

WEIGHT = 2.0
"""Decision 0006 has other weights."""
FIRST_RESULTS = 3
"""The reader chooses the answer among so many results; they keep their places."""
_MAX_RESULTS = 10


def covering_order(scores: FloatArray, cosines: FloatArray, weights: FloatArray) -> IntArray:
    """Return the order (n,) of candidates with decreasing ``scores`` (n,) that covers the question's tokens early.

    ``cosines`` (tokens, n) holds the best cosine of each token in each candidate; ``weights`` are the tokens'. Places
    behind the tenth stay in order of the scores.
    """
    count = len(scores)
    if count <= FIRST_RESULTS:
        return np.arange(count)
    chosen = list(range(FIRST_RESULTS))
    covered = cosines[:, chosen].max(axis=1)
    value = scores.astype(np.float64)
    value[chosen] = -np.inf
    share = weights / weights.sum()
    while len(chosen) < min(count, _MAX_RESULTS):
        gain = share @ np.maximum(cosines - covered[:, None], 0)
        best = int(np.argmax(value + WEIGHT * gain))
        chosen.append(best)
        value[best] = -np.inf
        covered = np.maximum(covered, cosines[:, best])
    rest = np.setdiff1d(np.arange(count), chosen)
    return np.concatenate([np.array(chosen), rest])
