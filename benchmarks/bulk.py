"""Measure the passages per second of a build and of ``SentenceTransformer.encode`` with its defaults, on all cores.

    python benchmarks/bulk.py SOURCE [--rounds N]

SOURCE is a folder of documents. A build reads and splits them, embeds the passages and their tokens, and writes the
index; ``encode`` gets the texts of the same passages. They alternate, so that both meet the same load. Between them,
the embedder of the build is measured alone. Cosines are those of its vectors with the library's.
"""

import argparse
import os
import statistics
import tempfile
import time
from contextlib import closing
from pathlib import Path

from common import setup

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from qa_service.embedding import batches_by_length, find_model
from qa_service.embedding.choose import embedder_to_build
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import build
from qa_service.settings import load_settings
from qa_service.splitting import embedding_text


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        compare(arguments.source, Path(scratch), arguments.rounds)


def compare(source: Path, scratch: Path, rounds: int) -> None:
    """Build ``rounds`` times, alternating with ``encode``."""
    embedder = embedder_to_build(load_settings(source=source, index=scratch / "models"))
    settings = load_settings(source=source, index=scratch / "first")
    build(settings, embedder)
    with closing(IndexFolder(settings.index).open_current(None).index) as index:
        passages = [index.passages.passage(number)[0] for number in range(len(index))]
    texts = [embedding_text(passage.context, passage.text) for passage in passages]
    lengths = embedder.count_tokens(texts)
    torch.set_num_threads(os.cpu_count() or 1)  # common.py sets one thread, for asking
    library = SentenceTransformer(str(find_model(settings.model).folder), device="cpu")
    print(setup())
    print(f"{len(texts)} passages of {statistics.mean(lengths):.0f} tokens; {embedder.runtime}")
    print("| round | encode, passages/s | embedding alone (times) | whole build (times) |")
    print("| --- | --- | --- | --- |")
    ours = np.empty((len(texts), embedder.dimension), np.float32)
    for number in range(rounds):
        times = [time.perf_counter()]
        theirs = library.encode(texts)
        times.append(time.perf_counter())
        for places in batches_by_length(lengths, settings.batch_size):
            ours[places] = embedder.embed_passages([texts[place] for place in places]).vectors
        times.append(time.perf_counter())
        build(load_settings(source=source, index=scratch / str(number)), embedder)
        times.append(time.perf_counter())
        encode, alone, whole = len(texts) / np.diff(times)
        ratios = f"{alone:.1f} ({alone / encode:.2f}) | {whole:.1f} ({whole / encode:.2f})"
        print(f"| {number + 1} | {encode:.1f} | {ratios} |", flush=True)
    cosines = (ours * theirs).sum(axis=1)
    print(f"cosines: least {cosines.min():.4f}, mean {cosines.mean():.4f}")


if __name__ == "__main__":
    main()
