"""The routes ``POST /ask`` and ``POST /ask/batch``."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event
from pydantic import ValidationError

from qa_service.datatypes import Answer, AskOptions
from qa_service.errors import InvalidRequest, QAServiceError
from qa_service.pipeline import QuestionAnswerer
from qa_service.schemas.ask import AskResponse, ask_body
from qa_service.schemas.batch import BatchResponse
from qa_service.schemas.questions import AskRequest, BatchRequest
from qa_service.server.answer_cache import AnswerKey
from qa_service.server.collections import Collections
from qa_service.server.gate import ASK, Access, Gate
from qa_service.server.links import Links
from qa_service.server.live_index import LiveIndex, Question, TimedQuery
from qa_service.server.metrics import ANSWER_CACHE_HITS, ANSWERS
from qa_service.server.middleware.observing import note, note_stages
from qa_service.server.middleware.problems import problem_document, request_id_of, validation_message
from qa_service.server.middleware.request_ids import EVENT_STREAM
from qa_service.server.routes.feedback import FeedbackRecorder
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import BY_ACCEPT, problems
from qa_service.settings import Settings

_Explain = Annotated[bool, Query(description="Explain the rank of each result.")]
_Blocks = Annotated[bool, Query(description="Add to each result its text as blocks: headings, lists, tables, code.")]
_Accept = Annotated[str, Header(description="`text/event-stream` for the answer as an event.")]
_BATCH_STEP = 8
"""Questions of a batch that are answered before other requests get their turn."""


def ask_routes(collections: Collections, recorder: FeedbackRecorder, settings: Settings) -> APIRouter:
    """Return the route of ``POST /ask``; ``recorder`` keeps the answers for feedback on them."""
    log_questions = settings.log_questions
    router = APIRouter(route_class=guarded(ASK), tags=["questions"])

    @router.post(
        "/ask",
        summary="Ask a question",
        responses={
            200: {"model": AskResponse, "content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
            **problems(400, 413, 415, 422, 503, 504),
        },
        response_model=None,
    )
    async def ask(
        body: AskRequest, request: Request, *, explain: _Explain = False, blocks: _Blocks = False, accept: _Accept = ""
    ) -> Response:
        """Return the best passages, each with its citation, and the best quote as the answer.

        A stream of events holds one event: `answer`, with the same JSON, or `error`, with a problem document.
        """
        live = collections.of(request)
        live.expect_ready()
        options = body.options(await recorder.quotes_of(body.answer_ids, live.path), explain=explain, blocks=blocks)
        identifier = request_id_of(request)

        async def answered() -> bytes:
            started = time.perf_counter()
            with live.lease() as answerer:
                answer = await answer_question(live, answerer, body.question, options)
            note_answer(request, [answer], log_questions=log_questions)
            took_ms = (time.perf_counter() - started) * 1000
            recorder.remember(identifier, answer, live.path, took_ms)
            own, related = Links.of(request.scope, live.path).own, live.related(answer, filtered=bool(body.filters))
            return orjson.dumps(ask_body(identifier, answer, took_ms, own, related=related))

        if EVENT_STREAM in accept:
            return EventSourceResponse(_event(answered, identifier), headers=BY_ACCEPT)
        return Response(await answered(), media_type="application/json", headers=BY_ACCEPT)

    return router


def batch_routes(collections: Collections, recorder: FeedbackRecorder, gate: Gate, settings: Settings) -> APIRouter:
    """Return the route of ``POST /ask/batch``; every question of a batch counts towards rate limits."""
    max_batch, log_questions = settings.max_batch, settings.log_questions
    router = APIRouter(route_class=guarded(Access("ask", counts_as_one=False)), tags=["questions"])

    @router.post(
        "/ask/batch",
        summary="Ask many questions",
        responses={200: {"model": BatchResponse}, **problems(400, 413, 415, 422, 503, 504)},
        response_model=None,
    )
    async def ask_batch(body: BatchRequest, request: Request) -> Response:
        """Answer many questions, in order. A question that can't be answered gets its own error."""
        live = collections.of(request)
        live.expect_ready()
        if len(body.questions) > max_batch:
            raise InvalidRequest(
                f"{len(body.questions)} questions, the maximum is {max_batch}; send them in several batches"
            )
        await gate.count(request.scope, len(body.questions))
        started = time.perf_counter()
        parent = request_id_of(request)
        items = [_item(given) for given in body.questions]
        asked = [item for item in items if isinstance(item, AskRequest)]
        quotes = await recorder.quotes_of([one for item in asked for one in item.answer_ids], live.path)
        answers = await _batch(
            live,
            [(item.question, item.options(quotes)) if isinstance(item, AskRequest) else item for item in items],
        )
        took_ms = (time.perf_counter() - started) * 1000
        note_answer(request, [found for found in answers if isinstance(found, Answer)], log_questions=log_questions)
        links = Links.of(request.scope, live.path)
        results = []
        for place, (item, answer) in enumerate(zip(items, answers, strict=True)):
            if isinstance(answer, QAServiceError):
                problem = problem_document(parent, answer)
                results.append({"status": answer.http_status, "answer": None, "problem": problem})
                continue
            identifier = f"{parent}.{place}"
            recorder.remember(identifier, answer, live.path)
            related = live.related(answer, filtered=isinstance(item, AskRequest) and item.filters is not None)
            own = ask_body(identifier, answer, took_ms / len(answers), links.own, related=related)
            results.append({"status": HTTPStatus.OK, "answer": own, "problem": None})
        return Response(orjson.dumps({"results": results, "took_ms": round(took_ms, 2)}), media_type="application/json")

    return router


async def _event(answered: Callable[[], Awaitable[bytes]], identifier: str) -> AsyncIterator[bytes]:
    """Yield the event of an answer, or of the error."""
    try:
        content = await answered()
    except QAServiceError as error:
        yield format_sse_event(event="error", data_str=orjson.dumps(problem_document(identifier, error)).decode())
    else:
        yield format_sse_event(event="answer", data_str=content.decode())


def note_answer(request: Request, answers: Sequence[Answer], *, log_questions: bool) -> None:
    """Count answers and add them to the request's log line; the questions only if ``log_questions``."""
    for answer in answers:
        ANSWERS.labels(answer.verdict or "unknown").inc()
    fields: dict[str, Any] = {"answers": len(answers)}
    if len(answers) == 1:
        (answer,) = answers
        fields = {
            "verdict": answer.verdict,
            "confidence": answer.confidence,
            "index_version": answer.index_version,
        }
    if log_questions:
        fields["questions"] = [answer.question for answer in answers]
    note(request.scope, **fields)


async def answer_question(live: LiveIndex, answerer: QuestionAnswerer, question: str, options: AskOptions) -> Answer:
    """Return an answer from the cache, or compute it and record the duration of its stages."""
    key = AnswerKey(answerer.index.generation, question, options)
    if (known := live.answer_cache.get(key)) is not None:
        ANSWER_CACHE_HITS.inc()
        return known
    started = time.perf_counter()
    answer = await live.answer(partial(_computed, answerer, question, options), (question, options))
    note_stages(answer.stages, started)
    live.answer_cache.keep(key, answer)
    return answer


def _computed(answerer: QuestionAnswerer, question: str, options: AskOptions, prepared: TimedQuery) -> Answer:
    answer = answerer.ask(question, options, query=prepared.query)
    return replace(answer, stages=(prepared.stage, *answer.stages))


async def _batch(live: LiveIndex, items: Sequence[Question | QAServiceError]) -> list[Answer | QAServiceError]:
    """Answer a batch from one generation, some questions at a time, so that other requests get their turn."""
    answers: list[Answer | QAServiceError] = []
    with live.lease() as answerer:
        for start in range(0, len(items), _BATCH_STEP):
            step = items[start : start + _BATCH_STEP]
            try:
                answers += await live.worker.run(partial(_answers, live, answerer, step))
            except QAServiceError as error:
                if not answers:
                    raise
                answers += [item if isinstance(item, QAServiceError) else error for item in step]
    return answers


def _answers(
    live: LiveIndex, answerer: QuestionAnswerer, items: Sequence[Question | QAServiceError]
) -> list[Answer | QAServiceError]:
    """Embed all questions together, then answer each."""
    prepared = iter(live.prepare([item for item in items if not isinstance(item, QAServiceError)]))
    found: list[Answer | QAServiceError] = []
    for item in items:
        try:
            if isinstance(item, QAServiceError):
                found.append(item)
            else:
                found.append(answerer.ask(*item, query=next(prepared).query))
        except QAServiceError as error:
            found.append(error)
    return found


def _item(given: Any) -> AskRequest | QAServiceError:
    if not isinstance(given, str | dict):
        return InvalidRequest("a question must be text or an object as for POST /ask")
    try:
        return AskRequest.model_validate({"question": given} if isinstance(given, str) else given)
    except ValidationError as error:
        return InvalidRequest(validation_message(error.errors(include_url=False), AskRequest.model_fields))
