"""Follow-ups: which questions lean on the one before, and what they are completed with."""

import json
from collections.abc import Iterator
from itertools import pairwise

import pytest
from conftest import QUESTIONS, ROOT
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import MAX_TURNS, Turn
from qa_service.questions.follow_ups import complete
from qa_service.questions.grammar import WORD
from qa_service.questions.leaning import leans

CONVERSATIONS = ROOT / "tests/data/conversations/us-korea.jsonl"
TREATY = Turn("When was the Mutual Defense Treaty signed?", "Washington and Seoul signed it on 1 October 1953.")


def conversations() -> Iterator[list[dict[str, object]]]:
    for line in CONVERSATIONS.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)["turns"]


@pytest.mark.parametrize(
    "question",
    [
        "Who signed it?",
        "who signed it",
        "WHO SIGNED IT?",
        "Why?",
        "And in 2018?",
        "And in place in May 2017?",
        "How many?",
        "How many launchers?",
        "For how long?",
        "What about Japan?",
        "And his wife?",
        "When was he elected by Nixon?",
        "What job did he have?",
        "How did Tokyo respond?",
        "Which deal was bigger?",
        "How many of them were civilians?",
        "What was put up there?",
        "Is there another one?",
        "What else did it support?",
        "What are the main causes?",
        "Tell me about its history",
        "What is the evidence for it?",
        "What happens if it is not signed?",
        "In 2005, what did he think?",
        "Did Trump want to meet him?",
        "Which one is more expensive?",
        "Why did they allow live recordings?",
        "How is it related to Old Norse?",
        "Did it settle the matter?",
    ],
)
def test_questions_that_lack_something_lean(question: str) -> None:
    assert leans(question)


@pytest.mark.parametrize(
    "question",
    [
        "When did Tesla move and what did he do?",
        "How old was Peyton Manning when he played?",
        "When did Japan close its embassy?",
        "How long does it take to build one?",
        "Is it true that Seoul withdrew?",
        "When did it snow in England?",
        "What is it called when a government falls?",
        "when did they stop making pennies",
        "where do they grow hops in the us",
        "who sang he ain't heavy he's my brother",
        "who wrote it's a long way to pasadena",
        "And who sank the Cheonan?",
        "Is this the last season of the show?",
        "do they still make round coins in france",
        "Is it required to wear a hat?",
        "does it get cold at night in busan",
        "What crashed?",
        "What is THAAD for?",
        "Which university has its origins in a school of medicine?",
        "What did Tesla carry with him?",
        "¿Y en 2018?",
        "Und wann wurde er unterzeichnet?",
        "그것은 언제 서명되었습니까?",
        "",
        "?!",
        "it " * 500,
    ],
)
def test_questions_that_stand_alone_do_not_lean(question: str) -> None:
    """Antecedents in the question; "it" and "they" that mean nobody; titles; other languages; texts."""
    assert not leans(question)
    assert complete(question, [TREATY]) is None


def test_questions_of_the_question_file_are_not_touched() -> None:
    """Each is asked with the one before it as history."""
    questions = [json.loads(line) for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    for before, one in pairwise(questions):
        turn = Turn(before["question"], " ".join(before.get("answers", ())))
        assert complete(one["question"], [turn]) is None


def test_nine_of_ten_follow_ups_of_the_conversations_are_found() -> None:
    """And no turn that stands alone is taken for one."""
    found = asked = 0
    for turns in conversations():
        history: list[Turn] = []
        for turn in turns:
            completed = complete(str(turn["question"]), history)
            history.append(Turn(str(turn["question"]), turn["references"][0]["content"]))  # type: ignore[index]
            if turn["question"] == turn["stand_alone"]:
                assert completed is None
            else:
                asked += 1
                found += completed is not None
    assert found >= 0.9 * asked > 100


def test_conversations_quote_the_briefing() -> None:
    text = (ROOT / "source_text/us-korea-relations.md").read_text(encoding="utf-8")
    found = list(conversations())
    assert len(found) >= 60
    for turns in found:
        assert 2 <= len(turns) <= 4
        assert turns[0]["question"] == turns[0]["stand_alone"]
        for turn in turns:
            for reference in turn["references"]:  # type: ignore[attr-defined]
                assert reference["content"] in text


def test_a_follow_up_gets_the_words_of_the_question_before() -> None:
    assert complete("Who signed it?", [TREATY]) == "Who signed it? Mutual Defense Treaty"


def test_names_of_an_answer_are_added_if_a_name_was_asked_for() -> None:
    """Neither months nor the words that begin sentences; names that were asked about are not repeated."""
    asked = Turn("Who shut Kaesong?", "Firms worked there. Since June, President Park had shut Kaesong.")
    assert complete("Why?", [asked]) == "Why? shut Kaesong President Park"
    assert complete("Why?", [Turn("When was Kaesong shut?", asked.answer)]) == "Why? Kaesong shut"
    park = Turn(
        "Who shut the Kaesong Industrial Complex?", "The Kaesong Industrial Complex was shut by President Park."
    )
    assert complete("Why?", [park, park]) == "Why? shut Kaesong Industrial Complex President Park"


def test_a_chain_goes_back_to_the_question_that_stood_alone() -> None:
    history = [
        Turn("How heavy is a zebra?"),
        Turn("What is the Kaesong Industrial Complex?"),
        Turn("Who shut it?", "This park was shut by President Park."),
        Turn("When did she do that?"),
    ]
    assert complete("Why?", history[:3]) == "Why? shut Kaesong Industrial Complex President Park"
    assert complete("Why?", history) == "Why? Kaesong Industrial Complex"


def test_only_the_last_turns_count() -> None:
    history = [Turn("What is THAAD?"), *[Turn("Why?")] * MAX_TURNS]
    assert complete("Why?", history[:MAX_TURNS]) == "Why? THAAD"
    assert complete("Why?", history) is None


def test_without_a_history_nothing_is_completed() -> None:
    assert complete("Who signed it?", []) is None
    assert complete("Who signed it?", [Turn("")]) is None


def test_long_turns_add_few_words() -> None:
    """Also if they are of 2,000 characters, or a single word."""
    turn = Turn("zebra" * 400 + " and " + " ".join(f"word{number}" for number in range(200)), "x " + "Zürich " * 300)
    completed = complete("Why?", [turn])
    assert completed == "Why? " + " ".join(f"word{number}" for number in range(12))


@given(st.text(max_size=300), st.lists(st.builds(Turn, st.text(max_size=300), st.text(max_size=300)), max_size=12))
def test_any_history_is_safe(question: str, history: list[Turn]) -> None:
    """A completed question begins with the question; words of the history follow."""
    for one in (question, f"Who {question[:20]} it?"):
        completed = complete(one, history)
        if completed is not None:
            assert completed.startswith(one.rstrip())
            told = " ".join(f"{turn.question} {turn.answer}" for turn in history)
            assert set(WORD.findall(completed[len(one.rstrip()) :])) <= set(WORD.findall(told))
