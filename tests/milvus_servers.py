"""Milvus servers for tests: milvus-lite, and a standalone server in a network of its own."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from networks import Machine
from processes import PATIENCE

from qa_service.errors import QAServiceError
from qa_service.index.milvus.connection import Address, Connection


def _all_stopped(group: int) -> bool:
    """Tell whether all threads of a process group have stopped, which takes a while on a busy machine."""
    for stat in Path("/proc").glob("[0-9]*/task/[0-9]*/stat"):
        with contextlib.suppress(OSError):  # the process has ended
            state, _, its_group, *_ = stat.read_text().rpartition(")")[2].split()
            if int(its_group) == group and state not in "TZ":
                return False
    return True


class Server:
    """A server that a command starts; it can be killed and restarted on its data."""

    def __init__(self, command: list[str], address: Address, log: Path) -> None:
        self.address = address
        self.uri = address.uri
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        connection = Connection(self.address)
        ends = time.monotonic() + PATIENCE
        while True:
            try:
                connection.probe()
                connection.call("list_collections")
            except QAServiceError as error:
                if time.monotonic() > ends or self._process.poll() is not None:
                    raise AssertionError(f"no server: {error}; {self._log.read_text()[-2000:]}") from error
                time.sleep(0.2)
            else:
                connection.close()
                return

    def signal(self, number: int) -> None:
        """Send a signal to the server and its children; wait if the signal stops them."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
        while number == signal.SIGSTOP and not _all_stopped(self._process.pid):
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill the server."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def lite(folder: Path) -> Iterator[Server]:
    """Run milvus-lite on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("milvus-lite")
    command = [str(program), "server", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder / "data")]
    server = Server(command, Address(f"http://127.0.0.1:{port}"), folder / "log")
    try:
        server.start()
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def real(
    folder: Path, machine: Machine, *flags: str, token: str = "", authority: Path | None = None
) -> Iterator[Server]:
    """Run the server of the package ``milvus`` in a network of its own, as it listens on all addresses."""
    code = "import sys, milvus; sys.argv[0] = ''; milvus.main()"
    own = ("--data", str(folder / "data"), "--proxy-port", "19530")
    scheme = "http" if authority is None else "https"
    address = Address(f"{scheme}://{machine.address}:19530", token, authority)
    server = Server(machine.command(sys.executable, "-c", code, *own, *flags), address, folder / "log")
    try:
        server.start()
        yield server
    finally:
        server.kill()
