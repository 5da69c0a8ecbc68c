"""The Prometheus metrics. Several server processes write theirs to files, which any of them can add up."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

CONTENT_TYPE = CONTENT_TYPE_LATEST
_FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's name
_SECONDS_BUCKETS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10)
_LAG_BUCKETS = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.3, 1, 3)
_BATCH_SIZE_BUCKETS = (1, 2, 3, 4, 5, 6, 7, 8)

_registry = CollectorRegistry()


def _counter(name: str, meaning: str, *labels: str) -> Counter:
    return Counter(name, meaning, labels, registry=_registry)


def _counter_of(name: str, meaning: str, label: str, values: Sequence[str]) -> Counter:
    """Return a counter whose only label has known values; each is exposed from the start, at 0."""
    counter = _counter(name, meaning, label)
    for value in values:
        counter.labels(value)
    return counter


def _histogram(name: str, meaning: str, buckets: Sequence[float], *labels: str) -> Histogram:
    return Histogram(name, meaning, labels, buckets=buckets, registry=_registry)


REQUESTS = _counter("qa_requests", "Requests answered.", "method", "route", "status")
REQUEST_SECONDS = _histogram(
    "qa_request_seconds", "Time from a request to the end of its response.", _SECONDS_BUCKETS, "route"
)
STAGE_SECONDS = _histogram(
    "qa_stage_seconds", "Time of each stage of an answer: wait, embed, retrieve, cite.", _SECONDS_BUCKETS, "stage"
)
ANSWERS = _counter_of(
    "qa_answers",
    "Answers, by verdict; unknown without a calibration.",
    "verdict",
    ("answered", "uncertain", "not_found", "unknown"),
)
EMBEDDED_QUESTIONS = _counter("qa_embedded_questions", "Questions embedded (cache misses).")
ANSWER_CACHE_HITS = _counter("qa_remembered_answers", "Answers found in the cache.")
BATCH_SIZE = _histogram("qa_batch_questions", "Questions embedded together.", _BATCH_SIZE_BUCKETS)
CLIENTS_GONE = _counter("qa_client_gone", "Requests whose client disconnected before the response.")
INDEX_SWAPS = _counter_of(
    "qa_index_swaps",
    "New current generations, by whether they were served or rejected.",
    "result",
    ("served", "rejected"),
)
LOOP_LAG_SECONDS = _histogram("qa_loop_lag_seconds", "Delay of the event loop in running a due callback.", _LAG_BUCKETS)
QUEUED_CALLS = Gauge("qa_waiting", "Questions running or queued.", multiprocess_mode="livesum", registry=_registry)
INDEX_PASSAGES = Gauge(
    "qa_index_passages",
    "Passages of the served index, by collection and version.",
    ("collection", "version"),
    multiprocess_mode="livemax",
    registry=_registry,
)


def exposition() -> bytes:
    """Return all metrics of all server processes in Prometheus' text format."""
    folder = os.environ.get(_FOLDER)
    if folder is None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        return generate_latest(_registry) + generate_latest(registry)
    for file in Path(folder).glob("gauge_live*_*.db"):
        process = int(file.stem.rpartition("_")[2])
        if not _runs(process):
            multiprocess.mark_process_dead(process, folder)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _runs(process: int) -> bool:
    with suppress(PermissionError):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
