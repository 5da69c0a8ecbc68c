"""Run the long proofs and write docs/proofs.md: ``make proof``.

A proof is a test with the marker ``proof`` that records its figure with ``record_property("figure", …)``.
"""

import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parent.parent
SEED = "20261123"


def main() -> None:
    """Run pytest on the proofs, collect their figures, write the page; exit as pytest does."""
    load = os.getloadavg()[0]
    started = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as scratch:
        xml = Path(scratch, "proofs.xml")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-m",
            "proof",
            "--timeout=3600",
            f"--junitxml={xml}",
            "-o",
            "junit_family=xunit1",
            "-q",
        ]
        code = subprocess.run(command, cwd=ROOT, check=False).returncode
        cases = list(ET.parse(xml).iter("testcase"))  # noqa: S314 - pytest wrote it just now
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("faiss-cpu", "numpy", "hypothesis"))
    setup = (
        f"{started:%Y-%m-%d}; Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores, "
        f"load average {load:.2f} at the start; {versions}; seed {SEED}."
    )
    lines = ["# Proofs", "", "Written by `make proof`; the test suite runs a short version of each.", "", setup, ""]
    lines += ["| proof | outcome | figure | seconds |", "| --- | --- | --- | --- |"]
    for case in cases:
        failed = any(child.tag in {"failure", "error"} for child in case)
        figures = "; ".join(item.get("value", "") for item in case.iter("property") if item.get("name") == "figure")
        outcome = "FAILED" if failed else "holds"
        lines.append(f"| {case.get('name')} | {outcome} | {figures} | {float(case.get('time', 0)):.0f} |")
    (ROOT / "docs/proofs.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    sys.exit(code)


if __name__ == "__main__":
    main()
