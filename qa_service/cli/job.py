"""Runs a command as a job of the server: ``python -m qa_service.cli.job COMMAND …``.

The server holds the other end of the standard input. If the server exits or is killed, the system closes that end, and
the job kills itself and all processes that it started.
"""

import os
import signal
import threading
from contextlib import suppress

from qa_service.cli.group import main

_NICENESS = 10


def _end_with_the_server() -> None:
    with suppress(OSError):
        while os.read(0, 1):
            pass
    os.killpg(os.getpid(), signal.SIGKILL)  # the server made this process the leader of its group


if __name__ == "__main__":
    os.nice(_NICENESS)
    threading.Thread(target=_end_with_the_server, daemon=True).start()
    main()
