"""Milvus servers for tests: the lightweight one, and the real one in a network of its own."""

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from qa_service.errors import QAServiceError
from qa_service.stores.connection import Address, Connection


class Server:
    """A server that is started by a command, and can be killed and started again on the data that it had."""

    def __init__(self, command: list[str], uri: str, log: Path) -> None:
        self.uri = uri
        self._command = command
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, seconds: float = 120) -> None:
        """Start it and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        connection = Connection(Address(self.uri))
        ends = time.monotonic() + seconds
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
        """Send a signal to it and its children."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        """End it at once, with no chance to tidy up."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


@contextlib.contextmanager
def lite(folder: Path) -> Iterator[Server]:
    """Run the lightweight server on loopback."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("milvus-lite")
    command = [str(program), "server", "--host", "127.0.0.1", "--port", str(port), "--data-dir", str(folder / "data")]
    server = Server(command, f"http://127.0.0.1:{port}", folder / "log")
    try:
        server.start()
        yield server
    finally:
        server.kill()


def real_is_there() -> bool:
    """Tell whether the real server can be run: its package, and the right to make a network of its own."""
    return bool(importlib.util.find_spec("milvus")) and shutil.which("ip") is not None and os.geteuid() == 0


@contextlib.contextmanager
def real(folder: Path) -> Iterator[Server]:
    """Run the server of the package ``milvus``, which listens on all addresses, where there is but one."""
    space, inner, outer = f"qa{os.getpid()}", f"qi{os.getpid()}", f"qo{os.getpid()}"
    here, there = "10.231.9.1", "10.231.9.2"
    setup = (
        f"ip netns add {space}",
        f"ip link add {outer} type veth peer name {inner}",
        f"ip link set {inner} netns {space}",
        f"ip addr add {here}/30 dev {outer}",
        f"ip link set {outer} up",
        f"ip -n {space} addr add {there}/30 dev {inner}",
        f"ip -n {space} link set {inner} up",
        f"ip -n {space} link set lo up",
    )
    code = "import sys, milvus; sys.argv = ['', '--data', sys.argv[1], '--proxy-port', '19530']; milvus.main()"
    command = ["ip", "netns", "exec", space, sys.executable, "-c", code, str(folder / "data")]
    server = Server(command, f"http://{there}:19530", folder / "log")
    try:
        for line in setup:
            subprocess.run(line.split(), check=True, capture_output=True)
        server.start()
        yield server
    finally:
        server.kill()
        subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", outer], check=False, capture_output=True)
