"""The administrator's routes: build the index in a process of its own, while the server answers."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header

from qa_service.server.builds import Builder, Reindexing
from qa_service.server.gate import ADMIN
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems


def reindex_routes(builder: Builder) -> APIRouter:
    """Return the routes below ``/admin``."""
    router = APIRouter(route_class=guarded(ADMIN), prefix="/admin", tags=["administration"])

    @router.post(
        "/reindex",
        operation_id="reindex",
        summary="Build the index anew",
        status_code=202,
        responses=problems(401, 403, 409, 422, "default"),
    )
    async def reindex(
        idempotency_key: Annotated[
            str | None,
            Header(
                min_length=1,
                max_length=100,
                description="A name of your choice for this build: a request sent again with it begins no other one, "
                "also at another worker or after a restart.",
            ),
        ] = None,
    ) -> Reindexing:
        """Start a build; the old index serves until the new one is complete, then answers come from that.

        One build runs at a time, for all workers of the service together.
        """
        return await asyncio.to_thread(builder.begin, idempotency_key)

    @router.get(
        "/reindex",
        operation_id="reindex_state",
        summary="How is the build going?",
        responses=problems(401, 403, "default"),
    )
    async def state() -> Reindexing:
        """Tell whether the last build is done, and what it reported.

        A build whose server ended before it did is `stopped`.
        """
        return await asyncio.to_thread(builder.state)

    return router
