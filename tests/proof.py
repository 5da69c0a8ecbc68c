"""Run the long proofs and write docs/proofs.md: ``make proof``, or ``make proof ONLY=EXPRESSION`` for some of them.

A proof is a test with the marker ``proof`` that records its figure with ``record_property("figure", …)``. EXPRESSION
is passed to ``pytest -k``; the other rows of the page are kept.
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


PAGE = ROOT / "docs/proofs.md"
HEAD = """# Proofs

`make proof` runs the long proofs and writes this page. The test suite runs a short version of each proof.

{setup}

| proof | outcome | figure | seconds | run |
| --- | --- | --- | --- | --- |
"""


def main() -> None:
    """Run the proofs, collect their figures, write the page; exit with the code of pytest."""
    only = "".join(sys.argv[1:])
    run = f"{datetime.now(UTC):%Y-%m-%d %H:%M}, load {os.getloadavg()[0]:.1f}"
    with tempfile.TemporaryDirectory() as scratch:
        xml = Path(scratch, "proofs.xml")
        command = [sys.executable, "-m", "pytest", "-m", "proof", "-k", only, "--timeout=3600", f"--junitxml={xml}"]
        code = subprocess.run([*command, "-o", "junit_family=xunit1", "-q"], cwd=ROOT, check=False).returncode
        cases = list(ET.parse(xml).iter("testcase"))  # noqa: S314 - pytest wrote it just now
    lines = PAGE.read_text(encoding="utf-8").splitlines() if only else []
    rows = {line.split()[1]: line for line in lines if line.startswith("| test_")}
    for case in cases:
        if case.find("skipped") is not None:
            continue  # keep the previous row
        failed = any(child.tag in {"failure", "error"} for child in case)
        figures = "; ".join(item.get("value", "") for item in case.iter("property") if item.get("name") == "figure")
        outcome = "FAILED" if failed else "holds"
        took = float(case.get("time", 0))
        rows[str(case.get("name"))] = f"| {case.get('name')} | {outcome} | {figures} | {took:.0f} | {run} |"
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in ("faiss-cpu", "numpy", "hypothesis"))
    setup = (
        f"Python {platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores; {versions}; seed {SEED}. "
        "Each row has the date of its run and the load average at its start."
    )
    PAGE.write_text(HEAD.format(setup=setup) + "\n".join(rows.values()) + "\n", encoding="utf-8")
    sys.exit(code)


if __name__ == "__main__":
    main()
