"""A Ray cluster of two nodes, each in a network namespace of its own, for proofs."""

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HEAD, WORKER = "10.231.11.1", "10.231.11.2"
_PORT = 6379


@dataclass(frozen=True)
class Nodes:
    """The namespaces of two nodes, and how they are reached from within."""

    head: str
    worker: subprocess.Popen[bytes]
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """Where the head listens."""
        return f"{HEAD}:{_PORT}"

    def on_head(self, *command: str) -> subprocess.Popen[str]:
        """Start a command on the head's machine."""
        return subprocess.Popen(
            ["ip", "netns", "exec", self.head, *command],
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def kill_worker(self) -> None:
        """End the other machine at once, and all that runs on it."""
        _kill(self.worker)


def can_be() -> bool:
    """Tell whether such a cluster can be made: Ray, and the right to make networks."""
    return bool(importlib.util.find_spec("ray")) and shutil.which("ip") is not None and os.geteuid() == 0


@contextlib.contextmanager
def two_nodes(folder: Path, variables: dict[str, str]) -> Iterator[Nodes]:
    """Run two nodes of one core each, and commands on them with these variables; what they say goes to ``folder``."""
    first, second = f"qh{os.getpid()}", f"qw{os.getpid()}"
    setup = (
        f"ip netns add {first}",
        f"ip netns add {second}",
        f"ip link add {first} type veth peer name {second}",
        f"ip link set {first} netns {first}",
        f"ip link set {second} netns {second}",
        f"ip -n {first} addr add {HEAD}/30 dev {first}",
        f"ip -n {second} addr add {WORKER}/30 dev {second}",
        *(f"ip -n {name} link set {device} up" for name in (first, second) for device in (name, "lo")),
    )
    program = str(Path(sys.executable).with_name("ray"))
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), **variables}
    common = ("--num-cpus=1", "--object-store-memory=400000000", "--disable-usage-stats", "--block")
    head = ("--head", f"--port={_PORT}", "--include-dashboard=false", f"--node-ip-address={HEAD}")
    other = (f"--address={HEAD}:{_PORT}", f"--node-ip-address={WORKER}")
    started: list[subprocess.Popen[bytes]] = []
    scratch = tempfile.mkdtemp(prefix="ray")  # the names of its sockets must be short
    try:
        for line in setup:
            subprocess.run(line.split(), check=True, capture_output=True)
        for space, arguments in ((first, (*head, f"--temp-dir={scratch}")), (second, other)):
            with (folder / f"{space}.log").open("wb") as log:
                command = ["ip", "netns", "exec", space, program, "start", *arguments, *common]
                started.append(
                    subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
                )
            time.sleep(8)
            assert started[-1].poll() is None, (folder / f"{space}.log").read_text()[-2000:]
        yield Nodes(first, started[1], environment)
    finally:
        for process in started:
            _kill(process)
        for name in (first, second):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        shutil.rmtree(scratch, ignore_errors=True)


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all of its session: Ray's are in groups of their own."""
    listed = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=False)
    for pid in listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    process.wait()
