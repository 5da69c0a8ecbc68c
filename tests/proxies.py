"""A real nginx in front of the service, for tests."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from needs import program
from processes import PATIENCE

PREFIX = "/docs-qa"
_BODIES = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def nginx(folder: Path, locations: str) -> Iterator[str]:
    """Run nginx with the locations of one server; yield its URL."""
    command = program("nginx")
    assert command is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    paths = "".join(f"{name}_temp_path {folder / name};" for name in _BODIES)
    user = "user root;" if os.geteuid() == 0 else ""
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; {user} pid {folder / 'pid'}; error_log {folder / 'error.log'}; events {{}}\n"
        f"http {{ access_log off; {paths}\nserver {{ listen 127.0.0.1:{port};\n{locations}\n}} }}\n"
    )
    with subprocess.Popen([command, "-c", str(configuration), "-e", str(folder / "error.log")]) as server:
        try:
            while True:
                assert server.poll() is None, (folder / "error.log").read_text()
                with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                time.sleep(0.02)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(PATIENCE)


def stripping(port: int, prefix: str = PREFIX) -> str:
    """Return a location that strips the prefix and forwards it in a header."""
    return (
        f"location {prefix}/ {{ proxy_pass http://127.0.0.1:{port}/; proxy_set_header Host $host; "
        f"proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Forwarded-Prefix {prefix}; }}"
    )


def passing(port: int, prefix: str = PREFIX) -> str:
    """Return a location that forwards the path unchanged, without headers about the prefix."""
    return f"location {prefix}/ {{ proxy_pass http://127.0.0.1:{port}; proxy_set_header Host $host; }}"
