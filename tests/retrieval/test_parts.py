"""Questions of two parts: which are, and the quotes that the second part is given."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from passages import hit, passage

from qa_service.datatypes import Int32Array, Quote
from qa_service.index.tokens import Similarities
from qa_service.retrieval.hits import Hit
from qa_service.retrieval.parts import parts_of, quotes_of_parts

TWO = {
    "When was it signed, and who signed it?": "who signed it?",
    "When was it signed and who signed it?": "who signed it?",
    "WHEN WAS IT SIGNED AND WHO SIGNED IT": "WHO SIGNED IT",
    "When was it signed & who signed it?": "who signed it?",
    "When was it signed? Who signed it?": "Who signed it?",
    "When was it signed? And who signed it?": "who signed it?",
    "When was it signed? by whom was it signed?": "by whom was it signed?",
    "Who signed and when was it signed": "when was it signed",
    "when was the treaty signed and by whom?": "by whom?",
    "who built the tower and in what year": "in what year",
    "Who led the North in 1950 and who led the South?": "who led the South?",
    "What is THAAD and how many launchers does a battery have?": "how many launchers does a battery have?",
    "How many troops are there and where are they based?": "where are they based?",
    "Is the base open and how large is it?": "how large is it?",
    "Where is the base, and is it still open?": "is it still open?",
    "What year did it open, and has it ever closed?": "has it ever closed?",
    "How tall is it and was the tower ever repaired?": "was the tower ever repaired?",
    "When did the war begin and did China take part?": "did China take part?",
    "What is the DMZ; and how wide is it?": "how wide is it?",
    "Please tell me when it was signed and where it was signed.": "where it was signed.",
    "What does it cost? Also who pays?": "who pays?",
    "What is the range and what is the altitude of THAAD?": "what is the altitude of THAAD?",
    "When did it start and when did it end?": "when did it end?",
}
ONE = """
When was it signed?
What did the North and the South sign?
When and where was it signed?
How and why did it fall?
Who and what is Kim?
Tell me when and where it was signed.
Do you know what and where it is?
What can and can't be exported?
What will and what won't?
Who signed it and when?
What is the relationship between Seoul and Washington?
What is the law of supply and demand?
What is the state and will of the people?
Who was king in 1950 and is still alive?
Who wrote the book and was president?
Which treaty was signed in 1953 and has no end?
Which countries signed and do not pay?
Which of the islands is the largest and was settled first?
Who has the power to make and do things?
Rock and will power?
Is it true that A and B is C?
and who
and and and
? ?
?
""".splitlines()


@pytest.mark.parametrize("question", TWO)
def test_questions_of_two_parts(question: str) -> None:
    """The first part ends where the joining word begins."""
    (start, end), (second, last) = parts_of(question)
    assert (start, last) == (0, len(question))
    assert question[second:] == TWO[question]
    assert question[end:second].strip(" ,;?").casefold() in {"and", "also", "&", ""}


@pytest.mark.parametrize("question", ONE)
def test_questions_of_one_part(question: str) -> None:
    """Also those with `and`."""
    assert parts_of(question) == []


@given(st.text("and who?isW ,;&", max_size=60))
def test_parts_follow_each_other(question: str) -> None:
    """In any text; none is shorter than two words."""
    parts = parts_of(question)
    if parts:
        (start, end), (second, last) = parts
        assert start == 0 <= end < second < last == len(question)
        assert all(len(question[left:right].split()) >= 2 for left, right in parts)


QUESTION_TOKENS = np.array([[0, 4], [5, 8], [13, 16], [17, 20]])
PARTS = [(0, 8), (13, 20)]


def quotes(cosines: Sequence[Sequence[float]], found: list[Hit], allowed: Sequence[int] = (0, 1)) -> list[Quote]:
    """Return the quotes if each passage has two sentences of one token each; ``cosines`` are those of the question."""
    starts = np.arange(0, 2 * len(found) + 1, 2)
    similarities = Similarities(np.array(cosines, np.float32), starts, np.ones(4, np.float32))

    def similar(one: Hit) -> tuple[Similarities, int, Int32Array, Sequence[int]]:
        return similarities, one.result.passage.number, np.array([[0, 1], [1, 2]], np.int32), allowed

    return quotes_of_parts(PARTS, QUESTION_TOKENS, found, similar)


def test_a_part_that_the_quote_does_not_answer_gets_one_of_its_own() -> None:
    """By hand: the first part is nearest to the first sentence of result 0, the second one to the last of result 1."""
    found = [hit(passage("One.", "Two.", number=number), 0.9) for number in (0, 1)]
    first, second = [0.9, 0.1, 0.5, 0.2], [0.3, 0.4, 0.2, 0.8]
    assert quotes([first, first, second, second], found) == [Quote(1, found[1].result.passage.sentences[1])]
    assert quotes([first] * 4, found) == []
    assert quotes([second] * 4, found) == [Quote(1, (5, 9))]


def test_a_part_gets_a_sentence_that_can_be_quoted() -> None:
    found = [hit(passage("One.", "Two.", number=0), 0.9)]
    rows = [[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]]
    assert quotes(rows, found) == [Quote(0, (5, 9))]
    assert quotes(rows, found, allowed=[0]) == []


def test_a_part_without_tokens_has_no_quote() -> None:
    """As of a question that is cut off."""
    found = [hit(passage("One.", "Two."), 0.9)]

    def similar(one: Hit) -> tuple[Similarities, int, Int32Array, Sequence[int]]:
        raise AssertionError

    assert quotes_of_parts(PARTS, np.zeros((0, 2), np.int64), found, similar) == []
