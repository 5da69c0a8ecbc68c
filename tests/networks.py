"""Machines for proofs, each a network namespace of this one, on one bridge."""

import contextlib
import itertools
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

_NETWORKS = itertools.count()


@dataclass(frozen=True)
class Machine:
    """A machine with its own network, where servers may listen on all addresses."""

    space: str
    address: str

    def command(self, *command: str) -> list[str]:
        """Return the command line that runs a command on the machine."""
        return ["ip", "netns", "exec", self.space, *command]

    def start(self, *command: str, **options: Any) -> "subprocess.Popen[Any]":
        """Start a command on the machine, in its own session."""
        return subprocess.Popen(self.command(*command), start_new_session=True, **options)

    def disconnect(self) -> None:
        """Disconnect the machine from the network."""
        _ip(f"link set {self.space} down")

    def reconnect(self) -> None:
        """Reconnect the machine to the network."""
        _ip(f"link set {self.space} up")


@contextlib.contextmanager
def machines(count: int) -> Iterator[Sequence[Machine]]:
    """Create machines that can reach each other and this one."""
    # Each process that runs proofs has its own networks.
    own = next(_NETWORKS)
    bridge, net = f"qb{own}p{os.getpid()}", f"10.231.{(8 * os.getpid() + own) % 250}"
    found = [Machine(f"q{own}n{number}p{os.getpid()}", f"{net}.{number + 2}") for number in range(count)]
    try:
        _ip(f"link add {bridge} type bridge")
        _ip(f"addr add {net}.1/24 dev {bridge}")
        _ip(f"link set {bridge} up")
        for machine in found:
            _ip(f"netns add {machine.space}")
            _ip(f"link add {machine.space} type veth peer name inside netns {machine.space}")
            _ip(f"link set {machine.space} master {bridge} up")
            _ip(f"-n {machine.space} addr add {machine.address}/24 dev inside")
            for device in ("inside", "lo"):
                _ip(f"-n {machine.space} link set {device} up")
        yield found
    finally:
        for machine in found:
            for command in ("link del", "netns del"):
                subprocess.run(["ip", *command.split(), machine.space], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", bridge], check=False, capture_output=True)


def kill_session(process: "subprocess.Popen[Any]") -> None:
    """Kill a process and its whole session."""
    listed = subprocess.run(["ps", "-o", "pid=", "-s", str(process.pid)], capture_output=True, text=True, check=False)
    for pid in listed.stdout.split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)
    process.wait()


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True, capture_output=True)
