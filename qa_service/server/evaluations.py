"""Evaluations started over HTTP: the client uploads a question file, a job evaluates it, the reports are kept.

Each evaluation has a folder below the data folder, which all server processes read.
"""

import json
import os
import re
import shutil
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Any, Literal

import anyio
from pydantic import BaseModel, Field

from qa_service.errors import BodyTooLarge, JobInProgress, NotFound, NotReady, UnreadableRequest
from qa_service.io.durable import make_private, make_private_file, make_private_folder
from qa_service.server.jobs import COMMAND, Job, Jobs, JobState
from qa_service.server.threads import in_thread
from qa_service.settings import Settings

EVALUATE = "/evaluate"
_STATUS, _OUTPUT = "status.json", "run"
_ID = re.compile(r"[0-9a-f]{32}")
_ENDINGS = {"jsonl": ".jsonl", "csv": ".csv", "squad": ".json", "ragas": ".jsonl"}
Uploaded = Literal["jsonl", "csv", "squad", "ragas"]


class _Identified(BaseModel):
    id: str = Field(description="Id of the evaluation.")


class Evaluation(JobState, _Identified):  # pydantic puts the fields of the last base first
    """The state of an evaluation."""

    status: Literal["running", "done", "failed", "stopped"] = Field(
        description="`stopped` if the server ended before the evaluation."
    )
    asked: int = Field(default=0, description="Questions asked so far.")
    of: int | None = Field(default=None, description="Number of questions, once they are counted.")
    summary: dict[str, Any] | None = Field(default=None, description="As in summary.json, once it is done.")
    report: str | None = Field(default=None, description="Path of the report, once it is done.")


class EvaluationsBody(BaseModel):
    """The evaluations that are kept, the latest first."""

    evaluations: list[Evaluation] = Field(description="At most `QA_KEEP_EVALUATIONS`.")


class Evaluations:
    """Runs ``qa-service evaluate`` as a job. Methods that are not coroutines block; call them in a thread."""

    def __init__(self, settings: Settings, command: Sequence[str] = COMMAND) -> None:
        self._max_bytes = settings.max_upload_mb * 1_000_000
        self._keep_count = settings.keep_evaluations
        self._folder = settings.data / "evaluations"
        self._jobs = Jobs(settings, "evaluate", Evaluation, active="running", command=command)

    async def begin(self, form: Uploaded, top_k: int, body: AsyncIterator[bytes]) -> Evaluation:
        """Store a question file and start its evaluation.

        Raises :class:`JobInProgress` while another one is running or being uploaded, :class:`BodyTooLarge`, and
        :class:`UnreadableRequest` if the body is empty.
        """
        identifier = uuid.uuid4().hex
        questions = self._folder / identifier / f"questions{_ENDINGS[form]}"
        undo = ExitStack()
        try:
            lock = await in_thread(self._claim, questions, undo)
            await self._receive(questions, body)
            arguments = ("--format", form, "--top-k", str(top_k), "--jobs", "1", "--progress")
            return await in_thread(self._start, questions, arguments, lock, undo)
        except BaseException as error:  # including a client that disconnects
            await in_thread(undo.close)
            if isinstance(error, OSError):
                raise NotReady("the question file can't be stored; make room in the data folder") from error
            raise

    def state(self, identifier: str) -> Evaluation:
        """Return the state of an evaluation. Raises :class:`NotFound`."""
        state = self._jobs.state(self._path(identifier) / _STATUS)
        if state is None:
            raise NotFound("no evaluation has this id")
        return state

    def states(self) -> list[Evaluation]:
        """Return the states of all evaluations, the latest first."""
        folders = sorted(self._folders(), key=_started_at, reverse=True)
        states = (self._jobs.state(folder / _STATUS) for folder in folders)
        return [state for state in states if state is not None]

    def report(self, identifier: str) -> bytes:
        """Return the HTML report of an evaluation. Raises :class:`NotFound` if there is none yet."""
        try:
            return (self._path(identifier) / _OUTPUT / "report.html").read_bytes()
        except OSError:
            raise NotFound("no report has this id, or it is not finished; see GET /evaluate/{id}") from None

    def recover(self) -> None:
        """Clean up after a killed server. Called when a server starts."""
        if self._folder.is_dir():
            make_private(self._folder)
            with suppress(NotReady), self._jobs.changing():
                lock = self._jobs.claim()
                if lock is not None:
                    self._settle()
                    os.close(lock)

    def stop(self) -> None:
        """Stop this server process's evaluation; its results so far are kept."""
        self._jobs.stop()

    def _claim(self, questions: Path, undo: ExitStack) -> int:
        with self._jobs.changing():
            lock = self._jobs.claim()
            if lock is None:
                raise JobInProgress("an evaluation is running; GET /evaluate/{id} shows when it is done")
            undo.callback(os.close, lock)
            self._settle()
            undo.callback(shutil.rmtree, questions.parent, ignore_errors=True)
            make_private_folder(questions.parent)
            make_private(self._folder)
            make_private_file(questions)
        return lock

    async def _receive(self, path: Path, body: AsyncIterator[bytes]) -> None:
        size = 0
        async with await anyio.open_file(path, "wb") as file:
            async for chunk in body:
                size += len(chunk)
                if size > self._max_bytes:
                    limit = self._max_bytes // 1_000_000
                    raise BodyTooLarge(f"the question file has more than {limit} MB; send a smaller one")
                await file.write(chunk)
        if not size:
            raise UnreadableRequest("the body is empty; send a question file")

    def _start(self, questions: Path, arguments: tuple[str, ...], lock: int, undo: ExitStack) -> Evaluation:
        folder = questions.parent
        self._remove_oldest(except_for=folder)
        state = Evaluation(id=folder.name, status="running")
        job = Job(
            folder / _STATUS,
            state,
            ("evaluate", str(questions), *arguments, "--output", str(folder / _OUTPUT)),
            take_result=partial(_take_summary, state, folder / _OUTPUT / "summary.json"),
            note=partial(_note_progress, state),
            private=True,
        )
        self._jobs.write(job.path, state)
        begun = state.model_copy()
        self._jobs.run(job, lock)
        undo.pop_all()
        return begun

    def _settle(self) -> None:
        """Mark killed evaluations as stopped, and delete incomplete uploads. The caller holds the lock."""
        for folder in self._folders():
            state = self._jobs.read(folder / _STATUS)
            if state is not None:
                self._jobs.mark_stopped(folder / _STATUS, state)
            elif not (folder / _STATUS).exists():
                shutil.rmtree(folder, ignore_errors=True)

    def _remove_oldest(self, *, except_for: Path) -> None:
        others = [folder for folder in self._folders() if folder != except_for]
        for folder in sorted(others, key=_started_at, reverse=True)[self._keep_count - 1 :]:
            shutil.rmtree(folder, ignore_errors=True)

    def _folders(self) -> Iterator[Path]:
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if _ID.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)

    def _path(self, identifier: str) -> Path:
        if not _ID.fullmatch(identifier):
            raise NotFound("no evaluation has this id")
        return self._folder / identifier


def _started_at(folder: Path) -> int:
    """Return when an evaluation started, in nanoseconds: its question file is the oldest file of its folder."""
    return min((entry.stat().st_mtime_ns for entry in folder.iterdir()), default=0)


def _take_summary(state: Evaluation, path: Path, _: bytes) -> None:
    state.summary = json.loads(path.read_bytes())
    state.report = f"{EVALUATE}/{state.id}/report"


def _note_progress(state: Evaluation, line: str) -> bool:
    try:
        progress = json.loads(line)
        state.asked, state.of = int(progress["asked"]), progress.get("of")
    except (ValueError, KeyError, TypeError):
        return False
    return True
