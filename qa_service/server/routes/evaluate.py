"""Routes of evaluations, for keys with the scope `admin`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from qa_service.server.evaluations import EVALUATE, Evaluation, Evaluations, EvaluationsBody, Uploaded
from qa_service.server.gate import ADMIN, Access
from qa_service.server.links import Links
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems

# The page contains a stricter policy of its own; the sandbox denies it the rights of this origin.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; sandbox allow-scripts"
_IDENTIFIER = PathParameter(description="`id` of an evaluation.")
_QUESTION_FILE = {
    "required": True,
    "description": "The question file.",
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


def evaluation_routes(evaluations: Evaluations) -> APIRouter:
    """Return the routes that start and watch an evaluation. The question file is streamed, since it may be long."""
    router = APIRouter(route_class=guarded(ADMIN, reads_body=False), prefix=EVALUATE, tags=["administration"])

    @router.post(
        "",
        operation_id="evaluate",
        summary="Evaluate a question file",
        status_code=202,
        responses=problems(400, 401, 403, 409, 413, 422, 503, "default"),
        openapi_extra={"requestBody": _QUESTION_FILE},
    )
    async def evaluate(
        request: Request,
        form: Annotated[Uploaded, Query(alias="format", description="Format of the question file.")] = "jsonl",
        top_k: Annotated[int, Query(ge=1, le=50, description="Results per question that are measured.")] = 10,
    ) -> Evaluation:
        """Ask every question of the file in a separate process, while the server answers.

        Only one evaluation runs at a time, across all workers of the service.
        """
        return await evaluations.begin(form, top_k, request.stream())

    @router.get("", operation_id="evaluations", summary="List the evaluations", responses=problems(401, 403, "default"))
    async def listed(request: Request) -> EvaluationsBody:
        """Return the state of each evaluation that is kept, the latest first."""
        states = await asyncio.to_thread(evaluations.states)
        return EvaluationsBody(evaluations=[_with_own_link(state, request) for state in states])

    @router.get(
        "/{evaluation_id}",
        operation_id="evaluation",
        summary="Read the state of an evaluation",
        responses=problems(401, 403, 404, "default"),
    )
    async def evaluation(request: Request, evaluation_id: Annotated[str, _IDENTIFIER]) -> Evaluation:
        """Return how many questions were asked and, once it is done, the measures.

        An evaluation is `stopped` if the server ended before it did. The oldest are removed (`QA_KEEP_EVALUATIONS`).
        """
        return _with_own_link(await asyncio.to_thread(evaluations.state, evaluation_id), request)

    return router


def _with_own_link(state: Evaluation, request: Request) -> Evaluation:
    """Sign the link to the report, and add the path prefix of a proxy."""
    if state.report is not None:
        state.report = Links.of(request.scope).own(state.report)
    return state


def report_routes(evaluations: Evaluations) -> APIRouter:
    """Return the route of the report, which a link opens."""
    router = APIRouter(route_class=guarded(Access("admin", by_link=True)), prefix=EVALUATE, tags=["administration"])

    @router.get(
        "/{evaluation_id}/report",
        operation_id="evaluation_report",
        summary="Read the report of an evaluation",
        response_description="The report as a page.",
        responses={
            200: {"content": {"text/html": {"schema": {"type": "string"}}}},
            **problems(401, 403, 404, "default"),
        },
        response_class=Response,
    )
    async def report(evaluation_id: Annotated[str, _IDENTIFIER]) -> Response:
        """Return the report as one self-contained page."""
        content = await asyncio.to_thread(evaluations.report, evaluation_id)
        headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-store"}
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)

    return router
