"""Which questions have parts, and which have one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.questions.parts import MAX_PARTS, parts_of

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
    first, second = parts_of(question)
    assert question.startswith(first)
    assert second == TWO[question]
    assert question[len(first) : -len(second)].strip(" ,;?").casefold() in {"and", "also", "&", ""}


def test_a_question_of_three_parts() -> None:
    assert parts_of("When was it signed, who signed it, and where was it signed?") == (
        "When was it signed, who signed it",
        "where was it signed?",
    )
    assert parts_of("When was it signed? Who signed it? Where is it now?") == (
        "When was it signed",
        "Who signed it",
        "Where is it now?",
    )


def test_a_list_of_many_questions_has_few_parts() -> None:
    parts = parts_of("Who signed it? " * 20)
    assert len(parts) == MAX_PARTS
    assert parts[0] == "Who signed it"


@pytest.mark.parametrize("question", ONE)
def test_questions_of_one_part(question: str) -> None:
    """Also those with `and`."""
    assert parts_of(question) == ()


@given(st.text("and who?isW ,;&", max_size=60))
def test_parts_follow_each_other(question: str) -> None:
    """In any text; none is shorter than two words."""
    at = 0
    parts = parts_of(question)
    assert len(parts) != 1
    for part in parts:
        at = question.index(part, at) + len(part)
        assert len(part.split()) >= 2
