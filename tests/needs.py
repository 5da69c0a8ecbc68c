"""Packages and programs that some tests need beside the extra ``test``; tests are skipped where one is missing.

A test is marked with ``@pytest.mark.needs("mcp", "nginx")``; a module that imports such a package calls
:func:`require` first. Run as a program, it prints the Debian packages of the missing programs, for ``make programs``.
"""

import os
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path

EXTRAS = {
    "axe_playwright_python": "dev",
    "check_jsonschema": "dev",
    "cohere": "dev",
    "cyclonedx_py": "dev",
    "ipykernel": "dev",
    "kubernetes_validate": "dev",
    "langchain_core": "dev",
    "llama_index": "dev",
    "llama_index.postprocessor.jinaai_rerank": "dev",
    "mcp": "mcp",
    "milvus_lite": "dev",
    "mkdocs": "docs",
    "nbclient": "dev",
    "nbformat": "dev",
    "openai": "dev",
    "opentelemetry.sdk": "otel",
    "playwright": "dev",
    "pymilvus": "milvus",
    "ray": "ray",
    "redis": "redis",
    "schemathesis": "dev",
    "tesserocr": "ocr",
    "trustme": "dev",
}
"""The extra that installs an importable package."""
DEBIAN = {
    "chromium": "chromium",
    "ip": "iproute2",
    "nginx": "nginx-light",
    "npm": "npm",
    "redis-server": "redis-server",
    "systemd-analyze": "systemd",
}
"""The Debian package of a program."""
MIN_NODE = 20  # Docusaurus 3.9
OTHERS: dict[str, tuple[Callable[[], object], str]] = {
    "/proc": (lambda: Path("/proc/self").exists(), "needs Linux, for its /proc"),
    "ipv6": (lambda: Path("/proc/net/if_inet6").exists(), "needs IPv6, for ::1"),
    "kubectl": (lambda: program("kubectl") is not None, "needs the program kubectl, 1.27 or newer"),
    "milvus": (lambda: _is_installed("milvus"), "needs the package milvus: make proof installs it"),
    "node": (lambda: _node_version() >= MIN_NODE, f"needs Node.js {MIN_NODE} or newer"),
    "root": (lambda: os.geteuid() == 0, "needs root, to create networks"),
}
"""How to find other things, and the reason to skip a test without them."""
BROWSER = ("playwright", "axe_playwright_python", "chromium")


def program(name: str) -> str | None:
    """Return the path of a program, or None."""
    return shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin")))


def missing(*names: str) -> str:
    """Return why a test that needs these can't run, and how to change that; empty if it can."""
    for name in names:
        if name in OTHERS:
            is_there, reason = OTHERS[name]
        elif name in DEBIAN:
            is_there = partial(program, name)
            reason = f"needs the program {name}: apt-get install {DEBIAN[name]}"
        else:
            is_there = partial(_is_installed, name)
            reason = f"needs the package {name}: pip install -e '.[{EXTRAS[name]}]'"
        if not is_there():
            return reason
    return ""


def require(*names: str) -> None:
    """Skip the calling module if something is missing."""
    import pytest

    if reason := missing(*names):
        pytest.skip(reason, allow_module_level=True)


def _node_version() -> int:
    node = program("node")
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout if node else "v0."
    return int(printed[1:].partition(".")[0])


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # its parent is missing
        return False


if __name__ == "__main__":
    print(*(package for name, package in DEBIAN.items() if program(name) is None))
