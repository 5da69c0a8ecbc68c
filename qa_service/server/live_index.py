"""The index that a collection serves, replaced without a pause when another generation becomes current."""

import asyncio
import gc
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from qa_service.datatypes import Answer, AskOptions, Stage
from qa_service.errors import NotReady, QAServiceError, StoreUnavailable
from qa_service.evaluation.starters import ProvedQuestions
from qa_service.index import Generations, Manifest
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import Query
from qa_service.server.answer_cache import AnswerCache
from qa_service.server.metrics import EMBEDDED_QUESTIONS, INDEX_PASSAGES, INDEX_SWAPS
from qa_service.server.worker import Result, Worker

_logger = logging.getLogger(__name__)

Reopen = Callable[[], tuple[QuestionAnswerer, str | None]]


@dataclass(frozen=True, slots=True)
class ServableIndex:
    """An opened index, its problem if degraded, its generations, and how to reopen it.

    Without ``reopen``, later generations are not served.
    """

    answerer: QuestionAnswerer
    generations: Generations
    degraded: str | None = None
    reopen: Reopen | None = None


@dataclass(frozen=True, slots=True)
class TimedQuery:
    """A question as understood, with its embeddings, and when they were computed."""

    query: Query
    stage: Stage


Question = tuple[str, AskOptions]
"""A question as it was typed, and its options."""


class LiveIndex:
    """The index that a collection serves, and whether it is ready for questions.

    A handler takes a :meth:`lease` of the answerer for all steps of a request: a replaced index stays open until its
    last lease ends. Only the worker's threads call the answerer.
    """

    def __init__(self, opening: ServableIndex, worker: Worker, path: str = "", *, cache_mb: int = 16) -> None:
        self._answerer = opening.answerer
        self._cache_bytes = cache_mb * 1_000_000
        self.answer_cache = AnswerCache(self._cache_bytes)
        self.starters = ProvedQuestions()
        self._leases: Counter[QuestionAnswerer] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self.generations = opening.generations
        self.degraded = opening.degraded
        self.worker = worker
        self.path = path
        """Path of the collection; empty for the default one."""
        self._reopen = opening.reopen
        self.ready = False
        self.reason = "starting; the self-test has not finished"
        self._store_error: StoreUnavailable | None = None

    @contextmanager
    def lease(self) -> Iterator[QuestionAnswerer]:
        """Yield the answerer of the current index, which stays open until the context ends."""
        answerer = self._answerer
        self._leases[answerer] += 1
        try:
            yield answerer
        finally:
            self._leases[answerer] -= 1
            self._close_unused(answerer)

    def _close_unused(self, answerer: QuestionAnswerer) -> None:
        """Close a replaced index that has no lease, in a thread of its own, after the calls in the queue."""
        if answerer is self._answerer or self._leases[answerer]:
            return
        del self._leases[answerer]
        task = asyncio.get_running_loop().create_task(self._close_after_queue(answerer))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_after_queue(self, answerer: QuestionAnswerer) -> None:
        if await self._run_when_queue_allows(lambda: None):  # the worker's calls end in order
            await asyncio.to_thread(answerer.index.close)

    @property
    def manifest(self) -> Manifest:
        """The manifest of the current index."""
        return self._answerer.index.manifest

    @property
    def runtime(self) -> str:
        """Name of the runtime of the embedding model."""
        return self._answerer.embedder.runtime

    @property
    def reader_mode(self) -> str:
        """How the reader reads; empty without one."""
        return self._answerer.reader_mode

    async def answer(self, function: Callable[[TimedQuery], Result], question: Question) -> Result:
        """Run a function of a question as understood in the worker, which embeds queued questions together."""
        return await self.worker.answer(function, question, self.prepare)

    def prepare(self, questions: Sequence[Question]) -> list[TimedQuery]:
        """Understand questions, embed them together and count the cache misses. Called by the worker."""
        cache = self._answerer.question_cache
        before, began = cache.embedded, time.perf_counter()
        queries = self._answerer.prepare(questions)
        EMBEDDED_QUESTIONS.inc(cache.embedded - before)
        stage = Stage("embed", began, time.perf_counter())
        return [TimedQuery(query, stage) for query in queries]

    def related(self, answer: Answer, *, filtered: bool) -> tuple[str, ...]:
        """Return proved questions related to an answer; none to one with filters, since they were proved without."""
        return () if filtered else self.starters.related(answer)

    def expect_ready(self) -> None:
        """Raise :class:`NotReady` with the reason, or :class:`StoreUnavailable` while the store is unavailable."""
        if self._store_error is not None:
            raise StoreUnavailable(str(self._store_error))
        if not self.ready:
            raise NotReady(f"the service is not ready: {self.reason}")

    async def start(self) -> None:
        """Ask a self-test question; become ready if it is answered, however long the first questions take."""
        try:
            await self.worker.run_in_background(self._answerer.self_test)
            started = time.perf_counter()
            await self.worker.run_in_background(self._answerer.self_test)
            self.worker.check_limit(time.perf_counter() - started)
            self.ready = True
            self._set_index_metric(None)
        except QAServiceError as error:
            self.reason = "the self-test failed; see the server's log"
            _logger.error("not ready: %s", error)  # noqa: TRY400 - the traceback adds nothing

    async def watch_generations(self, seconds: float) -> None:
        """Poll the pointer to the current generation, and serve another generation once it passes its self-test.

        If it can't be opened or fails the self-test, the error is logged and the previous index stays. After an
        unexpected error the next poll tries again.
        """
        reopen = self._reopen
        if reopen is None:
            return
        seen: tuple[str, int] | None = None
        while True:
            await asyncio.sleep(seconds)
            try:
                pointed = await asyncio.to_thread(self.generations.current_pointer)
            except StoreUnavailable as error:
                if self._store_error is None:
                    _logger.error("%s", error.in_full())  # noqa: TRY400 - the traceback adds nothing
                self._store_error = error
                continue
            except QAServiceError:
                continue  # a passing state of the folder, or a damaged pointer, which `doctor` reports
            if self._store_error is not None:
                _logger.warning("the vector store is available again")
            self._store_error = None
            # A damaged generation is built again under its old id; then only the pointer's time changes.
            if pointed == seen:
                continue
            seen = pointed
            if pointed[0] == self._answerer.index.generation and self.degraded is None:
                continue
            try:
                await self._replace(reopen)
            except Exception:
                INDEX_SWAPS.labels("rejected").inc()
                _logger.exception("the new index is not served yet")
                seen = None

    async def _replace(self, reopen: Reopen) -> None:
        try:
            answerer, degraded = await asyncio.to_thread(reopen)
        except QAServiceError as error:
            _log_rejected(error)
            return
        try:
            for step in answerer.self_test_steps():  # one after another, so that questions get their turn
                await self._run_when_queue_allows(step)
        except QAServiceError as error:
            _log_rejected(error)
            answerer.index.close()
            return
        if answerer.index.generation == self._answerer.index.generation:
            answerer.index.close()
            self.degraded = degraded
            return
        old, self._answerer, self.degraded = self._answerer, answerer, degraded
        self.ready = True
        INDEX_SWAPS.labels("served").inc()
        self._set_index_metric(old.index.generation)
        _logger.warning("serving index %s in place of %s", answerer.index.generation, old.index.generation)
        self.answer_cache = AnswerCache(self._cache_bytes)
        gc.freeze()  # as at the start: collections would pause answers for as long as they look at the new index
        self._close_unused(old)

    def _set_index_metric(self, before: str | None) -> None:
        name = self.path.rpartition("/")[2]
        if before is not None:
            INDEX_PASSAGES.labels(name, before).set(0)
        INDEX_PASSAGES.labels(name, self._answerer.index.generation).set(len(self._answerer.index))

    async def _run_when_queue_allows(self, function: Callable[[], object]) -> bool:
        """Run a function in the worker, and try again while the queue is full; return false when shutting down."""
        while True:
            try:
                await self.worker.run(function)
            except NotReady:
                return False
            except QAServiceError as error:
                if error.slug not in {"overloaded", "deadline-exceeded"}:
                    raise
                await asyncio.sleep(0.1)
            else:
                return True


def _log_rejected(error: QAServiceError) -> None:
    INDEX_SWAPS.labels("rejected").inc()
    _logger.error("the new index is not served: %s", error)
