"""Routes that build the index in a separate process, while the server answers."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header

from qa_service.server.builds import Builder, Reindexing
from qa_service.server.gate import ADMIN
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems

_IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=100,
        description="A name of your choice for this build. Repeated requests with it start one build, "
        "even at another worker or after a restart.",
    ),
]


def reindex_routes(builder: Builder) -> APIRouter:
    """Return the routes below ``/admin``."""
    router = APIRouter(route_class=guarded(ADMIN), prefix="/admin", tags=["administration"])

    @router.post(
        "/reindex",
        operation_id="reindex",
        summary="Build the index",
        status_code=202,
        responses=problems(401, 403, 409, 422, "default"),
    )
    async def reindex(idempotency_key: _IdempotencyKey = None) -> Reindexing:
        """Start a build. The current index serves until the new one is complete and replaces it.

        Only one build runs at a time, across all workers of the service.
        """
        return await asyncio.to_thread(builder.begin, idempotency_key)

    @router.get(
        "/reindex",
        operation_id="reindex_state",
        summary="Read the state of the build",
        responses=problems(401, 403, "default"),
    )
    async def state() -> Reindexing:
        """Return the state of the last build and its report.

        A build is `stopped` if the server ended before it did.
        """
        return await asyncio.to_thread(builder.state)

    return router
