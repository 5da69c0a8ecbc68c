"""Corrections of words that no passage has, by the words that passages have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import Correction, SynonymRule
from qa_service.index.words import BM25Builder, BM25Index, Synonyms
from qa_service.questions.spelling import MAX_WORDS, Speller, respelled

SENTENCES = [
    "The sinking of the corvette Cheonan killed 46 sailors.",
    "A THAAD battery has six launchers, and the F-35 flies from the base.",
    "Parliament approved the deployment of the system in North Korea and South Korea.",
    "The ministry spoke of prostitution and of a prosecution that followed the sinking.",
    "Théoden told them that the design of the building was a success.",
]


@pytest.fixture(scope="module")
def words() -> BM25Index:
    builder = BM25Builder("english")
    for sentence in SENTENCES:
        builder.add("The defence of the peninsula", [sentence])
    return builder.finish()


@pytest.fixture(scope="module")
def speller(words: BM25Index) -> Speller:
    return Speller(words, ["delicious", "sink", "pen", "crow"])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Cheonan sinkng", "Cheonan sinking"),
        ("Who sakn it? The lauchers!", "Who sakn it? The launchers!"),
        ("parliment", "parliament"),
        ("Parlaiment or PARLIAMNET", "Parliament or PARLIAMENT"),
        ("batttery", "battery"),
        ("corvetre", "corvette"),
        ("depolymnet", "deployment"),
        ("THAD batery", "THAAD battery"),
        ("prostution", "prostitution"),
        ("theoden", "théoden"),
        ("Theoden", "Théoden"),
        ("northkorea", "north korea"),
        ("the defen ce of it", "the defence of it"),
        ("the penin sula", "the peninsula"),
        ("sinkng and sinkng's", "sinking and sinking's"),
    ],
)
def test_a_slip_of_the_fingers_is_corrected(speller: Speller, typed: str, meant: str) -> None:
    """Swapped, doubled, dropped and neighbouring letters, missing accents and spaces; capitals stay."""
    assert respelled(typed, speller.correct(typed)) == meant


@pytest.mark.parametrize(
    "question",
    [
        "When was the THYAAD report written?",  # another acronym
        "Who is Chevnan?",  # another name
        "the sinkingly one",
        "How many launchers does a battery have?",
        "Is it delicious?",  # known to the tokenizer
        "Which crows are there?",  # its stem is
        "sinks and sank",
        "F-36 or GBU-28B",
        "wxyz qqqqqqqq",
        "dsin",  # too far for a short word
        "buils",  # likewise
        "",
        "?!",
        "한국은 아름답다",
        "sinkng1",
    ],
)
def test_other_words_stay_as_they_are(speller: Speller, question: str) -> None:
    """Words of the passages and of the language, codes, and words like no other."""
    assert speller.correct(question) == []


def test_a_correction_names_the_words_as_they_are_written(speller: Speller) -> None:
    """In the order of the question, each word once."""
    assert speller.correct("Sinkng of the batery, sinkng, Sinkng") == [
        Correction("Sinkng", "Sinking"),
        Correction("batery", "battery"),
        Correction("sinkng", "sinking"),
    ]


def test_words_that_may_not_be_named_are_not_used(speller: Speller) -> None:
    """The next likely word is, if it may be; neither are parts of a word, nor joined ones."""
    asked = []

    def refuse(word: str) -> bool:
        asked.append(word)
        return False

    for question in ("sinkng", "northkorea", "defen ce"):
        assert speller.correct(question, refuse) == []
    assert asked == ["sinking", "north", "defence"]
    question = "prostution"
    assert speller.correct(question) == [Correction(question, "prostitution")]
    assert speller.correct(question, lambda word: word != "prostitution") == [Correction(question, "prosecution")]


def test_the_words_that_are_looked_at_are_bounded(speller: Speller) -> None:
    """A question of unknown words takes no longer than one of a few."""
    question = " ".join(["lauchers", *(f"qq{'abcdefghijklmnop'[place]}zzzxx" for place in range(MAX_WORDS)), "batery"])
    assert speller.correct(question) == [Correction("lauchers", "launchers")]
    assert speller.correct("z" * 2000) == []


def test_words_of_synonyms_are_spelled_right() -> None:
    """A question with one is expanded, not corrected."""
    builder = BM25Builder("english")
    builder.add("", ["The laptops and dryers are new."])
    assert Speller(builder.finish()).correct("latops fryers") == [
        Correction("latops", "laptops"),
        Correction("fryers", "dryers"),
    ]
    synonyms = Synonyms((), (SynonymRule(("fryer", "pan")),))
    assert Speller(builder.finish(synonyms)).correct("latops fryers") == [Correction("latops", "laptops")]


@given(st.text())
def test_any_text_can_be_corrected(speller: Speller, question: str) -> None:
    """The corrected text has the corrected words in place of the typed ones."""
    corrections = speller.correct(question)
    assert all(one.original in question for one in corrections)
    assert (respelled(question, corrections) == question) == (not corrections)
