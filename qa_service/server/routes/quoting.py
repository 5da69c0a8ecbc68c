"""Answers a question as a message with quotes, for the shapes of chat and of responses."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from fastapi import Request

from qa_service.datatypes import Answer, AskOptions
from qa_service.pipeline import QuestionAnswerer
from qa_service.schemas.results import rounded
from qa_service.server.links import Links
from qa_service.server.live_index import LiveIndex
from qa_service.server.middleware.problems import request_id_of
from qa_service.server.quoted_message import QuotedMessage, message_of
from qa_service.server.routes.ask import answer_question, note_answer
from qa_service.server.routes.feedback import FeedbackRecorder
from qa_service.settings import Settings


@dataclass(frozen=True, slots=True)
class QuotedAnswer:
    """An answer as a message, and the tokens of question and message."""

    answer: Answer
    message: QuotedMessage
    question_tokens: int
    message_tokens: int

    def verdict(self, answer_id: str) -> dict[str, Any]:
        """Return the body in the shape of :class:`ServiceVerdict`."""
        return {
            "answer_id": answer_id,
            "verdict": self.answer.verdict,
            "confidence": rounded(self.answer.confidence),
            "reason": None if self.answer.reason is None else self.answer.reason.kind,
            "index_version": self.answer.index_version,
        }


class Quoter:
    """Answers questions as messages."""

    def __init__(self, recorder: FeedbackRecorder, settings: Settings) -> None:
        self._recorder = recorder
        self._log_questions = settings.log_questions
        self._public_url = settings.public_url

    async def answer(self, request: Request, live: LiveIndex, question: str, options: AskOptions) -> QuotedAnswer:
        """Return the answer to a question; feedback on it can be given."""
        started = time.perf_counter()
        with live.lease() as answerer:
            answer = await answer_question(live, answerer, question, options)
            took_ms = (time.perf_counter() - started) * 1000
            message = message_of(answer, self._link(request, live))
            counted = await live.worker.run(partial(_tokens, answerer, question, message.text))
        note_answer(request, [answer], log_questions=self._log_questions)
        self._recorder.remember(request_id_of(request), answer, live.path, took_ms)
        return QuotedAnswer(answer, message, *counted)

    def _link(self, request: Request, live: LiveIndex) -> Callable[[str], str]:
        """Return the function that makes a path of this service a complete address, since a chat is another site."""
        own = Links.of(request.scope, live.path).own
        public = urlsplit(self._public_url or str(request.url))

        def link(address: str) -> str:
            return f"{public.scheme}://{public.netloc}{own(address)}" if address.startswith("/") else address

        return link


def _tokens(answerer: QuestionAnswerer, question: str, message: str) -> tuple[int, int]:
    counted = answerer.embedder.count_tokens([question, message])
    return counted[0], counted[1]
