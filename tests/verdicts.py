"""Answers with a given verdict, whatever the reader and the calibration say."""

from dataclasses import replace

import pytest

from qa_service.datatypes import Answer, AnswerVerdict, AskOptions, Offsets, Quote, Reason
from qa_service.pipeline import QuestionAnswerer

QUESTION = "Where does the cat sleep?"
QUOTE = "The cat sleeps on the warm mat."
WORDS = "on the warm mat"
CONFLICT = "Two documents say different things: “on the warm mat” (2024-01-02) and “the old farm”."
MISSING = "No document mentions “zebra”."
VERDICTS: tuple[AnswerVerdict | None, ...] = ("answered", "uncertain", "not_found", None)
CONFIDENCE = dict(zip(VERDICTS, (0.9, 0.3, 0.02, None), strict=True))


def with_verdict(answer: Answer, verdict: AnswerVerdict | None) -> Answer:
    """Return an answer to QUESTION with a verdict.

    The first quote has a span. A second quote contradicts it if the verdict is ``uncertain``.
    """
    place = next(place for place, result in enumerate(answer.results) if result.citation.quote == QUOTE)
    text = answer.results[place].scored.passage.text
    quotes = (Quote(place, _offsets(text, QUOTE), (_offsets(text, WORDS),)),)
    reason = None
    if verdict == "uncertain":
        other = next(number for number in range(len(answer.results)) if number != place)
        quotes += (Quote(other, answer.results[other].scored.quote),)
        reason = Reason("conflict", CONFLICT, "", (place, other))
    elif verdict == "not_found":
        reason = Reason("missing_term", MISSING, "zebra")
    return replace(answer, verdict=verdict, confidence=CONFIDENCE[verdict], quotes=quotes, reason=reason)


def _offsets(text: str, part: str) -> Offsets:
    start = text.index(part)
    return start, start + len(part)


class Verdicts:
    """The verdict of all answers of this process."""

    def __init__(self) -> None:
        self.verdict: AnswerVerdict | None = "answered"


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> Verdicts:
    """Let every question but that of a self-test have the verdict that is set."""
    given = Verdicts()
    ask = QuestionAnswerer.ask

    def judged(self: QuestionAnswerer, question: str, *options: AskOptions, **embedding: object) -> Answer:
        answer = ask(self, question, *options, **embedding)  # type: ignore[arg-type]
        return with_verdict(answer, given.verdict) if question.startswith(QUESTION) else answer

    monkeypatch.setattr(QuestionAnswerer, "ask", judged)
    return given
