"""Index builds started over HTTP: one at a time, for all server processes together."""

import asyncio
import json
import logging
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Literal

from pydantic import Field

from qa_service.errors import BuildInProgress, NotReady
from qa_service.io.durable import OWNER_FILE, storage_errors
from qa_service.server.jobs import COMMAND, Job, Jobs, JobState
from qa_service.settings import Settings

QUIET_SECONDS = 2.0
"""A build of changed documents begins when none has changed for so long."""
_POLL_SECONDS = 0.5
_logger = logging.getLogger(__name__)


class Reindexing(JobState):
    """The state of the last build that was started over HTTP."""

    status: Literal["idle", "waiting", "building", "done", "failed", "stopped"] = Field(
        default="idle",
        description="`idle` before the first build, `stopped` if the server ended before the build, `waiting` if "
        "documents were changed over HTTP and no build with them has begun yet.",
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
        self._wanted = self._jobs.folder / "reindex.wanted"
        """Exists while documents have changed and no build has begun since; each change gives it another time."""
        self._seen: int | None = None
        self._seen_at = 0.0

    def want(self) -> None:
        """Ask for a build once no document has changed for ``QUIET_SECONDS``. Any server process starts it."""
        with self._jobs.changing(), storage_errors(self._wanted):
            self._wanted.touch(OWNER_FILE)

    async def watch_wanted(self) -> None:
        """Start the build that is wanted, once it is due and no other is running."""
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            try:
                await asyncio.to_thread(self._begin_wanted)
            except Exception:
                _logger.exception("the build of changed documents can't be started yet")

    def _begin_wanted(self) -> None:
        changed = self._wanted_at()
        if changed != self._seen:
            self._seen, self._seen_at = changed, time.monotonic()
        if changed is not None and time.monotonic() - self._seen_at >= QUIET_SECONDS:
            with suppress(BuildInProgress):
                self.begin(if_wanted=True)

    def _wanted_at(self) -> int | None:
        try:
            return self._wanted.stat().st_mtime_ns
        except OSError:  # missing, or in a folder that the next write reports
            return None

    def begin(self, key: str | None = None, *, if_wanted: bool = False) -> Reindexing:
        """Start a build, or return the state of the last one if it was started with the same key.

        With ``if_wanted``, start none if another process has started it. Raises :class:`BuildInProgress` while a build
        with another key, or without one, is running.
        """
        with self._jobs.changing():
            last = self._jobs.settled(self._path)
            if last is not None and key is not None and key == last.key:
                return last
            if if_wanted and self._wanted_at() is None:
                return last or Reindexing()
            lock = self._jobs.claim()
            if lock is None:
                raise BuildInProgress("a build is running; GET /admin/reindex shows when it is done")
            build = _Build(status="building", key=key)
            begun = build.model_copy()
            with ExitStack() as undo:
                undo.callback(os.close, lock)
                self._write(build)
                self._wanted.unlink(missing_ok=True)  # its documents are read from now on
                self._jobs.run(Job(self._path, build, ("index", "--json"), partial(_take_report, build)), lock)
                undo.pop_all()
        return begun

    def state(self) -> Reindexing:
        """Return the state of the last build."""
        state = self._jobs.state(self._path) or Reindexing()
        if state.status != "building" and self._wanted_at() is not None:
            return Reindexing(status="waiting")
        return state

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
