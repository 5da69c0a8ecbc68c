"""Measure where the time of a build goes: CPU seconds by part.

    python benchmarks/build_parts.py SOURCE [--runtime RUNTIME]

SOURCE is a folder of documents. The parts are functions of the build, timed by the CPU time of the thread that runs
them; a part that another one calls counts for itself. The forward pass is what the process needs beyond its parts.
"""

import argparse
import os
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from common import setup

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # else its threads would count as the forward pass

from qa_service.embedding import ExportedEmbedder
from qa_service.embedding.choose import embedder_to_build
from qa_service.index.disk import PassageReader, PassageWriter
from qa_service.index.tokens import PassageTokensBuilder
from qa_service.index.words import BM25Builder
from qa_service.indexing import build as building
from qa_service.indexing import draft, vectors
from qa_service.pipeline import build
from qa_service.settings import load_settings
from qa_service.splitting import Splitter

PARTS: dict[str, list[tuple[Any, str]]] = {
    "reading, parsing and hashing files": [(building, "gather_inputs"), (building, "_add_documents")],
    "splitting": [(building, "split"), (Splitter, "split")],
    "tokenising, to count": [(ExportedEmbedder, "count_tokens")],
    "rows of SQLite": [(PassageWriter, "add"), (PassageWriter, "close"), (PassageReader, "passage")],
    "words": [(BM25Builder, "add"), (BM25Builder, "finish")],
    "tokenising, to embed": [(ExportedEmbedder, "_encode")],
    "texts and tokens around the forward pass": [(vectors, "_Batch"), (ExportedEmbedder, "_run")],
    "packing of token vectors": [(PassageTokensBuilder, name) for name in ("pack", "add", "finish")],
    "writing and hashing the generation": [(draft, "write_generation")],
}


class Clock:
    """Adds the CPU time of each thread to the innermost part that runs in it."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._own = threading.local()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time in the block for this part, and no longer for the one around it."""
        outer = getattr(self._own, "name", None)
        self._turn(name)
        try:
            yield
        finally:
            self._turn(outer)

    def _turn(self, name: str | None) -> None:
        now = time.thread_time()
        before = getattr(self._own, "name", None)
        if before is not None:
            self.seconds[before] += now - self._own.since
        self._own.name, self._own.since = name, now

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time counted for this part."""

        def run(*values: Any, **named: Any) -> Any:
            with self.part(name):
                return function(*values, **named)

        return run


def main() -> None:
    """Build once and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--runtime", default="auto")
    arguments = parser.parse_args()
    clock = Clock()
    for name, functions in PARTS.items():
        for owner, function in functions:
            setattr(owner, function, clock.timed(name, getattr(owner, function)))
    with tempfile.TemporaryDirectory() as scratch:
        settings = load_settings(source=arguments.source, index=Path(scratch), runtime=arguments.runtime)
        embedder = embedder_to_build(settings)
        embedder.embed_passages(["loads the graph"])
        clock.seconds.clear()
        started, cpu = time.perf_counter(), time.process_time()
        report = build(settings, embedder)
        wall, cpu = time.perf_counter() - started, time.process_time() - cpu
    parts = dict(clock.seconds)
    parts["forward pass"] = cpu - sum(parts.values())
    print(setup())
    print(f"{report.passages} passages, {embedder.runtime}: {wall:.1f} s, {report.passages / wall:.1f} a second")
    print("| part | CPU seconds | share | µs a passage |")
    print("| --- | ---: | ---: | ---: |")
    for name, seconds in sorted(parts.items(), key=lambda item: -item[1]):
        print(f"| {name} | {seconds:.2f} | {seconds / cpu:.1%} | {seconds / report.passages * 1e6:.0f} |")


if __name__ == "__main__":
    main()
