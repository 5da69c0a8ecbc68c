"""The steps together: what is asked of the documents, and that each can be switched off."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder

from qa_service.datatypes import AskOptions, Correction, Expansion, Filters, Turn
from qa_service.errors import QAServiceError
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings, load_settings
from qa_service.settings.fields import QUESTION_STEPS

Write = Callable[[dict[str, str | bytes]], Path]
TYPO = "Where does the whael swim?"


@pytest.fixture
def opened(folder: Write, settings: Settings) -> Callable[..., QuestionAnswerer]:
    folder(TWO_DOCUMENTS)
    build(settings, FakeEmbedder())

    def opened(*steps: str) -> QuestionAnswerer:
        return open_answerer(settings.model_copy(update={"question_steps": steps}), FakeEmbedder())[0]

    return opened


def test_a_question_takes_all_steps(opened: Callable[..., QuestionAnswerer]) -> None:
    """A correction is asked with the question as it was typed, a completion with the question that it completes."""
    history = (Turn("Hi, where does the whale swim? Thanks!"),)
    answer = opened(*QUESTION_STEPS).ask("Please, how lnog does it sing??", AskOptions(history=history))
    understood = answer.understood
    assert understood is not None
    assert answer.question == "Please, how lnog does it sing??"
    assert understood.text == "how lnog does it sing? whale swim"
    assert understood.alternatives == ("how lnog does it sing?",)
    assert understood.follow_up_of == history[0].question


def test_a_misspelled_history_completes_by_its_correction(opened: Callable[..., QuestionAnswerer]) -> None:
    """But not with filters: the word may be one of documents that they exclude."""
    answerer, history = opened(*QUESTION_STEPS), (Turn(TYPO),)
    for filters, word in ((None, "whale"), (Filters(path_prefixes=("zoo/",)), "whael")):
        understood = answerer.ask("How long does it sing?", AskOptions(filters=filters, history=history)).understood
        assert understood is not None
        assert understood.text == f"How long does it sing? {word} swim"


def test_both_spellings_are_asked(opened: Callable[..., QuestionAnswerer]) -> None:
    answer = opened(*QUESTION_STEPS).ask(TYPO)
    understood = answer.understood
    assert understood is not None
    assert (understood.text, understood.alternatives) == ("Where does the whale swim?", (TYPO,))
    assert understood.corrections == (Correction("whael", "whale"),)
    assert "whale" in answer.results[0].scored.passage.text


def test_a_correction_does_not_tell_words_of_documents_that_filters_exclude(
    opened: Callable[..., QuestionAnswerer],
) -> None:
    answerer = opened(*QUESTION_STEPS)
    for prefix, corrected in (("sea.txt", True), ("zoo/", False), ("nowhere", False)):
        answer = answerer.ask(TYPO, AskOptions(filters=Filters(path_prefixes=(prefix,))))
        assert answer.understood is not None
        assert (answer.understood.text == "Where does the whale swim?") == corrected, prefix
        assert bool(answer.understood.corrections) == corrected


def test_synonyms_are_searched_for(folder: Write, settings: Settings) -> None:
    """With filters they are too, but not named: they may come from documents that the filters exclude."""
    folder({**TWO_DOCUMENTS, "synonyms.txt": "kitty => cat\n"})
    build(settings, FakeEmbedder())
    answerer, _ = open_answerer(settings, FakeEmbedder())
    understood, filtered = (
        answerer.ask("kitty", AskOptions(filters=filters)) for filters in (None, Filters(path_prefixes=("zoo/",)))
    )
    assert understood.understood is not None
    assert understood.understood.expansions == (Expansion("kitty", ("cat",)),)
    assert filtered.understood is not None
    assert filtered.understood.expansions == ()
    for answer in (understood, filtered):
        assert "cat" in answer.results[0].scored.passage.text
        assert (answer.results[0].scored.scores.lexical or 0) > 0


@pytest.mark.parametrize("step", [one for one in QUESTION_STEPS if one != "synonyms"])
def test_each_step_can_be_switched_off(step: str, opened: Callable[..., QuestionAnswerer]) -> None:
    asked = {
        "wrapping": ("Hi! Where does the whale swim? Thanks", ()),
        "spelling": (TYPO, ()),
        "follow_ups": ("Why does it swim?", (Turn("Where is the whale?"),)),
        "parts": ("Where does the whale swim? When does the cat wake?", ()),
    }
    question, history = asked[step]
    options = AskOptions(history=history)
    with_it = opened(*QUESTION_STEPS).ask(question, options).understood
    without = opened(*(one for one in QUESTION_STEPS if one != step)).ask(question, options).understood
    assert with_it != without


def test_a_question_as_typed_keeps_its_words(folder: Write, settings: Settings) -> None:
    """Neither spelling, synonyms nor history change it; its wrapping and its parts do not change what is asked."""
    folder({**TWO_DOCUMENTS, "synonyms.txt": "whael => cat\n"})
    build(settings, FakeEmbedder())
    answerer, _ = open_answerer(settings, FakeEmbedder())
    history = (Turn("Where does the cat sleep?"),)
    for question in ("Hi! how lnog does it sing? Thanks", "Where is the whael?"):
        understood = answerer.understand(question, AskOptions(history=history, as_typed=True))
        assert understood.text == question.removeprefix("Hi! ").removesuffix(" Thanks")
        assert (understood.alternatives, understood.corrections, understood.expansions) == ((), (), ())
        assert understood.follow_up_of is None
        assert answerer.understand(question, AskOptions(history=history)) != understood
    two = answerer.understand("Where does the whale swim? When does it wake?", AskOptions(as_typed=True))
    assert two.parts == ("Where does the whale swim", "When does it wake?")


def test_a_question_in_another_language_is_not_corrected(opened: Callable[..., QuestionAnswerer]) -> None:
    understood = opened(*QUESTION_STEPS).ask("Wann wird der whael das barnn sehen?").understood
    assert understood is not None
    assert understood.corrections == ()


def test_without_steps_a_question_is_asked_as_it_is(opened: Callable[..., QuestionAnswerer]) -> None:
    understood = opened().ask("Hi! " + TYPO).understood
    assert understood is not None
    assert understood.wordings == ("Hi! " + TYPO,)


def test_steps_are_set_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, steps in (("none", ()), ("parts,wrapping", ("parts", "wrapping"))):
        monkeypatch.setenv("QA_QUESTION_STEPS", text)
        assert load_settings().question_steps == steps
    monkeypatch.setenv("QA_QUESTION_STEPS", "parts,grammar")
    with pytest.raises(QAServiceError, match="'grammar' is not a step; use some of wrapping, "):
        load_settings()
