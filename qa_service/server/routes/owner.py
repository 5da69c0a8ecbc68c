"""The report on recorded questions, for keys with the scope `admin`, and the page that shows it.

The page holds no question: it is the same for everybody, and fetches the report with the key that is typed into it.
"""

import asyncio
from functools import partial
from importlib.resources import files
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response

from qa_service.analytics import QuestionRecorder
from qa_service.analytics.report import CitedFiles, Summary, headings_near, summarize
from qa_service.analytics.table import csv_of
from qa_service.errors import NotFound
from qa_service.schemas.owner import OwnerReport
from qa_service.server.collections import Collections
from qa_service.server.gate import ADMIN, PUBLIC
from qa_service.server.live_index import LiveIndex
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems
from qa_service.server.routes.widget import PAGE_POLICY

_CSV = "text/csv; charset=utf-8"
_Days = Annotated[int, Query(ge=1, le=3650, description="Days of the report: today and those before it, in UTC.")]
_Format = Annotated[Literal["json", "csv"], Query(alias="format", description="`csv` for a table for spreadsheets.")]


def owner_routes(collections: Collections, questions: QuestionRecorder) -> APIRouter:
    """Return the route of the report on a collection. One report is made at a time."""
    router = APIRouter(route_class=guarded(ADMIN), tags=["administration"])
    turn = asyncio.Lock()

    @router.get(
        "/owner/report",
        name="owner_report",
        summary="Report on recorded questions",
        responses={
            200: {"model": OwnerReport, "content": {"text/csv": {"schema": {"type": "string"}}}},
            **problems(401, 403, 404, 422, 503, "default"),
        },
        response_model=None,
    )
    async def report(request: Request, days: _Days = 30, form: _Format = "json") -> Response:
        """Return what was asked, what was not answered, and which documents matter in it.

        The questions are those that a server recorded (`QA_ANALYTICS`); `/owner` shows the report as a page.
        """
        if not questions.enabled:
            raise NotFound("questions are not recorded; set QA_ANALYTICS to counts or questions")
        live = collections.of(request)
        live.expect_ready()
        name = request.path_params.get("collection") or ""
        async with turn:
            summary = await asyncio.to_thread(summarize, questions.path, name, days)
            found = await _completed(summary, live)
        content, kind = (csv_of(found), _CSV) if form == "csv" else (found.model_dump_json(), "application/json")
        return Response(content, media_type=kind, headers={"Cache-Control": "no-store"})

    return router


async def _completed(summary: Summary, live: LiveIndex) -> OwnerReport:
    """Add what the index knows, in short steps in the background, so that questions are answered in between."""
    report = summary.report
    with live.lease() as answerer:
        index = answerer.index
        for gap, one in zip(report.gaps, summary.clusters, strict=True):
            if one.vector is not None and one.model == index.manifest.model.weights_sha256:
                step = partial(headings_near, index, one.vector)
                gap.nearest_headings = await live.worker.run_in_background(step)
        cited = CitedFiles(summary.cited)
        after: str | None = ""
        while after is not None:
            after = await live.worker.run_in_background(partial(cited.step, index, after))
    report.never_cited = await asyncio.to_thread(cited.never)
    return report


def owner_page_routes() -> APIRouter:
    """Return the routes of the page and its files, which are public and served from memory."""
    router = APIRouter(route_class=guarded(PUBLIC))
    folder = files("qa_service.server.owner")
    page, style, script = (folder.joinpath(f"owner.{ending}").read_bytes() for ending in ("html", "css", "js"))
    headers = {"Cache-Control": "no-cache"}

    @router.get("/owner", include_in_schema=False)
    async def owner() -> Response:
        """Return the page."""
        policy = {"Content-Security-Policy": PAGE_POLICY}
        return Response(page, media_type="text/html; charset=utf-8", headers=headers | policy)

    @router.get("/owner/owner.css", include_in_schema=False)
    async def owner_style() -> Response:
        """Return the styles of the page."""
        return Response(style, media_type="text/css; charset=utf-8", headers=headers)

    @router.get("/owner/owner.js", include_in_schema=False)
    async def owner_script() -> Response:
        """Return the script of the page."""
        return Response(script, media_type="text/javascript; charset=utf-8", headers=headers)

    return router
