"""Routes for operators: probes, metrics, collections, the current index and the OpenAPI description."""

import asyncio

import orjson
from fastapi import APIRouter, FastAPI, Request, Response

from qa_service.index import Manifest
from qa_service.schemas.service import (
    CollectionBody,
    CollectionsBody,
    DiffBody,
    Health,
    IndexBody,
    Readiness,
    SkippedBody,
)
from qa_service.server.collections import Collections
from qa_service.server.gate import ASK, PUBLIC, Access
from qa_service.server.links import PATH_PREFIX
from qa_service.server.metrics import CONTENT_TYPE, exposition
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems


def probe_routes(collections: Collections) -> APIRouter:
    """Return the public probes, for liveness and readiness."""
    router = APIRouter(route_class=guarded(PUBLIC), tags=["operations"])

    @router.get("/livez", operation_id="livez", summary="Liveness probe", responses=problems(503))
    async def livez() -> Health:
        """Return 200 while the event loop runs and the worker is not stuck, however busy they are."""
        collections.default.worker.expect_alive()
        return Health(status="alive")

    @router.get("/readyz", operation_id="readyz", summary="Readiness probe", responses=problems(503))
    async def readyz() -> Readiness:
        """Return 200 once every opened index has answered a self-test question."""
        collections.expect_ready()
        default = collections.default
        return Readiness(
            status="ready",
            index_version=default.manifest.generation,
            degraded=any(live.degraded is not None for live in collections),
            runtime=default.runtime,
            reader=default.reader_mode or None,
            collections={name: live.manifest.generation for name, live in collections.named.items()},
        )

    return router


def collection_routes(collections: Collections) -> APIRouter:
    """Return the route that lists the collections."""
    router = APIRouter(route_class=guarded(ASK), tags=["operations"])

    @router.get(
        "/collections",
        operation_id="collections",
        summary="List collections",
        responses=problems(503, "default"),
    )
    async def names() -> CollectionsBody:
        """List the named collections; the default one has no name."""
        found = []
        for name, live in collections.named.items():
            live.expect_ready()
            manifest = live.manifest
            found.append(
                CollectionBody(
                    name=name,
                    index_version=manifest.generation,
                    documents=manifest.documents,
                    passages=manifest.passages,
                )
            )
        return CollectionsBody(collections=found)

    return router


def description_routes(app: FastAPI, public_url: str) -> APIRouter:
    """Return the route of the OpenAPI description, which names the public URL of the service."""
    router = APIRouter(route_class=guarded(ASK))

    @router.get("/openapi.json", include_in_schema=False)
    async def description(request: Request) -> Response:
        """Return the OpenAPI description of all routes."""
        server = public_url or request.scope.get(PATH_PREFIX, "")

        def encoded() -> bytes:
            return orjson.dumps(app.openapi() | ({"servers": [{"url": server}]} if server else {}))

        return Response(await asyncio.to_thread(encoded), media_type="application/json")

    return router


def metrics_routes() -> APIRouter:
    """Return the route of the metrics."""
    router = APIRouter(route_class=guarded(Access("admin", open_locally=True)), tags=["operations"])

    @router.get(
        "/metrics",
        operation_id="metrics",
        summary="Read metrics",
        response_description="Metrics as text.",
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **problems(401, 403, "default")},
        response_class=Response,
    )
    async def metrics() -> Response:
        """Return the metrics of all server processes in Prometheus' text format."""
        return Response(await asyncio.to_thread(exposition), headers={"Content-Type": CONTENT_TYPE})

    return router


def index_routes(collections: Collections) -> APIRouter:
    """Return the routes that describe the current index."""
    router = APIRouter(route_class=guarded(ASK), tags=["operations"])

    @router.get("/index", summary="Describe the index", responses=problems(503, "default"))
    async def index(request: Request) -> IndexBody:
        """Return the current generation, its contents, and the files that were skipped."""
        live = collections.of(request)
        live.expect_ready()
        return _index_body(live.manifest, live.degraded)

    @router.get(
        "/index/diff",
        summary="List the changes of the index",
        responses=problems(503, "default"),
    )
    async def index_diff(request: Request) -> DiffBody:
        """Compare the files of the current generation with those of the previous one."""
        live = collections.of(request)
        live.expect_ready()
        current = live.manifest
        return await asyncio.to_thread(
            lambda: _diff_body(current, live.generations.manifest_before(current.generation))
        )

    return router


def _index_body(manifest: Manifest, degraded: str | None) -> IndexBody:
    return IndexBody(
        index_version=manifest.generation,
        built_at=manifest.created_at,
        files=len(manifest.sources) + len(manifest.left_out),
        documents=manifest.documents,
        passages=manifest.passages,
        model=manifest.model.name,
        vector_index=manifest.vector_index.kind,
        degraded=degraded is not None,
        skipped=[SkippedBody(uri=item.uri, reason=item.reason, failed=item.failed) for item in manifest.skipped],
        warnings=list(manifest.warnings),
    )


def _diff_body(current: Manifest, before: Manifest | None) -> DiffBody:
    now = {file.uri: file.sha256 for file in current.sources}
    then = {} if before is None else {file.uri: file.sha256 for file in before.sources}
    return DiffBody(
        index_version=current.generation,
        previous=None if before is None else before.generation,
        added=sorted(now.keys() - then.keys()),
        changed=sorted(uri for uri in now.keys() & then.keys() if now[uri] != then[uri]),
        removed=sorted(then.keys() - now.keys()),
    )
