"""Index builds started over HTTP: one at a time, for all server processes together."""

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal

from pydantic import Field

from qa_service.errors import BuildInProgress, NotReady
from qa_service.server.jobs import COMMAND, Job, Jobs, JobState
from qa_service.settings import Settings


class Reindexing(JobState):
    """The state of the last build that was started over HTTP."""

    status: Literal["idle", "building", "done", "failed", "stopped"] = Field(
        default="idle", description="`idle` before the first build, `stopped` if the server ended before the build."
    )
    report: dict[str, Any] | None = Field(default=None, description="The output of `qa-service index --json`.")


class _Build(Reindexing):
    key: str | None = None
    """The Idempotency-Key of the request that started it."""


class Builder:
    """Runs ``qa-service index`` as a job. Its methods block; call them in a thread."""

    def __init__(self, settings: Settings, command: Sequence[str] = COMMAND, *, stop_seconds: float = 5.0) -> None:
        self._jobs = Jobs(settings, "reindex", _Build, active="building", command=command, stop_seconds=stop_seconds)
        self._path = self._jobs.folder / "reindex.json"

    def begin(self, key: str | None = None) -> Reindexing:
        """Start a build, or return the state of the last one if it was started with the same key.

        Raises :class:`BuildInProgress` while a build with another key, or without one, is running.
        """
        with self._jobs.changing():
            last = self._jobs.settled(self._path)
            if last is not None and key is not None and key == last.key:
                return last
            lock = self._jobs.claim()
            if lock is None:
                raise BuildInProgress("a build is running; GET /admin/reindex shows when it is done")
            build = _Build(status="building", key=key)
            begun = build.model_copy()
            with ExitStack() as undo:
                undo.callback(os.close, lock)
                self._write(build)
                self._jobs.run(Job(self._path, build, ("index", "--json"), partial(_take_report, build)), lock)
                undo.pop_all()
        return begun

    def state(self) -> Reindexing:
        """Return the state of the last build."""
        return self._jobs.state(self._path) or Reindexing()

    def stop(self) -> None:
        """Stop this server process's build; the current index is kept."""
        self._jobs.stop()

    def _write(self, build: _Build) -> None:
        try:
            self._jobs.write(self._path, build)
        except OSError as error:
            raise NotReady("the state of the build can't be written; make room in the data folder") from error


def _take_report(build: _Build, output: bytes) -> None:
    build.report = json.loads(output)
