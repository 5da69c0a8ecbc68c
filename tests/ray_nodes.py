"""A Ray cluster of two nodes, each in a network namespace of its own, for proofs."""

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import networks
from networks import Machine
from processes import eventually

_PORT = 6379


@dataclass(frozen=True)
class Nodes:
    """The two nodes of a cluster, and the environment of commands on the head node."""

    head: Machine
    worker: "subprocess.Popen[bytes]"
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """Host and port of the head node."""
        return f"{self.head.address}:{_PORT}"

    def on_head(self, *command: str) -> "subprocess.Popen[str]":
        """Start a command on the head node."""
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return self.head.start(*command, env=self.environment, **pipe)

    def kill_worker(self) -> None:
        """Kill the other node and all its processes."""
        networks.kill_session(self.worker)


@contextlib.contextmanager
def two_nodes(folder: Path, variables: dict[str, str]) -> Iterator[Nodes]:
    """Run two nodes of one core each, with these environment variables; their logs go to ``folder``."""
    program = str(Path(sys.executable).with_name("ray"))
    environment = {**os.environ, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), **variables}
    common = ("--num-cpus=1", "--object-store-memory=400000000", "--disable-usage-stats", "--block")
    scratch = tempfile.mkdtemp(prefix="ray")  # paths of sockets must be short
    started: list[subprocess.Popen[bytes]] = []
    with networks.machines(2) as (head, worker):
        first = ("--head", f"--port={_PORT}", "--include-dashboard=false", f"--temp-dir={scratch}")
        try:
            for machine, arguments in ((head, first), (worker, (f"--address={head.address}:{_PORT}",))):
                path = folder / f"{machine.space}.log"
                with path.open("wb") as log:
                    own = f"--node-ip-address={machine.address}"
                    command = (program, "start", *arguments, own, *common)
                    started.append(machine.start(*command, env=environment, stdout=log, stderr=log))
                eventually(lambda p=path, s=started[-1]: "Ray runtime started" in p.read_text() or s.poll() is not None)
                assert started[-1].poll() is None, path.read_text()[-2000:]
            yield Nodes(head, started[1], environment)
        finally:
            for process in started:
                networks.kill_session(process)
            shutil.rmtree(scratch, ignore_errors=True)
