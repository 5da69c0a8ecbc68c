"""The application: routes, and the layers around them from the outside in.

::

    RequestIds -> ProblemsForAll -> TrustedHost -> Admission -> BodyLimit -> routes (async; computing is the worker's)
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from qa_service import __version__
from qa_service.api.admin import Builder, admin_routes
from qa_service.api.comments import Comments, feedback_routes
from qa_service.api.documents import document_routes, listing_routes
from qa_service.api.evaluations import EVALUATE, Evaluations, evaluation_routes
from qa_service.api.limits import Admission, BodyLimit, RequestIds, StrictJSONRoute
from qa_service.api.problems import ProblemsForAll, install_handlers
from qa_service.api.questions import question_routes
from qa_service.api.reports import DiffBody, IndexBody
from qa_service.api.responses import problems
from qa_service.api.schemas import Health, Readiness
from qa_service.api.serving import Reopen, Serving
from qa_service.api.worker import Worker
from qa_service.index import IndexFolder
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings


def create_app(
    answerer: QuestionAnswerer, settings: Settings, *, degraded: str | None = None, reopen: Reopen | None = None
) -> FastAPI:
    """Return the ASGI application that answers from ``answerer``.

    It is ready once a self-test question was answered. ``degraded`` says what is wrong with the index
    although it can be served. With ``reopen``, another generation that comes into force is opened by it and served.
    """
    worker = Worker(
        queue_limit=settings.queue_limit,
        deadline_seconds=settings.deadline_seconds,
        prepare=lambda questions: serving.embed(questions),  # noqa: PLW0108 - there is no `serving` yet
    )
    serving = Serving(answerer, worker, degraded)
    builder = Builder(settings)
    evaluations = Evaluations(settings)
    comments = Comments(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await serving.start()
        following = None
        if reopen is not None:
            following = asyncio.create_task(serving.follow(settings.index, reopen, settings.reload_seconds))
        yield
        serving.ready, serving.reason = False, "shutting down"
        if following is not None:
            following.cancel()
        await builder.stop()
        await evaluations.stop()
        worker.close()
        comments.close()

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
            Middleware(BodyLimit, max_bytes=settings.max_body_bytes, unread=(EVALUATE,)),
        ],
    )
    install_handlers(app)
    app.include_router(question_routes(serving, comments, settings.max_batch))
    app.include_router(feedback_routes(serving, comments))
    app.include_router(_routes(serving, settings))
    app.include_router(listing_routes(serving))
    app.include_router(document_routes(serving))
    app.include_router(admin_routes(builder, settings))
    app.include_router(evaluation_routes(evaluations, settings))
    return app


def _host_names(settings: Settings) -> list[str]:
    any_address = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
    return [*settings.allowed_hosts, *({settings.host} - any_address)]


def _routes(serving: Serving, settings: Settings) -> APIRouter:
    router = APIRouter(route_class=StrictJSONRoute)

    @router.get("/livez", operation_id="livez", summary="Is the process alive?", tags=["operations"])
    async def livez() -> Health:
        """Answer as long as the event loop runs."""
        return Health(status="alive")

    @router.get(
        "/readyz",
        operation_id="readyz",
        summary="Can questions be answered?",
        responses=problems(503),
        tags=["operations"],
    )
    async def readyz() -> Readiness:
        """Answer 200 once a self-test question was answered from the opened index."""
        serving.expect_ready()
        return Readiness(
            status="ready",
            index_version=serving.answerer.index.version,
            degraded=serving.degraded is not None,
            runtime=serving.answerer.embedder.runtime,
        )

    @router.get(
        "/index", operation_id="index", summary="What is indexed?", responses=problems(503), tags=["operations"]
    )
    async def index() -> IndexBody:
        """Tell which generation answers, what it was built from, and what was left out."""
        serving.expect_ready()
        return IndexBody.of(serving.answerer.index.manifest, serving.degraded)

    @router.get(
        "/index/diff",
        operation_id="index_diff",
        summary="What changed with this index?",
        responses=problems(503),
        tags=["operations"],
    )
    async def index_diff() -> DiffBody:
        """Compare the files of the generation that answers with those of the one before it."""
        serving.expect_ready()
        current = serving.answerer.index.manifest
        before = await asyncio.to_thread(IndexFolder(settings.index).before, current.generation)
        return DiffBody.of(current, before)

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
