"""Evaluations over HTTP, for the administrator."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from qa_service.server.evaluations import EVALUATE, Evaluation, Evaluations, Uploaded
from qa_service.server.gate import ADMIN, Access
from qa_service.server.links import Links
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems

# The page holds a stricter policy of its own; the sandbox keeps it from everything that this origin may.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; sandbox allow-scripts"
_IDENTIFIER = PathParameter(description="`id` of an evaluation.")


def evaluation_routes(evaluations: Evaluations) -> APIRouter:
    """Return the routes. The question file is read as it comes, since it may be long."""
    router = APIRouter(route_class=guarded(ADMIN, reads_body=False), prefix=EVALUATE, tags=["administration"])

    @router.post(
        "",
        operation_id="evaluate",
        summary="Evaluate a question file",
        status_code=202,
        responses=problems(400, 401, 403, 409, 413, 422, 503, "default"),
        openapi_extra={
            "requestBody": {
                "required": True,
                "description": "The question file.",
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def evaluate(
        request: Request,
        form: Annotated[Uploaded, Query(alias="format", description="Format of the question file.")] = "jsonl",
        top_k: Annotated[int, Query(ge=1, le=50, description="Results asked for and measured.")] = 10,
    ) -> Evaluation:
        """Ask every question of the body in a process of its own, while the server answers.

        One evaluation runs or is received at a time, for all workers of the service together.
        """
        return await evaluations.begin(form, top_k, request.stream())

    @router.get(
        "/{evaluation_id}",
        operation_id="evaluation",
        summary="How is an evaluation going?",
        responses=problems(401, 403, 404, "default"),
    )
    async def evaluation(request: Request, evaluation_id: Annotated[str, _IDENTIFIER]) -> Evaluation:
        """Tell how many questions were asked; once it is done, what was measured.

        An evaluation whose server ended before it did is `stopped`. The oldest are removed (`QA_KEEP_EVALUATIONS`).
        """
        state = await asyncio.to_thread(evaluations.state, evaluation_id)
        if state.report is not None:
            state.report = Links.of(request.scope).own(state.report)  # so that a browser can follow it
        return state

    return router


def report_routes(evaluations: Evaluations) -> APIRouter:
    """Return the route of the report, which people open by a link."""
    router = APIRouter(route_class=guarded(Access("admin", by_link=True)), prefix=EVALUATE, tags=["administration"])

    @router.get(
        "/{evaluation_id}/report",
        operation_id="evaluation_report",
        summary="The report of an evaluation",
        responses={
            200: {"content": {"text/html": {"schema": {"type": "string"}}}},
            **problems(401, 403, 404, "default"),
        },
        response_class=Response,
    )
    async def report(evaluation_id: Annotated[str, _IDENTIFIER]) -> Response:
        """Return the report as one page that needs nothing else."""
        content = await asyncio.to_thread(evaluations.report, evaluation_id)
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)

    return router
