"""The reader: its files, its windows, and which of its graphs decides. No test depends on the shipped weights."""

import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from conftest import SHARED_FIXTURES
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from qa_service.embedding import DEFAULT_WEIGHTS, packaged_folder
from qa_service.embedding.graphs import SLOW_FUSIONS
from qa_service.embedding.models import sha256_of
from qa_service.errors import ModelCorrupt
from qa_service.reading import Reader, Reading, Window, open_reader
from qa_service.reading import reader as module
from qa_service.reading.choose import SUMS
from qa_service.reading.reader import MAX_TOKENS, ReaderFiles
from training.encoding import Encoder
from training.examples import Example
from training.export import LOWER, UPPER, in_8_bits
from training.model import Architecture
from training.model import Reader as Network

SMALL = Architecture(layers=2, early=1, hidden=24, heads=2, inner=48)
TOWER = "The tower was built in 1931 by Anna Berg."
Open = Callable[[Path], Reader]


def opened(folder: Path) -> Reader:
    """Return the reader of the graphs in a folder, whatever their hashes."""
    lower, upper = folder / LOWER, folder / UPPER
    files = ReaderFiles((lower, sha256_of(lower)), (upper, sha256_of(upper)), packaged_folder() / "tokenizer.json")
    return Reader(files)


@pytest.fixture(scope="module")
def random_graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a small reader of random weights, large enough to tell texts apart."""
    folder = tmp_path_factory.mktemp("reader")
    torch.manual_seed(20261128)
    network = Network(SMALL)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.dim() > 1:
                parameter.mul_(4)
    for name, graph in zip((LOWER, UPPER), in_8_bits(network, SMALL), strict=True):
        onnx.save(graph, folder / name)
    return folder


@pytest.fixture(scope="module")
def reader(random_graphs: Path) -> Reader:
    return opened(random_graphs)


def graph(inputs: dict[str, int], outputs: dict[str, int], nodes: list[Any], **constants: Any) -> Any:
    """Return a model whose inputs are integers, and floats if named ``states``; the values are numbers of axes."""
    tensors = [
        [
            helper.make_tensor_value_info(
                name, TensorProto.FLOAT if kind or name == "states" else TensorProto.INT64, [None] * axes
            )
            for name, axes in found.items()
        ]
        for kind, found in enumerate((inputs, outputs))
    ]
    made = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in constants.items()]
    body = helper.make_graph(nodes, "chosen", *tensors, made)
    return helper.make_model(body, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def write_chosen(folder: Path, lower: float, upper: float, word: int) -> None:
    """Write graphs with chosen logits; their spans are all occurrences of a token in the whole sequence.

    The lower graph's spans are reversed in sign, so that the two differ.
    """
    spans = [
        helper.make_node("Equal", ["ids", "word"], ["same"]),
        helper.make_node("Cast", ["same"], ["number"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["number", "factor"], ["scaled"]),
        helper.make_node("Unsqueeze", ["scaled", "last"], ["column"]),
        helper.make_node("Concat", ["column", "column"], ["spans"], axis=2),
        helper.make_node("Identity", ["logit"], ["answers"]),
    ]
    outputs = {"answers": 1, "spans": 3}
    last = np.array([2], np.int64)
    onnx.save(
        graph(
            {"input_ids": 2, "token_type_ids": 2, "attention_mask": 2},
            {**outputs, "states": 3},
            [
                helper.make_node("Identity", ["input_ids"], ["ids"]),
                helper.make_node("Cast", ["input_ids"], ["floats"], to=TensorProto.FLOAT),
                helper.make_node("Unsqueeze", ["floats", "last"], ["states"]),
                *spans,
            ],
            logit=np.array([lower], np.float32),
            word=np.int64(word),
            factor=np.float32(-20),
            last=last,
        ),
        folder / LOWER,
    )
    onnx.save(
        graph(
            {"states": 3, "attention_mask": 2},
            outputs,
            [
                helper.make_node("Squeeze", ["states", "last"], ["floats"]),
                helper.make_node("Cast", ["floats"], ["ids"], to=TensorProto.INT64),
                *spans,
            ],
            logit=np.array([upper], np.float32),
            word=np.int64(word),
            factor=np.float32(20),
            last=last,
        ),
        folder / UPPER,
    )


@pytest.fixture
def chosen(tmp_path: Path) -> Callable[[float, float, str], Reader]:
    """Return a function that makes a reader of two logits and the word that it finds."""

    def make(lower: float, upper: float, word: str) -> Reader:
        vocabulary = (packaged_folder() / "vocab.txt").read_text(encoding="utf-8").splitlines()
        write_chosen(tmp_path, lower, upper, vocabulary.index(word))
        return opened(tmp_path)

    return make


def test_the_upper_graph_confirms_or_corrects_a_yes_of_the_lower_one(
    chosen: Callable[[float, float, str], Reader], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its span counts too. A no of the lower one stands, unless all layers are asked for."""
    monkeypatch.setattr(module, "CONFIRMED_FROM_LOGIT", 1.0)
    for lower, is_doubtful in ((1.0, True), (1.01, True), (6.0, True), (0.99, False), (-5.0, False)):
        for deep in (False, True):
            found = chosen(lower, 7.5, "1931").read("When?", Window(TOWER), deep=deep)
            assert found.logit == pytest.approx(7.5 if is_doubtful or deep else lower)
            assert (TOWER[slice(*found.span)] == "1931") == (is_doubtful or deep)


def test_words_of_question_and_heading_are_no_answer(chosen: Callable[[float, float, str], Reader]) -> None:
    """The word that the graph looks for stands in all three; then in all but the window."""
    reader = chosen(0.0, 3.0, "anna")
    found = reader.read("Who is Anna?", Window(TOWER, "Anna Berg"), deep=True)
    assert TOWER[slice(*found.span)] == "Anna"
    assert found.certainty > 0.99
    other = "It fell in March."
    found = reader.read("Who is Anna?", Window(other, "Anna Berg"), deep=True)
    assert 0 <= found.span[0] < found.span[1] <= len(other)
    assert found.certainty < 0.5


def test_a_long_heading_leaves_room_for_the_window(chosen: Callable[[float, float, str], Reader]) -> None:
    """So do a long question and both; the end of a long window is not read."""
    reader = chosen(0.0, 3.0, "anna")
    for question in ("Who?", "who " * 500):
        for heading in ("", "Anna Berg and her towers " * 400):
            assert TOWER[slice(*reader.read(question, Window(TOWER, heading), deep=True).span)] == "Anna"
            cut = reader.read(question, Window("tower " * MAX_TOKENS + TOWER, heading), deep=True)
            assert cut.span[1] < 6 * MAX_TOKENS


def test_the_reader_sees_what_the_network_was_trained_on(random_graphs: Path) -> None:
    """The same token ids and types as in training, with the title before the window."""
    example = Example("When was the tower built?", TOWER, "answered", "towers", "Old towers")
    encoder, seen = Encoder(), []
    reader = opened(random_graphs)
    run = reader._run
    reader._run = lambda ids, types, **how: seen.append((ids, types)) or run(ids, types, **how)
    reader.read(example.question, Window(TOWER))
    reader.read(example.question, Window(TOWER, "Old towers"))
    titled = next(
        batch
        for seed in range(50)
        if (batch := encoder([example], random.Random(seed))).ids.shape[1] > len(seen[0])
        and batch.ids.shape[1] != encoder([example]).ids.shape[1]
    )
    for (ids, types), batch in zip(seen, (encoder([example]), titled), strict=True):
        np.testing.assert_array_equal(ids, batch.ids.numpy())
        np.testing.assert_array_equal(types, batch.types.numpy())


UNUSUAL = [
    "",
    " ",
    "?",
    "?!…—«»",
    "x" * 2000,
    "why " * 500,
    "👩‍🚀🇰🇷 👍🏽",
    "한국은 언제 독립했습니까?",
    "朝鲜战争何时结束？",
    "متى انتهت الحرب؟",
    "הסירה יוצאת",
    "Le cafe\u0301 où?",
    "\u200b\u00ad\ufeff",
    "\u0300\u0301",
    "| a | b |\n|---|---|",
    "def f(x):\n\treturn {x: [1, 2]}",
    "𝔗𝔬𝔴𝔢𝔯 ﬁ ½ Ⅷ",
    "tower " * 2000,
]


@pytest.mark.parametrize("text", UNUSUAL, ids=lambda text: repr(text[:10]))
def test_unusual_texts_are_read(text: str, reader: Reader) -> None:
    """As the question, the window, the heading, and all three; the window may have no token at all."""
    for question, window in (
        (text, Window(TOWER)),
        ("When was it built?", Window(text)),
        ("When was it built?", Window(TOWER, text)),
        (text, Window(text, text)),
    ):
        for deep in (False, True):
            check(reader.read(question, window, deep=deep), window.text)


def check(found: Reading, text: str) -> None:
    assert np.isfinite(found.logit)
    start, end = found.span
    assert 0 <= start <= end <= len(text)
    assert 0 <= found.certainty <= 1
    assert (start < end) == (found.certainty > 0)


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(TEXTS, TEXTS, TEXTS)
@hypothesis_settings(suppress_health_check=SHARED_FIXTURES, max_examples=60)
def test_any_text_can_be_read(reader: Reader, question: str, text: str, heading: str) -> None:
    check(reader.read(question, Window(text, heading)), text)


def test_a_window_without_tokens_has_no_span(reader: Reader) -> None:
    found = reader.read("Why?", Window("", "Towers"))
    assert (found.span, found.certainty) == ((0, 0), 0.0)


@pytest.mark.parametrize("deep", [False, True])
def test_a_reading_depends_on_nothing_but_question_and_window(deep: bool, random_graphs: Path) -> None:
    """Each of twelve windows gives the same reading alone, in order, and in reverse order, to the last bit."""
    windows = [Window(text, heading) for text in UNUSUAL[4:10] for heading in ("", "Towers")]

    def readings(reader: Reader, windows: list[Window]) -> list[Reading]:
        return [reader.read("When was it built?", window, deep=deep) for window in windows]

    together = opened(random_graphs)
    first = readings(together, windows)
    assert first == readings(together, windows[::-1])[::-1]
    assert first == [readings(opened(random_graphs), [window])[0] for window in windows]
    assert len({reading.logit for reading in first}) > 6


def test_another_question_or_heading_gives_another_reading(reader: Reader) -> None:
    logits = {
        reader.read(question, Window(TOWER, heading)).logit
        for question in ("When was it built?", "Who built it?")
        for heading in ("", "Towers", "Bridges")
    }
    assert len(logits) == 6


def test_loading_reads_the_graphs_at_once(random_graphs: Path, tmp_path: Path) -> None:
    """Afterwards the files are not needed."""
    copy = Path(shutil.copytree(random_graphs, tmp_path / "copy"))
    reader = opened(copy)
    reader.load()
    shutil.rmtree(copy)
    assert reader.read("When?", Window(TOWER)) == opened(random_graphs).read("When?", Window(TOWER))


def test_the_upper_graph_runs_without_the_slow_fusion(random_graphs: Path, tmp_path: Path) -> None:
    """ONNX Runtime would fuse its sums and norms, and computes them slower then."""

    def nodes(disabled: Sequence[str]) -> set[str]:
        options = onnxruntime.SessionOptions()
        options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
        onnxruntime.InferenceSession(str(random_graphs / UPPER), options, disabled_optimizers=list(disabled))
        return {node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node}

    assert "SkipLayerNormalization" in nodes(())
    assert "SkipLayerNormalization" not in nodes(SLOW_FUSIONS)


@pytest.fixture
def files(random_graphs: Path, tmp_path: Path) -> ReaderFiles:
    """Return copies of a reader's files, to damage."""
    shutil.copytree(random_graphs, tmp_path / "files")
    shutil.copy(packaged_folder() / "tokenizer.json", tmp_path / "files")
    lower, upper = (tmp_path / "files" / name for name in (LOWER, UPPER))
    return ReaderFiles((lower, sha256_of(lower)), (upper, sha256_of(upper)), tmp_path / "files/tokenizer.json")


@pytest.mark.parametrize("name", [LOWER, UPPER])
@pytest.mark.parametrize("damage", ["missing", "truncated", "changed", "a folder"])
def test_a_damaged_graph_is_an_error_that_names_the_file(name: str, damage: str, files: ReaderFiles) -> None:
    """Before anything is loaded; the message says what to do."""
    path = files.tokenizer.parent / name
    content = path.read_bytes()
    path.unlink()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "a folder":
        path.mkdir()
    with pytest.raises(ModelCorrupt, match=rf"{name}.*reinstall qa-service"):
        Reader(files)


def test_files_that_cannot_be_loaded_are_errors_that_name_them(files: ReaderFiles) -> None:
    """A graph with the right hash, and a tokenizer, that are not valid, cut off or missing."""
    (lower, _), tokenizer = files.lower, files.tokenizer
    good, words = lower.read_bytes(), tokenizer.read_bytes()
    lower.write_bytes(b"no graph")
    with pytest.raises(ModelCorrupt, match=LOWER):
        Reader(ReaderFiles((lower, sha256_of(lower)), files.upper, tokenizer)).load()
    lower.write_bytes(good)
    for content in (b"{}", b"", words[: len(words) // 2]):
        tokenizer.write_bytes(content)
        with pytest.raises(ModelCorrupt, match=r"tokenizer\.json"):
            Reader(files).load()
    tokenizer.unlink()
    with pytest.raises(ModelCorrupt, match=r"tokenizer\.json"):
        Reader(files).read("When?", Window(TOWER))


def test_the_shipped_reader_is_opened_for_the_built_in_model_alone() -> None:
    """And not if it is off; both of its graphs can be loaded and read."""
    assert open_reader("off", DEFAULT_WEIGHTS) is None
    assert open_reader("quick", "a" * 64) is None
    shipped = open_reader("careful", DEFAULT_WEIGHTS)
    assert shipped is not None
    shipped.load()
    for text in UNUSUAL:
        check(shipped.read("When was it built?", Window(text, "Towers")), text)
        if text.strip():
            check(shipped.read(text, Window(TOWER)), TOWER)


def test_sums_that_do_not_fit_are_reported(files: ReaderFiles) -> None:
    """Missing, empty, cut off, of another file; with the right ones the reader in the folder is opened."""
    folder = files.tokenizer.parent
    sums = folder / SUMS
    lines = [f"{digest}  {path.name}\n" for path, digest in (files.lower, files.upper)]
    for content in (None, "", lines[0], lines[0] + lines[1][:70], "no sums at all\n", "é"):
        if content is not None:
            sums.write_text(content, encoding="utf-8")
        with pytest.raises(ModelCorrupt, match=SUMS):
            open_reader("quick", DEFAULT_WEIGHTS, folder)
        assert open_reader("off", DEFAULT_WEIGHTS, folder) is None
    sums.write_text(f"{'0' * 64}  {LOWER}\n{lines[1]}", encoding="ascii")
    with pytest.raises(ModelCorrupt, match=rf"{LOWER} has sha256 .*, expected 0000"):
        open_reader("quick", DEFAULT_WEIGHTS, folder)
    sums.write_text("".join(lines), encoding="ascii")
    assert open_reader("quick", DEFAULT_WEIGHTS, folder) is not None
