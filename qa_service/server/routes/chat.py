"""The route ``POST /v1/chat/completions``: the documents' quotes as a message of an assistant."""

import time
from collections.abc import Iterator
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event

from qa_service.datatypes import AskOptions
from qa_service.schemas.chat import ChatCompletion, ChatRequest
from qa_service.schemas.conversation import question_and_history
from qa_service.server.collections import Collections
from qa_service.server.middleware.problems import request_id_of
from qa_service.server.middleware.request_ids import EVENT_STREAM
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.models import BY_KEY, answering_collection
from qa_service.server.routes.quoting import QuotedAnswer, Quoter
from qa_service.server.routes.responses import problems


def chat_routes(collections: Collections, quoter: Quoter) -> APIRouter:
    """Return the route of chat completions."""
    router = APIRouter(route_class=guarded(BY_KEY), prefix="/v1", tags=["questions"])

    @router.post(
        "/chat/completions",
        operation_id="chat_completion",
        summary="Answer in a chat",
        responses={
            200: {"model": ChatCompletion, "content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
            **problems(400, 404, 413, 415, 422, 503, 504, "default"),
        },
        response_model=None,
    )
    async def chat_completion(body: ChatRequest, request: Request) -> Response:
        """Answer the last message by quotes with numbered citations, or say that the documents hold no answer.

        Nothing is generated. With `stream` the lines of the message come as `chat.completion.chunk` events.
        """
        live = answering_collection(collections, request.scope, body.model)
        live.expect_ready()
        question, history = question_and_history(body.messages)
        quoted = await quoter.answer(request, live, question, AskOptions(history=history))
        identifier = request_id_of(request)
        about = {"id": f"chatcmpl-{identifier}", "created": int(time.time()), "model": body.model}
        if body.stream:
            wants_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
            return EventSourceResponse(_events(about, quoted, identifier, wants_usage=wants_usage))
        return Response(orjson.dumps(_completion(about, quoted, identifier)), media_type="application/json")

    return router


def _completion(about: dict[str, Any], quoted: QuotedAnswer, identifier: str) -> dict[str, Any]:
    """Return the body in the shape of :class:`ChatCompletion`."""
    message = {
        "role": "assistant",
        "content": quoted.message.text,
        "refusal": None,
        "annotations": _annotations(quoted),
    }
    return {
        **about,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": _usage(quoted),
        "qa_service": quoted.verdict(identifier),
    }


def _events(about: dict[str, Any], quoted: QuotedAnswer, identifier: str, *, wants_usage: bool) -> Iterator[bytes]:
    """Yield the chunks of a message: its role, its lines, its citations, and its usage if that is wanted."""
    about = {**about, "object": "chat.completion.chunk"}

    def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return {**about, "choices": [choice], **({"usage": None} if wants_usage else {})}

    chunks = [
        chunk({"role": "assistant", "content": "", "refusal": None}),
        *(chunk({"content": piece}) for piece in quoted.message.pieces()),
        chunk({"annotations": _annotations(quoted)}),
        chunk({}, "stop") | {"qa_service": quoted.verdict(identifier)},
        *([{**about, "choices": [], "usage": _usage(quoted)}] if wants_usage else []),
    ]
    for one in chunks:
        yield format_sse_event(data_str=orjson.dumps(one).decode())
    yield format_sse_event(data_str="[DONE]")


def _annotations(quoted: QuotedAnswer) -> list[dict[str, Any]]:
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": quote.start,
                "end_index": quote.end,
                "title": quote.title,
                "url": quote.url,
            },
        }
        for quote in quoted.message.quotes
    ]


def _usage(quoted: QuotedAnswer) -> dict[str, int]:
    return {
        "prompt_tokens": quoted.question_tokens,
        "completion_tokens": quoted.message_tokens,
        "total_tokens": quoted.question_tokens + quoted.message_tokens,
    }
