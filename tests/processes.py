"""Helpers that start, wait for and inspect processes."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

PATIENCE = 300.0
"""Seconds until a test gives up. Nothing takes nearly as long, even on a machine that is slow and busy."""


def eventually(condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def runs(process: int) -> bool:
    """Tell whether a process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def children_of(process: int) -> list[int]:
    """Return the ids of the children of a process."""
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def command_of(process: int) -> list[str]:
    """Return the command line of a process, empty once it has ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{process}/cmdline").read_text().split("\0")
    return []


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[list[str], httpx2.Client]]:
    """Serve on a free port; yield the lines up to the address, and a client."""
    command = [sys.executable, "-m", "qa_service", "serve", *arguments, "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            lines: list[str] = []
            while not (found := re.search(r"http://127\.0\.0\.1:\d+", lines[-1] if lines else "")):
                lines.append(server.stderr.readline())
                assert lines[-1], lines
            with httpx2.Client(base_url=found.group(), timeout=PATIENCE) as client:
                eventually(lambda: client.get("/readyz").status_code == 200)
                yield lines, client
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.stderr.read()
        server.wait(PATIENCE)
        assert "Traceback" not in rest
