"""Jobs: commands of this program that the server runs in processes of their own, one of each kind at a time.

Server processes with the same data folder share its jobs. The state of a job is a file there, and a file lock shows
whether the job is running: the server process and the job's process both hold it, and the system releases it when both
have ended, however they ended. A state that says `running` without a held lock is that of a stopped job.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Generic, TypeVar

from filelock import lock_descriptor
from pydantic import BaseModel, Field

from qa_service.errors import NotReady
from qa_service.io.durable import OTHER_ACCOUNTS, OWNER_FILE, make_private_folder, replace_file
from qa_service.settings import Settings, environment_of

COMMAND = (sys.executable, "-m", "qa_service.cli.job")
_POLL_SECONDS = 0.01
_MAX_LINE_BYTES = 65_536
_MAX_ERROR_LINES = 10
_STOPPED_EXIT_CODES = {-signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP, 130}
_ABSOLUTE_FOLDER = re.compile(r"(?<![\w.:/-])/(?:[^\s/:'\"]+/)+")


class JobState(BaseModel):
    """The state of a job."""

    status: str
    exit_code: int | None = Field(default=None, description="Exit code of its process, once it has ended.")
    error: str | None = Field(default=None, description="Why it failed.")


State = TypeVar("State", bound=JobState)


@dataclass(frozen=True, slots=True)
class Job(Generic[State]):
    """A job to run: a command, and how its output changes the state."""

    path: Path
    """The file of the state."""
    state: State
    arguments: tuple[str, ...]
    take_result: Callable[[bytes], None]
    """Reads the result from the command's output. Raises ``OSError`` or ``ValueError`` if there is none."""
    note: Callable[[str], bool] = lambda _: False
    """Reads a line of stderr; returns whether it was progress that changed the state."""
    private: bool = False
    """Whether only the owner may read the files of the command."""


class Jobs(Generic[State]):
    """The jobs of one kind. Its methods block; call them in a thread."""

    def __init__(
        self,
        settings: Settings,
        kind: str,
        model: type[State],
        *,
        active: str,
        command: Sequence[str] = COMMAND,
        stop_seconds: float = 5.0,
    ) -> None:
        """``active`` is the status of a running job; ``command`` starts it; ``stop_seconds`` follow a stop signal."""
        self._settings = settings
        self.command = command
        self.stop_seconds = stop_seconds
        self._model = model
        self._active = active
        self.folder = settings.data / "jobs"
        self._changing = self.folder / f"{kind}.lock"
        self._running = self.folder / f"{kind}.running"
        self._process: _JobProcess[State] | None = None

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Lock out other processes and threads that claim, settle or finish jobs."""
        descriptor = self._locked(self._changing, wait=True)
        try:
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def claim(self) -> int | None:
        """Return a descriptor that holds the lock of a running job, or ``None`` while a job is running.

        Called inside :meth:`changing`. Closing the descriptor releases the lock.
        """
        return self._locked(self._running, wait=False)

    def read(self, path: Path) -> State | None:
        """Return the state in a file as it was written, or ``None``."""
        try:
            return self._model.model_validate_json(path.read_bytes())
        except (OSError, ValueError):
            return None

    def write(self, path: Path, state: State) -> None:
        """Write a state to its file."""
        replace_file(path, state.model_dump_json().encode(), private=True)

    def state(self, path: Path) -> State | None:
        """Return the current state of the job of a file, or ``None``."""
        state = self.read(path)
        if state is not None and state.status == self._active:
            with self.changing():
                return self.settled(path)
        return state

    def settled(self, path: Path) -> State | None:
        """Return the current state of the job of a file, or ``None``. Called inside :meth:`changing`."""
        state = self.read(path)
        if state is not None and state.status == self._active and (lock := self.claim()) is not None:
            self.mark_stopped(path, state)
            os.close(lock)
        return state

    def mark_stopped(self, path: Path, state: State) -> None:
        """Mark a job as stopped if its state says that it runs. The caller holds the lock."""
        if state.status == self._active:
            state.status = "stopped"
            with suppress(OSError):  # the next reader does it again
                self.write(path, state)

    def run(self, job: Job[State], lock: int) -> None:
        """Start the process of a job and keep its state up to date. The job now owns the claimed lock."""
        self._process = _JobProcess(self, job, lock, self._settings)

    def stop(self) -> None:
        """Stop this server process's job, if there is one; its files are kept."""
        if self._process is not None:
            self._process.stop()

    def _locked(self, path: Path, *, wait: bool) -> int | None:
        try:
            make_private_folder(self.folder)
            with ExitStack() as opened:
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, OWNER_FILE)
                opened.callback(os.close, descriptor)
                if not lock_descriptor(descriptor, blocking=wait, poll_interval=_POLL_SECONDS):
                    return None
                opened.pop_all()
                return descriptor
        except OSError as error:
            raise NotReady("the state of jobs can't be stored; make the data folder writable and try again") from error


class _JobProcess(Generic[State]):
    """Runs the process of a job until it ends."""

    def __init__(self, jobs: Jobs[State], job: Job[State], lock: int, settings: Settings) -> None:
        self._jobs = jobs
        self._job = job
        self._lock = lock
        self._settings = settings
        self._stopping = False
        self._process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()
        self._lines: deque[str] = deque(maxlen=_MAX_ERROR_LINES)
        self._thread = threading.Thread(target=self._run, name="job", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop the process. If the system can't end it, it keeps the lock."""
        self._stopping = True
        self._started.wait()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process is not None and self._process.returncode is None:
                _signal(self._process, number)
            self._thread.join(self._jobs.stop_seconds)

    def _run(self) -> None:
        """Start the process, wait for its end, and store its result."""
        state = self._job.state
        try:
            with tempfile.TemporaryFile(dir=self._jobs.folder) as output:
                self._process = self._start(output)
                self._started.set()
                state.exit_code = self._wait(self._process)
                output.seek(0)
                self._end(output.read())
        except OSError as error:
            state.status, state.error = "failed", f"its process can't be started: {error.strerror}"
        finally:
            self._release()

    def _release(self) -> None:
        self._started.set()
        with ExitStack() as stack:
            with suppress(NotReady):
                stack.enter_context(self._jobs.changing())  # others see the state and the lock change together
            stack.callback(os.close, self._lock)
            with suppress(OSError):  # then the job counts as stopped
                self._jobs.write(self._job.path, self._job.state)

    def _start(self, output: IO[bytes]) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            [*self._jobs.command, *self._job.arguments],
            stdin=subprocess.PIPE,  # no other process holds it open, so the job ends with this process
            stdout=output,
            stderr=subprocess.PIPE,
            env=environment_of(self._settings),
            pass_fds=(self._lock,),
            start_new_session=True,  # Ctrl-C reaches the server, which then stops the job
            umask=OTHER_ACCOUNTS if self._job.private else -1,
        )

    def _wait(self, process: "subprocess.Popen[bytes]") -> int:
        reader = threading.Thread(target=self._read, args=(process.stderr,), daemon=True)
        reader.start()
        exit_code = process.wait()
        _signal(process, signal.SIGKILL)  # processes that it left behind
        reader.join(self._jobs.stop_seconds)
        if process.stdin is not None:
            process.stdin.close()
        return exit_code

    def _read(self, stderr: IO[bytes]) -> None:
        with stderr:
            while line := stderr.readline(_MAX_LINE_BYTES):
                said = line.decode(errors="replace").strip()
                if self._job.note(said):
                    with suppress(OSError):
                        self._jobs.write(self._job.path, self._job.state)
                elif said:
                    self._lines.append(said)

    def _end(self, output: bytes) -> None:
        state = self._job.state
        try:
            self._job.take_result(output)
            state.status = "done"
        except (OSError, ValueError):
            if self._stopping or state.exit_code in _STOPPED_EXIT_CODES:
                state.status = "stopped"
            else:
                state.status, state.error = "failed", without_folders(self._reason(), self._settings, self._job.path)

    def _reason(self) -> str:
        code = self._job.state.exit_code or 0
        if code < 0:
            name = signal.Signals(-code).name
            return f"its process was ended by {name}" + (", as when memory runs out" if name == "SIGKILL" else "")
        errors = [line.removeprefix("error: ") for line in self._lines if line.startswith("error: ")]
        return (errors or [*self._lines] or [f"its process ended with exit code {code} and no result"])[-1]


def without_folders(message: str, settings: Settings, path: Path) -> str:
    """Return a message for a client, without this machine's folders."""
    message = message.replace(f"{path.parent}{os.sep}", "")
    parts = (settings, *settings.by_collection().values())
    folders = {settings.data, *(folder for part in parts for folder in (part.source, part.index))}
    known = {folder for folder in folders if folder.is_absolute()} | {folder.resolve() for folder in folders}
    for folder in sorted(known, key=lambda each: len(each.parts), reverse=True):
        message = message.replace(f"{folder}{os.sep}", "").replace(str(folder), folder.name)
    return _ABSOLUTE_FOLDER.sub("", message)


def _signal(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to a process and its descendants."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
