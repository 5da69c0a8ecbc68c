"""The answer: which results are read, in which order they come, and what is quoted."""

import itertools
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from passages import FakeReader, hit, passage

from qa_service.reading import Reading, Window
from qa_service.retrieval import AnswerReader
from qa_service.retrieval.answer import MAX_LOGIT, SURE_LOGIT, WEIGHT
from qa_service.retrieval.evidence import DENSE_CAP, MAXSIM_CAP
from qa_service.retrieval.hits import Hit

QUESTION = "How many boats are there?"
SURE, UNSURE = SURE_LOGIT + 0.5, SURE_LOGIT - 0.5
CLOSE = [0.9, 0.88, 0.86, 0.84, 0.82, 0.8]
"""Fused scores so close that every result may win."""


def hits(scores: Sequence[float], *, similar: float = 0.5) -> list[Hit]:
    """Return a hit for each score, with a text that names its number, each from a document of its own."""
    return [
        hit(passage(f"Word{place} boats.", number=place, document=str(place)), score, similar=similar)
        for place, score in enumerate(scores)
    ]


def reordered(found: Sequence[Hit], reader: FakeReader, mode: str = "quick") -> list[Hit]:
    return AnswerReader(reader, mode).reordered(QUESTION, found)


def order(found: Sequence[Hit]) -> list[int]:
    return [one.result.passage.number for one in found]


def test_results_are_ordered_by_fused_score_and_logit() -> None:
    """By hand; the score of a result is its value."""
    found = reordered(hits([0.9, 0.88, 0.86]), FakeReader({"Word0": -2.0, "Word1": 1.0, "Word2": 3.0}))
    assert order(found) == [2, 1, 0]
    assert [one.result.score for one in found] == pytest.approx([0.86 + 0.09, 0.88 + 0.03, 0.9 - 0.06])
    assert [one.result.scores.reading for one in found] == [3.0, 1.0, -2.0]


def test_reading_stops_when_the_next_result_cannot_win() -> None:
    """At a distance of the highest logit, but not a little below it."""
    for behind, expected in ((WEIGHT * (MAX_LOGIT + 1) + 0.001, 1), (WEIGHT * (MAX_LOGIT + 1) - 0.001, 2)):
        reader = FakeReader({"Word0": -1.0})
        reordered(hits([0.9, 0.9 - behind, 0.2]), reader)
        assert [window.text for window in reader.seen] == ["Word0 boats.", "Word1 boats."][:expected]


@pytest.mark.parametrize(("mode", "depth"), [("quick", 3), ("careful", 5)])
def test_no_more_results_are_read_than_the_mode_allows(mode: str, depth: int) -> None:
    """Even if all of them say no. `careful` reads a sentence twice, alone and with its neighbours."""
    reader = FakeReader({"boats": -5.0})
    answers = AnswerReader(reader, mode)
    assert (answers.mode, answers.depth) == (mode, depth)
    found = answers.reordered(QUESTION, hits(CLOSE))
    assert sum(one.read is not None for one in found) == depth
    assert set(reader.deep) == {mode == "careful"}
    assert len(reader.seen) == depth * (2 if mode == "careful" else 1)


def test_a_result_that_was_not_read_is_never_the_answer() -> None:
    """It counts as the lowest logit that was read, but not as better than its fused score."""
    found = reordered(hits(CLOSE), FakeReader({"Word0": -5.0, "Word1": -4.0, "Word2": -6.0}))
    assert order(found) == [1, 0, 2, 3, 4, 5]
    assert [one.read is None for one in found] == [False] * 3 + [True] * 3
    assert found[3].result.score == pytest.approx(0.84 - 6.0 * WEIGHT)
    found = reordered(hits([0.9, 0.2]), FakeReader({"Word0": 3.0}))
    assert found[1].result.score == 0.2


LOGITS = st.lists(st.floats(-8, MAX_LOGIT), min_size=6, max_size=6)
SCORES = st.lists(st.floats(0, 1), min_size=1, max_size=6).map(lambda found: sorted(found, reverse=True))


@given(SCORES, LOGITS, st.sampled_from(["quick", "careful"]), st.floats(0.45, 0.55))
def test_lazy_reading_gives_the_same_answer_as_reading_all(
    scores: list[float], logits: list[float], mode: str, similar: float
) -> None:
    """Among the results within the depth. No result is lost, scores fall, and the first one was read."""
    reader = FakeReader({f"Word{place} ": logit for place, logit in enumerate(logits)})
    every = hits(scores, similar=similar)
    found = reordered(every, reader, mode)
    assert sorted(order(found)) == list(range(len(scores)))
    values = [one.result.score for one in found]
    assert values == sorted(values, reverse=True)
    assert found[0].read is not None
    depth = AnswerReader(reader, mode).depth
    best = max(score + WEIGHT * logit for score, logit in zip(scores[:depth], logits, strict=False))
    assert values[0] == pytest.approx(best)


@given(SCORES, LOGITS, st.sampled_from(["quick", "careful"]))
def test_results_behind_the_depth_do_not_change_the_answer(scores: list[float], logits: list[float], mode: str) -> None:
    """So few results have the same answer as many."""
    reader = FakeReader({f"Word{place} ": logit for place, logit in enumerate(logits)})
    every = hits(scores, similar=0.5)
    few = every[: AnswerReader(reader, mode).depth]
    many, short = reordered(every, reader, mode)[0], reordered(few, reader, mode)[0]
    assert (many.result, many.read) == (short.result, short.read)


def test_other_documents_that_may_contradict_are_read() -> None:
    """Results of another document whose sentence is as close to the question, if the answer is positive and a figure.

    Only within the depth; each is read once.
    """
    first = hit(passage("There are 12 boats.", number=0, document="a"), 0.9)
    for text, document, similar, logit, expected in (
        ("There are 15 boats.", "b", 0.5, 3.0, True),
        ("There are 15 boats.", "b", 0.485, 3.0, True),
        ("There are 15 boats.", "b", 0.45, 3.0, False),
        ("There are 15 boats.", "a", 0.5, 3.0, False),
        ("There are 15 boats.", "b", 0.5, -1.0, False),
    ):
        reader = FakeReader({"12 boats": logit, "15 boats": 1.0})
        other = hit(passage(text, number=1, document=document), 0.4, similar=similar)
        found = reordered([first, other], reader)
        assert (found[1].read is not None) == expected
        assert len(reader.seen) == 1 + expected
    reader = FakeReader({"12 boats": 3.0})
    others = [hit(passage(f"There are {place} boats.", number=place, document="b"), 0.4) for place in range(20, 26)]
    assert sum(one.read is not None for one in reordered([first, *others], reader)) == 3
    words = [hit(passage("Many boats.", number=0, document="a"), 0.9), others[0]]
    assert reordered(words, FakeReader({"Many": 3.0}))[1].read is None


def test_a_sure_quote_is_the_sentence_and_an_unsure_one_has_its_neighbours() -> None:
    """The span stands in the quote; so do those of later results."""
    found = passage("It is noon.", "There are 12 boats.", "They sleep.", "All is well.")
    for logit, expected in ((SURE, "There are 12 boats."), (UNSURE, "It is noon. There are 12 boats. They sleep.")):
        for place, extra in ((0, []), (1, [hit(passage("Word boats.", number=1), 0.9)])):
            result = reordered([*extra, hit(found, 0.88, sentence=1)], FakeReader({"12": logit, "Word": 4.0}))[place]
            if result.read is None:
                continue
            assert found.text[slice(*result.result.quote)] == expected
            assert [found.text[slice(*span)] for span in result.result.spans] == ["12"]


def test_a_row_is_quoted_alone_and_structure_never() -> None:
    """Whether the reader is sure or not, reads carefully or not."""
    found = passage("BOATS IN PORT", "| Name | Crew |", "|---|---|", "| Anna | 3 |", "| Bert | 2 |", between="\n")
    for logit, mode in itertools.product((SURE, UNSURE, -3.0), ("quick", "careful")):
        (result,) = reordered([hit(found, 0.9, sentence=4)], FakeReader({"Bert": logit}), mode)
        quote = found.text[slice(*result.result.quote)]
        assert quote.splitlines()[-1] == "| Bert | 2 |"
        assert "Name" not in quote
        assert "PORT" not in quote


def test_careful_reads_the_window_too() -> None:
    """Its logit is the mean of both readings; the surer one has the span, and the quote grows to hold it."""
    sentences = ("It was 1931.", "Anna built it.", "It fell in March.")
    found = passage(*sentences)
    reader = FakeReader({"Anna": 1.0, "1931": 2.0})
    (result,) = reordered([hit(found, 0.9, sentence=1)], reader, "careful")
    assert [window.text for window in reader.seen] == ["Anna built it.", " ".join(sentences)]
    assert result.result.scores.reading == pytest.approx((1.0 + 3.0) / 2)
    assert found.text[slice(*result.result.spans[0])] == "Anna"

    class SurerOfMore(FakeReader):
        def read(self, question: str, window: Window, *, deep: bool = False) -> Reading:
            found = super().read(question, window, deep=deep)
            return Reading(found.logit, found.span, 1 - found.certainty)

    (result,) = reordered([hit(found, 0.9, sentence=1)], SurerOfMore({"Anna": 4.0}), "careful")
    assert found.text[slice(*result.result.spans[0])] == "1931"
    assert found.text[slice(*result.result.quote)] == "It was 1931. Anna built it."


def test_an_answer_in_a_heading_gives_no_span() -> None:
    """The window of `careful` may hold one; the quote stays what it is."""

    class Heading(FakeReader):
        def read(self, question: str, window: Window, *, deep: bool = False) -> Reading:
            found = super().read(question, window, deep=deep)
            place = window.text.find("REMARKS")
            return Reading(found.logit, (place, place + 7), 1.0) if place >= 0 else found

    found = passage("NOTES AND REMARKS", "Anna built it.")
    (result,) = reordered([hit(found, 0.9, sentence=1)], Heading({"Anna": SURE}), "careful")
    assert found.text[slice(*result.result.quote)] == "Anna built it."
    assert result.result.spans == ()


def test_the_innermost_heading_is_read_with_the_window() -> None:
    reader = FakeReader()
    for context in ("Boats", "Ports > Boats", ""):
        reordered([hit(passage("There are 12.", context=context), 0.9)], reader)
    assert [window.heading for window in reader.seen] == ["Boats", "Boats", ""]


def test_a_sentence_without_a_word_has_no_span() -> None:
    """The quote is that sentence, or with its neighbours."""
    for text in ("…", "?!", " "):
        (result,) = reordered([hit(passage(text), 0.9)], FakeReader({text: SURE}))
        assert result.result.quote == (0, len(text))
        assert result.result.spans == ()


def test_features_of_a_reading() -> None:
    """Cosine and MaxSim are capped; an index without token vectors has no MaxSim."""
    (result,) = reordered([hit(passage("Word boats."), 0.9)], FakeReader({"Word": 1.5}))
    assert result.read is not None
    assert (result.read.dense, result.read.maxsim, result.read.logit) == (DENSE_CAP, MAXSIM_CAP, 1.5)


def test_loading_loads_the_reader() -> None:
    reader = FakeReader()
    AnswerReader(reader, "quick").load()
    assert reader.loaded
