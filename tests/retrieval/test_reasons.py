"""Reasons: each kind, its message, and questions that have none though they look like it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FakeEmbedder
from passages import hit, passage

from qa_service.datatypes import Reason, ScoredPassage, Scores
from qa_service.index import Index
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import build
from qa_service.retrieval.reasons import conflict_between, reason_for
from qa_service.settings import Settings

KOREA = (
    "About 28,500 US troops are based in South Korea. A battery has six launchers and 48 missiles. The treaty was "
    "signed in 1953 by Dulles. Washington has sent F-16 fighters since the 1990s. What is void is void."
)
RESULTS = [hit(passage(KOREA, context="Korea > Bases of 2016"), 0.9).result]
Reasons = Callable[[str], Reason | None]


def index_of(text: str, folder: Callable[[dict[str, str | bytes]], Path], settings: Settings) -> Index:
    folder({"a.md": text})
    settings = settings.model_copy(update={"passage_tokens": 60})
    build(settings, FakeEmbedder())
    return IndexFolder(settings.index).open_current(FakeEmbedder().identity).index


@pytest.fixture
def reason(folder: Callable[[dict[str, str | bytes]], Path], settings: Settings) -> Reasons:
    index = index_of(f"# Korea\n\n{KOREA}\n", folder, settings)
    return lambda question: reason_for(question, index, RESULTS)


def test_a_word_that_no_document_holds_is_named(reason: Reasons) -> None:
    """A name before a longer word; without its ending."""
    for question, word in (
        ("How many zebras are based in South Korea?", "zebras"),
        ("How many zebras are there?", "zebras"),
        ("Did the zebra eat its foal?", "zebra"),
        ("When did they leave Busan?", "Busan"),
        ("Who commands the reconnaissance of Busan?", "Busan"),
        ("Zaragoza", "Zaragoza"),
        ("What did Kim’s treaty say?", "Kim"),
        ("What's an F-35?", "F-35"),
        ("What is 5G?", "5G"),
        ("ＴＨＡＡＤ", "ＴＨＡＡＤ"),
        ("Who is Charles de Gaulle?", "Charles"),
        ("What does Fräulein do in South Korea?", "Fräulein"),
        ("von der Leyen speech", "Leyen"),
        ("Los Angeles del Rey", "Angeles"),
    ):
        assert reason(question) == Reason("missing_term", f"No document mentions “{word}”.", word)


def test_a_number_that_no_passage_holds_is_named(reason: Reasons) -> None:
    """As it was asked."""
    for question, number in (
        ("Was the treaty signed in 1954?", "1954"),
        ("Are there 29,000 troops in Korea?", "29,000"),
        ("Does a battery have 5 launchers?", "5"),
        ("What is based in Korea since the 1980s?", "1980"),
        ("1950s?", "1950"),
        ("Are 2850 troops in Korea?", "2850"),
    ):
        message = f"None of the passages found mentions {number}."
        assert reason(question) == Reason("missing_number", message, number)


def test_a_question_that_continues_a_conversation_is_told(reason: Reasons) -> None:
    for question in ("Why?", "why not", "What about the navy?", "Who founded it?", "And his wife?", "Really?", "More"):
        found = reason(question)
        assert found is not None
        assert (found.kind, found.message) == (
            "follow_up",
            "The question seems to continue a conversation; name its subject.",
        )


def test_another_language_is_told(reason: Reasons) -> None:
    """By script, or by the words of a language."""
    for question, language in (
        ("한국에 미군은 몇 명입니까?", "Korean"),
        ("THAAD 포대는 몇 개입니까?", "Korean"),
        ("韩国有多少美军？", "Chinese"),
        ("いつ署名されましたか", "Japanese"),
        ("Сколько солдат в Корее в 1953?", "Russian"),
        ("Wie viele Soldaten sind in Korea und wann wurde der Vertrag unterzeichnet?", "German"),
        ("Combien de soldats sont dans le pays?", "French"),
        ("¿Cuántos soldados hay en el país?", "Spanish"),
        ("Quanti soldati sono in Corea?", "Italian"),
        ("Quem assinou o tratado e quando?", "Portuguese"),
        ("Wie is het hoofd van de staat?", "Dutch"),
    ):
        found = reason(question)
        assert found is not None
        assert (found.kind, found.subject) == ("other_language", language)
        assert language in found.message


FALSE_FRIENDS = [
    "Who signed the treaty?",
    "WHO SIGNED THE TREATY?",
    "What does the US have in South Korea?",
    "Does it have US fighters?",
    "Has Washington signed it?",
    "Whether the treaty isn't based in Korea?",
    "Are 28500 troops based in Korea?",
    "Are 28,500 troops based in Korea?",
    "Are 28\u202f500 troops based in Korea?",
    "28,500?",
    "Does a battery have 6 launchers?",
    "Does a battery have six launchers?",
    "Bases of 2016",
    "What has happened since the 1990s?",
    "The 3rd battery",
    "What is an F-16?",
    "What about Washington?",
    "And Washington?",
    "Signed by Dulles",
    "Could you please tell me who signed the treaty?",
    "Hello",
    "thank you",
    "?",
    "👍",
    "—",
]


@pytest.mark.parametrize("question", FALSE_FRIENDS)
def test_nothing_is_claimed_that_does_not_hold(question: str, reason: Reasons) -> None:
    """Numbers in another form, abbreviations that are also words, capitals, politeness, marks alone."""
    assert reason(question) is None


def test_documents_in_the_language_of_the_question(
    folder: Callable[[dict[str, str | bytes]], Path], settings: Settings
) -> None:
    """The reason is not the language."""
    for text, question in (
        ("한국에 주둔한 미군은 약 28,500명이다.", "미군은 몇 명입니까?"),
        ("Die Soldaten sind in Korea, und der Vertrag ist von 1953.", "Wie viele Soldaten sind in Korea und der Welt?"),
        ("Los soldados están en el país.", "¿Cuántos soldados hay en el país?"),
    ):
        found = reason_for(question, index_of(text, folder, settings), [hit(passage(text), 0.9).result])
        assert found is None or found.kind != "other_language"


@pytest.mark.parametrize(
    "text", ["x" * 2000, "why " * 500, "1," * 900, "don't " * 300, "F-35 " * 400, "١٢٣", "Ⅷ ½ ⑤ ²"]
)
def test_unusual_questions_are_judged(text: str, reason: Reasons) -> None:
    """Any reason, or none; its subject is a short part of the question."""
    found = reason(text)
    if found is not None:
        assert len(found.message) < 120
        assert found.subject in text or found.kind in {"follow_up", "other_language"}


def read(text: str, answer: str, document: str, logit: float | None) -> ScoredPassage:
    result = hit(passage(text, document=document), 0.9).result
    start = text.index(answer)
    scores = Scores(0.5, 1.0, 0.6, logit)
    spans = () if logit is None else ((start, start + len(answer)),)
    return ScoredPassage(1, result.passage, 0.9, 0.8, scores, result.quote, None, spans)


FIRST = read("There are 28,500 troops.", "28,500", "a", 2.0)


def test_documents_that_say_different_things_are_a_conflict() -> None:
    """The message quotes both, with the dates that are known."""
    dates = {"b": "2016-07-08"}
    other = read("There were 37,000 troops.", "37,000 troops", "b", 1.0)
    agrees = read("About 28500 of them.", "28500", "c", 1.0)
    found = conflict_between([FIRST, agrees, other], lambda document: dates.get(document, ""))
    assert found == Reason(
        "conflict", "Two documents say different things: “28,500” and “37,000 troops” (2016-07-08).", "", (0, 2)
    )


@pytest.mark.parametrize(
    "other",
    [
        read("There were 37,000 troops.", "37,000", "a", 1.0),
        read("There were 37,000 troops.", "37,000", "b", -1.0),
        read("There were 37,000 troops.", "37,000", "b", None),
        read("There are 28500 troops.", "28500", "b", 1.0),
        read("From 37,000 to 28,500.", "37,000 to 28,500", "b", 1.0),
        read("There were many troops.", "many", "b", 1.0),
    ],
    ids=["the same document", "no answer", "not read", "another form", "both figures", "no figure"],
)
def test_other_results_are_no_conflict(other: ScoredPassage) -> None:
    assert conflict_between([FIRST, other], lambda _: "") is None
    assert conflict_between([other], lambda _: "") is None
