"""Measure time and memory of everything except the model, from a thousand passages to a hundred thousand and more.

    python benchmarks/scale.py [--passages N …] [--vectors N …]

Documents are synthetic: sentences of words drawn from Zipf's law, each document about one of many topics. The model is
replaced by a table of random word vectors, d = 384: the vector of a text is the mean over its words, so that neighbours
share rare words. Each step builds an index in one process and asks it in another, which also times the real exported
model on the same questions, so that the line includes the forward pass. ``--vectors`` continues with the vector index
alone. The last line is the exponent b of time or size = a * N ** b, from the first step to the last.
"""

import argparse
import json
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from common import memory_mb, setup

import numpy as np

from qa_service.datatypes import AskOptions
from qa_service.embedding import (
    DEFAULT_WEIGHTS,
    Batching,
    ModelIdentity,
    PassageEmbeddings,
    QuestionEmbedding,
    TokenEmbeddings,
)
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.index.disk import IndexFolder
from qa_service.index.vectors.faiss import FaissStore
from qa_service.pipeline import QuestionAnswerer, build
from qa_service.retrieval import Retriever
from qa_service.settings import load_settings

DIMENSION, WORDS, TOPICS = 384, 30_000, 500
LATENT = 24
TOPICAL = 0.4  # share of the words
SENTENCES_A_DOCUMENT, WORDS_A_SENTENCE = 100, 16
QUESTIONS = 300
_WORD = re.compile(r"\w+")


class WordTable:
    """An embedder of synthetic words ``w123``: the weighted mean of random vectors; rare words weigh more."""

    # Known weights: confidence has constants for them, so that no build fits a calibration.
    identity = ModelIdentity("word-table", DEFAULT_WEIGHTS, "d" * 64)
    dimension, window, runtime, batching = DIMENSION, 256, "word table", Batching()

    @cached_property
    def _table(self) -> np.ndarray:
        # Real texts lie near a surface of few dimensions; words random in all of them would have no neighbours.
        generator = np.random.default_rng(1)
        latent = generator.normal(size=(WORDS, LATENT)) @ generator.normal(size=(LATENT, DIMENSION)) / LATENT**0.5
        table = (latent + 0.3 * generator.normal(size=(WORDS, DIMENSION))).astype(np.float32)
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.log(np.arange(WORDS) + 2).astype(np.float32)

    def whole_words(self) -> frozenset[str]:
        """Return no words: this model reads all words alike."""
        return frozenset()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return the number of words and full stops, and two."""
        return [2 + len(_WORD.findall(text)) + text.count(".") for text in texts]

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the questions' embeddings."""
        return self.embed_passages(questions).one_by_one()

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return the texts' embeddings."""
        tokens = [self._tokens(text) for text in texts]
        vectors = np.stack([self._weights[own.ids] @ own.vectors for own in tokens])
        return PassageEmbeddings(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), tuple(tokens))

    def _tokens(self, text: str) -> TokenEmbeddings:
        found = [(int(match.group()[1:]), match.span()) for match in _WORD.finditer(text)]
        ids = np.array([number for number, _ in found], np.int64)
        return TokenEmbeddings(self._table[ids], ids, np.array([span for _, span in found], np.int64))


def write_documents(folder: Path, passages: int) -> None:
    """Write about as many documents as the passages need, 11 sentences each."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(2)
    common = 1 / (np.arange(WORDS) + 2.7)
    for number in range(math.ceil(passages * 9.3 / SENTENCES_A_DOCUMENT)):
        topic = np.random.default_rng(3 + number % TOPICS).permutation(WORDS)[:400]
        size = (SENTENCES_A_DOCUMENT, WORDS_A_SENTENCE)
        words = generator.choice(WORDS, size=size, p=common / common.sum())
        words = np.where(generator.random(size) < TOPICAL, generator.choice(topic, size=size), words)
        lines = [" ".join(f"w{word}" for word in row).capitalize() + "." for row in words]
        text = "\n\n".join(" ".join(lines[start : start + 5]) for start in range(0, len(lines), 5))
        (folder / f"{number:06}.txt").write_text(text, encoding="utf-8")


def questions(folder: Path) -> list[str]:
    """Return questions of eight words each, all from one sentence of some document."""
    generator = np.random.default_rng(4)
    files = sorted(folder.iterdir())
    asked = []
    for place in generator.integers(len(files), size=QUESTIONS):
        sentences = files[place].read_text(encoding="utf-8").split(". ")
        words = _WORD.findall(sentences[generator.integers(len(sentences))].lower())
        asked.append(" ".join(generator.permutation(words)[:8]))
    return asked


def build_step(source: Path, index: Path) -> dict[str, float]:
    """Build in this process; return seconds and peak memory."""
    settings = load_settings(source=source, index=index)
    started = time.monotonic()
    report = build(settings, WordTable())
    seconds = time.monotonic() - started
    first = min(source.iterdir())
    first.write_text(first.read_text(encoding="utf-8") + "\n\nW1 w2 w3.", encoding="utf-8")
    started = time.monotonic()
    build(settings, WordTable())
    return {
        "passages": report.passages,
        "build s": seconds,
        "one document changed s": time.monotonic() - started,
        "build MB": memory_mb(os.getpid(), most=True),
        "disk MB": sum(file.stat().st_size for file in index.glob("generations/*/*")) / 2e6,
    }


def ask_step(source: Path, index: Path, model: Path) -> dict[str, float]:
    """Open and ask in this process, with the real model loaded; return milliseconds and memory."""
    exported = embedder_to_ask(load_settings(index=model))
    started = time.monotonic()
    opened = IndexFolder(index).open_current(None).index
    retriever = Retriever(opened, None)
    answerer = QuestionAnswerer(opened, WordTable(), retriever, load_settings(cache_mb=1))
    opening = time.monotonic() - started
    encode, ask = [], []
    for question in questions(source):
        begun = time.perf_counter()
        exported.embed_questions([question])
        encoded = time.perf_counter()
        query = answerer.prepare([(question, AskOptions())])[0]
        prepared = time.perf_counter()
        answerer.ask(question, query=query)
        ask.append(1000 * (time.perf_counter() - prepared))
        encode.append(1000 * (encoded - begun))
    kind = opened.manifest.vector_index
    return {
        "open s": opening,
        "forward pass ms": statistics.median(encode),
        "rest of an answer ms": statistics.median(ask),
        "RSS MB": memory_mb(os.getpid()),
        "candidates": float(kind.candidates),
        "recall@10": kind.recall_at_10,
    }


def vectors_step(count: int) -> dict[str, float]:
    """Build and ask the vector index alone, over clustered unit vectors."""
    generator = np.random.default_rng(5)
    centres = generator.normal(size=(count // 50, DIMENSION)).astype(np.float32)
    store = FaissStore(DIMENSION)
    for start in range(0, count, 10_000):
        near = centres[generator.integers(len(centres), size=min(10_000, count - start))]
        near = near + 0.7 * generator.normal(size=near.shape).astype(np.float32)
        store.add(np.arange(start, start + len(near)), near)
    started = time.monotonic()
    chosen = store.choose_index()
    seconds = time.monotonic() - started
    asked = centres[: QUESTIONS * 2]
    times = []
    for query in asked:
        begun = time.perf_counter()
        store.search(query[None, :], 50)
        times.append(1000 * (time.perf_counter() - begun))
    return {
        "passages": count,
        "build s": seconds,
        "search ms": statistics.median(times),
        "candidates": float(chosen.candidates),
        "recall@10": chosen.recall_at_10,
        "RSS MB": memory_mb(os.getpid()),
    }


def in_a_process(*arguments: object) -> dict[str, float]:
    """Run one step in a child process."""
    line = subprocess.run(
        [sys.executable, __file__, "--step", *map(str, arguments)], check=True, capture_output=True, text=True
    ).stdout.splitlines()[-1]
    found: dict[str, float] = json.loads(line)
    return found


def show(steps: list[dict[str, float]]) -> None:
    """Print a line per step, and the exponents of growth."""
    names = list(steps[0])
    print("".join(f"{name:>24}" for name in names))
    for step in steps:
        print("".join(f"{step[name]:24.2f}" for name in names))
    if len(steps) > 1:
        span = math.log(steps[-1]["passages"] / steps[0]["passages"])
        growth = [math.log(max(steps[-1][name], 1e-9) / max(steps[0][name], 1e-9)) / span for name in names]
        print("".join(f"{value:24.2f}" for value in growth) + "  growth exponent")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--vectors", type=int, nargs="*", default=[])
    parser.add_argument("--step", nargs="*", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        kind, *rest = arguments.step
        steps = {"build": build_step, "ask": ask_step}
        print(json.dumps(vectors_step(int(rest[0])) if kind == "vectors" else steps[kind](*map(Path, rest))))
        return
    print(setup())
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        work = Path(scratch)
        embedder_to_build(load_settings(index=work / "model"))
        for passages in arguments.passages:
            source, index = work / f"documents-{passages}", work / f"index-{passages}"
            write_documents(source, passages)
            built = in_a_process("build", source, index)
            asked = in_a_process("ask", source, index, work / "model")
            answer = asked["forward pass ms"] + asked["rest of an answer ms"]
            found.append({**built, **asked, "answer ms": answer})
            print(json.dumps(found[-1]), flush=True)
    if found:
        show(found)
    if arguments.vectors:
        show([in_a_process("vectors", count) for count in arguments.vectors])


if __name__ == "__main__":
    main()
