"""Count the answers of 32 clients to new questions: on one core, on all cores, and from two server processes.

    python benchmarks/throughput.py SET [--seconds N] [--work FOLDER]

SET holds documents/ and questions.jsonl. The caches are too small for repetitions. *One core* pins the server to the
first core and this program to the last one, so that the answers a second are those of a core. In the other rows they
share all cores; the CPU time of server and clients tells how much each takes.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

from common import cpu_seconds, memory_mb, serving, setup, shuffled_questions

import aiohttp
import uvloop
from load import closed_loop, send

CLIENTS = 32
ROWS: tuple[tuple[str, bool, dict[str, str]], ...] = (
    ("one core", True, {}),
    ("one core, reader off", True, {"QA_READER": "off"}),
    ("all cores", False, {}),
    ("all cores, reader off", False, {"QA_READER": "off"}),
    ("all cores, --workers 2", False, {"QA_WORKERS": "2"}),
    ("all cores, --workers 2, reader off", False, {"QA_WORKERS": "2", "QA_READER": "off"}),
)
"""The name of a row, whether the server has a core of its own, and the settings."""


def main() -> None:
    """Index, then serve, load and print each row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("--seconds", type=float, default=15)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seed", type=int, default=20261129)
    arguments = parser.parse_args()
    questions = shuffled_questions(arguments.set / "questions.jsonl", arguments.seed)
    print(setup())
    print(f"{'':36} {'answers/s':>9} {'p50 ms':>7} {'server ms':>9} {'clients ms':>10} {'MB':>5}")
    cores = os.sched_getaffinity(0)
    with tempfile.TemporaryDirectory() as scratch:
        index = str((arguments.work or Path(scratch)) / "index")
        command = [sys.executable, "-m", "qa_service", "index", "--source", str(arguments.set / "documents")]
        subprocess.run([*command, "--index", index], check=True, capture_output=True)
        for name, apart, settings in ROWS:
            environment = settings | {"QA_CACHE_MB": "1", "QA_LOG_LEVEL": "warning"}
            with serving("--index", index, apart=apart, **environment) as (url, server):
                found = uvloop.run(run(url, server, questions, arguments.seconds))
            os.sched_setaffinity(0, cores)
            print(f"{name:36} {found}", flush=True)


async def run(url: str, server: int, questions: list[str], seconds: float) -> str:
    """Warm up, load, and return the figures; CPU times are per answer."""
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=100)) as client:
        while (await send(client, "/readyz"))[0] != 200:  # noqa: ASYNC110, PLR2004 - until it is ready
            await asyncio.sleep(0.1)
        source = cycle(questions)
        await closed_loop(client, source, CLIENTS, seconds / 5)
        spent, own = cpu_seconds(server), time.process_time()
        median, rate = await closed_loop(client, source, CLIENTS, seconds)
        answers = rate * seconds
        of_server, of_clients = cpu_seconds(server) - spent, time.process_time() - own
    times = f"{1000 * of_server / answers:9.2f} {1000 * of_clients / answers:10.2f}"
    return f"{rate:9.0f} {1000 * median:7.1f} {times} {memory_mb(server):5.0f}"


if __name__ == "__main__":
    main()
