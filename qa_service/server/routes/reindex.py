"""The administrator's routes: build the index anew in a process of its own, while this one serves."""

import asyncio
import json
from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, Field

from qa_service.errors import BuildInProgress
from qa_service.server import children
from qa_service.server.gate import ADMIN
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems
from qa_service.settings import Settings


class Reindexing(BaseModel):
    """The state of the last build that was asked for here."""

    status: str = Field(description="`idle`, `building`, `done` or `failed`.")
    exit_code: int | None = Field(default=None, description="As of `qa-service index`, once it ended.")
    report: dict[str, Any] | None = Field(default=None, description="What `qa-service index --json` printed.")


class Builder:
    """Runs ``qa-service index`` as a process, one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._task: asyncio.Task[None] | None = None
        self._key: str | None = None
        self.state = Reindexing(status="idle")

    def start(self, key: str | None = None) -> Reindexing:
        """Begin a build, unless the last one was begun with the same key: then that one's state is returned.

        Raises :class:`BuildInProgress` while one of another key, or without one, is under way.
        """
        if key is not None and key == self._key:
            return self.state
        if self.state.status == "building":
            raise BuildInProgress("a build is under way; GET /admin/reindex tells when it is done")
        self._key = key
        self.state = Reindexing(status="building")
        self._task = asyncio.create_task(self._build())
        return self.state

    async def stop(self) -> None:
        """End a build under way; the index stays as it was."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _build(self) -> None:
        process = await children.start(self._settings, "index", "--json")
        try:
            printed, _ = await process.communicate()
        except asyncio.CancelledError:
            await children.end(process)
            raise
        report = None
        with suppress(ValueError):
            report = json.loads(printed)
        status = "done" if report is not None else "failed"
        self.state = Reindexing(status=status, exit_code=process.returncode, report=report)


def admin_routes(builder: Builder) -> APIRouter:
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
                description="A name of your choice for this build: sent again with it, a request begins no other one.",
            ),
        ] = None,
    ) -> Reindexing:
        """Start a build; the old index serves until the new one is whole, then answers come from that."""
        return builder.start(idempotency_key)

    @router.get(
        "/reindex",
        operation_id="reindex_state",
        summary="How is the build going?",
        responses=problems(401, 403, "default"),
    )
    async def state() -> Reindexing:
        """Tell whether the last build is done, and what it reported."""
        return builder.state

    return router
