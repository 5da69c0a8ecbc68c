"""Quotes and exact words lie within what is returned, wherever the reader found them."""

from typing import cast

import pytest

from qa_service.datatypes import AskOptions
from qa_service.pipeline import QuestionAnswerer
from qa_service.reading import Reader, Reading, Window
from qa_service.retrieval import AnswerReader, Retriever
from qa_service.retrieval.confidence import Calibration, LogisticModel

NO_EVIDENCE = (0.0,) * 8


class EvenReader:
    """Reads every window as even odds, with all of it as the answer."""

    def read(self, _: str, window: Window, *, deep: bool) -> Reading:
        return Reading(0.0, (0, len(window.text)), 1.0)


class LastWordReader:
    """Names the last word of a window as the answer: in ``careful`` mode, often one of a neighbouring sentence."""

    def read(self, _: str, window: Window, *, deep: bool) -> Reading:
        return Reading(-20.0, (window.text.rindex(" "), len(window.text)), len(window.text) / 1000)


@pytest.mark.parametrize("mode", ["quick", "careful"])
def test_every_exact_word_is_in_the_quote_of_its_result(mode: str, answerer: QuestionAnswerer) -> None:
    """The answer, and all other results that were read."""
    answers = AnswerReader(cast("Reader", LastWordReader()), mode)
    retriever = Retriever(answerer.index, Calibration(LogisticModel(9.0, NO_EVIDENCE)), answers=answers)
    question = "the cat sleeps, the whale swims, a dog guards"
    found = retriever.retrieve(answerer.prepare([(question, AskOptions())])[0], 5)
    read = [result for result in found.results if result.scores.reading is not None]
    assert len(read) > 1
    for result in read:
        assert len(result.spans) == 1
        assert all(result.quote[0] <= start < end <= result.quote[1] for start, end in result.spans)


@pytest.mark.parametrize("intercept", [-9.0, 9.0], ids=["off topic", "on topic"])
@pytest.mark.parametrize(
    "question", ["the deep ocean", "When does the cat wake, and where does the whale swim?", "Who guards the farm?"]
)
def test_every_quote_is_of_a_result(question: str, intercept: float, answerer: QuestionAnswerer) -> None:
    """Also of a single result, of a question of two parts, and where nothing is read."""
    answers = AnswerReader(cast("Reader", EvenReader()), "quick")
    retriever = Retriever(answerer.index, Calibration(LogisticModel(intercept, NO_EVIDENCE)), answers=answers)
    query = answerer.prepare([(question, AskOptions())])[0]
    for top_k in (1, 2, 5):
        found = retriever.retrieve(query, top_k)
        assert len(found.results) <= top_k
        assert found.quotes
        assert all(quote.result < len(found.results) for quote in found.quotes)
