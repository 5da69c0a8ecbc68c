"""The route ``POST /v1/responses``: the documents' quotes as a response, with citations of files and links."""

import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.sse import EventSourceResponse, format_sse_event

from qa_service.datatypes import AskOptions, Filters
from qa_service.errors import InvalidRequest
from qa_service.schemas.conversation import question_and_history
from qa_service.schemas.model_responses import ResponseBody, ResponseRequest
from qa_service.server.collections import Collections
from qa_service.server.middleware.problems import request_id_of
from qa_service.server.middleware.request_ids import EVENT_STREAM
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.models import BY_KEY, answering_collection
from qa_service.server.routes.quoting import QuotedAnswer, Quoter
from qa_service.server.routes.responses import problems


def model_response_routes(collections: Collections, quoter: Quoter) -> APIRouter:
    """Return the route of responses."""
    router = APIRouter(route_class=guarded(BY_KEY), prefix="/v1", tags=["questions"])

    @router.post(
        "/responses",
        operation_id="model_response",
        summary="Answer as a response",
        responses={
            200: {"model": ResponseBody, "content": {EVENT_STREAM: {"schema": {"type": "string"}}}},
            **problems(400, 404, 413, 415, 422, 503, 504, "default"),
        },
        response_model=None,
    )
    async def model_response(body: ResponseRequest, request: Request) -> Response:
        """Answer the last message by quotes with numbered citations, or say that the documents hold no answer.

        Nothing is generated or stored. The tool `file_search` takes filters. With `stream` the response comes as
        events.
        """
        live = answering_collection(collections, request.scope, body.model)
        live.expect_ready()
        question, history = question_and_history(body.messages())
        quoted = await quoter.answer(request, live, question, _options(body, AskOptions(history=history)))
        whole = _response(body.model, quoted, request_id_of(request))
        if body.stream:
            return EventSourceResponse(_events(whole, quoted))
        return Response(orjson.dumps(whole), media_type="application/json")

    return router


def _options(body: ResponseRequest, plain: AskOptions) -> AskOptions:
    """Return the options of the question. Raises :class:`InvalidRequest` if another collection is to be searched."""
    if not body.tools:
        return plain
    tool = body.tools[0]
    if tool.vector_store_ids != [body.model]:
        raise InvalidRequest("tools: vector_store_ids must be a list with the name that `model` has, and no other")
    wanted = body.attribute_filter()
    filters = None if wanted is None else Filters(attributes=wanted)
    return AskOptions(top_k=tool.max_num_results, filters=filters, history=plain.history)


def _response(model: str, quoted: QuotedAnswer, identifier: str) -> dict[str, Any]:
    """Return the body in the shape of :class:`ResponseBody`."""
    question, message = quoted.question_tokens, quoted.message_tokens
    content = {
        "type": "output_text",
        "text": quoted.message.text,
        "annotations": _annotations(quoted),
        "logprobs": [],
    }
    return {
        "id": f"resp_{identifier}",
        "object": "response",
        "created_at": int(time.time()),
        "status": "completed",
        "model": model,
        "output": [_item(f"msg_{identifier}", "completed", [content])],
        "usage": {
            "input_tokens": question,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": message,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": question + message,
        },
        **dict.fromkeys(("error", "incomplete_details", "instructions", "temperature", "top_p")),
        "metadata": {},
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
        "store": False,
        "qa_service": quoted.verdict(identifier),
    }


def _item(identifier: str, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {"id": identifier, "type": "message", "role": "assistant", "status": status, "content": content}


def _annotations(quoted: QuotedAnswer) -> list[dict[str, Any]]:
    return [
        annotation
        for quote in quoted.message.quotes
        for annotation in (
            {
                "type": "file_citation",
                "file_id": quote.citation.document_id,
                "filename": quote.citation.uri,
                "index": quote.number_at,
            },
            {
                "type": "url_citation",
                "start_index": quote.start,
                "end_index": quote.end,
                "title": quote.title,
                "url": quote.url,
            },
        )
    ]


def _events(whole: dict[str, Any], quoted: QuotedAnswer) -> Iterator[bytes]:
    """Yield the events of a response, in the order in which OpenAI's API sends them."""
    numbers = count()
    for kind, members in _steps(whole, quoted):
        event = {"type": kind, "sequence_number": next(numbers), **members}
        yield format_sse_event(event=kind, data_str=orjson.dumps(event).decode())


def _steps(whole: dict[str, Any], quoted: QuotedAnswer) -> Iterator[tuple[str, dict[str, Any]]]:
    (item,) = whole["output"]
    (content,) = item["content"]
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    in_item = {"item_id": item["id"], "output_index": 0, "content_index": 0}
    yield "response.created", {"response": begun}
    yield "response.in_progress", {"response": begun}
    yield "response.output_item.added", {"output_index": 0, "item": _item(item["id"], "in_progress", [])}
    yield "response.content_part.added", {**in_item, "part": {**content, "text": "", "annotations": []}}
    for piece in quoted.message.pieces():
        yield "response.output_text.delta", {**in_item, "delta": piece, "logprobs": []}
    for number, annotation in enumerate(content["annotations"]):
        added = {**in_item, "annotation_index": number, "annotation": annotation}
        yield "response.output_text.annotation.added", added
    yield "response.output_text.done", {**in_item, "text": content["text"], "logprobs": []}
    yield "response.content_part.done", {**in_item, "part": content}
    yield "response.output_item.done", {"output_index": 0, "item": item}
    yield "response.completed", {"response": whole}
