"""A graphics card: found without torch, and its pipeline, which runs on torch's processor here."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import QUESTIONS, ROOT
from processes import PATIENCE

from qa_service.embedding import (
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    TwoRuntimeEmbedder,
    batches_by_length,
    choose,
    device,
    find_model,
    open_runtime,
)
from qa_service.embedding.batching import prefetch
from qa_service.embedding.choose import device_to_build, embedder_to_build
from qa_service.embedding.device import DeviceEmbedder, find_device
from qa_service.errors import SettingsError, StorageError
from qa_service.evaluation import Question, QuestionFile
from qa_service.pipeline import build, open_answerer
from qa_service.settings import DEFAULT_MODEL, load_settings

TEXTS = [
    *(ROOT / "source_text/us-korea-relations.md").read_text(encoding="utf-8").split("\n\n")[5:25],
    "",
    "word " * 1000,
    "한미 상호방위조약 🇰🇷",
]


@pytest.fixture(scope="session")
def model(exports: dict[str, Path]) -> DeviceEmbedder:
    return DeviceEmbedder(open_runtime(exports["int8"], threads=2), find_model(DEFAULT_MODEL), "cpu")


@pytest.fixture
def on_cpu(model: DeviceEmbedder, exports: dict[str, Path]) -> Callable[[int], DeviceEmbedder]:
    """Return a function that makes an embedder with a number of tokens for a batch; they share one model."""

    def make(batch_tokens: int) -> DeviceEmbedder:
        made = DeviceEmbedder(
            open_runtime(exports["int8"], threads=2), find_model(DEFAULT_MODEL), "cpu", batch_tokens=batch_tokens
        )
        made.__dict__["_model"] = model._model
        return made

    return make


def test_vectors_and_tokens_are_those_of_the_reference(
    model: DeviceEmbedder, real: SentenceTransformerEmbedder
) -> None:
    """Cosine .999, in 16 bits; tokens, counts and limits are equal."""
    mine, theirs = model.embed_passages(TEXTS), real.embed_passages(TEXTS)
    assert (mine.vectors * theirs.vectors).sum(axis=1).min() >= 0.999
    assert mine.tokens is not None
    assert theirs.tokens is not None
    for one, other in zip(mine.tokens, theirs.tokens, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.spans, other.spans)
        assert (one.vectors * other.vectors).sum(axis=1).min(initial=1) >= 0.999
    assert model.count_tokens(TEXTS) == real.count_tokens(TEXTS)
    assert model.runtime == "torch bf16, cpu"


def passes_of(embedder: DeviceEmbedder, monkeypatch: pytest.MonkeyPatch, room: float = np.inf) -> list[tuple[int, int]]:
    """Note the shape of each pass; one of more tokens than there is ``room`` for runs out of memory."""
    import torch

    shapes: list[tuple[int, int]] = []
    forward = embedder._model.forward

    def measured(features: dict[str, Any], **options: Any) -> dict[str, Any]:
        shapes.append(tuple(features["input_ids"].shape))
        if features["input_ids"].numel() > room:
            raise torch.OutOfMemoryError("the fake card is full")
        found: dict[str, Any] = forward(features, **options)
        return found

    monkeypatch.setattr(embedder._model, "forward", measured)
    return shapes


def test_a_pass_is_padded_to_few_lengths_and_has_a_number_of_tokens(
    on_cpu: Callable[[int], DeviceEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least one text, and never more than the window."""
    embedder = on_cpu(128)
    shapes = passes_of(embedder, monkeypatch)
    embedder.embed_passages(["word " * 40] * 5)
    embedder.embed_passages(["word " * 1000] * 2)
    assert shapes == [(2, 64), (2, 64), (1, 64), (1, 256), (1, 256)]


def test_batches_have_texts_for_a_number_of_tokens() -> None:
    """With padding, of which a short text has more; each text is in one batch, and one that is too long is alone."""
    lengths = [35, 3, 200, 40, 40, 4, 38]
    batches = list(batches_by_length(lengths, 2, 80))
    assert sorted(place for places in batches for place in places) == list(range(7))
    assert sorted(batches, key=lambda places: -lengths[places[0]]) == [[2], [3, 4], [6, 0], [5, 1]]


def test_batches_are_halved_when_the_memory_is_full(
    on_cpu: Callable[[int], DeviceEmbedder], model: DeviceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later batches begin at the size that fits; vectors and their order are the same."""
    texts = [f"{'word ' * 20} {number}" for number in range(16)]
    expected = model.embed_passages(texts).vectors
    embedder = on_cpu(4096)
    shapes = passes_of(embedder, monkeypatch, room=200)
    np.testing.assert_allclose(embedder.embed_passages(texts).vectors, expected, atol=1e-3)
    assert [texts for texts, _ in shapes] == [16, 8, 4, 4, 4, 4]
    shapes.clear()
    embedder.embed_passages(texts)
    assert [texts for texts, _ in shapes] == [4, 4, 4, 4]


def test_a_memory_too_small_for_one_passage_is_an_error(
    on_cpu: Callable[[int], DeviceEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the way out; the device can be used again."""
    embedder = on_cpu(64)
    with monkeypatch.context() as patched:
        passes_of(embedder, patched, room=10)
        with pytest.raises(StorageError, match="QA_DEVICE=cpu"):
            embedder.embed_passages(["word " * 20])
    assert len(embedder.embed_passages(["word"]).vectors) == 1


def test_threads_embed_in_order_and_one_at_a_time_is_on_a_device_without_streams(
    on_cpu: Callable[[int], DeviceEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedder = on_cpu(64)
    running: list[int] = []
    run = embedder._pass

    def counted(encoded: Sequence[Any], stream: Any) -> list[Any]:
        running.append(1)
        assert len(running) == 1
        found = run(encoded, stream)
        running.pop()
        return found

    monkeypatch.setattr(embedder, "_pass", counted)
    batches = [[f"batch {number}", f"{'word ' * (number % 7)}"] for number in range(24)]
    found = list(prefetch(embedder.embed_passages, batches, embedder.batching.threads))
    assert [texts for texts, _ in found] == batches
    for texts, made in found[::6]:
        np.testing.assert_allclose(made.vectors, embedder.embed_passages(texts).vectors, atol=1e-3)


@pytest.mark.parametrize("error", [ValueError("broken"), KeyboardInterrupt()])
def test_an_error_or_an_interruption_ends_the_threads(error: BaseException) -> None:
    """In a thread, or of the caller; batches that no thread has begun are not begun."""
    begun: list[int] = []
    release = threading.Event()

    def embed(number: int) -> int:
        begun.append(number)
        if number == 1 and isinstance(error, ValueError):
            raise error
        assert number == 0 or release.wait(PATIENCE)
        return number

    def batches() -> Iterator[int]:
        yield from range(3)
        release.set()
        if isinstance(error, KeyboardInterrupt):
            raise error
        yield from range(3, 20)

    with pytest.raises(type(error)):
        list(prefetch(embed, batches(), 3))
    assert len(begun) <= 5
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]


def test_a_build_on_a_device_ranks_like_one_by_the_reference(
    tmp_path: Path,
    model: DeviceEmbedder,
    real: SentenceTransformerEmbedder,
    exports: dict[str, Path],
) -> None:
    """In eleven of twelve questions; two builds are equal in every byte but for the manifest."""
    questions = open_runtime(exports["int8"])
    found = {}
    for name, embedder in {
        "one": TwoRuntimeEmbedder(questions, model),
        "two": TwoRuntimeEmbedder(questions, model),
        "reference": real,
    }.items():
        settings = load_settings(source=ROOT / "source_text", index=tmp_path / name)
        build(settings, embedder)
        answerer, _ = open_answerer(settings, questions)
        assert answerer.index.manifest.embedded_by == embedder.runtime
        asked = [item.question for item in islice(QuestionFile(QUESTIONS), 12) if isinstance(item, Question)]
        found[name] = [answerer.ask(one).results[0].citation.position.start_char for one in asked]
        files = answerer.index.manifest.files
        answerer.index.close()
    assert found["one"] == found["two"]
    assert sum(map(int.__eq__, found["one"], found["reference"])) >= 11
    one, two = (next((tmp_path / name / "generations").iterdir()) for name in ("one", "two"))
    for file in files:
        assert (one / file).read_bytes() == (two / file).read_bytes(), file


def test_a_machine_without_a_card_does_not_import_torch(tmp_path: Path) -> None:
    """The drivers' device files tell; nor does a torch that is built for processors only."""
    program = (
        "import sys; from qa_service.embedding.device import find_device; "
        "assert find_device('cpu') == find_device('auto') == 'cpu'; assert 'torch' not in sys.modules"
    )
    if device._may_have_card():
        pytest.skip("this machine has a card")
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)


@pytest.mark.parametrize(
    ("version", "system", "machine", "driver", "possible"),
    [
        ("2.13.0", "Linux", "x86_64", True, True),
        ("2.13.0", "Linux", "x86_64", False, False),
        ("2.13.0+cpu", "Linux", "x86_64", True, False),
        ("2.13.0+cu130", "Windows", "AMD64", False, True),
        ("2.13.0", "Darwin", "arm64", False, True),
        ("2.13.0", "Darwin", "x86_64", False, False),
    ],
)
def test_a_card_is_possible_where_a_driver_is(
    version: str,
    system: str,
    machine: str,
    driver: bool,
    possible: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(device.metadata, "version", lambda _: version)
    monkeypatch.setattr(device.platform, "system", lambda: system)
    monkeypatch.setattr(device.platform, "machine", lambda: machine)
    monkeypatch.setattr(device, "_DRIVERS", (str(tmp_path) if driver else str(tmp_path / "none"),))
    assert device._may_have_card() == possible


def test_a_device_that_is_asked_for_and_missing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out; ``auto`` falls back to the processor."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda", "mps"):
        with pytest.raises(SettingsError, match=f"QA_DEVICE is {name}.*QA_DEVICE=auto"):
            find_device(name)
    monkeypatch.setattr(device, "_may_have_card", lambda: True)
    assert find_device("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert find_device("auto") == find_device("cuda") == "cuda"
    monkeypatch.setattr(device, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="torch is not installed"):
        find_device("cuda")


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, "cuda"),
        ({"runtime": "torch"}, "cuda"),
        ({"runtime": "int8"}, "cpu"),
        ({"runtime": "int8", "device": "cuda"}, "cuda"),
        ({"device": "cpu"}, "cpu"),
        ({"engine": "ray", "device": "cuda"}, "cpu"),
    ],
)
def test_a_card_is_used_unless_settings_say_otherwise(
    chosen: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "find_device", lambda setting: "cpu" if setting == "cpu" else "cuda")
    assert device_to_build(load_settings(**chosen)) == expected


def test_a_device_with_other_vectors_is_not_used(
    tmp_path: Path, exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A build compares it with the reference before, and says that it uses the processor instead."""
    (tmp_path / "models").mkdir()
    name = choose.export_name(find_model(DEFAULT_MODEL), "int8")
    (tmp_path / "models" / name).symlink_to(exports["int8"])
    monkeypatch.setattr(choose, "device_to_build", lambda _: "cpu")
    monkeypatch.setattr(choose, "CPU", "processor")  # so that torch's processor counts as a card
    settings = load_settings(cache_dir=str(tmp_path), index=tmp_path / "index")
    embedder = embedder_to_build(settings, flags=frozenset())
    assert isinstance(embedder, TwoRuntimeEmbedder)
    assert embedder.runtime == "torch bf16, cpu"
    assert embedder.batching.tokens
    run = DeviceEmbedder._pass
    monkeypatch.setattr(DeviceEmbedder, "_pass", lambda *values: [output**3 for output in run(*values)])
    assert isinstance(embedder_to_build(settings, flags=frozenset()), OnnxEmbedder)
    assert "is not embedded on cpu: a vector has cosine" in caplog.text
