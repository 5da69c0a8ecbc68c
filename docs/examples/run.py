"""Run the notebooks of this folder, by default to keep their outputs: `make notebook`.

`run.py DIR` writes them to DIR instead. The kernel is reached by a local socket, so no network is needed.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parent
CELL_SECONDS = 1800


def main() -> None:
    """Run all notebooks; the first cell that fails raises."""
    output = Path(sys.argv[1]) if sys.argv[1:] else FOLDER
    for path in sorted(FOLDER.glob("*.ipynb")):
        nbformat.write(run(path), output / path.name)


def run(path: Path) -> NotebookNode:
    """Return a notebook with new outputs."""
    notebook = nbformat.read(path, as_version=4)
    metadata = NotebookNode(notebook.metadata)
    client = NotebookClient(notebook, timeout=CELL_SECONDS, record_timing=False, coalesce_streams=True)
    client.create_kernel_manager().transport = "ipc"
    client.execute()
    notebook.metadata = metadata  # without the Python that ran it
    return notebook


if __name__ == "__main__":
    main()
