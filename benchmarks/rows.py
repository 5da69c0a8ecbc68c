"""Measure rows of a Milvus server, from ten thousand to a million: time, memory, disk, search, recall.

    python benchmarks/rows.py INDEX --uri http://… [--data FOLDER] [--rows N …] [--fields] [--exact]

INDEX is an index folder. The rows are its vectors, slightly moved, so that all are distinct; ``--fields`` adds the
tokens, texts and scores of its passages. ``--exact`` leaves out the graph, which takes about twenty minutes for a
million rows on two cores. The graph and its search width are those of publishing. FOLDER is the data folder of the
server. Recall@10 is relative to brute force, on questions as near to rows as a paraphrase. Memory is that of processes
named milvus.
"""

import argparse
import statistics
import time
from pathlib import Path

from common import memory_mb, setup

import numpy as np

from qa_service.embedding.interface import unit_length
from qa_service.index.disk import IndexFolder
from qa_service.index.milvus.collection import ROWS_PER_CALL, MilvusStore
from qa_service.index.milvus.connection import WRITING, Address, Connection
from qa_service.index.milvus.rows import PASSAGE, SCORES, TOKENS, extra_fields, filterable

_ROW_NOISE, _QUESTION_NOISE = 0.5, 0.7  # norms of the added noise: cosines of .89 and .82
_QUESTIONS, _DEPTH = 200, 10
_BYTES = {SCORES: 900, TOKENS: 15_500, PASSAGE: 2_400}  # per row, as shared.py prints them


def main() -> None:
    """Measure each size and print a row of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("index", type=Path)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--fields", action="store_true")
    parser.add_argument("--exact", action="store_true")
    arguments = parser.parse_args()
    index = IndexFolder(arguments.index).open_current(None).index
    real = index.vectors(np.arange(len(index)))
    connection = Connection(Address(arguments.uri, timeout=10), patience=WRITING)
    print(setup())
    kind = "with all fields" if arguments.fields else "of a vector alone"
    print(f"vectors of {len(real)} passages, rows {kind}, {'exact' if arguments.exact else 'HNSW'}")
    print("| rows | ms a row to publish | s until found | memory MB | disk MB | p50 ms | recall@10 | ef |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for count in arguments.rows:
        print(measure(connection, real, count, arguments), flush=True)


def measure(connection: Connection, real: np.ndarray, count: int, arguments: argparse.Namespace) -> str:
    """Publish rows, search them, drop them; return a row of the table."""
    data, fields = arguments.data, arguments.fields
    name = f"rows_{count}"
    memory, disk = milvus_mb(), folder_mb(data)
    store = MilvusStore.create(
        connection, name, real.shape[1], fields=extra_fields() if fields else None, exact=arguments.exact
    )
    own: dict[str, object] = {}
    if fields:
        own = {**filterable("x", "x", (), {}), **{field: "x" * size for field, size in _BYTES.items()}}
    generator = np.random.default_rng(7)
    questions = moved(real[generator.integers(0, len(real), _QUESTIONS)], _QUESTION_NOISE, generator)
    best = np.full((_QUESTIONS, _DEPTH), -1, np.int64), np.full((_QUESTIONS, _DEPTH), -2, np.float32)
    seconds = 0.0
    for start in range(0, count, 10 * ROWS_PER_CALL):
        numbers = np.arange(start, min(count, start + 10 * ROWS_PER_CALL))
        vectors = moved(real[numbers % len(real)], _ROW_NOISE, generator)
        best = merged(best, numbers, questions @ vectors.T)
        started = time.perf_counter()
        store.add_rows(numbers, vectors, [own for _ in numbers])
        seconds += time.perf_counter() - started
    started = time.perf_counter()
    store.finish()
    recall = store.settle(questions, best[1])
    building = time.perf_counter() - started
    times = []
    for question in questions:
        started = time.perf_counter()
        store.search(question[None, :], 50)
        times.append(1000 * (time.perf_counter() - started))
    grown = milvus_mb() - memory, folder_mb(data) - disk
    connection.call("drop_collection", name)
    return (
        f"| {count} | {1000 * seconds / count:.2f} | {building:.0f} | {grown[0]:.0f} | {grown[1]:.0f} | "
        f"{statistics.median(times):.1f} | {recall:.4f} | {store.ef_search} |"
    )


def moved(vectors: np.ndarray, length: float, generator: np.random.Generator) -> np.ndarray:
    """Return unit vectors near the given ones."""
    noise = unit_length(generator.normal(size=vectors.shape).astype(np.float32))
    return unit_length(vectors + length * noise)


def merged(
    best: tuple[np.ndarray, np.ndarray], numbers: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the best ids and scores, merged with those of more vectors."""
    ids = np.concatenate([best[0], np.broadcast_to(numbers, scores.shape)], axis=1)
    scores = np.concatenate([best[1], scores], axis=1)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :_DEPTH]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)


def milvus_mb() -> float:
    """Return the resident megabytes of processes named milvus."""
    names = ((path, path.read_text(encoding="utf-8").strip()) for path in Path("/proc").glob("[0-9]*/comm"))
    return sum(memory_mb(int(path.parent.name)) for path, name in names if name == "milvus")


def folder_mb(folder: Path | None) -> float:
    """Return the size of the files below a folder, in megabytes."""
    return 0 if folder is None else sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
