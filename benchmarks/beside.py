"""Time questions at a steady load: while nothing else runs, while the server builds an index, and across the swap.

    python benchmarks/beside.py SET [--documents N] [--load SHARE] [--seconds N] [--work FOLDER]

SET holds documents/ and questions.jsonl. The first N documents are indexed and served. Four clients in a closed loop
find the capacity of the server; then questions arrive as a Poisson process at a share of it, and a latency counts from
the moment when its question was due. After --seconds every document is changed in nearly all of its passages, and
POST /admin/reindex starts a build. The swap lasts from the end of the build to some seconds after the first answer from
the new index. Server, build and this program share all cores.
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from common import serving, setup, shuffled_questions

import aiohttp
import uvloop
from load import closed_loop, send

AFTER_SWAP_SECONDS = 5.0
_POLL_SECONDS = 0.25


@dataclass
class Times:
    """The latency of each question by the time when it was due, and the times at which phases begin."""

    answered: list[tuple[float, float]] = field(default_factory=list)
    refused: int = 0
    phases: dict[str, float] = field(default_factory=dict)

    def begin(self, phase: str) -> None:
        """Begin a phase now."""
        self.phases[phase] = time.perf_counter()

    def latencies(self, phase: str) -> list[float]:
        """Return the latencies in a phase in ms, in order of size."""
        edges = [*self.phases.values(), float("inf")]
        start, end = edges[list(self.phases).index(phase) :][:2]
        return sorted(1000 * latency for due, latency in self.answered if start <= due < end)


def main() -> None:
    """Index, serve, load, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--documents", type=int, default=3000)
    parser.add_argument("--load", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seed", type=int, default=20261129)
    arguments = parser.parse_args()
    questions = shuffled_questions(arguments.set / "questions.jsonl", arguments.seed)
    files = sorted(path for path in (arguments.set / "documents").iterdir() if path.is_file())[: arguments.documents]
    print(setup())
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        source = work / "source"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir(parents=True)
        for path in files:
            shutil.copy(path, source)
        environment = {f"QA_{name.upper()}": str(work / name) for name in ("source", "index", "data")}
        command = [sys.executable, "-m", "qa_service"]
        subprocess.run([*command, "index"], env=os.environ | environment, check=True, capture_output=True)
        create = [*command, "keys", "create", f"beside-{time.time_ns()}", "--scope", "admin"]
        created = subprocess.run(create, env=os.environ | environment, check=True, capture_output=True, text=True)
        key = next(word for word in created.stdout.split() if word.startswith("sk_"))
        with serving(QA_CACHE_MB="1", QA_LOG_LEVEL="warning", **environment) as (url, _):
            times = uvloop.run(run(url, questions, source, key, arguments))
    print_times(times)


async def run(url: str, questions: list[str], source: Path, key: str, arguments: argparse.Namespace) -> Times:
    """Find the capacity, then load through all phases."""
    source_of_questions, times = cycle(questions), Times()
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=1000)) as client:
        while (await send(client, "/readyz"))[0] != 200:  # noqa: ASYNC110, PLR2004 - until it is ready
            await asyncio.sleep(0.1)
        await closed_loop(client, source_of_questions, 1, 5)
        _, capacity = await closed_loop(client, source_of_questions, 4, 10)
        print(f"four clients get {capacity:.0f} answers/s; {arguments.load * capacity:.0f} questions/s follow")
        asking = asyncio.create_task(steady(client, source_of_questions, arguments.load * capacity, times))
        times.begin("quiet")
        await asyncio.sleep(arguments.seconds)
        await asyncio.to_thread(change, source)
        admin = {"Authorization": f"Bearer {key}"}
        before = await version(client)
        times.begin("build")
        async with client.post("/admin/reindex", headers=admin) as response:
            response.raise_for_status()
        state = await built(client, admin)
        times.begin("swap")
        seconds, report = time.perf_counter() - times.phases["build"], state["report"]
        print(f"{state['status']} after {seconds:.1f} s: {report}"[:160])
        while await version(client) == before:  # noqa: ASYNC110 - until the new one is served
            await asyncio.sleep(_POLL_SECONDS)
        await asyncio.sleep(AFTER_SWAP_SECONDS)
        times.begin("quiet again")
        await asyncio.sleep(arguments.seconds)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    return times


def change(source: Path) -> None:
    """Change the files of a folder so that nearly every passage has to be embedded again."""
    for path in source.iterdir():
        path.write_text(path.read_text(encoding="utf-8").replace(" the ", " that "), encoding="utf-8")


async def steady(client: aiohttp.ClientSession, source: "cycle[str]", rate: float, times: Times) -> None:
    """Ask at a rate, independent of the answers, until cancelled."""
    tasks: set[asyncio.Task[None]] = set()

    async def ask(due: float, question: str) -> None:
        status, _ = await send(client, "/ask", question)
        if status == 200:  # noqa: PLR2004 - answered
            times.answered.append((due, time.perf_counter() - due))
        else:
            times.refused += 1

    due = time.perf_counter()
    try:
        while True:
            due += random.expovariate(rate)
            await asyncio.sleep(due - time.perf_counter())
            task = asyncio.create_task(ask(due, next(source)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
    finally:
        await asyncio.gather(*tasks)


async def version(client: aiohttp.ClientSession) -> str:
    """Return the generation that answers."""
    async with client.get("/index") as response:
        return str((await response.json())["index_version"])


async def built(client: aiohttp.ClientSession, admin: dict[str, str]) -> dict[str, object]:
    """Wait for the end of the build; return its state."""
    while True:
        async with client.get("/admin/reindex", headers=admin) as response:
            state: dict[str, object] = await response.json()
        if state["status"] != "building":
            return state
        await asyncio.sleep(_POLL_SECONDS)


def print_times(times: Times) -> None:
    """Print a row for each phase."""
    quiet = quantile(times.latencies("quiet"), 0.99)
    print(f"{'':12} {'answers':>8} {'p50 ms':>7} {'p99 ms':>7} {'p99 / quiet':>11} {'most ms':>8}")
    for phase in times.phases:
        found = times.latencies(phase)
        p99 = quantile(found, 0.99)
        print(
            f"{phase:12} {len(found):8} {statistics.median(found):7.1f} {p99:7.1f} {p99 / quiet:11.2f} {found[-1]:8.1f}"
        )
    print(f"refused: {times.refused}")


def quantile(values: list[float], share: float) -> float:
    """Return a quantile of sorted values."""
    return values[int(share * (len(values) - 1))]


if __name__ == "__main__":
    main()
