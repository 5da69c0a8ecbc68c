"""Acronyms and synonyms of a question's phrases."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import Expansion, SynonymRule
from qa_service.index.words import Acronym, BM25Builder, Synonyms
from qa_service.questions.synonyms import MAX_EXPANSIONS, MAX_SYNONYMS, SynonymFinder

ACRONYMS = [
    Acronym("THAAD", "Terminal High Altitude Area Defense", 3),
    Acronym("WHO", "World Health Organization", 2),
    Acronym("MLB", "Major League Baseball", 1),
    Acronym("MLB", "Motor Land Bank", 1),
]
RULES = [
    SynonymRule(("launcher", "firing unit", "launch vehicle")),
    SynonymRule(("Sea of Japan",), ("East Sea",)),
    SynonymRule(("a b", "b c")),
    SynonymRule(("b c", "c d")),
    SynonymRule(("c d", "a b")),
    SynonymRule(("same", "Same", "SAME")),
]


def finder_of(acronyms: list[Acronym], rules: list[SynonymRule]) -> SynonymFinder:
    builder = BM25Builder("english")
    builder.add("", ["one sentence"])
    return SynonymFinder(builder.finish(Synonyms(tuple(acronyms), tuple(rules))), ["who", "league"])


@pytest.fixture(scope="module")
def finder() -> SynonymFinder:
    return finder_of(ACRONYMS, RULES)


@pytest.mark.parametrize(
    ("question", "expansions"),
    [
        ("What is THAAD?", [("THAAD", ["Terminal High Altitude Area Defense"])]),
        ("what is thaad", [("thaad", ["Terminal High Altitude Area Defense"])]),
        ("the terminal high-altitude area defense", [("terminal high-altitude area defense", ["THAAD"])]),
        ("Is terminal high altitude bad?", []),
        ("Who is the WHO?", [("WHO", ["World Health Organization"])]),
        ("mlb or baseball", [("mlb", ["Major League Baseball", "Motor Land Bank"])]),
        ("firing unit", [("firing unit", ["launcher", "launch vehicle"])]),
        ("the Sea of Japan", [("Sea of Japan", ["East Sea"])]),
        ("the East Sea", []),
        ("same", []),
        ("a b c d", [("a b", ["b c", "c d"]), ("c d", ["b c", "a b"])]),
        ("", []),
        ("?!", []),
    ],
)
def test_phrases_are_expanded(finder: SynonymFinder, question: str, expansions: list[tuple[str, list[str]]]) -> None:
    """In either direction, or one; the longest phrase first; rules in a circle end."""
    assert [(one.phrase, list(one.synonyms)) for one in finder.expand(question)] == expansions


def test_words_that_may_not_be_named_are_left_out(finder: SynonymFinder) -> None:
    """Those of acronyms; rules come from the operator."""
    found = finder.expand("THAAD, MLB and the Sea of Japan", {"motor", "land", "bank"}.__contains__)
    assert found == [Expansion("MLB", ("Motor Land Bank",)), Expansion("Sea of Japan", ("East Sea",))]


def test_expansions_are_bounded() -> None:
    """However many rules there are."""
    many = finder_of([], [SynonymRule(("x", *(f"x{number}" for number in range(49)))) for _ in range(100)])
    assert [len(one.synonyms) for one in many.expand("x")] == [MAX_SYNONYMS]
    assert len(many.expand("x " * 900)) == MAX_EXPANSIONS
    assert finder_of([], []).expand("x") == []


@given(st.text())
def test_any_question_is_expanded(finder: SynonymFinder, question: str) -> None:
    """Each phrase stands in the question."""
    assert all(one.phrase in question and one.synonyms for one in finder.expand(question))
