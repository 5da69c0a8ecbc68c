"""The steps of the Dockerfile, as benchmarks/start.py runs them where Docker can't run."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable

import pytest
from conftest import ROOT

SCRIPT = ROOT / "benchmarks/start.py"


@pytest.mark.parametrize(("stage", "lock", "torch"), [("build-slim", "slim.txt", False), ("build", "lock.txt", True)])
def test_a_stage_installs_its_lock_file(stage: str, lock: str, torch: bool) -> None:
    """The slim one without torch. Copied files exist, and both end with an index."""
    steps = list(runpy.run_path(str(SCRIPT))["steps"](stage))
    runs = [arguments for name, arguments in steps if name == "RUN"]
    assert any("requirements/model.txt" in command for command in runs)
    assert {name for command in runs for name in re.findall(r"requirements/(slim|lock)\.txt", command)} == {lock[:-4]}
    assert any("torch==" in command for command in runs) == torch
    assert "qa-service index" in runs[-1]
    for name, arguments in steps:
        if name == "COPY":
            assert all((ROOT / source).exists() for source in arguments.split()[:-1])


@pytest.mark.proof
def test_proof_the_slim_image_is_small_and_answers(record_property: Callable[[str, object], None]) -> None:
    """Its steps make an environment below 600 MB, which indexes and asks, and has no torch."""
    done = subprocess.run([sys.executable, str(SCRIPT), "slim"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes = {name: float(size) for size, name in re.findall(r"([\d.]+) MB (\w+)", done.stdout)}
    record_property("figure", ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items()))
    assert sum(sizes.values()) < 600


@pytest.mark.proof
def test_proof_the_wheel_is_a_tool_in_one_line(record_property: Callable[[str, object], None]) -> None:
    """Without torch: it indexes and answers, in less than 600 MB."""
    done = subprocess.run([sys.executable, str(SCRIPT), "wheel-slim"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (size,) = re.findall(r"([\d.]+) MB", done.stdout)
    (seconds,) = re.findall(r"([\d.]+) s  uv tool install", done.stdout)
    record_property("figure", f"{size} MB, installed in {seconds} s")
    assert float(size) < 600
