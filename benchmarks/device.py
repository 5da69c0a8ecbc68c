"""Measure the embedding of passages on a graphics card against ``SentenceTransformer.encode`` and the card's peak.

    python benchmarks/device.py FOLDER [--device cuda] [--passages 100000] [--build 1000000]

FOLDER holds text files; passages are runs of their words, of random lengths. Every row embeds the same passages on one
device: ``encode`` with its defaults (a tenth of them), the embedder of a build alone, with the packing of token
vectors, and with a forward pass that returns at once, which shows how many passages a second this machine can tokenise
and pack. Multiplications are counted from the model's configuration, and compared with a product of two large matrices
in the same precision. ``--build`` adds an index of about so many passages, end to end. With ``--device cpu
--passages 200`` the script shows that it runs.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from common import setup

import numpy as np
import torch
from sentence_transformers import SentenceTransformer

from qa_service.embedding import TokenEmbeddings, TwoRuntimeEmbedder, batches_by_length, find_model, open_runtime
from qa_service.embedding.batching import prefetch
from qa_service.embedding.choose import embedder_to_ask
from qa_service.embedding.device import DeviceEmbedder, find_device, name_of
from qa_service.embedding.processor import usable_cores
from qa_service.index.tokens import PassageTokensBuilder
from qa_service.pipeline import build
from qa_service.settings import DEFAULT_MODEL, load_settings

WORDS = (40, 180)
PASSAGES_A_FILE = 200
SAMPLE = 10  # one passage in so many is embedded by the library
FILES = find_model(DEFAULT_MODEL)


def main() -> None:
    """Time and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--passages", type=int, default=100_000)
    parser.add_argument("--build", type=int, default=0)
    arguments = parser.parse_args()
    device = find_device(arguments.device)
    texts = passages_of(arguments.folder)
    with tempfile.TemporaryDirectory() as scratch:
        settings = load_settings(source=Path(scratch, "source"), index=Path(scratch, "index"))
        questions = open_runtime(embedder_to_ask(settings).folder, threads=usable_cores())
        embedder = DeviceEmbedder(questions, FILES, device)
        print(setup())
        print(f"{name_of(device)}, {embedder.runtime}")
        compare(list(itertools.islice(texts, arguments.passages)), embedder, device)
        if arguments.build:
            write_files(texts, settings.source, arguments.build)
            passages = DeviceEmbedder(questions, FILES, device)  # compare() replaced the model of the other one
            report = build(settings, TwoRuntimeEmbedder(questions, passages))
            rate = report.passages / report.seconds
            print(f"a build of {report.passages} passages took {report.seconds:.0f} s, {rate:.0f} passages/s")


def passages_of(folder: Path) -> Iterator[str]:
    """Yield runs of words of the files in a folder, without end."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".txt", ".md", ".rst"})
    words = " ".join(path.read_text(encoding="utf-8", errors="replace") for path in paths).split()
    generator = np.random.default_rng(1)
    while True:
        start, length = int(generator.integers(len(words))), int(generator.integers(*WORDS))
        yield " ".join(words[start : start + length])


def write_files(texts: Iterator[str], folder: Path, passages: int) -> None:
    """Write documents of paragraphs, each about a passage long."""
    folder.mkdir()
    for number in range(-(-passages // PASSAGES_A_FILE)):
        paragraphs = "\n\n".join(itertools.islice(texts, PASSAGES_A_FILE))
        (folder / f"{number:06}.txt").write_text(paragraphs, encoding="utf-8")


def compare(texts: list[str], embedder: DeviceEmbedder, device: str) -> None:
    """Print the table, the cosines, and the share of the peak."""
    lengths = np.minimum(embedder.count_tokens(texts), embedder.window)
    places = list(batches_by_length(lengths, 0, embedder.batching.tokens))
    batches = [[texts[place] for place in batch] for batch in places]
    library = SentenceTransformer(str(FILES.folder), device=device)
    for first_use in (library.encode, embedder.embed_passages):
        first_use(texts[:64])
    theirs: list[Any] = []
    encode = seconds(lambda: theirs.extend(library.encode(texts[::SAMPLE]))) * len(texts) / len(theirs)
    ours: list[Any] = []
    alone = seconds(lambda: ours.extend(made.vectors for _, made in run(embedder.embed_passages, batches, embedder)))
    packed = seconds(lambda: pack(batches, embedder))
    in_order = np.concatenate(ours)[np.argsort(np.concatenate(places))]
    cosines = (in_order[::SAMPLE] * np.stack(theirs)).sum(axis=1)
    operations, peak = (
        multiplications(lengths),
        peak_of(device, embedder.runtime),
    )
    with_free_forward_pass(embedder)
    rest = seconds(lambda: pack(batches, embedder))
    print(f"{len(texts)} passages of {lengths.mean():.0f} tokens, {len(batches)} batches")
    print("| | passages/s | times `encode` |")
    print("| --- | ---: | ---: |")
    for name, took in {
        "`encode` with its defaults": encode,
        "embedding": alone,
        "embedding and packing": packed,
        "the same with a forward pass that returns at once": rest,
    }.items():
        print(f"| {name} | {len(texts) / took:.0f} | {encode / took:.2f} |")
    print(f"cosines with `encode`: least {cosines.min():.4f}, mean {cosines.mean():.4f}")
    print(
        f"matrix products: {operations / alone / 1e12:.2f} of {peak / 1e12:.2f} Tflop/s, "
        f"{operations / alone / peak:.0%} of the time of embedding"
    )


def seconds(work: Callable[[], object]) -> float:
    """Return how long something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def run(work: Callable[[list[str]], Any], batches: list[list[str]], embedder: DeviceEmbedder) -> Iterator[Any]:
    """Work on batches as a build does."""
    return prefetch(work, batches, embedder.batching.threads)


def pack(batches: list[list[str]], embedder: DeviceEmbedder) -> None:
    """Embed batches, and pack and store their token vectors."""
    with tempfile.TemporaryDirectory() as folder:
        builder = PassageTokensBuilder(sum(map(len, batches)), Path(folder))

        def packed(batch: list[str]) -> list[Any]:
            tokens: Sequence[TokenEmbeddings] = embedder.embed_passages(batch).tokens or ()
            return [builder.pack(text, own, [(0, len(text))]) for text, own in zip(batch, tokens, strict=True)]

        number = itertools.count()
        for _, made in run(packed, batches, embedder):
            for one in made:
                builder.add(next(number), one)
        builder.finish()


def multiplications(lengths: Any) -> float:
    """Return the operations of the matrix products of a BERT for texts of these lengths, without padding."""
    config = json.loads((FILES.folder / "config.json").read_bytes())
    layers, width, inner = (config[name] for name in ("num_hidden_layers", "hidden_size", "intermediate_size"))
    tokens = lengths.astype(np.float64)
    return float(layers * (tokens * (8 * width**2 + 4 * width * inner) + 4 * tokens**2 * width).sum())


def peak_of(device: str, runtime: str) -> float:
    """Return the operations per second of a product of two large matrices, the best of five."""
    size = 1024 if device == "cpu" else 8192
    dtype = torch.bfloat16 if "bf16" in runtime else torch.float16
    one = torch.randn(size, size, device=device).to(dtype)

    def multiply() -> None:
        (one @ one)[0, 0].item()  # waits for the device

    multiply()
    return 2 * size**3 / min(seconds(multiply) for _ in range(5))


def with_free_forward_pass(embedder: DeviceEmbedder) -> None:
    """Replace the embedder's model by one that returns the same outputs for every text."""
    rows = torch.randn(embedder.window, embedder.dimension, dtype=torch.float16)

    def outputs(given: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        texts, tokens = given["input_ids"].shape
        return {
            "sentence_embedding": rows[:1].expand(texts, -1),
            "token_embeddings": rows[:tokens].expand(texts, -1, -1),
        }

    embedder.__dict__["_model"] = outputs


if __name__ == "__main__":
    main()
