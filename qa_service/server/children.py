"""Commands of this program that the server runs as processes of their own, so that answers go before."""

import asyncio
import os
import sys
from contextlib import suppress

from qa_service.settings import Settings, environment_of

_LOWER_PRIORITY = 10


async def start(settings: Settings, *arguments: str, stderr: int | None = None) -> asyncio.subprocess.Process:
    """Start ``qa-service`` with some arguments and the settings in force, at a lower priority, its output piped."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "qa_service", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
        env=environment_of(settings),
    )
    with suppress(OSError, AttributeError):
        os.setpriority(os.PRIO_PROCESS, process.pid, _LOWER_PRIORITY)
    return process


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process and wait until it has gone."""
    with suppress(ProcessLookupError):
        process.terminate()
    await process.wait()
