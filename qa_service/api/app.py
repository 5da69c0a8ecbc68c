"""The application: routes, and the layers around them from the outside in.

::

    RequestIds -> ProblemsForAll -> TrustedHost -> Admission -> BodyLimit -> routes (async; computing is the worker's)
"""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, FastAPI, Header, Path, Query, Request, Response
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import JSONResponse, PlainTextResponse

from qa_service import __version__
from qa_service.api.limits import Admission, BodyLimit, RequestIds, StrictJSONRoute
from qa_service.api.problems import MEDIA_TYPE, ProblemsForAll, install_handlers, request_id_of
from qa_service.api.schemas import (
    AskRequest,
    AskResponse,
    Health,
    Problem,
    Readiness,
    SourceBody,
    ask_body,
)
from qa_service.api.worker import Worker
from qa_service.errors import NotReady, QAServiceError
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

_logger = logging.getLogger(__name__)


class _State:
    """What is served, and whether it is ready to be."""

    def __init__(self, answerer: QuestionAnswerer, worker: Worker, degraded: str | None) -> None:
        self.answerer = answerer
        self.worker = worker
        self.degraded = degraded
        self.ready = False
        self.reason = "starting, the self-test is not done"


def create_app(answerer: QuestionAnswerer, settings: Settings, *, degraded: str | None = None) -> FastAPI:
    """Return the ASGI application that answers from ``answerer``.

    It is ready once a self-test question was answered. ``degraded`` says what is wrong with the index
    although it can be served. The answerer is used from one thread only.
    """
    worker = Worker(
        queue_limit=settings.queue_limit,
        deadline_seconds=settings.deadline_seconds,
        prepare=lambda questions: answerer.embed(questions),  # noqa: PLW0108 - docs have an app without one
    )
    state = _State(answerer, worker, degraded)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await worker.run(answerer.self_test)
            state.ready = True
        except QAServiceError as error:
            state.reason = "the self-test failed; see the server's log"
            _logger.error("not ready: %s", error)  # noqa: TRY400 - the message says it all
        yield
        state.ready, state.reason = False, "shutting down"
        worker.close()

    app = FastAPI(
        title="qa_service",
        version=__version__,
        summary="Ask a folder of documents; get passages with exact citations.",
        lifespan=lifespan,
        docs_url=None,  # those pages load scripts from other hosts
        redoc_url=None,
        redirect_slashes=False,  # the redirect would be built from the client's Host header
        middleware=[
            Middleware(RequestIds),
            Middleware(ProblemsForAll),
            Middleware(TrustedHostMiddleware, allowed_hosts=_host_names(settings), www_redirect=False),
            Middleware(Admission, refusal=worker.refusal),
            Middleware(BodyLimit, max_bytes=settings.max_body_bytes),
        ],
    )
    install_handlers(app)
    app.include_router(_routes(state))
    return app


def _host_names(settings: Settings) -> list[str]:
    any_address = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
    return [*settings.allowed_hosts, *({settings.host} - any_address)]


def _problems(*statuses: int | str) -> dict[int | str, dict[str, Any]]:
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": _phrase(status), "content": content} for status in statuses}


def _phrase(status: int | str) -> str:
    return HTTPStatus(status).phrase if isinstance(status, int) else "Any other error"


def _routes(state: _State) -> APIRouter:
    router = APIRouter(route_class=StrictJSONRoute)

    @router.post(
        "/ask",
        operation_id="ask",
        summary="Ask a question",
        responses={200: {"model": AskResponse}, **_problems(400, 413, 415, 422, 503, 504)},
        response_model=None,
        tags=["questions"],
    )
    async def ask(
        body: AskRequest,
        request: Request,
        *,
        explain: Annotated[bool, Query(description="Also tell why each result has its rank.")] = False,
    ) -> Response:
        """Return the passages that answer best, each with its citation, and the best quote as the answer."""
        _expect_ready(state)
        started = time.perf_counter()
        filters = None if body.filters is None else body.filters.filters()
        answer = await state.worker.run(
            lambda: state.answerer.ask(body.question, body.top_k, body.min_confidence, filters, explain=explain),
            body.question,
        )
        took_ms = (time.perf_counter() - started) * 1000
        body_out = ask_body(request_id_of(request), answer, took_ms)
        return Response(orjson.dumps(body_out), media_type="application/json")

    @router.get(
        "/sources/{document_id}",
        operation_id="read_source",
        summary="Read a document",
        responses={
            200: {"model": SourceBody, "content": {"text/plain": {"schema": {"type": "string"}}}},
            **_problems(404, 503, 504, "default"),
        },
        response_model=None,
        tags=["documents"],
    )
    async def read_source(
        document_id: Annotated[str, Path(description="`document_id` of a citation.")],
        accept: Annotated[str, Header(description="`application/json` for JSON, else plain text.")] = "",
    ) -> Response:
        """Return a document's text as it was indexed: the text that all offsets count in."""
        document = await state.worker.run(lambda: state.answerer.document(document_id))
        headers = {"ETag": f'"{document.sha256}"', "Cache-Control": "no-cache"}
        if "application/json" in accept:
            body = SourceBody(
                document_id=document.id,
                title=document.title,
                uri=document.uri,
                document_sha256=document.sha256,
                text=document.text,
            )
            return JSONResponse(body.model_dump(), headers=headers)
        return PlainTextResponse(document.text, headers=headers)

    @router.get("/livez", operation_id="livez", summary="Is the process alive?", tags=["operations"])
    async def livez() -> Health:
        """Answer as long as the event loop runs."""
        return Health(status="alive")

    @router.get(
        "/readyz",
        operation_id="readyz",
        summary="Can questions be answered?",
        responses=_problems(503),
        tags=["operations"],
    )
    async def readyz() -> Readiness:
        """Answer 200 once a self-test question was answered from the opened index."""
        _expect_ready(state)
        return Readiness(
            status="ready",
            index_version=state.answerer.index.version,
            degraded=state.degraded is not None,
            runtime=state.answerer.embedder.runtime,
        )

    @router.get("/", operation_id="root", summary="What is here?", include_in_schema=False)
    async def root() -> dict[str, str]:
        """Name the ways in, for people who open the address in a browser."""
        return {
            "service": f"qa_service {__version__}",
            "ask": 'POST /ask {"question": "…"}',
            "description": "/openapi.json",
            "ready": "/readyz",
        }

    return router


def _expect_ready(state: _State) -> None:
    if not state.ready:
        raise NotReady(f"the service is not ready: {state.reason}")
