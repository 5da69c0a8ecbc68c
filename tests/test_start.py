"""The steps of the Dockerfile, as benchmarks/start.py runs them where Docker can't run."""

import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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


def test_the_largest_packages_are_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with all of its files, largest first; files that were deleted count nothing."""
    site = tmp_path / "lib/python3/site-packages"
    for name, sizes in {"qa_service": (1_000_000, 0), "large": (2_000_000, 500_000)}.items():
        about = site / f"{name}-1.dist-info"
        for folder in (site / name, site / f"{name}.libs", about):
            folder.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        (about / "RECORD").write_text(
            "".join(f"{name}{part},,\n" for part in ("/code.py", ".libs/code.so", "/gone.py"))
        )
        for size, path in zip(sizes, (site / name / "code.py", site / f"{name}.libs" / "code.so"), strict=True):
            path.write_bytes(bytes(size))
    runpy.run_path(str(SCRIPT))["show_packages"](tmp_path)
    assert capsys.readouterr().out.split() == ["2.5", "MB", "large", "1.0", "MB", "qa_service"]


@pytest.mark.proof
def test_proof_the_slim_image_is_small_and_answers(record_property: Callable[[str, object], None]) -> None:
    """Its steps make an environment that indexes and asks, and has no torch: below 600 MB with the base image."""
    done = subprocess.run([sys.executable, str(SCRIPT), "slim"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    sizes = {name: float(size) for size, name in re.findall(r"([\d.]+) MB (\w.*)", done.stdout)}
    record_property("figure", ", ".join(f"{name} {size:.0f} MB" for name, size in sizes.items()))
    assert sizes["in all"] < 600


@pytest.mark.proof
def test_proof_the_wheel_is_a_tool_in_one_line(record_property: Callable[[str, object], None]) -> None:
    """Without torch: it indexes and answers, in less than 600 MB."""
    done = subprocess.run([sys.executable, str(SCRIPT), "wheel-slim"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (size,) = re.findall(r"([\d.]+) MB$", done.stdout, re.MULTILINE)
    (seconds,) = re.findall(r"([\d.]+) s  uv tool install", done.stdout)
    record_property("figure", f"{size} MB, installed in {seconds} s")
    assert float(size) < 600
