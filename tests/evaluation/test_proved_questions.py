"""Questions to start with: which files are read, what proves a question, and which questions are related."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qa_service.datatypes import Answer, AskOptions
from qa_service.evaluation.question import question_of
from qa_service.evaluation.starters import (
    MAX_CHARACTERS,
    MAX_STARTERS,
    ProvedQuestions,
    prove,
    read_starters,
    related_by_asking,
)
from qa_service.pipeline import QuestionAnswerer

CAT = "The cat sleeps on the warm mat."
OTHERS = ("Where does the cat sleep at noon when it wakes?", "Where does the whale swim?", "Where does the dog guard?")


@pytest.fixture
def _answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every question be answered, but those about nothing."""
    ask = QuestionAnswerer.ask

    def judged(self: QuestionAnswerer, question: str, *options: Any, **query: Any) -> Answer:
        return replace(ask(self, question, *options, **query), verdict=None if "nothing" in question else "answered")

    monkeypatch.setattr(QuestionAnswerer, "ask", judged)


def lines_of(*fields: dict[str, object]) -> str:
    return "".join(json.dumps(one) + "\n" for one in fields)


def known(question: str) -> dict[str, object]:
    return {"question": question, "answerable": True}


@pytest.mark.parametrize(
    ("content", "questions", "problem"),
    [
        (lines_of(known("Who?"), known("who"), known("Why?")), ["Who?", "Why?"], None),
        (lines_of(known("Who?"), {"question": "No gold"}), ["Who?"], None),
        (lines_of({"question": "No gold"}), [], "has no starters; a question needs `references`"),
        (lines_of(known("Who?")) + "{bad\n", ["Who?"], "starters.jsonl, line 2: not JSON"),
        (lines_of(known("W" * 201), known("Who?")), ["Who?"], "line 1: the question has 201 characters"),
        (lines_of(known("W" * 2001), known("Who?")), ["Who?"], "line 1: "),
        (lines_of({**known("Who?"), "id": 1}, {**known("Why?"), "id": 1}), ["Who?"], "lines 1 and 2 have the same id"),
        ("", [], "has no questions"),
        ("[]", [], "is a JSON array"),
        ("%PDF-1.7", [], "looks like a PDF"),
        ("bad\n" * 100_000, [], "only the first 1000 lines are read"),
        ("".join(lines_of(known(f"Who {number}?")) for number in range(200)), None, None),
        (
            "".join(lines_of(known(f"Who {number}?")) for number in range(100_000)),
            None,
            "has 200 starters before line 201",
        ),
        (" " * 10_000_001, [], "has more than 10 MB"),
        (None, [], "can't open the question file"),
    ],
)
def test_a_file_of_starters_is_read_as_far_as_it_can_be(
    content: str | None, questions: list[str] | None, problem: str | None, tmp_path: Path
) -> None:
    """With what is wrong with it; nothing is raised. A question is kept once."""
    path = tmp_path / "starters.jsonl"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    found, problems = read_starters(path)
    assert [question.question for question in found] == (
        [f"Who {number}?" for number in range(MAX_STARTERS)] if questions is None else questions
    )
    assert any(problem in one for one in problems) if problem else not problems
    assert all(len(question.question) <= MAX_CHARACTERS for question in found)


@pytest.mark.usefixtures("_answered")
@pytest.mark.parametrize(
    ("gold", "proved"),
    [
        ({}, True),
        ({"references": [{"document": "zoo/animals.md", "content": "on the warm mat"}]}, True),
        ({"references": [{"content": CAT}]}, True),
        ({"references": [{"content": "guards the old farm"}]}, False),
        ({"references": [{"document": "sea.txt", "content": "swims in the deep ocean"}]}, False),
        ({"references": [{"document": "gone.txt", "content": "on the warm mat"}]}, False),
        ({"references": [{"content": "is in no document"}, {"content": "on the warm mat"}]}, True),
        ({"references": [{"document": "zoo/animals.md", "whole": True}]}, True),
        ({"references": [{"document": "sea.txt", "whole": True}]}, False),
        ({"references": [{"within": CAT, "content": "mat", "start_index": 27, "end_index": 30}]}, True),
        ({"answers": ["the warm mat"]}, True),
        ({"answers": ["the cold floor"]}, False),
        ({"answers": ["the warm mat"], "references": [{"content": "guards the old farm"}]}, False),
    ],
)
def test_a_question_is_proved_by_its_verdict_and_its_gold(
    gold: dict[str, object], proved: bool, answerer: QuestionAnswerer
) -> None:
    """Any one reference is enough. Answers count if there are no references."""
    fields = known("Where does the cat sleep on the warm mat?") | gold
    found = prove(answerer, question_of(1, fields))
    assert (found is not None) == proved
    if found is not None:
        assert (found.text, found.quote.uri) == (fields["question"], "zoo/animals.md")
        assert prove(answerer, question_of(1, fields | {"question": "Where does nothing sleep?"})) is None


@pytest.mark.usefixtures("_answered")
def test_related_questions_are_near_and_have_other_quotes(answerer: QuestionAnswerer) -> None:
    """The nearest first; neither the same question in other words, nor one that the same quote answers."""
    questions = [question_of(0, known(text)) for text in ("Where does the cat sleep now?", *OTHERS, "nothing")]
    proved = [found for question in questions if (found := prove(answerer, question)) is not None]
    assert len(proved) == 4
    known_now = ProvedQuestions(answerer.index.generation, proved)
    answer = answerer.ask("Where does the cat sleep?")
    related = known_now.related(answer)
    assert related == OTHERS
    assert related_by_asking(answerer, questions, answer) == related
    assert related_by_asking(answerer, [], answer) == ()
    assert known_now.related(replace(answer, index_version="another")) == ()
    assert known_now.related(replace(answer, vector=-answer.vector)) == ()  # type: ignore[operator]
    assert ProvedQuestions().related(answer) == ()
    other_quote = replace(proved[0], vector=proved[1].vector, quote=proved[1].quote, text="Again?")
    twice = ProvedQuestions(answerer.index.generation, [proved[1], other_quote, *proved[2:]])
    assert "Again?" not in twice.related(answer)


@pytest.mark.usefixtures("_answered")
def test_an_answer_carries_the_vector_of_its_question(answerer: QuestionAnswerer) -> None:
    """It does not count when answers are compared."""
    answer = answerer.ask("Where does the cat sleep?", AskOptions(top_k=1))
    assert answer.vector is not None
    assert np.linalg.norm(answer.vector) == pytest.approx(1)
    assert answer == replace(answer, vector=None)
