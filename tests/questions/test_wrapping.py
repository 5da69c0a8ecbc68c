"""The wrapping of questions: it goes, the question stays, whatever is typed."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.questions.function_words import word_set
from qa_service.questions.wrapping import END, unwrap
from qa_service.questions.wrapping_words import EXPLAIN, KEYS, PERSONS, SMALL_TALK, WEAK_KEYS, WRAPPING

DIRECT = "when was KORUS signed"
WRAPPED = [
    "{}",
    "{}?",
    "{} ?",
    "{}??",
    "{}?!",
    "{}...",
    "{}.",
    "  {} \n?",
    '"{}?"',
    "“{}”?",
    "👋 {}? 🙏🏽",
    "{}? :)",
    "Hi, {}?",
    "hello there {}",
    "Good morning team, {}?",
    "Hey! {}?",
    "Dear Sir or Madam,\n{}?",
    "Hi, how are you? {}?",
    "Please, {}?",
    "{} please",
    "{}, please?",
    "{}? Thanks!",
    "{}? thx",
    "{} thanks in advance",
    "{} - cheers",
    "{}? Thank you very much in advance.",
    "Thanks for your help! {}?",
    "{}?\n\nKind regards,\nAnna Smith",
    "{}, do you know?",
    "{} (please)?",
    "Quick question: {}?",
    "just curious, {}",
    "So, {}?",
    "ok so um {}",
    "Sorry to bother you, but {}?",
    "Could you tell me {}?",
    "hi, could you please tell me {}? thanks!",
    "Can someone please explain to me {}?",
    "I was wondering {}.",
    "I'd like to know {}",
    "I’d really like to know {}",
    "Do you happen to know {}?",
    "would love to know {}",
    "Hiya! Hope you're doing well. Any chance someone could remind me {}? Need this asap",
    "{} if you don't mind",
    "One more thing: {}? I'd be very grateful.",
    "does anyone know {}",
    "Bonjour, pouvez-vous me dire {}, s'il vous plaît ? Merci d'avance !",
    "Hallo, kannst du mir bitte sagen, {}? Vielen Dank im Voraus",
    "Hola, ¿me puedes decir {}, por favor? Muchas gracias",
    "Ciao, mi sai dire {}? Grazie mille",
    "Olá, você pode me dizer {}? Obrigada",
    "Hoi, kun je me vertellen {}? Alvast bedankt",
]


@pytest.mark.parametrize("wrapped", WRAPPED)
def test_the_wrapping_goes_and_the_end_is_one(wrapped: str) -> None:
    """Greetings, thanks, politeness, lead-ins, marks, quotation marks, emoji; in seven languages."""
    assert unwrap(wrapped.format(DIRECT)) == DIRECT + END


@pytest.mark.parametrize(
    ("indirect", "direct"),
    [
        ("could you tell me when KORUS was signed?", "when was KORUS signed"),
        ("I was wondering whether the treaty is old", "is the treaty old"),
        ("I'd like to know if I can see it while it is open", "can I see it while it is open"),
        ("tell me for how many years it lasted", "for how many years it lasted"),
        ("tell me if there is a battery in Seongju", "is there a battery in Seongju"),
        ("do you know where Seoul is", "where is Seoul"),
        ("tell me what happens if it is fired", "what happens if it is fired"),
        ("tell me how many launchers are in a battery", "how many launchers are in a battery"),
        ("tell me what Trump called Kim", "what Trump called Kim"),
        ("Tell me more about KORUS.", "KORUS"),
        ("Can you explain strategic patience, please?", "explain strategic patience"),
    ],
)
def test_indirect_questions_become_direct_ones_where_one_verb_moves(indirect: str, direct: str) -> None:
    assert unwrap(indirect) == direct + END


@pytest.mark.parametrize(
    "question",
    [
        "What does hello mean",
        "Who wrote 'Thank You for Smoking'",
        'Who sang "Thank You"',
        "who sings thank you",
        "please please me album year",
        "who played the bartender in cheers",
        "how do you say thank you",
        "Hello Kitty age",
        "Hello, Dolly! opening night",
        "hey jude release year",
        "Can you eat pufferfish",
        "Do you know the muffin man lyrics",
        "So many launchers: why",
        "On what may members vote as they please",
        "What happened in the U.S.",
        "What is C++",
        ".NET release",
        "When did Yahoo! start",
        "Who said 'tear down this wall'",
        "the bye week",
        "THAAD",
        "KORUS FTA",
    ],
)
def test_words_that_are_asked_about_stay(question: str) -> None:
    """Greetings and thanks as names or quotations, verbs of politeness with another meaning, marks inside names."""
    assert unwrap(question) == question + END


@pytest.mark.parametrize(
    "question", ["Hello", "hi!", "Good morning, team.", "thank you", "please", "bitte", "?", "?!", "👍", "—", "", "x"]
)
def test_a_question_that_is_only_wrapping_stays(question: str) -> None:
    assert unwrap(question) in {question, question + END}
    assert unwrap(question) == question or question == "x"


def test_capitals_throughout_become_small_letters() -> None:
    """In three words or more; two may be a name."""
    assert unwrap("WHAT IS KORUS?") == "what is korus" + END
    assert unwrap("PLEASE TELL ME WHAT IS KORUS!!!") == "what is korus" + END
    assert unwrap("WHAT IS THAAD in Korea") == "WHAT IS THAAD in Korea" + END


def test_marks_and_white_space_inside_are_single() -> None:
    assert unwrap("What  is\tKORUS ?? And when\nwas it signed ?") == "What is KORUS? And when was it signed" + END


_LEAD_IN = "could you tell me|i was wondering if you know|i'd like to know about|can you|thanks a lot|if you don't mind"
_PIECES = st.one_of(
    st.sampled_from(sorted(WRAPPING)),
    st.sampled_from(sorted(KEYS | WEAK_KEYS | PERSONS | EXPLAIN)),
    st.sampled_from(_LEAD_IN.split("|") + [" ".join(talk) for talk in SMALL_TALK]),
    st.sampled_from(
        sorted(word_set("what when who if whether is was the it KORUS please just explain U.S. hello x 5"))
    ),
    st.text(max_size=5),
)
_GAPS = st.sampled_from(
    [" ", ", ", "! ", "? ", ". ", ": ", "\n", " - ", ' "', '" ', "' ", " (", ") ", "", "🙂", " ?? "]
)


@given(st.lists(st.tuples(_PIECES, _GAPS), max_size=10))
def test_a_result_is_not_changed_again(pieces: list[tuple[str, str]]) -> None:
    """And it is empty only for a text that is."""
    text = "".join(piece + gap for piece, gap in pieces)
    once = unwrap(text)
    assert unwrap(once) == once
    assert bool(once) == bool(text.strip())


@pytest.mark.parametrize(
    "piece",
    [
        *("hello ", "please ", "thanks! ", "can you please ", "tell me if ", "regards, a ", '"', "? ", "a.b."),
        *("(thanks) ", ":) ", "hi 'what ", "x", ".", "…x", "wondering if you ", "👋"),
        *("I’", "is it ", "tell me when it is ", "é"),
    ],
)  # fmt: skip
def test_work_grows_with_the_length(piece: str) -> None:
    """Calls, counted: four times the length takes four times as many, not sixteen."""

    def calls(text: str) -> int:
        count = 0

        def note(*_: object) -> None:
            nonlocal count
            count += 1

        sys.setprofile(note)
        try:
            unwrap(text)
        finally:
            sys.setprofile(None)
        return count

    assert calls((piece * 2000)[:2000]) < 5 * calls((piece * 500)[:500]) + 100
