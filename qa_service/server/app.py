"""The application: routes, and the layers around them from the outside in.

::

    ProxyHeaders -> RequestObserver -> RequestIds -> AllowedHosts -> Cors -> ProblemDocuments -> routes

A route asks the gate, then reads the body (:mod:`qa_service.server.routes.guarded`). Routes are async; computing is the
worker's. Questions that can't be taken are refused before all this, by the protocol
that serves the application (:mod:`qa_service.server.admission`).
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from operator import attrgetter
from types import MappingProxyType
from typing import Any

from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware import Middleware

from qa_service import __version__
from qa_service.errors import SettingsError
from qa_service.server.admission import Admission
from qa_service.server.builds import Builder
from qa_service.server.collections import PREFIX, Collections, collection_name
from qa_service.server.draining import drain_on_signals
from qa_service.server.evaluations import Evaluations
from qa_service.server.gate import Gate
from qa_service.server.live_index import LiveIndex, ServableIndex
from qa_service.server.middleware.cors import Cors
from qa_service.server.middleware.hosts import AllowedHosts
from qa_service.server.middleware.observing import RequestObserver, measure_loop_lag
from qa_service.server.middleware.problems import ProblemDocuments, install_handlers
from qa_service.server.middleware.proxy import ProxyHeaders
from qa_service.server.middleware.request_ids import RequestIds
from qa_service.server.openapi import DescribedAPI
from qa_service.server.routes.ask import ask_routes, batch_routes
from qa_service.server.routes.documents import document_routes, linked_routes, listing_routes
from qa_service.server.routes.evaluate import evaluation_routes, report_routes
from qa_service.server.routes.feedback import FeedbackRecorder, feedback_routes
from qa_service.server.routes.guarded import check_routes, guard
from qa_service.server.routes.operations import (
    collection_routes,
    description_routes,
    index_routes,
    metrics_routes,
    probe_routes,
)
from qa_service.server.routes.reindex import reindex_routes
from qa_service.server.routes.responses import problems
from qa_service.server.routes.vector_store_lists import store_list_routes, store_routes
from qa_service.server.routes.vector_stores import vector_store_routes
from qa_service.server.routes.widget import widget_routes
from qa_service.server.worker import Worker
from qa_service.settings import Settings

_MCP_PATH = "/mcp"


def create_app(
    settings: Settings, default: ServableIndex, named: Mapping[str, ServableIndex] = MappingProxyType({})
) -> FastAPI:
    """Return the ASGI application that answers from the default collection and from the named ones.

    It is ready once every collection has answered a self-test question.
    """
    gate = Gate(settings)
    worker = Worker(queue_limit=settings.queue_limit, deadline_seconds=settings.deadline_seconds)
    collections = Collections(
        LiveIndex(default, worker, cache_mb=settings.cache_mb),
        {
            name: LiveIndex(opening, worker, f"/collections/{name}", cache_mb=settings.cache_mb)
            for name, opening in named.items()
        },
    )
    builder = Builder(settings)
    evaluations = Evaluations(settings)
    recorder = FeedbackRecorder(settings)
    admission = Admission(worker.refusal, gate, settings.public_path)

    tools = _tools(collections, recorder, settings) if settings.mcp else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, object]]:
        for live in collections:
            await live.start()
        await asyncio.to_thread(evaluations.recover)
        tasks = [asyncio.create_task(live.watch_generations(settings.reload_seconds)) for live in collections]
        tasks += map(asyncio.create_task, (gate.watch_keys(settings.reload_seconds), measure_loop_lag()))
        restore = drain_on_signals(asyncio.get_running_loop(), settings.drain_seconds, collections.drain)
        async with nullcontext() if tools is None else tools.lifespan():
            yield {Admission.KEY: admission}
        restore()
        collections.stop("shutting down")
        for task in tasks:
            task.cancel()
        await asyncio.to_thread(builder.stop)
        await asyncio.to_thread(evaluations.stop)
        worker.close()
        recorder.close()
        await gate.rates.close()

    app = DescribedAPI(
        title="qa_service",
        version=__version__,
        summary="Ask a folder of documents; get passages with exact citations.",
        lifespan=lifespan,
        openapi_url=None,  # see description_routes
        docs_url=None,  # those pages load scripts from other hosts
        redoc_url=None,
        telemetry={
            "tracing": settings.traces,
            "auto_configure": settings.traces,
            "metrics": False,
            "logs": False,  # which would hold what was sent
            "operation_spans": False,
        },
        responses=problems(408, 414, 431),
        redirect_slashes=False,  # the redirect would be built from the client's Host header
        middleware=[
            Middleware(ProxyHeaders, settings=settings),
            Middleware(RequestObserver),
            Middleware(RequestIds),
            Middleware(AllowedHosts, settings=settings),
            Middleware(Cors, gate=gate),
            Middleware(ProblemDocuments, excluded_paths=(_MCP_PATH,)),
        ],
    )
    install_handlers(app)
    guard(app, gate, settings.max_body_bytes)
    guarded = problems(401, 403, 429)
    in_every_collection = (
        ask_routes(collections, recorder, settings),
        batch_routes(collections, recorder, gate, settings),
        feedback_routes(collections, recorder),
        index_routes(collections),
        listing_routes(collections),
        document_routes(collections),
        linked_routes(collections),
    )
    for router in in_every_collection:
        app.include_router(router, responses=guarded, generate_unique_id_function=attrgetter("name"))
    for router in in_every_collection:
        app.include_router(
            router,
            prefix=PREFIX,
            dependencies=[Depends(collection_name)],
            responses=guarded | problems(404, 422),
            generate_unique_id_function=lambda route: f"collection_{route.name}",
        )
    for router in (vector_store_routes(collections, gate), store_list_routes(collections), store_routes(collections)):
        app.include_router(router, responses=guarded)
    app.include_router(probe_routes(collections))
    app.include_router(collection_routes(collections))
    app.include_router(metrics_routes())
    app.include_router(widget_routes())
    app.include_router(reindex_routes(builder), responses=guarded)
    app.include_router(evaluation_routes(evaluations), responses=guarded)
    app.include_router(report_routes(evaluations), responses=guarded)
    app.include_router(description_routes(app, settings.public_url))
    if tools is not None:
        app.router.routes.append(tools.route())
    check_routes(app)
    _check_public_path(app, settings)
    return app


def _check_public_path(app: FastAPI, settings: Settings) -> None:
    """Raise :class:`SettingsError` if the path of the public address could be taken for that of a route."""
    first = settings.public_path.strip("/").partition("/")[0]
    taken = {(context.path or "").strip("/").partition("/")[0] for context in iter_route_contexts(app.routes)}
    if first and first in taken:
        raise SettingsError(
            f"QA_PUBLIC_URL has the path {settings.public_path}, as which paths of the service itself begin; choose "
            "another, or leave the setting empty and have the proxy send X-Forwarded-Prefix"
        )


def _tools(collections: Collections, recorder: FeedbackRecorder, settings: Settings) -> Any:
    try:
        from qa_service.server.mcp import Tools  # noqa: PLC0415 - an extra, and seconds of import
    except ImportError as error:
        raise SettingsError("QA_MCP needs what is not installed: pip install 'qa-service[mcp]'") from error
    return Tools(collections.default, collections.named, recorder.remember, settings.max_body_bytes)
