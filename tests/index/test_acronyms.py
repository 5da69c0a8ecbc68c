"""Acronyms that texts introduce, and phrases that count as found where a synonym is."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import Expansion, SynonymRule
from qa_service.index.words import MAX_ACRONYMS, Acronym, BM25Builder, BM25Index, Synonyms, acronyms


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        (
            "A Terminal High Altitude Area Defense system, or THAAD, came in 2017.",
            [("THAAD", "Terminal High Altitude Area Defense")],
        ),
        (
            "They signed the General Security of Military Information Agreement (GSOMIA).",
            [("GSOMIA", "General Security of Military Information Agreement")],
        ),
        ("The DMZ (demilitarized zone) is wide.", [("DMZ", "demilitarized zone")]),
        ("Korea–United States trade (KORUS; 2012)", [("KORUS", "Korea–United States")]),
        ("Two unmanned aerial vehicles (UAVs) flew.", [("UAV", "unmanned aerial vehicles")]),
        ("the United Nations (the “U.N.”)", [("UN", "United Nations")]),
        (
            "the Organization of the Petroleum Exporting Countries (OPEC)",
            [("OPEC", "Organization of the Petroleum Exporting Countries")],
        ),
        ("revolutions per minute, abbreviated RPM, are", [("RPM", "revolutions per minute")]),
        ("the National Football League’s (NFL) teams", [("NFL", "National Football League’s")]),
    ],
)
def test_an_acronym_is_found_with_its_long_form(text: str, pairs: list[tuple[str, str]]) -> None:
    assert list(acronyms(text)) == pairs


@pytest.mark.parametrize(
    "text",
    [
        "He joined the army (see NATO).",
        "It rose by a third (2017) in the north (North Korea).",
        "The treaty was signed (ROK).",
        "It ended. Military talks. Every zone (DMZ) is closed.",
        "a part of (PO4)",
        "The cat, or Dog, sleeps.",
        "(NATO)",
        "NATO (NATO forces)",
        "",
    ],
)
def test_other_words_in_brackets_are_no_acronyms(text: str) -> None:
    """Initials have to match, within the sentence."""
    assert list(acronyms(text)) == []


@given(st.text(), st.text("ABab (),.-'s", max_size=300))
def test_any_text_is_searched(text: str, like: str) -> None:
    """In little time, also texts of nothing but initials and brackets."""
    for one in (text, like, f"{'aa ' * 60}(AAAAAAAAAA)", "(" * 2000, "A" * 2000, ", or " * 500):
        for short, long in acronyms(one):
            assert len(short) >= 2
            assert " ".join(long.split()) == long


def test_the_most_frequent_acronyms_are_kept_and_survive_a_dump() -> None:
    pairs = {(f"A{number}", "a long form"): number for number in range(MAX_ACRONYMS + 10)}
    rules = (SynonymRule(("a, b", "c")), SynonymRule(("d",), ("e", "f")))
    found = Synonyms.parse(Synonyms.of(pairs.items(), rules).dump())
    assert len(found.acronyms) == MAX_ACRONYMS
    assert found.acronyms[0] == Acronym(f"A{MAX_ACRONYMS + 9}", "a long form", MAX_ACRONYMS + 9)
    assert found.rules == rules
    assert len(found) == MAX_ACRONYMS + 2


TEXTS = [
    "THAAD came in May",
    "the terminal high altitude area",
    "high altitude area",
    "the area of defense",
    "May",
    "x",
]


@pytest.fixture(scope="module")
def index() -> BM25Index:
    builder = BM25Builder("english")
    for text in TEXTS:
        builder.add("", [text])
    return builder.finish(Synonyms((Acronym("THAAD", "terminal high altitude area", 1),)))


def scores_of(index: BM25Index, question: str, *expansions: Expansion) -> list[float]:
    match = index.match(question, expansions)
    return [0.0] * len(TEXTS) if match is None else match.scores(np.arange(len(TEXTS))).tolist()


def test_a_passage_with_all_words_of_a_synonym_counts_as_found(index: BM25Index) -> None:
    """It gets the score of the phrase, once; passages with some of the words get nothing."""
    plain = scores_of(index, "THAAD")
    found = scores_of(index, "THAAD", Expansion("THAAD", ("terminal high altitude area", "altitude terminal")))
    assert [score > 0 for score in plain] == [True, False, False, False, False, False]
    assert [score > 0 for score in found] == [True, True, False, False, False, False]
    assert found[0] == plain[0]
    weight = index.weights("THAAD")["thaad"]
    assert found[1] == pytest.approx(0.45 * weight)


def test_passages_with_a_synonym_are_those_with_all_of_its_words() -> None:
    """Synonyms have one to three words; the words of the last one are in no passage together."""
    words = ["ash", "oak", "elm", "fir", "yew", "box", "bay"]
    chance = np.random.default_rng(5)
    texts = [" ".join(chance.choice(words[:-1], 3)) for _ in range(300)] + ["bay", "mast"]
    builder = BM25Builder("english")
    for text in texts:
        builder.add("", [text])
    synonyms = ("ash fir yew", "oak elm", "box", "bay oak")
    match = builder.finish().match("mast", [Expansion("mast", synonyms)])
    assert match is not None
    holding = [any(set(one.split()) <= set(text.split()) for one in synonyms) for text in texts]
    assert 100 < sum(holding) < 300
    assert ((match.scores(np.arange(len(texts))) > 0) == [*holding[:-1], True]).all()


def test_the_other_way_round_too(index: BM25Index) -> None:
    """A passage with the acronym gets what it lacks of the long form's score."""
    question = "terminal high altitude area"
    plain, found = scores_of(index, question), scores_of(index, question, Expansion(question, ("THAAD",)))
    assert plain[0] == 0
    assert found[0] == pytest.approx(0.45 * sum(index.weights(question).values()))
    assert found[1:] == plain[1:]


def test_a_question_of_unknown_words_matches_by_its_synonyms(index: BM25Index) -> None:
    """Its weights are those of its own words."""
    match = index.match("anti-missile", [Expansion("anti-missile", ("THAAD", "unknown synonym"))])
    assert match is not None
    assert match.best(5).tolist() == [0]
    assert set(match.weights) == index.terms("anti-missile")
    assert index.match("anti-missile", [Expansion("anti-missile", ("unknown synonym",))]) is None


def test_a_loaded_index_has_the_synonyms(index: BM25Index, tmp_path: Path) -> None:
    index.save(tmp_path)
    assert BM25Index.load(tmp_path, "english").synonyms == index.synonyms
