"""Compare vector indexes with exact search: build time, search time, recall.

    python benchmarks/vectors.py SOURCE QUESTION_FILE [--sentences N] [--asked N]

The vectors are those of shuffled sentences from the text and Markdown files of SOURCE, a folder; the questions are
real. One thread asks one question at a time for 50 results, as the service does. Each question is embedded before its
search, so that the CPU caches are in the state that they have in the service. The last line is the service's index.
"""

import argparse
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from common import setup, shuffled_questions

import faiss
import numpy as np

from qa_service.embedding import Embedder, batches_by_length
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.index.vectors.faiss import FaissStore
from qa_service.settings import load_settings

SEED, RESULTS, TOGETHER = 20261128, 50, 256
SHORTEST, LONGEST = 30, 400  # characters
PRODUCT, EIGHT_BITS = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_8bit
_END = re.compile(r"(?<=[.!?])\s+|\n\s*\n")


def sentences_of(source: Path, wanted: int) -> list[str]:
    """Return a number of sentences from the files of a folder, shuffled."""
    files = (path for path in sorted(source.rglob("*")) if path.suffix in {".md", ".txt"})
    found = {
        " ".join(sentence.split())
        for path in files
        for sentence in _END.split(path.read_text(encoding="utf-8"))
        if SHORTEST <= len(sentence) <= LONGEST
    }
    texts = sorted(found)
    chosen = np.random.default_rng(SEED).permutation(len(texts))[:wanted]
    return [texts[place] for place in chosen]


def embedded(texts: list[str], embedder: Embedder) -> np.ndarray:
    """Return unit vectors of texts."""
    vectors = np.empty((len(texts), embedder.dimension), np.float32)
    for places in batches_by_length(embedder.count_tokens(texts), TOGETHER):
        vectors[places] = embedder.embed_passages([texts[place] for place in places]).vectors
    return vectors


def refined(index: Any, vectors: np.ndarray, factor: float) -> Any:
    """Return an index that reranks the results of another one by the exact vectors."""
    index.train(vectors)
    whole = faiss.IndexRefineFlat(index)
    whole.k_factor = factor
    whole.add(vectors)
    return whole


def graph(vectors: np.ndarray, width: int) -> Any:
    """Return an HNSW graph of 8-bit vectors."""
    index = faiss.IndexHNSWSQ(vectors.shape[1], EIGHT_BITS, 32, PRODUCT)
    index.hnsw.efConstruction, index.hnsw.efSearch = 50, width
    return refined(index, vectors, 2)


def lists(vectors: np.ndarray, searched: int) -> Any:
    """Return inverted lists of 8-bit vectors; their number is the square root of the number of vectors."""
    dimension = vectors.shape[1]
    coarse = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(coarse, dimension, int(len(vectors) ** 0.5), EIGHT_BITS, PRODUCT)
    index.nprobe = searched
    return refined(index, vectors, 2)


def eight_bits(vectors: np.ndarray) -> Any:
    """Return a flat index with 8 bits per component."""
    return refined(faiss.IndexScalarQuantizer(vectors.shape[1], EIGHT_BITS, PRODUCT), vectors, 2)


def one_bit(vectors: np.ndarray) -> Any:
    """Return a flat index with 1 bit per component (RaBitQ)."""
    return refined(faiss.IndexRaBitQFastScan(vectors.shape[1], PRODUCT), vectors, 8)


def codes(vectors: np.ndarray, components: int, factor: int) -> Any:
    """Return product quantization with 4 bits per ``components``, reranking ``factor`` candidates per result."""
    dimension = vectors.shape[1]
    return refined(faiss.IndexPQFastScan(dimension, dimension // components, 4, PRODUCT), vectors, factor)


class RecallComparison:
    """The questions for all indexes, and their exact results."""

    def __init__(self, questions: list[str], embedder: Embedder, exact: Any) -> None:
        self._questions = questions
        self._embedder = embedder
        self._vectors = np.stack([embedder.embed_questions([question])[0].vector for question in questions])
        self._right = exact.search(self._vectors, RESULTS)[1]

    def show(self, name: str, build: Callable[[], Callable[[np.ndarray], np.ndarray]]) -> None:
        """Print seconds to build, milliseconds a search, recall@10 and recall@50 of the index from ``build``."""
        started = time.perf_counter()
        search = build()
        built = time.perf_counter() - started
        found, times = [], []
        for question, vector in zip(self._questions, self._vectors, strict=True):
            self._embedder.embed_questions([question])
            started = time.perf_counter()
            found.append(search(vector[None])[0])
            times.append(1000 * (time.perf_counter() - started))
        recalls = [
            np.mean([np.isin(own[:k], right[:k]).mean() for own, right in zip(found, self._right, strict=True)])
            for k in (10, RESULTS)
        ]
        print(
            f"{name:32}{built:9.1f} s {statistics.median(times):9.3f} ms {recalls[0]:12.4f} {recalls[1]:12.4f}",
            flush=True,
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--sentences", type=int, default=100_000)
    parser.add_argument("--asked", type=int, default=1_000)
    arguments = parser.parse_args()
    asked = shuffled_questions(arguments.questions, SEED)[: arguments.asked]
    with TemporaryDirectory() as scratch:
        settings = load_settings(index=Path(scratch))
        vectors = embedded(sentences_of(arguments.source, arguments.sentences), embedder_to_build(settings))
        faiss.omp_set_num_threads(1)
        exact = faiss.IndexFlatIP(vectors.shape[1])
        exact.add(vectors)
        comparison = RecallComparison(asked, embedder_to_ask(settings), exact)
        print(setup())
        print(f"{len(vectors)} sentences, {len(asked)} questions")
        print(f"{'':32}{'built':>11}{'search':>12}{'recall@10':>13}{f'recall@{RESULTS}':>13}")
        compare(comparison, vectors, exact)


def compare(comparison: RecallComparison, vectors: np.ndarray, exact: Any) -> None:
    """Print a line per index."""

    def show(name: str, build: Callable[[], Any]) -> None:
        def searcher() -> Callable[[np.ndarray], np.ndarray]:
            index = build()
            return lambda query: index.search(query, RESULTS)[1]

        comparison.show(name, searcher)

    show("exact", lambda: exact)
    show("eight bits", lambda: eight_bits(vectors))
    show("a bit a component", lambda: one_bit(vectors))
    for width in (128, 512):
        show(f"graph, {width} wide", lambda width=width: graph(vectors, width))
    for searched in (16, 64):
        show(f"{searched} inverted lists", lambda searched=searched: lists(vectors, searched))
    for components, factor in ((2, 4), (3, 8), (4, 16), (6, 32)):
        show(
            f"codes of {components}, {factor} a result",
            lambda components=components, factor=factor: codes(vectors, components, factor),
        )
    store = FaissStore(vectors.shape[1])
    store.add(np.arange(len(vectors)), vectors)

    def chosen() -> Callable[[np.ndarray], np.ndarray]:
        print(f"chosen: {store.choose_index()}")
        return lambda query: store.search(query, RESULTS)[0]

    comparison.show("the service", chosen)


if __name__ == "__main__":
    main()
