"""The notebook of docs/examples/."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from conftest import ROOT
from needs import require

require("nbformat", "nbclient", "ipykernel")

NOTEBOOK = ROOT / "docs/examples/own-folder.ipynb"


def _notebook(path: Path) -> Any:
    import nbformat

    return nbformat.read(path, as_version=4)


def _code(path: Path) -> list[Any]:
    return [cell for cell in _notebook(path).cells if cell.cell_type == "code"]


def _shape(cell: Any) -> list[tuple[Any, ...]]:
    """Return the kind of each output of a cell, and the number of lines of text."""
    return [
        (output.output_type, output.get("name"), sorted(output.get("data", {})), output.get("text", "").count("\n"))
        for output in cell.outputs
    ]


def test_the_notebook_runs_without_a_network_and_keeps_its_outputs(tmp_path: Path) -> None:
    """In an isolated network where that is allowed; the kept outputs are of the same kinds as new ones."""
    tried = subprocess.run(["unshare", "-n", "true"], capture_output=True, check=False)
    apart = ["unshare", "-n"] if os.geteuid() == 0 and tried.returncode == 0 else []
    script = str(ROOT / "docs/examples/run.py")
    done = subprocess.run([*apart, sys.executable, script, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kept, new = _code(NOTEBOOK), _code(tmp_path / NOTEBOOK.name)
    assert [cell.source for cell in kept] == [cell.source for cell in new]
    assert [_shape(cell) for cell in kept] == [_shape(cell) for cell in new]
    text = "".join(output.get("text", "") for cell in new for output in cell.outputs)
    for expected in (
        "membership.md, from line 3",
        "now: exact",
        "before it: moved",
        "another price: changed",
        "16 questions",
    ):
        assert expected in text
    kinds = {(output.output_type, output.get("name")) for cell in kept for output in cell.outputs}
    assert kinds == {("stream", "stdout"), ("display_data", None)}, "no errors and no warnings"


def test_the_notebook_is_small_and_names_no_machine() -> None:
    """At most 100 kB, without paths, times and versions of where it ran."""
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text) < 100_000
    assert not any(word in text for word in ("/home/", "/root/", "/tmp/", "site-packages", "iopub"))
    assert _notebook(NOTEBOOK).metadata.language_info == {"name": "python"}
