"""Runs a command as a job of the server: ``python -m qa_service.cli.job COMMAND …``.

A job computes while no question does: its processes have the lowest priority, and on Linux any other process
interrupts them at once.

The server holds the other end of the standard input. If the server exits or is killed, the system closes that end, and
the job kills itself and all processes that it started.
"""

import os
import signal
import sys
import threading
from contextlib import suppress

from qa_service.cli.group import main

_NICENESS = 19


def give_way() -> None:
    """Let all other processes compute first."""
    os.nice(_NICENESS)
    if sys.platform == "linux":
        with suppress(OSError):  # some sandboxes refuse
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _end_with_the_server() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os.killpg(os.getpid(), signal.SIGKILL)  # the server made this process the leader of its group


if __name__ == "__main__":
    give_way()
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    main()
