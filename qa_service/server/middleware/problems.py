"""Turns every error into an RFC 9457 problem document, which never quotes the request, but for a misspelt field.

Below ``/v1`` a problem document also has the ``error`` member of OpenAI's API, which OpenAI's clients read.
"""

import json
import logging
import re
from collections.abc import Collection, Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_service.errors import (
    InvalidRequest,
    NotFound,
    QAServiceError,
    RequestError,
    UnreadableRequest,
)
from qa_service.schemas.chat import ChatRequest
from qa_service.schemas.conversation import MessageBody
from qa_service.schemas.embeddings import EmbeddingsRequest, RerankRequest
from qa_service.schemas.model_responses import FileSearchTool, ResponseRequest
from qa_service.schemas.questions import AskRequest, FiltersBody
from qa_service.schemas.vector_stores import SearchRequest

MEDIA_TYPE = "application/problem+json"
OPENAI_PATHS = ("/v1/", "/v2/")
MCP_PATH = "/mcp"
_TYPE_PREFIX = "urn:qa-service:problem:"
_HEADERS: dict[int, dict[str, str]] = {
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "1"},
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
}
_MAX_DETAIL = 500
_SEE_LOG = "see the server's log for this instance"
_FIELD_NAMES = {
    *("questions", "answer_id", "useful", "right_passage", "note"),
    *(name for model in (AskRequest, FiltersBody, SearchRequest, ChatRequest) for name in model.model_fields),
    *(
        name
        for model in (MessageBody, ResponseRequest, FileSearchTool, EmbeddingsRequest, RerankRequest)
        for name in model.model_fields
    ),
}
_LEAST_LIKENESS = 0.75
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_logger = logging.getLogger(__name__)


def _problem_response(
    scope: Scope, problem: Mapping[str, Any], headers: Mapping[str, str] | None = None, field: str | None = None
) -> Response:
    """Return a problem document, of at most 2 KiB, as a response; ``field`` is the invalid field of the body."""
    body = {**problem, "error": _openai_error(problem, field)} if scope["path"].startswith(OPENAI_PATHS) else problem
    own = _HEADERS.get(problem["status"], {})
    return Response(json.dumps(body).encode(), problem["status"], {**(headers or {}), **own}, media_type=MEDIA_TYPE)


def _problem_fields(request_id: str, status: int, slug: str, title: str, detail: str) -> dict[str, Any]:
    return {
        "type": _TYPE_PREFIX + slug,
        "title": title,
        "status": status,
        "detail": detail if len(detail) <= _MAX_DETAIL else detail[: _MAX_DETAIL - 1] + "…",
        "instance": f"urn:uuid:{request_id}",
        "request_id": request_id,
    }


def _openai_error(problem: Mapping[str, Any], field: str | None) -> dict[str, Any]:
    is_ours = problem["status"] >= HTTPStatus.INTERNAL_SERVER_ERROR
    return {
        "message": problem["detail"],
        "type": "server_error" if is_ours else "invalid_request_error",
        "param": field,
        "code": problem["type"].removeprefix(_TYPE_PREFIX),
    }


def problem_document(request_id: str, error: QAServiceError) -> dict[str, Any]:
    """Return the problem document of an error, as JSON for a part of another response."""
    return _problem_fields(request_id, error.http_status, error.slug, error.title, _detail(request_id, error))


def _detail(request_id: str, error: QAServiceError) -> str:
    if isinstance(error, RequestError):
        return str(error)
    _logger.error("request %s: %s: %s", request_id, type(error).__name__, error)
    return _SEE_LOG


def error_response(
    scope: Scope, error: QAServiceError, headers: Mapping[str, str] | None = None, field: str | None = None
) -> Response:
    """Return the problem document of an error as the response to a request; ``field`` is the body's invalid field.

    Only the message of a :class:`RequestError` is meant for clients. Other messages may name paths; they are logged.
    """
    response_headers = {**(headers or {}), **(error.headers if isinstance(error, RequestError) else {})}
    return _problem_response(scope, problem_document(_request_id(scope), error), response_headers, field)


def install_handlers(app: FastAPI) -> None:
    """Register the handlers that turn errors of ``app`` into problem documents."""
    app.add_exception_handler(QAServiceError, _on_own_error)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http_error)


def request_id_of(request: Request) -> str:
    """Return the request id that :class:`RequestIds` has set."""
    return _request_id(request.scope)


def _request_id(scope: Scope) -> str:
    return str(scope.get("qa_request_id", "00000000-0000-0000-0000-000000000000"))


async def _on_own_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, QAServiceError):
        raise error
    return error_response(request.scope, error)


async def _on_invalid(request: Request, error: Exception) -> Response:
    """Name the invalid fields and the reasons, without the values."""
    if not isinstance(error, RequestValidationError):
        raise error
    body = getattr(request.scope.get("route"), "body_field", None)
    fields = getattr(body and body.field_info.annotation, "model_fields", {})
    field = next((name for entry in error.errors() for name in _known_names(entry)), None)
    return error_response(request.scope, InvalidRequest(validation_message(error.errors(), fields)), field=field)


def validation_message(errors: Sequence[Any], fields: Collection[str]) -> str:
    """Return a message about an invalid body with these ``fields``; it quotes a misspelt field, and nothing else."""
    return "; ".join(_complaint(entry, fields) for entry in errors[:5])


def _complaint(entry: Mapping[str, Any], fields: Collection[str]) -> str:
    *outer, name = [str(part) for part in entry["loc"] if part != "body"] or [""]
    if entry["type"] == "extra_forbidden":
        where = "".join([f" in {part}" for part in outer if part in _FIELD_NAMES][-1:])
        near = get_close_matches(name, _FIELD_NAMES if outer else fields, n=1, cutoff=_LEAST_LIKENESS)
        if near and _PLAIN_NAME.fullmatch(name):
            return f"unknown field `{name}`{where}; did you mean `{near[0]}`?"
        return f"an unknown field{where}; /openapi.json lists the fields"
    names = _known_names(entry)
    return f"{names[-1] if names else 'the body'}: {entry['msg'].removeprefix('Value error, ')}"


def _known_names(entry: Any) -> list[str]:
    """Return the fields in which an error lies, outermost first."""
    return [str(part) for part in entry["loc"] if str(part) in _FIELD_NAMES]


async def _on_http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    if error.status_code == HTTPStatus.NOT_FOUND:
        return error_response(request.scope, NotFound("the path does not exist; /openapi.json lists all paths"))
    if error.status_code == HTTPStatus.BAD_REQUEST:
        return error_response(request.scope, UnreadableRequest("the request is malformed"))
    return _status_response(request.scope, error.status_code)


def _status_response(scope: Scope, status: int) -> Response:
    phrase = HTTPStatus(status).phrase
    detail = _SEE_LOG if status >= HTTPStatus.INTERNAL_SERVER_ERROR else phrase
    slug = "internal-error" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else phrase.lower().replace(" ", "-")
    return _problem_response(scope, _problem_fields(_request_id(scope), status, slug, phrase, detail))


class ProblemDocuments:
    """Turns unexpected exceptions, and plain-text error responses of libraries, into problem documents."""

    def __init__(self, app: ASGIApp, excluded_paths: Collection[str] = ()) -> None:
        self.app = app
        self._excluded_paths = frozenset(excluded_paths)
        """Paths of a protocol that has its own errors."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replace responses from status 400 that are not problem documents; log unexpected exceptions."""
        if scope["type"] != "http" or scope["path"] in self._excluded_paths:
            await self.app(scope, receive, send)
            return
        started = replaced = False

        async def send_or_replace(message: Message) -> None:
            nonlocal started, replaced
            started = True
            if message["type"] == "http.response.start" and message["status"] >= HTTPStatus.BAD_REQUEST:
                headers = dict(message["headers"])
                if not headers.get(b"content-type", b"").startswith(MEDIA_TYPE.encode()):
                    replaced = True
                    await _status_response(scope, message["status"])(scope, receive, send)
                    return
            if not replaced:
                await send(message)

        try:
            await self.app(scope, receive, send_or_replace)
        except ClientDisconnect:
            pass  # the connection was closed while its body was read; the refusal, if any, is logged already
        except Exception:
            _logger.exception("request %s failed", scope["qa_request_id"])
            if started:
                raise
            await _status_response(scope, HTTPStatus.INTERNAL_SERVER_ERROR)(scope, receive, send)
