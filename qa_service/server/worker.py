"""The queue of calls that compute, and the two threads that run them.

Handlers are ``async`` and never compute. A full queue rejects a call at once: a call that misses its deadline would
cost the same and help nobody. Questions in the queue are embedded together, four in a forward pass of the model; no
question is held back to wait for others. While a second thread answers one batch, the first thread embeds the next.
With an empty queue the first thread does both. Work in the background has a queue of its own, whose turn comes when
the first one is empty.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Queue
from typing import Any, TypeVar

from qa_service.errors import DeadlineExceeded, NotReady, Overloaded
from qa_service.server.metrics import BATCH_SIZE, QUEUED_CALLS

Result = TypeVar("Result")
Question = TypeVar("Question")
Embedding = TypeVar("Embedding")

_logger = logging.getLogger(__name__)


_Embed = Callable[[Sequence[Any]], Sequence[Any]]


@dataclass(frozen=True, slots=True)
class _Question:
    asked: Any
    embed: _Embed


@dataclass(frozen=True, slots=True)
class _Job:
    """A function to call, with the embedding of its question if it has one."""

    function: Callable[..., Any]
    future: "Future[Any]"
    question: _Question | None = None


_Call = tuple["Future[Any]", Callable[[], Any]]


class Worker:
    """Runs functions one at a time; one thread embeds their questions in batches."""

    def __init__(
        self,
        *,
        queue_limit: int,
        deadline_seconds: float,
        max_batch: int = 8,
        hand_over_seconds: float = 0.001,
        stuck_seconds: float = 25.0,
    ) -> None:
        """Start the threads.

        ``max_batch`` questions are embedded together at most. An embedding that took longer than
        ``hand_over_seconds`` lets the second thread answer, so that the first can embed; cached ones take less.
        A call that takes longer than ``stuck_seconds``, and longer than the deadline, counts as stuck.
        """
        self._limit = queue_limit
        self._deadline = deadline_seconds
        self._max_batch = max_batch
        self._hand_over_seconds = hand_over_seconds
        self._stuck_seconds = max(stuck_seconds, deadline_seconds)
        self._queue: deque[_Job] = deque()
        self._background: deque[_Job] = deque()
        self._unfinished = 0
        self._changed = threading.Condition()
        self._closed = False
        self._busy_since: dict[str, float] = {}
        """When each busy thread began its current call, by the thread's name."""
        self._embedded_calls: Queue[list[_Call] | None] = Queue(1)
        self._threads = [
            threading.Thread(target=work, name=work.__name__.strip("_"), daemon=True)
            for work in (self._encoder, self._answerer)
        ]
        for thread in self._threads:
            thread.start()

    def check_limit(self, seconds: float) -> None:
        """Log a warning if the last call of a full queue would miss its deadline, at so many seconds a call."""
        if self._limit * seconds > self._deadline:
            _logger.warning(
                "a full queue of %d questions (QA_QUEUE_LIMIT) of %.0f ms each takes %.0f s; QA_DEADLINE_SECONDS is %g",
                self._limit,
                seconds * 1000,
                self._limit * seconds,
                self._deadline,
            )

    def expect_alive(self) -> None:
        """Raise :class:`NotReady` if a call has run for so long that it is stuck."""
        since = min(self._busy_since.copy().values(), default=None)
        if since is not None and time.monotonic() - since > self._stuck_seconds:
            raise NotReady("the thread that computes answers is stuck; restart the service")

    def refusal(self) -> Overloaded | None:
        """Return the error for one more call, or ``None`` if the queue has room."""
        if self._unfinished < self._limit:
            return None
        return Overloaded(f"{self._limit} questions are in the queue, which is full; ask again in a second")

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return ``function()``, run while no other function is.

        Raises :class:`Overloaded` at once if ``queue_limit`` calls are running or queued,
        :class:`DeadlineExceeded` after ``deadline_seconds``, :class:`NotReady` after :meth:`close`.
        A queued call whose deadline passes is dropped; a running one finishes, and its result is discarded.
        """
        result: Result = await self._result(_Job(function, Future()))
        return result

    async def run_in_background(self, function: Callable[[], Result]) -> Result:
        """Return ``function()``, run while no call is queued.

        It has no deadline and does not count towards ``queue_limit``. Raises :class:`NotReady` after :meth:`close`.
        """
        job = _Job(function, Future())
        with self._changed:
            if self._closed:
                raise _shutting_down()
            self._background.append(job)
            self._changed.notify()
        result: Result = await asyncio.wrap_future(job.future)
        return result

    async def answer(
        self,
        function: Callable[[Embedding], Result],
        question: Question,
        embed: Callable[[Sequence[Question]], Sequence[Embedding]],
    ) -> Result:
        """Return ``function(embed([question])[0])``, run while no other function is.

        ``embed`` is called with up to ``max_batch`` queued questions that share it; if it raises, with each alone.
        Raises what :meth:`run` does.
        """
        result: Result = await self._result(_Job(function, Future(), _Question(question, embed)))
        return result

    async def _result(self, job: _Job) -> Any:
        with self._changed:
            if self._closed:
                raise _shutting_down()
            if (refusal := self.refusal()) is not None:
                raise refusal
            self._unfinished += 1
            QUEUED_CALLS.inc()
            self._queue.append(job)
            self._changed.notify()
        job.future.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(job.future), self._deadline)
        except TimeoutError:
            raise DeadlineExceeded(f"not finished within {self._deadline:g} s; ask again") from None

    def close(self) -> None:
        """Finish the running and queued calls, cancel those in the background, and accept no others."""
        with self._changed:
            self._closed = True
            for job in self._background:
                job.future.cancel()
            self._background.clear()
            self._changed.notify()
        for thread in self._threads:
            thread.join()

    def _encoder(self) -> None:
        """Embed questions; answer them too, unless more are queued."""
        while jobs := self._next():
            self._busy_since["encoder"] = time.monotonic()
            calls, embedded = _embedded(jobs)
            took = time.monotonic() - self._busy_since.pop("encoder")
            self._embedded_calls.join()
            if embedded and self._queue and took > self._hand_over_seconds:
                self._embedded_calls.put(calls)
            else:
                self._call("encoder", calls)
        self._embedded_calls.put(None)

    def _answerer(self) -> None:
        """Answer embedded questions while the other thread embeds the next ones."""
        while (calls := self._embedded_calls.get()) is not None:
            self._call("answerer", calls)
            self._embedded_calls.task_done()

    def _call(self, thread: str, calls: Sequence[_Call]) -> None:
        for future, function in calls:
            if future.set_running_or_notify_cancel():
                self._busy_since[thread] = time.monotonic()
                _run(future, function)
        self._busy_since.pop(thread, None)

    def _next(self) -> list[_Job]:
        """Wait for jobs; return the next questions, or one other call; none once closed and done."""
        with self._changed:
            while not self._queue and not self._background and not self._closed:
                self._changed.wait()
            if not self._queue and self._background:
                return [self._background.popleft()]
            jobs: list[_Job] = []
            while self._queue and len(jobs) < self._max_batch:
                if jobs and None in (jobs[-1].question, self._queue[0].question):
                    break
                jobs.append(self._queue.popleft())
            return jobs

    def _release(self, _: "Future[Any]") -> None:
        with self._changed:
            self._unfinished -= 1
            QUEUED_CALLS.dec()


def _shutting_down() -> NotReady:
    return NotReady("the server is shutting down; ask again")


def _embedded(jobs: Sequence[_Job]) -> tuple[list[_Call], bool]:
    """Return the calls of some jobs, and whether all their questions were embedded.

    If embedding together fails, each call embeds its own question, so that only the bad one fails.
    """
    calls: list[_Call] = []
    together: defaultdict[_Embed, list[tuple[_Job, Any]]] = defaultdict(list)
    for job in jobs:
        if job.question is None:
            calls.append((job.future, job.function))
        elif not job.future.cancelled():
            together[job.question.embed].append((job, job.question.asked))
    whole = not calls
    for embed, asked in together.items():
        BATCH_SIZE.observe(len(asked))
        try:
            found = embed([question for _, question in asked])
        except Exception:  # noqa: BLE001 - each call meets it again
            whole = False
            calls += [(job.future, partial(_embed_and_call, job.function, embed, one)) for job, one in asked]
        else:
            calls += [(job.future, partial(job.function, one)) for (job, _), one in zip(asked, found, strict=True)]
    return calls, whole


def _embed_and_call(function: Callable[[Any], Any], embed: _Embed, question: Any) -> Any:
    return function(embed([question])[0])


def _run(future: "Future[Any]", function: Callable[[], Any]) -> None:
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001 - the caller gets it
        future.set_exception(error)
    else:
        future.set_result(result)
