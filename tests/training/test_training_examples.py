"""Examples: labels from a set's answers, near misses made of them, and changes that keep spans right."""

import random
from dataclasses import replace

import pytest

from training.changes import CHANGES, cropped, near_miss, renamed, retyped
from training.examples import Example, examples_of
from training.records import GoldAnswer, Record, Window

CONTEXT = "In 1931 Anna Berg built a tower. Later Carl Holm painted it, in 1940. It has nine floors and a copper roof."
PAINTED = Example("When did Carl Holm paint it?", CONTEXT, "answered", "towers", spans=((64, 68),))


def record(question: str, *windows: Window, answers: tuple[GoldAnswer, ...] = (), answerable: bool = True) -> Record:
    gold = Window(CONTEXT[33:69], 33, best=False, confidence=None) if answers else None
    return Record("1", question, "Towers", answerable, answers, windows, gold)


def window(start: int, end: int, *, home: bool = True, best: bool = True) -> Window:
    return Window(CONTEXT[start:end], start if home else None, best, 0.5)


OTHER_YEARS = {"1931"} | {f"19{digit}0" for digit in "12356789"} | {f"194{digit}" for digit in "123456789"}
PAINTED_IN = (GoldAnswer("1940", 64),)


def test_a_window_with_the_answer_is_answered_and_its_spans_are_of_the_window() -> None:
    """The window begins 33 characters into the context."""
    (example,) = examples_of(record("When?", window(33, 69), answers=PAINTED_IN), "towers")
    assert (example.kind, example.is_answered, example.spans) == ("answered", True, ((31, 35),))
    assert example.window[31:35] == "1940"


@pytest.mark.parametrize(
    ("found", "kinds"),
    [
        (window(0, 32), ["home", "answered"]),
        (replace(window(0, 32), at=None), ["other", "answered"]),
        (replace(window(33, 69), at=None), ["answered"]),
        (window(33, 66), ["answered"]),
    ],
    ids=["its context beside the answer", "another context", "the answer's words elsewhere", "a cut answer"],
)
def test_windows_without_the_answer_are_labelled_only_if_that_is_certain(found: Window, kinds: list[str]) -> None:
    """The window around the gold answer is added if no retrieved one answers."""
    assert [example.kind for example in examples_of(record("When?", found, answers=PAINTED_IN), "towers")] == kinds


def test_the_first_two_windows_of_an_unanswerable_question_are_near_misses() -> None:
    found = record("When did Carl Holm sell it?", *[window(0, 32)] * 3, answerable=False)
    assert [(example.kind, example.is_answered) for example in examples_of(found, "towers")] == [("near", False)] * 2


def test_a_yes_or_no_question_is_answered_by_its_context_with_half_the_weight() -> None:
    """Nobody marked where; the best window of another context may answer too, so it is left out."""
    found = record("Is it high?", window(0, 32), window(33, 69, home=False, best=False))
    assert [(e.kind, e.weight) for e in examples_of(found, "boolq")] == [("answered", 0.5), ("other", 1.0)]
    assert list(examples_of(record("Is it high?", window(0, 32, home=False)), "boolq")) == []


@pytest.mark.parametrize(
    ("way", "question", "expected"),
    [
        ("name", "When did Carl Holm paint it?", {"When did Anna Berg paint it?"}),
        ("number", "Who painted it in 1940?", {f"Who painted it in {year}?" for year in OTHER_YEARS}),
        ("opposite", "Which is the highest tower?", {"Which is the lowest tower?"}),
        ("negation", "When did he paint it?", {"When didn't he paint it?"}),
    ],
)
def test_each_change_makes_another_question(way: str, question: str, expected: set[str]) -> None:
    """Many draws: a change may refuse at random."""
    example = replace(PAINTED, question=question)
    made = {CHANGES[way](example, random.Random(seed)) for seed in range(200)} - {None}
    assert made
    assert made <= expected


def test_a_name_is_not_exchanged_for_one_of_the_answer_or_of_the_question() -> None:
    """All names of the window are in the question or in the answer."""
    example = replace(PAINTED, question="Who had Carl Holm paint it?", spans=((8, 17),))
    assert {CHANGES["name"](example, random.Random(seed)) for seed in range(50)} == {None}


@pytest.mark.parametrize(
    ("way", "question", "window"),
    [
        ("name", "What does the Human Genome Project map?", "It maps genes. The Human Genome Project (HGP) is old."),
        ("name", "Who hired Ross?", "It was Joe. Then Ross Geller came."),
        ("name", "What do people of Africa eat?", "They eat fish. In Africa an African cooks."),
        ("number", "Name 3 more factors.", "Fat and smoke are factors."),
        ("number", "List 4 causes of it.", "Fat and smoke are causes of it. There are 7."),
        ("opposite", "What is her first name?", "Her name is Anna Berg."),
        ("opposite", "Where does it start and end?", "It goes from here to there."),
        ("negation", "Is the tower high?", "It is high."),
    ],
    ids=[
        "an abbreviation",
        "a surname",
        "the same word",
        "a count",
        "a list",
        "a first name",
        "both words",
        "yes or no",
    ],
)
def test_a_change_that_keeps_the_answer_is_not_made(way: str, question: str, window: str) -> None:
    example = Example(question, window, "answered", "towers", spans=((0, 4),))
    assert {CHANGES[way](example, random.Random(seed)) for seed in range(50)} == {None}


def test_a_number_is_not_exchanged_for_one_that_its_sentence_tells_of() -> None:
    """The other year has a population too, so it may have the answer; only digits are changed."""
    window = "By 1773 it had 1,400 people. By 1778 it had 2,144."
    example = Example("How many people did it have in 1773?", window, "answered", "towns", spans=((15, 20),))
    made = {CHANGES["number"](example, random.Random(seed)) for seed in range(200)} - {None}
    assert made
    assert "How many people did it have in 1778?" not in made


def test_other_contexts_are_no_negatives_for_questions_without_a_subject() -> None:
    """Many privacy policies answer `Do you share my data?`."""
    found = record("Do you share my data?", window(0, 32, home=False), answers=PAINTED_IN)
    assert [example.kind for example in examples_of(found, "policyqa")] == ["other", "answered"]
    of_policies = replace(found, id="policyqa-1")
    assert [example.kind for example in examples_of(of_policies, "policyqa")] == ["answered"]


def test_a_made_near_miss_keeps_its_window_and_has_no_answer() -> None:
    example = replace(PAINTED, weight=0.5)
    made = near_miss(example, random.Random(1))
    assert made is not None
    assert (made.window, made.kind, made.is_answered, made.spans, made.weight) == (CONTEXT, "made", False, (), 1.0)
    assert made.question != example.question


def test_nothing_to_change_makes_no_near_miss() -> None:
    assert near_miss(replace(PAINTED, question="Why?"), random.Random(1)) is None


def test_a_name_that_is_exchanged_on_both_sides_moves_the_answer() -> None:
    """The new name has six letters more, and stands twice before the answer."""
    example = replace(PAINTED, window=CONTEXT.replace("Anna Berg", "Anna Vanderberg"), spans=((70, 74),))
    assert example.window[70:74] == "1940"
    changed = renamed(example, random.Random(1))
    assert changed.question == "When did Anna Vanderberg paint it?"
    assert changed.window.count("Anna Vanderberg") == 2
    assert [changed.window[start:end] for start, end in changed.spans] == ["1940"]


def test_a_crop_keeps_the_sentence_of_the_answer() -> None:
    example = cropped(PAINTED)
    assert example.window == "Later Carl Holm painted it, in 1940."
    assert [example.window[start:end] for start, end in example.spans] == ["1940"]


def test_a_crop_without_an_answer_keeps_the_sentence_with_most_words_of_the_question() -> None:
    example = replace(PAINTED, question="Which roof has it?", kind="home", spans=())
    assert cropped(example).window == "It has nine floors and a copper roof."


def test_one_sentence_is_not_cropped() -> None:
    example = replace(PAINTED, window="Later Carl Holm painted it, in 1940.", spans=((31, 35),))
    assert cropped(example) is example


def test_questions_are_typed_in_three_ways() -> None:
    typed = {retyped(PAINTED, random.Random(seed)).question for seed in range(100)}
    assert typed == {"When did Carl Holm paint it?", "When did Carl Holm paint it", "when did carl holm paint it"}
