"""Measure what the boxes of quotes on their pages cost when results are cited, on an index of PDF files.

For each question, the same results are cited with and without boxes, by turns, so that a busy machine slows both.

    python benchmarks/page_boxes.py --source FOLDER --index FOLDER     # an index that was built from that folder
"""

import argparse
import random
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

from qa_service.embedding.choose import embedder_to_ask
from qa_service.pipeline import open_answerer
from qa_service.retrieval.cite import cite
from qa_service.settings import load_settings

QUESTIONS = 100
TURNS = 20
QUESTION_CHARACTERS = 100


def without_boxes(pages: Iterable[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
    """Stand in for reading the lines of pages."""
    list(pages)
    return {}


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    given = parser.parse_args()
    settings = load_settings(source=given.source, index=given.index)
    answerer, _ = open_answerer(settings, embedder_to_ask(settings))
    index = answerer.index
    numbers = random.Random(1).sample(range(len(index)), min(QUESTIONS, len(index)))  # noqa: S311 - a sample
    read = index.page_lines
    costs: list[float] = []
    plain: list[float] = []
    boxes = 0
    for number in numbers:
        results = answerer.retrieve(index.passage(number).text[:QUESTION_CHARACTERS]).results
        taken: dict[bool, list[float]] = {True: [], False: []}
        for turn in range(2 * TURNS):
            with_boxes = turn % 2 == 0
            index.page_lines = read if with_boxes else without_boxes  # type: ignore[method-assign]
            start = time.perf_counter()
            cited = cite(index, results, "")
            taken[with_boxes].append(1e3 * (time.perf_counter() - start))
            boxes += sum(len(one.citation.boxes) for one in cited) if turn == 0 else 0
        plain.append(statistics.median(taken[False]))
        costs.append(statistics.median(taken[True]) - plain[-1])
    print(f"{len(numbers)} questions, {boxes / len(numbers):.1f} boxes each")
    print(f"citations without boxes, ms: p50 {statistics.median(plain):.3f}")
    print(f"boxes, ms: p50 {statistics.median(costs):.3f}, p95 {statistics.quantiles(costs, n=20)[-1]:.3f}")


if __name__ == "__main__":
    main()
