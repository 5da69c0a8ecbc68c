"""Load a server with questions at fixed rates, whether or not it keeps up, and print its goodput and latency.

    python benchmarks/load.py QUESTION_FILE [--index DIR] [--seconds N] [--workers N] [--apart]

Serves --index on a free port. First, a closed loop of four clients finds the rate at which the server is saturated.
Then open-loop steps follow at 0.1, 0.5, 0.8, 1, 2 and 4 times that rate, and at 0.5 again, with Poisson arrivals. A
latency counts from the moment when the question was due, so that a stall shows in every question that it delays. The
last steps are bursts and hostile clients. Goodput counts answers within a second. Each step also shows /livez, asked
every 50 ms, and the server's memory. The questions are all different, and the caches are too small for repetitions.
``--apart`` pins the server to the first core and this program to the last one.
"""

import argparse
import asyncio
import contextlib
import random
import statistics
import time
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from common import memory_mb, serving, setup, shuffled_questions

import aiohttp
import uvloop

STEADY, BURST, HOSTILE = "", " burst", " hostile"
SHAPES = [*((load, STEADY) for load in (0.1, 0.5, 0.8, 1, 2, 4, 0.5)), (0.2, BURST), (0.5, HOSTILE)]
BURST_QUESTIONS, BURST_SECONDS = 50, 5.0
LONG_SHARE, LEAVING_SHARE, IDLE_CLIENTS, SLOW_CLIENTS = 0.1, 0.05, 100, 20
TIMEOUT_SECONDS = 5.0
GOOD_SECONDS = 1.0


@dataclass
class Step:
    """The results of one step. Latencies are in seconds."""

    answered: list[float] = field(default_factory=list)
    shed: list[float] = field(default_factory=list)
    live: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    timed_out: int = 0
    other: int = 0

    async def ask(self, client: aiohttp.ClientSession, question: str, intended: float, *, leaves: bool) -> None:
        """Ask a question and note the outcome; a client that ``leaves`` disconnects at once and does not count."""
        if leaves:
            with contextlib.suppress(TimeoutError, aiohttp.ClientError):
                await asyncio.wait_for(send(client, "/ask", question), 0.001)
            return
        try:
            status, retry_after = await send(client, "/ask", question)
        except TimeoutError:
            self.timed_out += 1
            return
        except aiohttp.ClientError:
            self.other += 1
            return
        latency = time.perf_counter() - intended
        if status == 200:  # noqa: PLR2004 - answered
            self.answered.append(latency)
        elif status == 503 and retry_after:  # noqa: PLR2004 - shed
            self.shed.append(latency)
        else:
            self.other += 1


def main() -> None:
    """Serve, find the saturation, run the steps, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--index", default="index")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", default="1")
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--seed", type=int, default=20261123)
    arguments = parser.parse_args()
    questions = shuffled_questions(arguments.questions, arguments.seed)
    print(setup())
    # The smallest cache, since every question is to be embedded.
    flags = ("--index", arguments.index, "--workers", arguments.workers)
    with serving(*flags, apart=arguments.apart, QA_CACHE_MB="1") as (url, server):
        uvloop.run(run(url, server, questions, arguments.seconds))


async def run(url: str, server: int, questions: list[str], seconds: float) -> None:
    """Run all steps against a server."""
    connector, patience = aiohttp.TCPConnector(limit=1000), aiohttp.ClientTimeout(TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(url, connector=connector, timeout=patience) as client:
        while (await send(client, "/readyz"))[0] != 200:  # noqa: ASYNC110, PLR2004 - until it is ready
            await asyncio.sleep(0.1)
        source = cycle(questions)
        await closed_loop(client, source, 1, 5)
        single, _ = await closed_loop(client, source, 1, seconds / 4)
        _, saturation = await closed_loop(client, source, 4, seconds / 2)
        print(f"one client: p50 {1000 * single:.1f} ms; four clients: {saturation:.0f} answers/s, taken as saturation")
        columns = ("offered/s", "goodput/s", "of sat.", "shed/s", "timeouts", "others", "p50 ms", "p99 ms")
        columns += ("503 p99", "livez p99", "RSS MB", "late p99", "n")
        print("load         ", *(f"{column:>9}" for column in columns))
        longest = cycle([" ".join([question] * 50)[:2000].strip() for question in questions[:50]])
        for load, shape in SHAPES:
            step = await open_loop(client, source, load * saturation, seconds, shape, longest, url)
            good = sum(latency <= GOOD_SECONDS for latency in step.answered) / seconds
            shed = f"{len(step.shed) / seconds:.0f}"
            figures = [f"{load * saturation:.0f}", f"{good:.0f}", f"{good / saturation:.0%}", shed, step.timed_out]
            figures += [step.other, ms(step.answered, 0.5), ms(step.answered, 0.99), ms(step.shed, 0.99)]
            figures += [ms(step.live, 0.99), f"{memory_mb(server):.0f}", ms(step.late, 0.99), len(step.answered)]
            print(f"{load:4}x{shape:8}", *(f"{figure:>9}" for figure in figures), flush=True)


async def closed_loop(
    client: aiohttp.ClientSession, source: "cycle[str]", clients: int, seconds: float
) -> tuple[float, float]:
    """Return the median latency and the answers a second of clients that ask one question after another."""
    latencies: list[float] = []
    end = time.perf_counter() + seconds

    async def ask_on() -> None:
        while (started := time.perf_counter()) < end:
            status, _ = await send(client, "/ask", next(source))
            assert status == 200, status  # noqa: PLR2004 - answered
            latencies.append(time.perf_counter() - started)

    await asyncio.gather(*(ask_on() for _ in range(clients)))
    return statistics.median(latencies), len(latencies) / seconds


async def open_loop(
    client: aiohttp.ClientSession,
    source: "cycle[str]",
    rate: float,
    seconds: float,
    shape: str,
    longest: "cycle[str]",
    url: str,
) -> Step:
    """Send questions with Poisson arrivals at a rate, independent of the answers.

    A burst adds fifty questions at once every five seconds. A tenth of the hostile clients ask a question of maximum
    length, and a twentieth disconnect at once; a hundred connections are idle, and twenty send a byte per second.
    """
    step = Step()
    tasks: set[asyncio.Task[None]] = set()
    bystanders = await hostile_connections(url) if shape == HOSTILE else []

    async def ask(intended: float) -> None:
        question, leaves = next(source), False
        if shape == HOSTILE:
            kind = random.random()  # noqa: S311 - no secret
            question = next(longest) if kind < LONG_SHARE else question
            leaves = kind > 1 - LEAVING_SHARE
        await step.ask(client, question, intended, leaves=leaves)

    async def probe() -> None:
        while True:
            started = time.perf_counter()
            await send(client, "/livez")
            step.live.append(time.perf_counter() - started)
            await asyncio.sleep(0.05)

    prober = asyncio.create_task(probe())
    begin = intended = time.perf_counter()
    bursts = 0
    while intended < begin + seconds:
        if shape == BURST and intended - begin > bursts * BURST_SECONDS:
            bursts += 1
            tasks |= {asyncio.create_task(ask(intended)) for _ in range(BURST_QUESTIONS)}
        intended += random.expovariate(rate)
        if (ahead := intended - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        step.late.append(max(0.0, time.perf_counter() - intended))
        task = asyncio.create_task(ask(intended))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    await asyncio.gather(*tasks)
    prober.cancel()
    for bystander in bystanders:
        bystander.cancel()
    return step


async def hostile_connections(url: str) -> list[asyncio.Task[None]]:
    """Open idle connections, and some that send one byte of a request per second."""
    host, port = url.removeprefix("http://").split(":")

    async def hold(*, slow: bool) -> None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, int(port))
            try:
                for byte in cycle(b"POST /ask HTTP/1.1\r\nHost: localhost\r\n"):
                    if slow:
                        writer.write(bytes([byte]))
                        await writer.drain()
                    await asyncio.sleep(1)
            finally:
                writer.close()

    tasks = [asyncio.create_task(hold(slow=number < SLOW_CLIENTS)) for number in range(SLOW_CLIENTS + IDLE_CLIENTS)]
    await asyncio.sleep(0.1)
    return tasks


async def send(client: aiohttp.ClientSession, path: str, question: str | None = None) -> tuple[int, bool]:
    """Return the status of a completely read response, and whether it has ``Retry-After``."""
    body = None if question is None else {"question": question}
    async with client.request("GET" if body is None else "POST", path, json=body) as response:
        await response.read()
        return response.status, "Retry-After" in response.headers


def ms(values: list[float], quantile: float) -> str:
    """Return a quantile in milliseconds, or a dash for none."""
    return f"{1000 * sorted(values)[int(quantile * (len(values) - 1))]:.0f}" if values else "-"


if __name__ == "__main__":
    main()
