"""Builds the ASGI application: its layers, its routes, and the services that requests share.

The layers, from the outside in::

    ProxyHeaders -> RequestObserver -> RequestIds -> AllowedHosts -> Cors -> ProblemDocuments -> routes

A route asks the gate, then reads the body (:mod:`qa_service.server.routes.guarded`). Handlers are async; the worker's
threads compute. Questions that find the queue full are rejected earlier, by the protocol
(:mod:`qa_service.server.admission`).
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware import Middleware

from qa_service import __version__
from qa_service.analytics import QuestionRecorder
from qa_service.errors import SettingsError
from qa_service.server.admission import Admission
from qa_service.server.builds import Builder
from qa_service.server.collections import PREFIX, Collections, collection_name
from qa_service.server.draining import drain_on_signals
from qa_service.server.evaluations import Evaluations
from qa_service.server.gate import Gate
from qa_service.server.jobs import COMMAND
from qa_service.server.live_index import LiveIndex, ServableIndex
from qa_service.server.middleware.cors import Cors
from qa_service.server.middleware.hosts import AllowedHosts
from qa_service.server.middleware.observing import RequestObserver, measure_loop_lag
from qa_service.server.middleware.problems import MCP_PATH, ProblemDocuments, install_handlers
from qa_service.server.middleware.proxy import ProxyHeaders
from qa_service.server.middleware.request_ids import RequestIds
from qa_service.server.openapi import DescribedAPI
from qa_service.server.page_pictures import PagePictures
from qa_service.server.routes.ask import ask_routes, batch_routes
from qa_service.server.routes.chat import chat_routes
from qa_service.server.routes.documents import (
    citation_routes,
    document_routes,
    listing_routes,
    passage_routes,
    verify_routes,
    view_routes,
)
from qa_service.server.routes.embeddings import embedding_routes
from qa_service.server.routes.evaluate import evaluation_routes, report_routes
from qa_service.server.routes.feedback import FeedbackRecorder, feedback_routes
from qa_service.server.routes.files import document_file_routes
from qa_service.server.routes.guarded import check_routes, guard
from qa_service.server.routes.model_responses import model_response_routes
from qa_service.server.routes.models import model_routes
from qa_service.server.routes.operations import (
    collection_routes,
    description_routes,
    index_routes,
    metrics_routes,
    probe_routes,
)
from qa_service.server.routes.owner import owner_page_routes, owner_routes
from qa_service.server.routes.pictures import picture_routes
from qa_service.server.routes.previews import preview_routes
from qa_service.server.routes.quoting import Quoter
from qa_service.server.routes.reindex import reindex_routes
from qa_service.server.routes.responses import problems
from qa_service.server.routes.starters import starter_routes
from qa_service.server.routes.vector_store_lists import (
    file_content_routes,
    file_routes,
    store_list_routes,
    store_routes,
)
from qa_service.server.routes.vector_stores import vector_store_routes
from qa_service.server.routes.widget import widget_routes
from qa_service.server.starters import StarterProver
from qa_service.server.worker import Worker
from qa_service.settings import Settings


def create_app(
    settings: Settings,
    default: ServableIndex,
    named: Mapping[str, ServableIndex] = MappingProxyType({}),
    *,
    worker: Worker | None = None,
    job_command: Sequence[str] = COMMAND,
) -> FastAPI:
    """Return the ASGI application that answers from the default collection and from the named ones.

    It is ready once every collection has answered a self-test question. ``worker`` replaces the one that the settings
    describe. ``job_command`` starts builds and evaluations; their arguments follow it.
    """
    services = _services(settings, default, named, worker, job_command)
    app = _empty_app(services)
    install_handlers(app)
    guard(app, services.gate, settings.max_body_bytes)
    _include_collection_routes(app, services)
    _include_other_routes(app, services)
    check_routes(app)
    _check_public_path(app, settings)
    return app


@dataclass(frozen=True, slots=True)
class _Services:
    """The objects that requests share."""

    settings: Settings
    gate: Gate
    worker: Worker
    collections: Collections
    builder: Builder
    evaluations: Evaluations
    recorder: FeedbackRecorder
    mcp_tools: Any


def _services(
    settings: Settings,
    default: ServableIndex,
    named: Mapping[str, ServableIndex],
    worker: Worker | None,
    job_command: Sequence[str],
) -> _Services:
    worker = worker or Worker(queue_limit=settings.queue_limit, deadline_seconds=settings.deadline_seconds)
    collections = Collections(
        LiveIndex(default, worker, cache_mb=settings.cache_mb),
        {
            name: LiveIndex(index, worker, f"/collections/{name}", cache_mb=settings.cache_mb)
            for name, index in named.items()
        },
    )
    recorder = FeedbackRecorder(settings, QuestionRecorder(settings))
    return _Services(
        settings,
        Gate(settings),
        worker,
        collections,
        Builder(settings, job_command),
        Evaluations(settings, job_command),
        recorder,
        _mcp_tools(collections, recorder, settings) if settings.mcp else None,
    )


def _mcp_tools(collections: Collections, recorder: FeedbackRecorder, settings: Settings) -> Any:
    try:
        from qa_service.server.mcp import Tools  # noqa: PLC0415 - an extra, and seconds of import
    except ImportError as error:
        raise SettingsError("QA_MCP needs a package that is missing: pip install 'qa-service[mcp]'") from error
    return Tools(collections.default, collections.named, recorder.remember, settings.max_body_bytes)


def _empty_app(services: _Services) -> FastAPI:
    """Return the application with its layers, without routes."""
    settings = services.settings
    return DescribedAPI(
        title="qa_service",
        version=__version__,
        summary="Ask a folder of documents; get passages with exact citations.",
        lifespan=_lifespan(services),
        openapi_url=None,  # see description_routes
        docs_url=None,  # these pages load scripts from other hosts
        redoc_url=None,
        telemetry={
            "tracing": settings.traces,
            "auto_configure": settings.traces,
            "metrics": False,
            "logs": False,  # they would hold the content of requests
            "operation_spans": False,
        },
        responses=problems(408, 414, 431),
        redirect_slashes=False,  # the redirect would be built from the client's Host header
        middleware=[
            Middleware(ProxyHeaders, settings=settings),
            Middleware(RequestObserver),
            Middleware(RequestIds),
            Middleware(AllowedHosts, settings=settings),
            Middleware(Cors, gate=services.gate),
            Middleware(ProblemDocuments, excluded_paths=(MCP_PATH,)),
        ],
    )


def _lifespan(services: _Services) -> Callable[[FastAPI], AbstractAsyncContextManager[dict[str, object]]]:
    settings, collections, gate = services.settings, services.collections, services.gate
    admission = Admission(services.worker.refusal, gate, settings.public_path)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        for live in collections:
            await live.start()
        await asyncio.to_thread(services.evaluations.recover)
        services.recorder.questions.start(collections.default.manifest.model.weights_sha256)
        watches = [live.watch_generations(settings.reload_seconds) for live in collections]
        watches += [prover.watch(settings.reload_seconds) for prover in _provers(collections, settings)]
        watches += (gate.watch_keys(settings.reload_seconds), measure_loop_lag())
        if settings.documents_write:
            watches += (services.builder.watch_wanted(),)
        tasks = [asyncio.create_task(watch) for watch in watches]
        restore = drain_on_signals(asyncio.get_running_loop(), settings.drain_seconds, collections.drain)
        async with nullcontext() if services.mcp_tools is None else services.mcp_tools.lifespan():
            yield {Admission.KEY: admission}
        restore()
        collections.stop("shutting down")
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(services.builder.stop)
        await asyncio.to_thread(services.evaluations.stop)
        services.worker.close()
        services.recorder.close()
        await gate.rates.close()

    return lifespan


def _provers(collections: Collections, settings: Settings) -> list[StarterProver]:
    own = settings.by_collection()
    named = [StarterProver(live, own.get(name, settings)) for name, live in collections.named.items()]
    return [StarterProver(collections.default, settings), *named]


def _include_collection_routes(app: FastAPI, services: _Services) -> None:
    """Add the routes of a collection twice: for the default one, and below :data:`PREFIX` for the named ones.

    Their operation ids are the names of the handlers: ``ask`` and ``collection_ask``.
    """
    settings, collections, recorder = services.settings, services.collections, services.recorder
    routers = (
        ask_routes(collections, recorder, settings),
        batch_routes(collections, recorder, services.gate, settings),
        starter_routes(collections),
        feedback_routes(collections, recorder),
        index_routes(collections),
        listing_routes(collections),
        passage_routes(collections),
        document_routes(collections),
        verify_routes(collections),
        preview_routes(collections),
        picture_routes(collections, PagePictures(settings)),
        view_routes(collections),
        citation_routes(collections),
        document_file_routes(collections, services.builder, settings),
        owner_routes(collections, recorder.questions),
    )
    responses = problems(401, 403, 429)
    for router in routers:
        app.include_router(router, responses=responses, generate_unique_id_function=attrgetter("name"))
    for router in routers:
        app.include_router(
            router,
            prefix=PREFIX,
            dependencies=[Depends(collection_name)],
            responses=responses | problems(404, 422),
            generate_unique_id_function=lambda route: f"collection_{route.name}",
        )


def _include_other_routes(app: FastAPI, services: _Services) -> None:
    collections = services.collections
    responses = problems(401, 403, 429)
    quoter = Quoter(services.recorder, services.settings)
    for router in (
        chat_routes(collections, quoter),
        model_response_routes(collections, quoter),
        embedding_routes(collections, services.gate),
        model_routes(collections),
        vector_store_routes(collections, services.gate),
        store_list_routes(collections),
        store_routes(collections),
        file_routes(collections),
        file_content_routes(collections),
    ):
        app.include_router(router, responses=responses)
    app.include_router(probe_routes(collections))
    app.include_router(collection_routes(collections))
    app.include_router(metrics_routes())
    app.include_router(widget_routes())
    app.include_router(owner_page_routes())
    app.include_router(reindex_routes(services.builder), responses=responses)
    app.include_router(evaluation_routes(services.evaluations), responses=responses)
    app.include_router(report_routes(services.evaluations), responses=responses)
    app.include_router(description_routes(app, services.settings.public_url))
    if services.mcp_tools is not None:
        app.router.routes.append(services.mcp_tools.route())


def _check_public_path(app: FastAPI, settings: Settings) -> None:
    """Raise :class:`SettingsError` if the public address has a path that a route begins with."""
    first = settings.public_path.strip("/").partition("/")[0]
    taken = {(context.path or "").strip("/").partition("/")[0] for context in iter_route_contexts(app.routes)}
    if first and first in taken:
        raise SettingsError(
            f"QA_PUBLIC_URL has the path {settings.public_path}, which is also the beginning of a path of the service; "
            "choose another, or leave the setting empty and have the proxy send X-Forwarded-Prefix"
        )
