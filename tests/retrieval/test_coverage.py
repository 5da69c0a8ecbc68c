"""Results that cover the question's tokens, against the definition computed candidate by candidate."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qa_service.retrieval.coverage import FIRST_RESULTS, WEIGHT, covering_order

COSINES = st.floats(-1, 1, width=32)


@given(st.integers(1, 14).flatmap(lambda count: arrays(np.float32, (3, count), elements=COSINES)), st.randoms())
def test_each_place_has_the_largest_score_and_gain(cosines: np.ndarray, chance: np.random.Generator) -> None:
    """All candidates occur once, the first ones stay, and those behind the tenth are in order of their scores."""
    count = cosines.shape[1]
    scores = np.array(sorted((chance.random() for _ in range(count)), reverse=True), np.float32)
    weights = np.array([1.0, 2.0, 3.0], np.float32)
    order = covering_order(scores, cosines, weights).tolist()
    assert sorted(order) == list(range(count))
    assert order[:FIRST_RESULTS] == list(range(min(FIRST_RESULTS, count)))
    assert order[10:] == sorted(order[10:])
    for place in range(FIRST_RESULTS, min(count, 10)):
        covered = cosines[:, order[:place]].max(axis=1)

        def value(one: int, covered: np.ndarray = covered) -> float:
            return float(scores[one] + WEIGHT * (np.maximum(cosines[:, one] - covered, 0) @ weights) / 6)

        assert value(order[place]) >= max(value(one) for one in order[place:]) - 1e-5


def test_a_candidate_for_the_other_token_comes_before_more_of_the_same() -> None:
    """By hand: the fifth is worth .5 + 2 * .35 = 1.2, the fourth .6 + 2 * .05 = .7."""
    cosines = np.array([[0.9, 0.9, 0.9, 0.9, 0.1], [0.1, 0.1, 0.1, 0.2, 0.8]], np.float32)
    scores = np.array([1.0, 0.9, 0.8, 0.6, 0.5], np.float32)
    assert covering_order(scores, cosines, np.ones(2, np.float32)).tolist() == [0, 1, 2, 4, 3]
