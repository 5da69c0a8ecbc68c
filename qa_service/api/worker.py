"""Admission: one thread that computes, a bounded number of requests that may wait for it.

Handlers are ``async`` and never compute. A request that finds the queue full is turned away at once,
since one that waits past its deadline costs the same and helps nobody.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from qa_service.errors import DeadlineExceeded, NotReady, Overloaded

Result = TypeVar("Result")


class Worker:
    """Runs functions one after another in one thread."""

    def __init__(self, *, queue_limit: int, deadline_seconds: float) -> None:
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._limit = queue_limit
        self._deadline = deadline_seconds
        self._taken = 0
        self._lock = threading.Lock()
        self._closed = False

    async def run(self, function: Callable[[], Result]) -> Result:
        """Return ``function()``, computed in the worker's thread.

        Raises :class:`Overloaded` at once if ``queue_limit`` calls are in work or waiting,
        :class:`DeadlineExceeded` after ``deadline_seconds``, :class:`NotReady` after :meth:`close`.
        A call whose deadline passes while it waits is dropped; one in work finishes unseen.
        """
        with self._lock:
            if self._closed:
                raise NotReady("the server is shutting down; ask again")
            if self._taken >= self._limit:
                raise Overloaded(f"{self._limit} questions are waiting already; ask again in a second")
            self._taken += 1
            future = self._executor.submit(function)
        future.add_done_callback(self._release)
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), self._deadline)
        except TimeoutError:
            raise DeadlineExceeded(f"not finished within {self._deadline:g} s; ask again") from None

    def close(self) -> None:
        """Finish what is in work or waiting, and take nothing more."""
        with self._lock:
            self._closed = True
        self._executor.shutdown(wait=True)

    def _release(self, _: "Future[Result]") -> None:
        with self._lock:
            self._taken -= 1
