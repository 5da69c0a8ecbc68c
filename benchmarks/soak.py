"""Load a server for half an hour at a share of its peak rate; print its memory, files and latency per minute.

    python benchmarks/soak.py QUESTION_FILE [--index DIR] [--minutes N] [--load SHARE]

The server runs on the first core, this program on the second. The peak is the rate of four clients in a closed loop for
half a minute. Then questions arrive as a Poisson process at a share of it; a latency counts from the moment when its
question was due. At the end, memory is compared with the fifth minute, and the 99th percentiles with the first.
"""

import argparse
import asyncio
import contextlib
from itertools import cycle
from pathlib import Path

from common import memory_mb, serving, setup, shuffled_questions

import aiohttp
import uvloop
from load import STEADY, TIMEOUT_SECONDS, closed_loop, ms, open_loop, send

SETTLED_MINUTES = 5


def main() -> None:
    """Serve, load, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--index", default="index")
    parser.add_argument("--minutes", type=int, default=30)
    parser.add_argument("--load", type=float, default=0.7)
    parser.add_argument("--seed", type=int, default=20261123)
    arguments = parser.parse_args()
    questions = shuffled_questions(arguments.questions, arguments.seed)
    print(setup())
    with serving("--index", arguments.index, apart=True, QA_CACHE_MB="1", QA_LOG_LEVEL="warning") as (url, server):
        uvloop.run(run(url, server, questions, arguments.minutes, arguments.load))


def opened(process: int) -> tuple[int, int]:
    """Return the number of open files and of open sockets of a process, including client connections."""
    targets = []
    for link in Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            targets.append(str(link.readlink()))
    sockets = sum(target.startswith("socket:") for target in targets)
    return len(targets) - sockets, sockets


async def run(url: str, server: int, questions: list[str], minutes: int, load: float) -> None:
    """Find the peak, then load minute by minute."""
    connector, patience = aiohttp.TCPConnector(limit=1000), aiohttp.ClientTimeout(TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(url, connector=connector, timeout=patience) as client:
        while (await send(client, "/readyz"))[0] != 200:  # noqa: ASYNC110, PLR2004 - until it is ready
            await asyncio.sleep(0.1)
        source = cycle(questions)
        await closed_loop(client, source, 1, 5)
        _, peak = await closed_loop(client, source, 4, 30)
        print(f"peak {peak:.0f} answers/s, {len(questions)} questions; load {load:.0%} of it")
        print(
            "minute",
            *(f"{column:>9}" for column in ("answers", "not 200", "p50 ms", "p99 ms", "RSS MB", "files", "sockets")),
        )
        memory, slowest = [], []
        for minute in range(1, minutes + 1):
            step = await open_loop(client, source, load * peak, 60, STEADY, source, url)
            failed = len(step.shed) + step.timed_out + step.other
            memory.append(memory_mb(server))
            slowest.append(float(ms(step.answered, 0.99)))
            row = [len(step.answered), failed, ms(step.answered, 0.5), f"{slowest[-1]:.0f}", f"{memory[-1]:.0f}"]
            row += opened(server)
            print(f"{minute:6}", *(f"{figure:>9}" for figure in row), flush=True)
        settled = memory[min(SETTLED_MINUTES, minutes) - 1]
        print(
            f"memory at the end / at minute {SETTLED_MINUTES}: {memory[-1] / settled:.3f}, "
            f"most {max(memory) / settled:.3f}"
        )
        print(f"slowest minute's p99 / first minute's: {max(slowest) / slowest[0]:.2f}")


if __name__ == "__main__":
    main()
