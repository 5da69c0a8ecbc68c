"""Builds of the index that are asked for over HTTP: one at a time, whichever server process is asked."""

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
    """The state of the last build that was asked for over HTTP."""

    status: Literal["idle", "building", "done", "failed", "stopped"] = "idle"
    report: dict[str, Any] | None = Field(default=None, description="What `qa-service index --json` printed.")


class _Build(Reindexing):
    key: str | None = None
    """The Idempotency-Key that it was asked for with."""


class Builder:
    """Runs ``qa-service index`` as a job. Its methods block; call them in a thread."""

    def __init__(self, settings: Settings, command: Sequence[str] = COMMAND, *, stop_seconds: float = 5.0) -> None:
        self._jobs = Jobs(settings, "reindex", _Build, active="building", command=command, stop_seconds=stop_seconds)
        self._path = self._jobs.folder / "reindex.json"

    def begin(self, key: str | None = None) -> Reindexing:
        """Begin a build, unless the last one was begun with the same key: then return the state of that one.

        Raises :class:`BuildInProgress` while one of another key, or without one, is running.
        """
        with self._jobs.changing():
            last = self._jobs.settled(self._path)
            if last is not None and key is not None and key == last.key:
                return last
            lock = self._jobs.claim()
            if lock is None:
                raise BuildInProgress("a build is running; GET /admin/reindex tells when it is done")
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
        """End the build that this server process runs; the index stays as it was."""
        self._jobs.stop()

    def _write(self, build: _Build) -> None:
        try:
            self._jobs.write(self._path, build)
        except OSError as error:
            raise NotReady("the state of the build can't be kept; see that the data folder has room") from error


def _take_report(build: _Build, output: bytes) -> None:
    build.report = json.loads(output)
