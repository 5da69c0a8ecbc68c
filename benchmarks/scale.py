"""Measure time, memory and disk of an index from ten thousand passages to a million.

    python benchmarks/scale.py SOURCE --work FOLDER [--passages N …] [--real] [--seconds S]

SOURCE is a folder of text files, with 520 bytes of text for each passage or more. Everything is the service itself
except the forward pass of passages: a stand-in has the model's tokenizer, and for each token the mean of its vectors
in real passages, moved towards the mean of its text. ``--real`` embeds with the model. Questions are eight words of a
sentence in any order, which the reader reads longer than people's. Every question is new, and is asked once: every
second one without the reader. The forward pass of the real model is timed on the same questions.

Each size is a copy of some files in FOLDER. The copies and their indexes are kept and used again. More than 50,000
passages are built in shards, as a cluster builds them, so that a run may stop after ``--seconds`` and the next one go
on. The steps of a size run in processes of their own. The last line is the exponent b of time or size = a * N ** b.
"""

import argparse
import hashlib
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, nullcontext
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from common import memory_mb, setup

import numpy as np

from qa_service.archiving.export import export_service
from qa_service.datatypes import AskOptions, SourceFile
from qa_service.embedding import Embedder, ExportedEmbedder
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.index.disk import IndexFolder
from qa_service.indexing.cluster import ray_pipeline
from qa_service.indexing.cluster.stages import BuiltShard, EmbedStage, SplitStage, read_shard
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.retrieval import Retriever
from qa_service.settings import Settings, load_settings

BYTES_A_PASSAGE = 520
TABLE_PASSAGES, PASSAGE_CHARACTERS, FREQUENT = 1_000, 800, 1e-3
MOST_AT_ONCE = 50_000  # passages
QUESTIONS, WARM_UP = 320, 20
STOPPED = 3  # exit code
_WORD = re.compile(r"\w+")


class StandIn(ExportedEmbedder):
    """The model without its forward pass: vectors of tokens come from a table of one vector for each token."""

    runtime = "a table of tokens"

    def __init__(self, model: ExportedEmbedder, table: np.ndarray) -> None:
        super().__init__(model.folder, model.specification, threads=1)
        self._table = table

    def load(self) -> None:
        """Load nothing, since the table needs no graph."""

    def _forward(self, encoded: Sequence[Any]) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        for item in encoded:
            rows = self._table[item.ids]
            vector = rows.sum(axis=0)
            yield vector, rows / np.linalg.norm(rows, axis=1, keepdims=True) + vector / np.linalg.norm(vector)


def table_of(files: Sequence[Path], model: ExportedEmbedder, file: Path) -> np.ndarray:
    """Return a vector for each token, from a file once it is made.

    It is the mean of the token's vectors in a sample of texts, without what all tokens have in common. Frequent tokens
    are short (Arora, Liang and Ma, 2017). A token that the sample lacks has a random vector.
    """
    if not file.exists():
        generator = np.random.default_rng(1)
        table = generator.normal(size=(len(model._tokenizer.get_vocab()), model.dimension))  # noqa: SLF001
        table /= np.linalg.norm(table, axis=1, keepdims=True)
        sums, counts = np.zeros_like(table), np.zeros((len(table), 1))
        for place in generator.permutation(len(files))[: TABLE_PASSAGES // 8]:
            text = files[place].read_text(encoding="utf-8")
            starts = generator.integers(max(1, len(text) - PASSAGE_CHARACTERS), size=8)
            made = model.embed_passages([text[start : start + PASSAGE_CHARACTERS] for start in starts])
            for own in made.tokens or ():
                np.add.at(sums, own.ids, own.vectors)
                np.add.at(counts, own.ids, 1)
        centred = sums / np.maximum(counts, 1) - sums.sum(axis=0) / counts.sum()
        weights = FREQUENT / (FREQUENT + counts / counts.sum())
        np.save(file, (np.where(counts > 0, centred, table) * weights).astype(np.float32))
    found: np.ndarray = np.load(file)
    return found


def choose_files(source: Path, folder: Path, passages: int) -> None:
    """Copy a pseudo-random choice of the files, of as many bytes as the passages need."""
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    size = 0
    named = {str(path.relative_to(source)): path for path in source.rglob("*.txt")}
    for name in sorted(named, key=lambda name: hashlib.sha256(name.encode()).digest()):
        if size > passages * BYTES_A_PASSAGE:
            break
        size += named[name].stat().st_size
        shutil.copyfile(named[name], partial / name.replace("/", "-"))
    partial.rename(folder)


def questions(folder: Path) -> list[str]:
    """Return questions of eight words, each from one sentence of some file."""
    generator = np.random.default_rng(4)
    files = sorted(folder.iterdir())
    asked: list[str] = []
    while len(asked) < QUESTIONS:
        sentences = files[generator.integers(len(files))].read_text(encoding="utf-8").split(". ")
        words = _WORD.findall(sentences[generator.integers(len(sentences))])[:40]
        if len(words) >= 8:  # noqa: PLR2004
            asked.append(" ".join(generator.choice(words, 8, replace=False)))
    return asked


class Size:
    """The files, the index and the figures of one number of passages."""

    def __init__(self, work: Path, passages: int, *, real: bool) -> None:
        self.passages = passages
        own = work / f"{passages}{'-real' * real}"
        self.source, self.index, self.copy, self._figures = (
            own / name for name in ("source", "index", "copy", "figures.json")
        )
        self.settings: Settings = load_settings(
            source=self.source, index=self.index, data=own / "data", shard_kb=8_000, cache_mb=1
        )
        own.mkdir(parents=True, exist_ok=True)

    @property
    def figures(self) -> dict[str, float]:
        """The figures so far."""
        found: dict[str, float] = json.loads(self._figures.read_text()) if self._figures.exists() else {}
        return found

    def note(self, **figures: float) -> None:
        """Store figures; those named ``build_*`` are added to the stored ones."""
        kept = self.figures
        sums = {name: kept.get(name, 0) + value for name, value in figures.items() if name.startswith("build")}
        self._figures.write_text(json.dumps({**kept, **figures, **sums}, indent=1))


class Meter:
    """Seconds, CPU seconds and bytes that this process wrote, since it was made."""

    def __init__(self) -> None:
        self._started = self._now()

    @staticmethod
    def _now() -> tuple[float, float, float]:
        with Path("/proc/self/io").open(encoding="ascii") as counts:
            written = next(int(line.split()[1]) for line in counts if line.startswith("wchar"))
        own = os.times()
        return time.monotonic(), own.user + own.system + own.children_user + own.children_system, written / 1e6

    def read(self, name: str) -> dict[str, float]:
        """Return the figures of a step."""
        seconds, cpu, written = (now - then for now, then in zip(self._now(), self._started, strict=True))
        return {f"{name}_s": seconds, f"{name}_cpu_s": cpu, f"{name}_written_mb": written}


def built_shard(plan: Any, embedder: Embedder, files: Sequence[SourceFile]) -> BuiltShard:
    """Build one shard in this process."""
    return EmbedStage(plan, embedder)(SplitStage(plan, embedder)(read_shard(files, plan.limits)))


def build_step(size: Size, embedder: Embedder, seconds: float) -> None:
    """Build; exit with 3 after ``seconds`` if shards are missing."""
    stop_at, meter = time.monotonic() + seconds, Meter()
    settings = size.settings

    def shards(plan: Any, _: Any, groups: Sequence[Any]) -> Iterator[BuiltShard]:
        cores = os.cpu_count() or 1
        with ProcessPoolExecutor(cores, get_context("fork")) as pool:
            for first in range(0, len(groups), cores):
                if time.monotonic() > stop_at:
                    size.note(**meter.read("build"))
                    print(f"{len(groups) - first} of {len(groups)} shards are missing", flush=True)
                    sys.exit(STOPPED)
                yield from pool.map(partial(built_shard, plan, embedder), groups[first : first + cores])
        if groups:
            size.note(**meter.read("build"))
            print("all shards are there", flush=True)
            sys.exit(STOPPED)

    if size.passages > MOST_AT_ONCE:
        settings = settings.model_copy(update={"engine": "ray"})
        ray_pipeline.connected = lambda _: nullcontext()  # type: ignore[assignment, return-value]
        ray_pipeline.built_shards = shards  # type: ignore[assignment]
    report = build(settings, embedder)
    size.note(**meter.read("build"), passages=report.passages, documents=report.documents)
    files = IndexFolder(size.index).manifest(report.index_version).files
    parts = {"vectors": "vectors", "passages": "text", "lexical": "words", "tokens": "token codes", "token-": "tokens"}
    for start, part in parts.items():
        own = sum(entry.bytes for name, entry in files.items() if name.startswith(start))
        size.note(**{f"bytes a passage, {part}": own / report.passages})
    size.note(disk_mb=sum(entry.bytes for entry in files.values()) / 1e6)


def update_step(size: Size, embedder: Embedder) -> None:
    """Change one document and build; check all files; export them to nowhere."""
    first = min(size.source.iterdir())
    text = first.read_text(encoding="utf-8")
    first.unlink()
    first.write_text(f"{text}\n\nOne more sentence stands here, number {time.time_ns()}.", encoding="utf-8")
    meter = Meter()
    build(size.settings, embedder)
    size.note(**meter.read("update"), update_peak_mb=memory_mb(os.getpid(), most=True))


def verify_step(size: Size, _: Embedder) -> None:
    """Compare all hashes."""
    meter = Meter()
    IndexFolder(size.index).verify()
    size.note(**meter.read("verify"))


def export_step(size: Size, _: Embedder) -> None:
    """Write an export, and remove it."""
    meter, file = Meter(), size.index.parent / "export.zip"
    export_service(size.settings, file, keys=False)
    size.note(**meter.read("export"))
    file.unlink()


def ask_step(size: Size, embedder: Embedder) -> None:
    """Open and ask; the real model's forward pass is timed beside."""
    model = embedder_to_ask(size.settings)
    model.embed_questions(["A first question loads the model."])
    meter = Meter()
    answerer, problem = open_answerer(size.settings, embedder)
    assert problem is None
    opened = meter.read("open")
    with closing(answerer.index):
        answerer.self_test()
        unread = QuestionAnswerer(answerer.index, embedder, Retriever(answerer.index, None), size.settings)
        passes: list[float] = []
        rests: tuple[list[float], list[float]] = [], []
        cpu: list[float] = []
        for number, question in enumerate(questions(size.source)):
            started = time.perf_counter()
            model.embed_questions([question])
            passed = time.perf_counter() - started
            query = answerer.prepare([(question, AskOptions())])[0]
            is_read = number % 2
            started, before = time.perf_counter(), time.process_time()
            (unread, answerer)[is_read].ask(question, query=query)
            if number >= WARM_UP:
                rests[is_read].append(1000 * (time.perf_counter() - started))
                passes.append(1000 * passed)
                if is_read:
                    cpu.append(1000 * (time.process_time() - before))
        found = answerer.index.manifest.vector_index
    forward = statistics.median(passes)
    size.note(
        **opened,
        forward_pass_ms=forward,
        without_reader_ms=statistics.median(rests[False]),
        with_reader_ms=statistics.median(rests[True]),
        p50_without_reader_ms=forward + statistics.median(rests[False]),
        p50_ms=forward + statistics.median(rests[True]),
        p95_ms=forward + float(np.quantile(rests[True], 0.95)),
        cpu_ms=forward + statistics.mean(cpu),
        rss_mb=memory_mb(os.getpid()),
        own_mb=_own_memory_mb(),
        candidates=found.candidates,
        recall_at_10=found.recall_at_10,
    )


def _own_memory_mb() -> float:
    """Return the resident memory that is not mapped from files."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) / 1024


STEPS: dict[str, Callable[[Size, Embedder], None]] = {
    "ask": ask_step,
    "update": update_step,
    "verify": verify_step,
    "export": export_step,
}


def in_a_process(*arguments: object) -> int:
    """Run one step of one size in a child process; return its exit code."""
    return subprocess.run([sys.executable, __file__, *map(str, arguments)], check=False).returncode


def show(sizes: list[dict[str, float]]) -> None:
    """Print a line per figure, with the exponent of its growth."""
    span = math.log(sizes[-1]["passages"] / sizes[0]["passages"])
    for name in sizes[-1]:
        values = [figures.get(name, math.nan) for figures in sizes]
        positive = span > 0 and values[0] > 0 and values[-1] > 0
        growth = f"{math.log(values[-1] / values[0]) / span:8.2f}" if positive else ""
        print(f"{name:32}" + "".join(f"{value:14,.2f}" for value in values) + growth)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--passages", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--seconds", type=float, default=math.inf)
    parser.add_argument("--steps", nargs="*", default=["build", *STEPS], choices=["build", *STEPS])
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = [Size(arguments.work, passages, real=arguments.real) for passages in arguments.passages]
    if arguments.here:
        run_here(arguments, sizes[0])
        return
    print(setup())
    for size in sizes:
        for step in arguments.steps:
            flags = ["--real"] * arguments.real + ["--seconds", arguments.seconds]
            own = ["--passages", size.passages, "--steps", step, "--here", *flags]
            if code := in_a_process(arguments.source, "--work", arguments.work, *own):
                sys.exit(code)
    show([size.figures for size in sizes])


def run_here(arguments: argparse.Namespace, size: Size) -> None:
    """Run one step in this process."""
    if not size.source.exists():
        choose_files(arguments.source, size.source, size.passages)
    if arguments.real:
        embedder: Embedder = embedder_to_build(size.settings)
    else:
        model = embedder_to_ask(size.settings)
        assert isinstance(model, ExportedEmbedder)
        table = table_of(sorted(size.source.iterdir()), model, arguments.work / "table.npy")
        embedder = StandIn(model, table)
    if arguments.steps == ["build"]:
        build_step(size, embedder, arguments.seconds)
    else:
        STEPS[arguments.steps[0]](size, embedder)


if __name__ == "__main__":
    main()
