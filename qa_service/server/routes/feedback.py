"""Feedback over HTTP: whether an answer was useful, and which passage would have been right."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter, Request

from qa_service.analytics import QuestionRecorder
from qa_service.datatypes import Answer
from qa_service.errors import Forbidden, InvalidRequest, NotFound, NotReady, QAServiceError, StorageError
from qa_service.schemas.service import FeedbackRequest, FeedbackResponse
from qa_service.server.collections import Collections
from qa_service.server.feedback import RECENT, FeedbackAnswer, FeedbackFile, Quote, RecentAnswers
from qa_service.server.gate import FEEDBACK
from qa_service.server.live_index import LiveIndex
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems
from qa_service.settings import Settings

_logger = logging.getLogger(__name__)
_MAX_QUEUED_ANSWERS = 1000
_WRITE_BATCH = 64


class FeedbackRecorder:
    """Keeps recent answers and records feedback on them, in a thread of its own; ``questions`` records the questions.

    In a single process, answers go to the thread in batches of 64; waking it for each would slow every request.
    """

    def __init__(self, settings: Settings, questions: QuestionRecorder) -> None:
        self.enabled = settings.feedback
        self.questions = questions
        self._folder = settings.data
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        shared = settings.workers > 1
        self._recent = RecentAnswers(settings.data / RECENT if shared else None) if self.enabled else None
        self._batch = 1 if shared else _WRITE_BATCH
        self._unwritten: list[FeedbackAnswer] = []

    def remember(self, identifier: str, answer: Answer, collection: str, took_ms: float | None = None) -> None:
        """Keep an answer, so that feedback on it can be recorded. Answers are dropped while the queue is full.

        With ``took_ms`` a person asked: the question is recorded, if that is on.
        """
        if took_ms is not None:
            self.questions.add(identifier, answer, collection, took_ms)
        if self._recent is not None:
            self._unwritten.append(FeedbackAnswer.of(identifier, collection, answer))
            if len(self._unwritten) >= self._batch:
                self._hand_over(self._recent)

    def _hand_over(self, recent: RecentAnswers) -> None:
        if self._thread._work_queue.qsize() * self._batch < _MAX_QUEUED_ANSWERS:  # noqa: SLF001 - there is no public way
            self._thread.submit(_remember, recent, self._unwritten)
        self._unwritten = []

    async def quotes_of(self, identifiers: Sequence[str], collection: str) -> dict[str, str]:
        """Return the quotes of recent answers of a collection, by their ids; unknown ids are left out."""
        recent = self._recent
        if recent is None or not identifiers:
            return {}
        self._hand_over(recent)

        def read() -> dict[str, str]:
            found = (recent.recall(identifier) for identifier in identifiers)
            own = (one for one in found if one is not None and one.collection == collection)
            return {one.id: one.best.content for one in own if one.found and one.best is not None}

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, read)
        except StorageError as error:
            _logger.error("answers of the history can't be read: %s", error)  # noqa: TRY400 - the traceback adds nothing
            return {}

    async def add(self, body: FeedbackRequest, right: Quote | None) -> None:
        """Record feedback. Raises :class:`NotFound` if no recent answer has its id."""
        recent = self._recent
        if recent is None:
            raise Forbidden("feedback is switched off (QA_FEEDBACK)")

        self._hand_over(recent)

        def write() -> None:
            answered = recent.recall(body.answer_id)
            if answered is None:
                raise NotFound("no recent answer has this id; use the `id` field of an answer")
            with FeedbackFile(self._folder) as file:
                file.add(answered, useful=body.useful, right=right, note=body.note)

        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, write)
        except StorageError as error:
            _logger.error("feedback is lost: %s", error)  # noqa: TRY400 - the traceback adds nothing
            raise NotReady("feedback can't be stored at the moment; send it again later") from error
        self.questions.add_feedback(body.answer_id, useful=body.useful)

    def close(self) -> None:
        """Write the queued answers, questions and feedback, and end the threads."""
        self.questions.close()
        self._thread.shutdown()
        if self._recent is not None:
            self._recent.close()


def _remember(recent: RecentAnswers, answers: Sequence[FeedbackAnswer]) -> None:
    try:
        for answered in answers:
            recent.remember(answered)
    except QAServiceError as error:
        _logger.error("recent answers are not kept: %s", error)  # noqa: TRY400 - the traceback adds nothing


def feedback_routes(collections: Collections, recorder: FeedbackRecorder) -> APIRouter:
    """Return the route of feedback."""
    router = APIRouter(route_class=guarded(FEEDBACK), tags=["questions"])

    @router.post(
        "/feedback",
        summary="Say whether an answer was useful",
        status_code=201,
        responses=problems(400, 403, 404, 413, 415, 422, 503, 504),
    )
    async def feedback(body: FeedbackRequest, request: Request) -> FeedbackResponse:
        """Record feedback on an answer; later feedback on the same answer replaces it."""
        if not recorder.enabled:
            raise Forbidden("feedback is switched off (QA_FEEDBACK)")
        right = await _quote(body.right_passage, collections.of(request)) if body.right_passage is not None else None
        await recorder.add(body, right)
        return FeedbackResponse(answer_id=body.answer_id, useful=body.useful, right_passage=body.right_passage)

    return router


async def _quote(permalink: str, live: LiveIndex) -> Quote:
    """Return the quote that a permalink cites, as it is now. Raises :class:`InvalidRequest`."""
    identifier = permalink.partition("?")[0].rpartition("/")[2]
    with live.lease() as answerer:
        try:
            verdict = await live.worker.run(lambda: answerer.citation(identifier))
        except NotFound:
            raise InvalidRequest("right_passage must be the permalink of a citation of this service") from None
    if verdict.uri is None or verdict.place is None or verdict.now is None:
        raise InvalidRequest("right_passage is no longer in the documents; give the permalink of a current passage")
    return Quote(verdict.uri, *verdict.place, verdict.now)
