"""Publish an index to a Milvus server, and compare answers, bytes and times with those of the folder.

    python benchmarks/shared.py SOURCE QUESTION_FILE --uri http://127.0.0.1:19530 [--work FOLDER] [--graph] [--limit N]

SOURCE is a folder of documents, or a BEIR folder with any QUESTION_FILE. ``--graph`` uses HNSW for any number of
passages. Both are asked alternately in one process; recall@10 is relative to brute force.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import answerer_for, beir_documents, memory_mb, setup

import numpy as np

from qa_service.datatypes import AskOptions
from qa_service.evaluation import Question, QuestionFile
from qa_service.index.locations import generations_of
from qa_service.index.milvus import generations as shared_generations
from qa_service.index.milvus.rows import PASSAGE, SCORES, TOKENS
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import load_settings

_SAMPLE = 500


def main() -> None:
    """Publish, ask and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--uri", required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--graph", action="store_true")
    parser.add_argument("--limit", type=int, default=1_000_000)
    arguments = parser.parse_args()
    if arguments.graph:
        shared_generations.EXACT_UP_TO = 0
    with tempfile.TemporaryDirectory() as scratch:
        work = arguments.work or Path(scratch)
        source = arguments.source
        if (source / "corpus.jsonl").is_file():
            source = beir_documents(source, work / "documents")
        started = time.perf_counter()
        local = answerer_for(source, work / "index")
        built = time.perf_counter() - started
        settings = load_settings(source=source, index=work / "index", store="milvus", milvus_uri=arguments.uri)
        settings = settings.model_copy(update={"milvus_prefix": "graph" if arguments.graph else "exact"})
        started = time.perf_counter()
        build(settings, local.embedder)
        published = time.perf_counter() - started
        before = memory_mb(os.getpid())
        remote, _ = open_answerer(settings, local.embedder, generations_of(settings))
        count = len(remote.index)
        print(setup())
        print(f"{count} passages, {'HNSW' if arguments.graph else 'exact'}: built in {built:.0f} s, published in")
        print(f"{published:.0f} s, {1000 * published / count:.1f} ms a passage; ", end="")
        print(f"opening took {memory_mb(os.getpid()) - before:.0f} MB")
        print_sizes(remote)
        questions = [item.question for item in QuestionFile(arguments.questions) if isinstance(item, Question)]
        compare(local, remote, questions[: arguments.limit])


def print_sizes(remote: QuestionAnswerer) -> None:
    """Print the mean size of each field of a row."""
    count = len(remote.index)
    numbers = np.arange(0, count, max(1, count // _SAMPLE))
    rows = remote.index.store.rows(numbers, [SCORES, TOKENS, PASSAGE]).values()
    sizes = {field: statistics.mean(len(row[field]) for row in rows) for field in (SCORES, TOKENS, PASSAGE)}
    sizes["vector"] = 4 * remote.index.manifest.model.dimension
    print("bytes a passage: " + ", ".join(f"{field} {size:.0f}" for field, size in sizes.items()))


def compare(local: QuestionAnswerer, remote: QuestionAnswerer, questions: Sequence[str]) -> None:
    """Ask both alternately; print agreement, recall@10 and times."""
    times: dict[str, list[float]] = {"folder": [], "shared": []}
    same = first = 0
    recalls = []
    vectors = local.index.vectors(np.arange(len(local.index)))
    for question in questions:
        answers = []
        for name, answerer in (("folder", local), ("shared", remote)):
            query = answerer.prepare([(question, AskOptions())])[0]
            started = time.perf_counter()
            answers.append(answerer.ask(question, query=query))
            times[name].append(1000 * (time.perf_counter() - started))
        cited = [[result.citation for result in answer.results] for answer in answers]
        same += cited[0] == cited[1]
        first += cited[0][:1] == cited[1][:1]
        exact = np.argsort(-(vectors @ answers[0].vector), kind="stable")[:10]
        found = remote.index.find(answers[0].vector, None, 10, None)[0]
        recalls.append(len(np.intersect1d(exact, found)) / len(exact))
    words = "with" if remote.index.words.finds else "without"
    print(f"{len(questions)} questions, {words} BM25 there: the same five citations {same}, the same first {first};")
    print(f"recall@10 of the vectors {statistics.mean(recalls):.4f}")
    for name, values in times.items():
        print(f"{name}: p50 {statistics.median(values):.1f} ms, p99 {np.percentile(values, 99):.1f} ms")
    print(f"shared / folder, p50: {statistics.median(times['shared']) / statistics.median(times['folder']):.1f}")


if __name__ == "__main__":
    main()
