"""Serve the same documents with qa_service and its alternatives, ask the same questions, print one table.

    python benchmarks/peers.py SET [SYSTEM …] [--venv NAME=FOLDER …] [--results FILE]

SET holds documents/ and questions.jsonl. SYSTEM is one of the names in ``SYSTEMS``, all by default; ``--venv`` names
the virtual environments of the peers, each of which is a program in benchmarks/peers/. The naive baseline runs in this
one. Results are appended to --results, one line of JSON a system, and the table is made of all lines there: so one run
can measure some systems, and the next run the others.

Every system has its defaults and the same model. Each question is new to qa_service: its caches are too small to help,
which its counters prove at the end; the row of cached answers has the default caches, and is asked the same hundred
questions again and again. Ready is the time from the start of the process to its first answer: the peers read and embed
the documents in it; the index of qa_service is built before and timed separately. Memory is resident memory after all
questions, CPU time that of the server. A hit is a result that overlaps a reference; a citation is exact if
document[start:start + length] is its text.
"""

import argparse
import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any

from common import cpu_seconds, memory_mb, setup

import aiohttp
import uvloop

from qa_service.embedding import find_model
from qa_service.evaluation import Question, QuestionFile
from qa_service.settings import DEFAULT_MODEL

HERE = Path(__file__).parent
CLIENTS = (1, 32)
SECONDS = 10.0
CACHED_QUESTIONS = 100  # as many answers as the default cache is sure to hold
START_SECONDS = 400.0


@dataclass(frozen=True)
class System:
    """A system: its name in the table, the packages whose versions stand in that name, and the settings of ours."""

    title: str
    packages: tuple[str, ...] = ()
    settings: dict[str, str] | None = None


NO_CACHE = {"QA_CACHE_MB": "1"}
SYSTEMS = {
    "qa_service": System("**qa_service, new questions**", settings=NO_CACHE),
    "reader_off": System("qa_service, reader off", settings=NO_CACHE | {"QA_READER": "off"}),
    "naive": System("sentence-transformers {} + FAISS + FastAPI", ("sentence-transformers",)),
    "haystack": System("Haystack {} + hayhooks {}", ("haystack-ai", "hayhooks")),
    "llamaindex": System("LlamaIndex {} + FAISS", ("llama-index-core",)),
    "langchain": System("LangChain {} + FAISS", ("langchain-core",)),
    "txtai": System("txtai {}, hybrid", ("txtai",)),
    "haiku": System("haiku.rag {}, hybrid, search only", ("haiku.rag-slim",)),
    "verbatim": System("verbatim-rag {}, search only", ("verbatim-rag",)),
    "cached": System("qa_service, answers from the cache (1)", settings={}),
}
COLUMNS = {
    "ready s": "{ready:.1f}",
    "MB": "{mb:.0f}",
    "hit@1": "{hit1:.3f}",
    "hit@5": "{hit5:.3f}",
    "exact citations": "{exact}",
    "1 client p50 / p99 ms": "{p50:.1f} / {p99:.1f}",
    "32 clients, answers/s": "{rate:.0f}",
    "p99 ms": "{p99_many:.0f}",
    "CPU ms a question": "{cpu:.1f}",
}


@dataclass(frozen=True)
class Asked:
    """The questions of a set, a part of them to measure hits, and the documents' texts by name."""

    questions: list[Question]
    texts: dict[str, str] = field(repr=False)


@dataclass(frozen=True)
class RunningServer:
    """A server under test."""

    name: str
    url: str
    process: int
    ready: float


def main() -> None:
    """Measure, and print the table of all results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("systems", nargs="*", metavar="SYSTEM", default=list(SYSTEMS), help=", ".join(SYSTEMS))
    parser.add_argument("--venv", nargs="*", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--results", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    asked = read_set(arguments.set)
    pythons = {name: f"{folder}/bin/python" for name, folder in (entry.split("=", 1) for entry in arguments.venv)}
    print(setup())
    with tempfile.TemporaryDirectory() as scratch:
        results = arguments.results or Path(scratch) / "results.jsonl"
        if any(SYSTEMS[name].settings is not None for name in arguments.systems):
            build_index(arguments.set / "documents", Path(scratch))
        for name in arguments.systems:
            python = pythons.get(name, sys.executable)
            with served(name, python, arguments.set / "documents", Path(scratch)) as server:
                found = uvloop.run(measure(server, asked)) | {"name": name, "versions": versions(name, python)}
            with results.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps(found) + "\n")
            print(json.dumps(found), file=sys.stderr, flush=True)
        print_table(results)


def read_set(folder: Path) -> Asked:
    """Return the documents of a set and its questions, each once."""
    texts = {path.name: path.read_bytes().decode() for path in (folder / "documents").rglob("*") if path.is_file()}
    questions = [item for item in QuestionFile(folder / "questions.jsonl") if isinstance(item, Question)]
    distinct = {item.question: item for item in questions if item.references}
    return Asked(list(distinct.values()), texts)


def print_table(results: Path) -> None:
    """Print the last result of each system as a table in Markdown, in the order of :data:`SYSTEMS`."""
    rows = {row["name"]: row for row in map(json.loads, results.read_text(encoding="utf-8").splitlines())}
    print("| | " + " | ".join(COLUMNS) + " |")
    print("| --- " * (len(COLUMNS) + 1) + "|")
    for name, system in SYSTEMS.items():
        if (row := rows.get(name)) is None:
            continue
        row["exact"] = "none given" if row["exact"] is None else f"{row['exact']:.0%}".replace("%", " %")
        cells = [form.format_map(row) for form in COLUMNS.values()]
        cells = [re.sub(r"^0\.", ".", cell) for cell in cells]
        print(f"| {system.title.format(*row['versions'])} | " + " | ".join(cells) + " |")


def build_index(documents: Path, scratch: Path) -> None:
    """Build the index of the service and print the time."""
    started = time.perf_counter()
    flags = ["--source", str(documents), "--index", str(scratch / "index")]
    subprocess.run([sys.executable, "-m", "qa_service", "index", *flags], check=True, capture_output=True)
    print(f"qa_service: index built in {time.perf_counter() - started:.1f} s")


@contextmanager
def served(name: str, python: str, documents: Path, scratch: Path) -> Iterator[RunningServer]:
    """Start a server and wait for its first answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    settings, offline = SYSTEMS[name].settings, {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if settings is not None:
        command = [python, "-m", "qa_service", "serve", "--index", str(scratch / "index"), "--port", port]
        environment = os.environ | offline | settings
    else:  # the peers get the default threads of their libraries
        model = str(find_model(DEFAULT_MODEL).folder)
        command = [python, str(HERE / "peers" / f"{name}.py"), str(documents), model, port]
        limits = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONPATH")
        environment = {key: value for key, value in os.environ.items() if key not in limits} | offline
    started = time.perf_counter()
    log = scratch / f"{name}.log"
    with (
        log.open("w", encoding="utf-8") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment) as process,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            while not uvloop.run(answers(name, url)):
                if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
                    raise SystemExit(f"{name} does not answer: {log.read_text(encoding='utf-8')[-1500:]}")
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
    ours = SYSTEMS[name].settings is not None
    path = "/ask" if ours else {"haystack": "/search/run"}.get(name, "/search")
    async with client.post(path, json={"question": question}) as response:
        found = await response.json()
    if not ours:
        return list(found["result"] if name == "haystack" else found)
    return [
        {
            "text": row["text"],
            "document": row["citation"]["uri"].rpartition("/")[2],
            "start": row["citation"]["start_char"],
        }
        for row in found["results"]
    ]


async def measure(server: RunningServer, asked: Asked) -> dict[str, Any]:
    """Ask all questions for quality, then for speed; return the figures."""
    first = five = 0
    exact: list[bool] = []
    async with aiohttp.ClientSession(server.url, connector=aiohttp.TCPConnector(limit=100)) as client:
        for question in asked.questions:
            rows = await ask(client, server.name, question.question)
            hits = [overlaps(row, question, asked.texts) for row in rows]
            first += hits[:1] == [True]
            five += any(hits)
            exact += [is_exact(row, asked.texts) for row in rows if row["start"] is not None]
        once = [item.question for item in asked.questions]
        questions = cycle(once[:CACHED_QUESTIONS] if server.name == "cached" else once)
        one, many = [await speed(client, server, questions, clients) for clients in CLIENTS]
        if SYSTEMS[server.name].settings is not None:
            await check_caches(client, server.name)
    count = len(asked.questions)
    return {
        "date": time.strftime("%Y-%m-%d"),
        "ready": server.ready,
        "mb": memory_mb(server.process),
        "hit1": first / count,
        "hit5": five / count,
        "exact": sum(exact) / len(exact) if exact else None,
        "p50": one["p50"],
        "p99": one["p99"],
        "rate": many["rate"],
        "p99_many": many["p99"],
        "cpu": one["cpu"],
    }


async def speed(
    client: aiohttp.ClientSession, server: RunningServer, questions: Iterator[str], clients: int
) -> dict[str, float]:
    """Return p50 and p99 in ms, answers a second and CPU ms an answer, for clients in a closed loop."""
    latencies: list[float] = []
    started, spent = time.perf_counter(), cpu_seconds(server.process)
    end = started + SECONDS

    async def ask_on() -> None:
        while (begun := time.perf_counter()) < end:
            await ask(client, server.name, next(questions))
            latencies.append(1000 * (time.perf_counter() - begun))

    await asyncio.gather(*(ask_on() for _ in range(clients)))
    seconds = time.perf_counter() - started
    return {
        "p50": statistics.median(latencies),
        "p99": sorted(latencies)[int(0.99 * len(latencies))],
        "rate": len(latencies) / seconds,
        "cpu": 1000 * (cpu_seconds(server.process) - spent) / len(latencies),
    }


async def check_caches(client: aiohttp.ClientSession, name: str) -> None:
    """Stop if answers came from a cache that should not, or did not where they should."""
    async with client.get("/metrics") as response:
        found = re.search(r"^qa_remembered_answers_total (\S+)", await response.text(), re.MULTILINE)
    from_cache = float(found[1]) if found else 0.0
    if (from_cache > 0) is not (name == "cached"):
        raise SystemExit(f"{name}: {from_cache:.0f} answers came from the cache")


def versions(name: str, python: str) -> list[str]:
    """Return the versions of a system's packages, as far as they are written in a table."""
    program = "import sys, importlib.metadata as m; print(*(m.version(name) for name in sys.argv[1:]))"
    command = [python, "-c", program, *SYSTEMS[name].packages]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return [".".join(version.split(".")[:2]) for version in found]


def overlaps(row: dict[str, Any], question: Question, texts: dict[str, str]) -> bool:
    """Tell whether a result overlaps a reference; text without a place is looked for, whatever its spaces."""
    text = texts.get(row["document"], "")
    if row["start"] is not None and is_exact(row, texts):
        start, end = row["start"], row["start"] + len(row["text"])
    elif (found := re.search(r"\s+".join(map(re.escape, row["text"].split())), text)) is not None:
        start, end = found.span()
    else:
        return False
    return any(
        (reference.document or "").rpartition("/")[2] == row["document"]
        and start < (reference.end_index or 0)
        and (reference.start_index or 0) < end
        for reference in question.references
    )


def is_exact(row: dict[str, Any], texts: dict[str, str]) -> bool:
    """Tell whether the text of a result is at its claimed place in the document."""
    start = row["start"]
    return texts.get(row["document"], "")[start : start + len(row["text"])] == row["text"]


if __name__ == "__main__":
    main()
