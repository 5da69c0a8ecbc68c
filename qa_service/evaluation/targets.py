"""Asks questions of an open index in this process or in several processes, or of a service over HTTP."""

import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from typing import Any, Protocol

from qa_service.citations import view_path
from qa_service.client import Client
from qa_service.datatypes import AskOptions, Offsets
from qa_service.embedding.choose import embedder_to_ask
from qa_service.errors import QAServiceError, QuestionFileError
from qa_service.evaluation.gold import Text
from qa_service.evaluation.outcome import Outcome
from qa_service.index import Index
from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.settings import Settings

Query = tuple[str, int]
"""A question and the number of results."""
_BATCH_QUESTIONS = 16
_PATIENCE_SECONDS = 60.0


def about_index(index: Index) -> dict[str, Any]:
    """Return what an evaluation records of an index."""
    manifest = index.manifest
    splitter = asdict(manifest.splitter)
    return {
        "index_version": index.generation,
        "model": manifest.model.name,
        "index_settings": {
            **{name: splitter[name] for name in ("passage_tokens", "overlap_tokens")},
            "language": manifest.language,
            "token_vectors": manifest.token_vectors,
        },
    }


def cost_of(index: Index) -> dict[str, float]:
    """Return the size of an index as a summary records it."""
    return {"index_bytes": sum(file.bytes for file in index.manifest.files.values()), "passages": len(index)}


class Asker(Protocol):
    """Asks many questions; ``elsewhere`` if the work is done outside this process, which stays free meanwhile."""

    elsewhere: bool
    cpu_seconds: float | None
    """Processor time of the questions so far, as far as it is known."""

    def ask(self, questions: Sequence[Query]) -> list[Outcome]:
        """Return the outcome of each query, in order."""

    def close(self) -> None:
        """Release connections and processes."""


def _in_parts(
    questions: Sequence[Query], size: int, ask: Callable[[Sequence[Sequence[Query]]], Iterable[list[Outcome]]]
) -> list[Outcome]:
    """Ask questions in batches of similar length, which need little padding; return the outcomes in the given order."""
    order = sorted(range(len(questions)), key=lambda place: len(questions[place][0]))
    parts = [order[start : start + size] for start in range(0, len(order), size)]
    outcomes: dict[int, Outcome] = {}
    for places, found in zip(parts, ask([[questions[place] for place in places] for places in parts]), strict=True):
        outcomes |= zip(places, found, strict=True)
    return [outcomes[place] for place in range(len(questions))]


class InProcessAsker:
    """Asks an open index in this process; questions are embedded in batches."""

    elsewhere = False

    def __init__(self, answerer: QuestionAnswerer) -> None:
        self._answerer = answerer
        self.cpu_seconds: float | None = 0.0

    def ask(self, questions: Sequence[Query]) -> list[Outcome]:
        """Return the outcome of each query, in order."""
        started = time.process_time()
        outcomes = _in_parts(questions, _BATCH_QUESTIONS, lambda parts: map(self._ask_together, parts))
        self.cpu_seconds = (self.cpu_seconds or 0.0) + time.process_time() - started
        return outcomes

    def _ask_together(self, questions: Sequence[Query]) -> list[Outcome]:
        asked = [(question, AskOptions(top_k=top_k)) for question, top_k in questions]
        queries = self._answerer.prepare(asked)
        return [
            Outcome.of_answer(self._answerer.ask(question, options, query=query))
            for (question, options), query in zip(asked, queries, strict=True)
        ]

    def alone(self, questions: Sequence[str], top_k: int) -> list[float]:
        """Return the milliseconds of each question, asked alone and with an empty cache."""
        times = []
        for question in questions:
            self._answerer.question_cache.forget()
            started = time.perf_counter()
            self._answerer.ask(question, AskOptions(top_k=top_k))
            times.append((time.perf_counter() - started) * 1000)
        return times

    def close(self) -> None:
        """Release nothing: the caller closes the index."""


_own: InProcessAsker | None = None  # in a process of the pool


def _end_with_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)  # the pool's processes would wait for work for ever


def _open_own(settings: Settings) -> None:
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    global _own  # noqa: PLW0603 - the initializer of a pool can only set globals
    _own = InProcessAsker(open_answerer(settings, embedder_to_ask(settings))[0])


def _ask_own(questions: Sequence[Query]) -> tuple[list[Outcome], float]:
    """Return the outcomes, and the processor time that they took."""
    if _own is None:
        raise AssertionError("the pool's processes are opened first")
    started = time.process_time()
    return _own.ask(questions), time.process_time() - started


class ProcessPoolAsker:
    """Asks an index with several processes, which share the memory of its files."""

    elsewhere = True

    def __init__(self, settings: Settings, count: int) -> None:
        self._count = count
        self.cpu_seconds: float | None = 0.0
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(count, context, initializer=_open_own, initargs=(settings,))

    def ask(self, questions: Sequence[Query]) -> list[Outcome]:
        """Return the outcome of each query, in order."""
        size = max(1, min(_BATCH_QUESTIONS, math.ceil(len(questions) / self._count)))
        try:
            return _in_parts(questions, size, self._ask_parts)
        except BrokenProcessPool as error:
            raise QAServiceError(
                "a process that asks questions died, perhaps for lack of memory; try fewer --jobs"
            ) from error

    def _ask_parts(self, parts: Sequence[Sequence[Query]]) -> Iterator[list[Outcome]]:
        for outcomes, seconds in self._pool.map(_ask_own, parts):
            self.cpu_seconds = (self.cpu_seconds or 0.0) + seconds
            yield outcomes

    def close(self) -> None:
        """Stop the processes."""
        self._pool.shutdown(cancel_futures=True)


class RemoteService:
    """Asks a running service over HTTP, and is the corpus of its documents.

    If the service is busy, a question is retried after its ``Retry-After``, with jitter, for up to a minute.
    """

    elsewhere = True

    def __init__(self, url: str, concurrency: int = 1, *, key: str = "", patience: float = _PATIENCE_SECONDS) -> None:
        self.cpu_seconds: float | None = None
        self._url = url.rstrip("/")
        self._client = Client(url, key=key, patience=patience)
        self._pool = ThreadPoolExecutor(concurrency)
        self._ids: dict[str, str] = {}
        self._texts: dict[str, Text] = {}
        self._spans: dict[str, list[tuple[int, int]]] = {}
        self.version = self._client.ready().index_version

    def ask(self, questions: Sequence[Query]) -> list[Outcome]:
        """Return the outcome of each query, in order."""
        return list(self._pool.map(self._ask, questions))

    def _ask(self, asked: Query) -> Outcome:
        question, top_k = asked
        started = time.perf_counter()
        answer = self._client.ask(question, top_k=top_k)
        return Outcome.of_response(answer, (time.perf_counter() - started) * 1000)

    def text(self, uri: str) -> Text | None:
        """Return the document at a path, or ``None``."""
        if not self.has(uri):
            return None
        if uri not in self._texts:
            self._texts[uri] = Text(uri, self._client.source(self._ids[uri]).text)
        return self._texts[uri]

    def texts(self) -> Iterator[Text]:
        """Yield all documents."""
        for document in self._client.sources():
            self._ids[document.uri] = document.document_id
            if (text := self.text(document.uri)) is not None:
                yield text

    def has(self, uri: str) -> bool:
        """Tell whether there is a document at a path."""
        if uri not in self._ids and (found := self._client.source_at(uri)) is not None:
            self._ids[uri] = found.document_id
        return uri in self._ids

    def passages(self, uri: str, start: int, end: int) -> list[tuple[int, int]]:
        """Return the spans of the passages of a document that share a character with ``[start, end)``."""
        if not self.has(uri):
            return []
        if uri not in self._spans:
            listed = self._client.passages(self._ids[uri]).passages
            self._spans[uri] = [(passage.start_char, passage.end_char) for passage in listed]
        return [span for span in self._spans[uri] if span[0] < end and span[1] > start]

    def link(self, uri: str, place: Offsets) -> str | None:
        """Return the address of the service's view of a document."""
        return self._url + view_path(self._ids[uri], place) if self.has(uri) else None

    def close(self) -> None:
        """Close the connections."""
        self._pool.shutdown(cancel_futures=True)
        self._client.close()


def same_index(outcomes: Sequence[Outcome], version: str) -> None:
    """Raise :class:`QuestionFileError` if an outcome is from another index than the gold."""
    for outcome in outcomes:
        if outcome.index_version != version:
            raise QuestionFileError(
                f"the index changed from {version} to {outcome.index_version} during the evaluation; evaluate again"
            )
