"""Results and quotes of a question of two parts."""

from passages import hit, passage

from qa_service.datatypes import Quote
from qa_service.retrieval.hits import Hit
from qa_service.retrieval.parts import RankedHits, confidence_of, covering, quotes_of_parts


def hits(*numbers: int, score: float = 0.9, confidence: float | None = None) -> RankedHits:
    """Return hits by the numbers of their passages, each with a lower score than the one before."""
    found = [
        hit(passage("One.", "Two.", number=number), score - place / 10, confidence=confidence)
        for place, number in enumerate(numbers)
    ]
    return RankedHits(found, 0)


def numbers_of(merged: list[Hit]) -> list[int]:
    return [one.result.passage.number for one in merged]


def test_answers_of_parts_follow_the_first_result() -> None:
    assert numbers_of(covering(hits(1, 2, 3), [hits(4, 1, 5), hits(6, 7)])) == [1, 4, 6, 2, 3, 5, 7]


def test_the_answer_stays_among_the_first_two() -> None:
    """Without a reader the second or third result may have the best quote."""
    whole = RankedHits(hits(1, 2, 3).hits, 2)
    assert numbers_of(covering(whole, [hits(4), hits(5)]))[:2] == [1, 3]


def test_scores_never_rise() -> None:
    scores = [one.result.score for one in covering(hits(1, 2, score=0.5), [hits(3, score=1.2), hits(4, score=0.4)])]
    assert scores == [0.5, 0.5, 0.4, 0.4]


def test_each_part_gets_a_quote_that_is_not_there_yet() -> None:
    whole = hits(1, 2)
    other = hit(passage("One.", "Two.", number=1), 0.8, sentence=1)
    parts = [hits(1), RankedHits([other], 0), hits(4)]
    merged = covering(whole, parts)
    assert quotes_of_parts(merged, 0, parts) == [Quote(0, (5, 9)), Quote(1, (0, 4))]


def test_a_quote_of_a_result_that_is_not_shown_is_left_out() -> None:
    whole, parts = hits(1, 2), [hits(3), hits(4)]
    assert quotes_of_parts(covering(whole, parts)[:2], 0, parts) == [Quote(1, (0, 4))]


def test_confidence_is_that_of_the_parts_if_they_are_surer() -> None:
    parts = [hits(1, confidence=0.9), hits(2, confidence=0.7)]
    assert confidence_of(hits(1, confidence=0.3), parts) == 0.8
    assert confidence_of(hits(1, confidence=0.85), parts) == 0.85
    assert confidence_of(hits(1, confidence=0.3), []) == 0.3
    assert confidence_of(hits(1), [hits(2)]) is None
