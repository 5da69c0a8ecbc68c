"""Time a full build, and a build after a change of one document.

    python benchmarks/update.py SOURCE [--changes N]

A copy of SOURCE, a folder of documents, is indexed. Model and libraries are loaded before. The figure is the median
over the changes; each adds one sentence to another document.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from common import setup

import numpy as np

from qa_service.embedding.choose import embedder_to_build
from qa_service.pipeline import build
from qa_service.settings import load_settings


def main() -> None:
    """Build, change, build again, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--changes", type=int, default=3)
    arguments = parser.parse_args()
    print(setup())
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(shutil.copytree(arguments.source, Path(scratch, "source")))
        settings = load_settings(source=source, index=Path(scratch, "index"))
        embedder = embedder_to_build(settings)
        embedder.embed_passages(["A first one loads the model."])
        started = time.perf_counter()
        report = build(settings, embedder)
        whole = time.perf_counter() - started
        texts = sorted(path for path in source.rglob("*") if path.suffix in {".md", ".txt"})
        seconds = []
        for place in np.random.default_rng(1).choice(len(texts), arguments.changes, replace=False):
            text = texts[place].read_text(encoding="utf-8")
            texts[place].write_text(f"{text}\n\nOne more sentence stands here now.\n", encoding="utf-8")
            started = time.perf_counter()
            build(settings, embedder)
            seconds.append(time.perf_counter() - started)
    changed = statistics.median(seconds)
    print(
        f"{report.documents} documents, {report.passages} passages: {whole:.1f} s; one document changed: "
        f"{changed:.2f} s, {changed / whole:.1%}"
    )


if __name__ == "__main__":
    main()
