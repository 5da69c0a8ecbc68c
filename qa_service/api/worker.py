"""Admission: one thread that computes, a bounded number of requests that may wait for it.

Handlers are ``async`` and never compute. A request that finds the queue full is turned away at once,
since one that waits past its deadline costs the same and helps nobody. Questions that wait together are
prepared together, four in a forward pass of the model: none is held back to wait for more.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

from qa_service.api.metrics import BATCH, WAITING
from qa_service.errors import DeadlineExceeded, NotReady, Overloaded

Result = TypeVar("Result")

_BATCH = 8
STUCK_SECONDS = 25.0
"""A call that takes longer, and longer than a question may, is taken for one that never ends."""
_logger = logging.getLogger(__name__)


Prepare = Callable[[Sequence[str]], object]


@dataclass(frozen=True, slots=True)
class _Job:
    function: Callable[[], Any]
    question: str | None
    prepare: Prepare
    future: "Future[Any]"


class Worker:
    """Runs functions one after another in one thread."""

    def __init__(self, *, queue_limit: int, deadline_seconds: float) -> None:
        self._limit = queue_limit
        self._deadline = deadline_seconds
        self._waiting: deque[_Job] = deque()
        self._taken = 0
        self._changed = threading.Condition()
        self._closed = False
        self._since: float | None = None  # when the jobs in work were begun
        self._thread = threading.Thread(target=self._work, name="encoder", daemon=True)
        self._thread.start()

    def check_limit(self, seconds: float) -> None:
        """Tell the log if the last of a full queue would wait past its deadline, at so many seconds a call."""
        if self._limit * seconds > self._deadline:
            _logger.warning(
                "%d questions of %.0f ms each may wait (QA_QUEUE_LIMIT), which takes %.0f s; QA_DEADLINE_SECONDS is %g",
                self._limit,
                seconds * 1000,
                self._limit * seconds,
                self._deadline,
            )

    def expect_alive(self) -> None:
        """Raise :class:`NotReady` where one call has been computing for so long that it will not end any more."""
        since = self._since
        if since is not None and time.monotonic() - since > max(STUCK_SECONDS, self._deadline):
            raise NotReady("what computes answers does not answer any more; restart the service")

    def refusal(self) -> Overloaded | None:
        """Return the error for one more call, or ``None`` if it may wait."""
        if self._taken < self._limit:
            return None
        return Overloaded(f"{self._limit} questions are waiting already; ask again in a second")

    async def run(
        self, function: Callable[[], Result], question: str | None = None, prepare: Prepare = lambda _: None
    ) -> Result:
        """Return ``function()``, computed in the worker's thread; ``question`` is what it will ask, if anything.

        ``prepare`` is called with the questions of up to eight functions that are about to run and have the same,
        if there is more than one; what it raises is left to the functions to raise for themselves.

        Raises :class:`Overloaded` at once if ``queue_limit`` calls are in work or waiting,
        :class:`DeadlineExceeded` after ``deadline_seconds``, :class:`NotReady` after :meth:`close`.
        A call whose deadline passes while it waits is dropped; one in work finishes unseen.
        """
        future: Future[Result] = Future()
        with self._changed:
            if self._closed:
                raise NotReady("the server is shutting down; ask again")
            if (refusal := self.refusal()) is not None:
                raise refusal
            self._taken += 1
            WAITING.inc()
            self._waiting.append(_Job(function, question, prepare, future))
            self._changed.notify()
        future.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._deadline)
        except TimeoutError:
            raise DeadlineExceeded(f"not finished within {self._deadline:g} s; ask again") from None

    def close(self) -> None:
        """Finish what is in work or waiting, and take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _work(self) -> None:
        while jobs := self._next():
            self._since = time.monotonic()
            together: defaultdict[Prepare, list[str]] = defaultdict(list)
            for job in jobs:
                if job.question is not None and not job.future.cancelled():
                    together[job.prepare].append(job.question)
            for prepare, questions in together.items():
                BATCH.observe(len(questions))
                if len(questions) > 1:
                    with contextlib.suppress(Exception):  # each function meets it again, and answers for itself
                        prepare(questions)
            for job in jobs:
                if job.future.set_running_or_notify_cancel():
                    self._since = time.monotonic()
                    _run(job)
            self._since = None

    def _next(self) -> list[_Job]:
        """Wait for jobs; return the first ones, or none once the worker is closed and nothing waits."""
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            return [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]

    def _release(self, _: "Future[Result]") -> None:
        with self._changed:
            self._taken -= 1
            WAITING.dec()


def _run(job: _Job) -> None:
    try:
        result = job.function()
    except BaseException as error:  # noqa: BLE001 - it belongs to who waits
        job.future.set_exception(error)
    else:
        job.future.set_result(result)
