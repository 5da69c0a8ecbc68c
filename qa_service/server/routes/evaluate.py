"""Evaluations over HTTP, for the administrator: a question file comes in, a process of its own asks it, reports stay.

Each has a folder below the data folder, which any of several server processes can read.
"""

import asyncio
import json
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import anyio
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from pydantic import BaseModel, Field

from qa_service.errors import BodyTooLarge, JobInProgress, NotFound, NotReady, UnreadableRequest
from qa_service.server import children
from qa_service.server.gate import ADMIN, Access
from qa_service.server.links import Links
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems
from qa_service.settings import Settings

EVALUATE = "/evaluate"
_STATUS, _OUTPUT = "status.json", "run"
_ID = re.compile(r"[0-9a-f]{32}")
_ENDINGS = {"jsonl": ".jsonl", "csv": ".csv", "squad": ".json", "ragas": ".jsonl"}
_LINE = 65_536
# The page holds a stricter policy of its own; the sandbox keeps it from everything that this origin may.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; sandbox allow-scripts"
_IDENTIFIER = PathParameter(description="`id` of an evaluation.")
Uploaded = Literal["jsonl", "csv", "squad", "ragas"]


class Evaluation(BaseModel):
    """The state of an evaluation."""

    id: str
    status: Literal["running", "done", "failed", "stopped"]
    asked: int = Field(default=0, description="Questions asked so far.")
    of: int | None = Field(default=None, description="Questions there are, once they are counted.")
    exit_code: int | None = Field(default=None, description="As of `qa-service evaluate`, once it ended.")
    error: str | None = Field(default=None, description="Why it failed.")
    summary: dict[str, Any] | None = Field(default=None, description="As in summary.json, once it is done.")
    report: str | None = Field(default=None, description="Path of the report, once it is done.")


class Evaluations:
    """Runs ``qa-service evaluate`` as a process, one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.data / "evaluations"
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether one is under way in this process."""
        return self._task is not None and not self._task.done()

    async def begin(self, form: Uploaded, top_k: int, body: AsyncIterator[bytes]) -> Evaluation:
        """Keep a question file and start evaluating it.

        Raises :class:`JobInProgress` while one is under way, :class:`BodyTooLarge`, :class:`UnreadableRequest` if
        nothing came.
        """
        if self.busy:
            raise JobInProgress("an evaluation is under way; GET /evaluate/{id} tells when it is done")
        identifier = uuid.uuid4().hex
        folder = self._folder / identifier
        questions = folder / f"questions{_ENDINGS[form]}"
        try:
            await asyncio.to_thread(lambda: folder.mkdir(parents=True))
            await self._keep(questions, body)
        except BaseException as error:  # the client may also leave
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True))
            if isinstance(error, OSError):
                raise NotReady("the question file can't be kept; see that the data folder may be written to") from error
            raise
        state = Evaluation(id=identifier, status="running")
        self._write(state)
        arguments = (str(questions), "--format", form, "--top-k", str(top_k), "--output", str(folder / _OUTPUT))
        self._task = asyncio.create_task(self._run(state, ("evaluate", *arguments, "--jobs", "1", "--progress")))
        return state

    async def _keep(self, path: Path, body: AsyncIterator[bytes]) -> None:
        most, size = self._settings.max_upload_mb * 1_000_000, 0
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in body:
                size += len(chunk)
                if size > most:
                    raise BodyTooLarge(f"the question file passes {self._settings.max_upload_mb} MB")
                await file.write(chunk)
        if not size:
            raise UnreadableRequest("the body is empty; send a question file")

    def state(self, identifier: str) -> Evaluation:
        """Return the state of an evaluation. Raises :class:`NotFound`."""
        path = self._path(identifier) / _STATUS
        try:
            state = Evaluation.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            raise NotFound("no evaluation of that id") from None
        return state

    def report(self, identifier: str) -> bytes:
        """Return the report of an evaluation as HTML. Raises :class:`NotFound` if there is none yet."""
        try:
            return (self._path(identifier) / _OUTPUT / "report.html").read_bytes()
        except OSError:
            raise NotFound("no report of that id, or not yet; GET /evaluate/{id} tells") from None

    async def stop(self) -> None:
        """End an evaluation under way; what it has so far stays."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _run(self, state: Evaluation, arguments: tuple[str, ...]) -> None:
        process = await children.start(self._settings, *arguments, stderr=asyncio.subprocess.PIPE)
        said: list[str] = []
        try:
            if process.stderr is not None:
                while line := await process.stderr.readline():
                    self._note(state, line[:_LINE].decode(errors="replace").strip(), said)
            await process.communicate()
        except asyncio.CancelledError:
            await children.end(process)
            state.status = "stopped"
            self._write(state)
            raise
        state.exit_code = process.returncode
        summary = self._path(state.id) / _OUTPUT / "summary.json"
        try:
            state.summary = json.loads(await asyncio.to_thread(summary.read_bytes))
            state.status, state.report = "done", f"{EVALUATE}/{state.id}/report"
        except (OSError, ValueError):
            state.status = "failed"
            state.error = _harmless(said[-1], self._path(state.id)) if said else "it ended without a word"
        self._write(state)

    def _note(self, state: Evaluation, line: str, said: list[str]) -> None:
        try:
            progress = json.loads(line)
            state.asked, state.of = int(progress["asked"]), progress.get("of")
        except (ValueError, KeyError, TypeError):
            said.append(line)
            del said[:-10]
            return
        self._write(state)

    def _path(self, identifier: str) -> Path:
        if not _ID.fullmatch(identifier):
            raise NotFound("no evaluation of that id")
        return self._folder / identifier

    def _write(self, state: Evaluation) -> None:
        path = self._path(state.id) / _STATUS
        with suppress(OSError):  # the state is told as far as it can be
            temporary = path.with_suffix(".tmp")
            temporary.write_text(state.model_dump_json(), encoding="utf-8")
            os.replace(temporary, path)


def _harmless(message: str, folder: Path) -> str:
    """Return an error's words without the folder that the question file was kept in."""
    return message.removeprefix("error: ").replace(f"{folder}{os.sep}", "")


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
        """Ask every question of the body in a process of its own, while this one serves."""
        return await evaluations.begin(form, top_k, request.stream())

    @router.get(
        "/{evaluation_id}",
        operation_id="evaluation",
        summary="How is an evaluation going?",
        responses=problems(401, 403, 404, "default"),
    )
    async def evaluation(request: Request, evaluation_id: Annotated[str, _IDENTIFIER]) -> Evaluation:
        """Tell how many questions were asked; once it is done, what was measured."""
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
