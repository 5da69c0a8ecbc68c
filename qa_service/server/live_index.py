"""What is being served: one open index at a time, replaced as a whole when another generation is in force."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from qa_service.datatypes import Stage
from qa_service.embedding import QuestionEmbedding
from qa_service.errors import NotReady, QAServiceError, StoreUnavailable
from qa_service.index import Generations, Manifest
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.answer_cache import AnswerCache
from qa_service.server.metrics import EMBEDDED_QUESTIONS, INDEX_PASSAGES, INDEX_SWAPS
from qa_service.server.worker import Result, Worker

_logger = logging.getLogger(__name__)

Reopen = Callable[[], tuple[QuestionAnswerer, str | None]]


@dataclass(frozen=True, slots=True)
class ServableIndex:
    """An index that was opened to be served, what is wrong with it, where its successors lie, and how to open them."""

    answerer: QuestionAnswerer
    generations: Generations
    degraded: str | None = None
    reopen: Reopen | None = None


@dataclass(frozen=True, slots=True)
class TimedEmbedding:
    """A question's embedding, and when it was made."""

    embedding: QuestionEmbedding
    stage: Stage


class LiveIndex:
    """The index that is served, and whether it may be asked.

    A handler takes a :meth:`lease` of what answers from it, for all steps of a request: the index stays open until the
    last lease of it has ended. The answerer is used by the worker alone.
    """

    def __init__(self, opening: ServableIndex, worker: Worker, path: str = "", *, cache_mb: int = 16) -> None:
        self._answerer = opening.answerer
        self._cache_bytes = cache_mb * 1_000_000
        self.answer_cache = AnswerCache(self._cache_bytes)
        self._leases: Counter[QuestionAnswerer] = Counter()
        self._closing: set[asyncio.Task[None]] = set()
        self.generations = opening.generations
        self.degraded = opening.degraded
        self.worker = worker
        self.path = path
        """Path of the collection, empty for the default one."""
        self._reopen = opening.reopen
        self.ready = False
        self.reason = "starting, the self-test is not done"
        self._store_error: StoreUnavailable | None = None

    @contextmanager
    def lease(self) -> Iterator[QuestionAnswerer]:
        """Give what answers from the current index, which is not closed before the context ends."""
        answerer = self._answerer
        self._leases[answerer] += 1
        try:
            yield answerer
        finally:
            self._leases[answerer] -= 1
            self._close_unused(answerer)

    def _close_unused(self, answerer: QuestionAnswerer) -> None:
        """Close an index that was replaced, unless somebody still uses it; a call in work is finished before."""
        if answerer is self._answerer or self._leases[answerer]:
            return
        del self._leases[answerer]
        task = asyncio.get_running_loop().create_task(self._run_when_queue_allows(answerer.index.close))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    @property
    def manifest(self) -> Manifest:
        """The manifest of the current index."""
        return self._answerer.index.manifest

    @property
    def runtime(self) -> str:
        """The name of what runs the model."""
        return self._answerer.embedder.runtime

    async def answer(self, function: Callable[[TimedEmbedding], Result], question: str) -> Result:
        """Have the worker run a function of a question's embedding; those that wait are embedded together."""
        return await self.worker.answer(function, question, self.embed)

    def embed(self, questions: Sequence[str]) -> list[TimedEmbedding]:
        """Embed questions together, and count those that were not in memory. For the worker."""
        memory = self._answerer.question_cache
        before, began = memory.embedded, time.perf_counter()
        embeddings = self._answerer.embed(questions)
        EMBEDDED_QUESTIONS.inc(memory.embedded - before)
        stage = Stage("embed", began, time.perf_counter())
        return [TimedEmbedding(embedding, stage) for embedding in embeddings]

    def expect_ready(self) -> None:
        """Raise :class:`NotReady` with the reason; :class:`StoreUnavailable` while the vector store is away."""
        if self._store_error is not None:
            raise StoreUnavailable(str(self._store_error))
        if not self.ready:
            raise NotReady(f"the service is not ready: {self.reason}")

    async def start(self) -> None:
        """Ask a self-test question; ready if it was answered."""
        try:
            await self.worker.run(self._answerer.self_test)
            started = time.perf_counter()
            await self.worker.run(self._answerer.self_test)
            self.worker.check_limit(time.perf_counter() - started)
            self.ready = True
            self._set_index_metric(None)
        except QAServiceError as error:
            self.reason = "the self-test failed; see the server's log"
            _logger.error("not ready: %s", error)  # noqa: TRY400 - the message says it all

    async def watch_generations(self, seconds: float) -> None:
        """Look at the pointer to the current generation every so often, and serve another one once it is whole.

        One that can't be opened, or fails its self-test, is told in the log; the one before goes on. After an error
        that nobody foresaw it is tried again at the next look.
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
                    _logger.error("%s", error.in_full())  # noqa: TRY400 - the message says it all
                self._store_error = error
                continue
            except QAServiceError:
                continue  # a moment's state of the folder, or a broken pointer: `doctor` tells
            if self._store_error is not None:
                _logger.warning("the vector store answers again")
            self._store_error = None
            # A generation that was damaged is built anew under its old name: then only the time is another.
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
            await self._run_when_queue_allows(answerer.self_test)
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
        self._close_unused(old)

    def _set_index_metric(self, before: str | None) -> None:
        name = self.path.rpartition("/")[2]
        if before is not None:
            INDEX_PASSAGES.labels(name, before).set(0)
        INDEX_PASSAGES.labels(name, self._answerer.index.generation).set(len(self._answerer.index))

    async def _run_when_queue_allows(self, function: Callable[[], None]) -> None:
        """Have the worker run a function, as often as it takes while the queue is full."""
        while True:
            try:
                await self.worker.run(function)
            except NotReady:
                return  # shutting down
            except QAServiceError as error:
                if error.slug not in {"overloaded", "deadline-exceeded"}:
                    raise
                await asyncio.sleep(0.1)
            else:
                return


def _log_rejected(error: QAServiceError) -> None:
    INDEX_SWAPS.labels("rejected").inc()
    _logger.error("the new index is not served: %s", error)
