"""Programs that tests run, and packages that tests build and install."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from processes import PATIENCE

UNREACHABLE = re.compile(r"No matching distribution|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|ECONNREFUSED|ECONNRESET")
"""In the output of pip or npm without a network."""


def run(*command: object, cwd: Path, **environment: str) -> str:
    """Run a program and return its output; fail with the output if it fails."""
    given = os.environ | environment
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=given, capture_output=True, text=True, check=False, timeout=4 * PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def fetch(*command: object, cwd: Path) -> None:
    """Run a program that installs packages; skip the test if they can't be fetched."""
    try:
        run(*command, cwd=cwd)
    except AssertionError as error:
        if UNREACHABLE.search(str(error)):
            pytest.skip(f"needs packages that {command[0]} could not fetch: is there a network?")
        raise


def npm_install(folder: Path, *packages: object) -> None:
    """Install the packages of a folder's package.json, and others."""
    fetch("npm", "install", "--loglevel=error", "--no-audit", "--no-fund", "--no-package-lock", *packages, cwd=folder)


def npm_packed(package: Path, into: Path) -> list[Path]:
    """Pack an npm package as it would be published; return the archive."""
    run("npm", "pack", "--silent", "--pack-destination", into, cwd=package)
    return list(into.glob("*.tgz"))
