"""Serve the same documents with qa_service and its alternatives, ask the same questions, print one table.

    python benchmarks/peers.py SET [--venv NAME=FOLDER …] [--questions N]

SET holds documents/ and questions.jsonl. ``--venv`` names the virtual environment of a peer in benchmarks/peers/
(haystack, llamaindex, langchain, txtai); the naive baseline runs in this one. Every system has its defaults and the
same model. By default qa_service caches recent answers, and the questions are repeated here; so it is measured twice,
the second time (forgetful) with too small a cache to help. Ready is the time from the start of the process to its first
answer: the peers read and embed the documents in it and keep them in memory; the index of qa_service is built before
and timed separately. Memory is resident memory after all questions. A hit is a result that overlaps a reference; a
citation is exact if document[start:start + length] is its text.
"""

import argparse
import asyncio
import importlib.metadata
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from common import memory_mb, setup

import aiohttp
import uvloop

from qa_service.embedding import find_model
from qa_service.evaluation import Question, QuestionFile
from qa_service.settings import DEFAULT_MODEL

HERE = Path(__file__).parent
CLIENTS = (1, 8, 32)
OURS = "qa_service"
SERVICE = {OURS: {}, "forgetful": {"QA_CACHE_MB": "1"}}
"""Settings by name: the defaults, and a cache that is too small to help."""


@dataclass(frozen=True)
class RunningServer:
    """A server under test."""

    name: str
    url: str
    process: int
    ready: float


def main() -> None:
    """Measure all and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--venv", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--questions", type=int, default=400)
    arguments = parser.parse_args()
    documents = arguments.set / "documents"
    texts = {path.name: path.read_bytes().decode() for path in documents.rglob("*") if path.is_file()}
    questions = [
        item
        for item in QuestionFile(arguments.set / "questions.jsonl")
        if isinstance(item, Question) and item.references
    ]
    questions = questions[:: max(1, len(questions) // arguments.questions)]
    pythons = {name: f"{folder}/bin/python" for name, folder in (entry.split("=", 1) for entry in arguments.venv)}
    print(setup())
    print(", ".join(f"{clients} clients: p50 / p99 ms, questions/s" for clients in CLIENTS), "after the first columns")
    print(f"{'':12} {'ready s':>8} {'MB':>5} {'hit@1':>6} {'hit@5':>6} {'exact':>6}")
    with tempfile.TemporaryDirectory() as scratch:
        build_index(documents, Path(scratch))
        for name in (*SERVICE, "naive", *pythons):
            with served(name, pythons.get(name, sys.executable), documents, Path(scratch)) as server:
                uvloop.run(measure(server, questions, texts))


def build_index(documents: Path, scratch: Path) -> None:
    """Build the index of the service and print the time."""
    started = time.perf_counter()
    flags = ["--source", str(documents), "--index", str(scratch / "index")]
    subprocess.run([sys.executable, "-m", "qa_service", "index", *flags], check=True, capture_output=True)
    print(f"{OURS}: index built in {time.perf_counter() - started:.1f} s, the model exported included")


@contextmanager
def served(name: str, python: str, documents: Path, scratch: Path) -> Iterator[RunningServer]:
    """Start a server and wait for its first answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    if name in SERVICE:
        command = [python, "-m", "qa_service", "serve", "--index", str(scratch / "index"), "--port", port]
    else:
        model = str(find_model(DEFAULT_MODEL).folder)
        command = [python, str(HERE / "peers" / f"{name}.py"), str(documents), model, port]
    started = time.perf_counter()
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", **SERVICE.get(name, {})}
    if name not in SERVICE:  # the peers get the default threads of their libraries
        for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            offline.pop(variable, None)
    with (
        (scratch / f"{name}.log").open("w", encoding="utf-8") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=offline) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            while not uvloop.run(answers(name, url)):
                if process.poll() is not None:
                    log_text = (scratch / f"{name}.log").read_text(encoding="utf-8")
                    raise SystemExit(f"{name} ended: {log_text[-1500:]}")
                time.sleep(0.05)
            yield RunningServer(name, url, process.pid, time.perf_counter() - started)
        finally:
            process.terminate()


async def answers(name: str, url: str) -> bool:
    """Tell whether a server answers a question yet."""
    try:
        async with aiohttp.ClientSession(url) as client:
            return bool(await ask(client, name, "Is anybody there?"))
    except (aiohttp.ClientError, KeyError, TypeError):
        return False


async def ask(client: aiohttp.ClientSession, name: str, question: str) -> list[dict[str, Any]]:
    """Return text, document and start of each result, in the names of this program."""
    if name == "txtai":
        async with client.get("/search", params={"query": question, "limit": "5"}) as response:
            rows = await response.json()
        return [{"text": row["text"], "document": row["id"].rpartition("#")[0], "start": None} for row in rows]
    path = "/ask" if name in SERVICE else {"haystack": "/search/run"}.get(name, "/search")
    async with client.post(path, json={"question": question}) as response:
        found = await response.json()
    if name not in SERVICE:
        return list(found["result"] if name == "haystack" else found)
    return [
        {
            "text": row["text"],
            "document": row["citation"]["uri"].rpartition("/")[2],
            "start": row["citation"]["start_char"],
        }
        for row in found["results"]
    ]


async def measure(server: RunningServer, questions: list[Question], texts: dict[str, str]) -> None:
    """Ask all questions for quality, then for speed, and print one line."""
    first = five = exact = results = 0
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=100)) as client:
        for question in questions:
            rows = await ask(client, server.name, question.question)
            hits = [overlaps(row, question, texts) for row in rows]
            first += hits[:1] == [True]
            five += any(hits)
            results += len(rows)
            exact += sum(is_exact(row, texts) for row in rows)
        asked = [item.question for item in questions]
        columns = [await speed(client, server.name, asked, clients) for clients in CLIENTS]
    count = len(questions)
    quality = f"{first / count:6.3f} {five / count:6.3f} {exact / results:6.1%}"
    print(
        f"{server.name:12} {server.ready:8.1f} {memory_mb(server.process):5.0f} {quality}",
        *(f"  {p50:6.1f} / {p99:6.1f}, {rate:5.1f}" for p50, p99, rate in columns),
        version(server.name),
        flush=True,
    )


async def speed(
    client: aiohttp.ClientSession, name: str, questions: list[str], clients: int
) -> tuple[float, float, float]:
    """Return p50 and p99 in milliseconds and answers per second, for clients in a closed loop."""
    latencies: list[float] = []
    source = cycle(questions)
    total = len(questions)

    async def ask_on() -> None:
        while len(latencies) < total:
            started = time.perf_counter()
            await ask(client, name, next(source))
            latencies.append(1000 * (time.perf_counter() - started))

    started = time.perf_counter()
    await asyncio.gather(*(ask_on() for _ in range(clients)))
    seconds = time.perf_counter() - started
    return statistics.median(latencies), sorted(latencies)[int(0.99 * len(latencies))], len(latencies) / seconds


def overlaps(row: dict[str, Any], question: Question, texts: dict[str, str]) -> bool:
    """Tell whether a result overlaps a reference."""
    text = texts.get(row["document"], "")
    start = text.find(row["text"]) if row["start"] is None or not is_exact(row, texts) else row["start"]
    if start < 0:
        return False
    return any(
        (reference.document or "").rpartition("/")[2] == row["document"]
        and start < (reference.end_index or 0)
        and (reference.start_index or 0) < start + len(row["text"])
        for reference in question.references
    )


def is_exact(row: dict[str, Any], texts: dict[str, str]) -> bool:
    """Tell whether the text of a result is at its claimed place in the document."""
    start = row["start"]
    return start is not None and texts.get(row["document"], "")[start : start + len(row["text"])] == row["text"]


def version(name: str) -> str:
    """Return the version of the package in an environment."""
    return importlib.metadata.version("qa-service") if name == OURS else ""


if __name__ == "__main__":
    main()
