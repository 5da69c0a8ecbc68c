"""Exported models: the reference's vectors, from verified files, without torch; and the choice among runtimes."""

import json
import os
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import QUESTIONS, ROOT

from qa_service.embedding import (
    OPENVINO_BF16,
    OPENVINO_INT8,
    ExportedEmbedder,
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    TwoRuntimeEmbedder,
    find_model,
    open_runtime,
)
from qa_service.embedding import choose as runtimes
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.embedding.export import MIN_COSINE, Exporter
from qa_service.embedding.processor import usable_cores
from qa_service.embedding.runtime import OPENVINO_PRECISIONS
from qa_service.embedding.traced import ExportFailed
from qa_service.evaluation import Question, QuestionFile
from qa_service.evaluation.gold import GoldFinder, IndexCorpus
from qa_service.evaluation.measures import EvaluatedQuestion, measure, parse
from qa_service.evaluation.targets import InProcessAsker
from qa_service.pipeline import build, open_answerer
from qa_service.settings import DEFAULT_MODEL, load_settings

TEXTS = [
    *(item.question for item in islice(QuestionFile(QUESTIONS), 24) if isinstance(item, Question)),
    *(ROOT / "source_text/us-korea-relations.md").read_text(encoding="utf-8").split("\n\n")[5:21],
]


@pytest.fixture(params=sorted(MIN_COSINE))
def exported(request: pytest.FixtureRequest, exports: dict[str, Path]) -> ExportedEmbedder:
    return open_runtime(exports[request.param], threads=2 if request.param in OPENVINO_PRECISIONS else 1)


def test_exported_vectors_are_close_to_the_reference(
    exported: ExportedEmbedder, real: SentenceTransformerEmbedder
) -> None:
    """Cosine .999 in fp32 and bf16, .97 in int8, .99 on average; also for tokens. Spans, ids and counts are equal."""
    least = 0.97 if "int8" in exported.runtime else 0.999
    mine, theirs = exported.embed_passages(TEXTS), real.embed_passages(TEXTS)
    cosines = (mine.vectors * theirs.vectors).sum(axis=1)
    assert cosines.min() >= least
    assert cosines.mean() >= 0.99
    assert exported.count_tokens(TEXTS) == real.count_tokens(TEXTS)
    assert (exported.dimension, exported.window, exported.identity) == (real.dimension, real.window, real.identity)
    for one, other in zip(mine.tokens, theirs.tokens, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.spans, other.spans)
        assert (one.vectors * other.vectors).sum(axis=1).mean() >= least - 0.02
    question = exported.embed_questions(TEXTS[:1])[0]
    np.testing.assert_allclose(question.vector, mine.vectors[0], atol=1e-5)


def test_a_vector_does_not_depend_on_its_batch(exported: ExportedEmbedder) -> None:
    """Also in int8, where one scale for the whole batch would change it."""
    together = exported.embed_questions(TEXTS[:24])
    for text, among_others in zip(TEXTS[:24], together, strict=True):
        alone = exported.embed_questions([text])[0]
        np.testing.assert_allclose(alone.vector, among_others.vector, atol=1e-6)
        np.testing.assert_allclose(alone.tokens.vectors, among_others.tokens.vectors, atol=1e-5)


def test_the_mean_reciprocal_rank_is_alike_in_every_precision(
    tmp_path: Path, exports: dict[str, Path], real: SentenceTransformerEmbedder
) -> None:
    """For the shipped questions: equal in fp32, and within two questions' worth in int8."""

    def reciprocal_rank(name: str, embedder: ExportedEmbedder | SentenceTransformerEmbedder) -> float:
        settings = load_settings(source=ROOT / "source_text", index=tmp_path / name)
        build(settings, embedder)
        answerer, _ = open_answerer(settings, embedder)
        found = [
            (item, gold)
            for item, gold in GoldFinder(IndexCorpus(answerer.index)).with_gold(QuestionFile(QUESTIONS), [])
            if gold.relevant
        ]
        outcomes = InProcessAsker(answerer).ask([(item.question, 5) for item, _ in found])
        asked = [EvaluatedQuestion(item, gold, outcome) for (item, gold), outcome in zip(found, outcomes, strict=True)]
        return float(np.mean([values["RR@5"] for values in measure(asked, parse(["RR@5"]))]))

    expected = reciprocal_rank("reference", real)
    assert reciprocal_rank("fp32", open_runtime(exports["fp32"])) == pytest.approx(expected, abs=0.003)
    for precision in ("int8", OPENVINO_INT8, OPENVINO_BF16):
        assert reciprocal_rank(precision, open_runtime(exports[precision])) == pytest.approx(expected, abs=0.03)


def test_usable_cores_are_limited_by_the_quota_of_a_container(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A quota of 1.5 out of 64 cores gives two; the kernel would throttle more threads."""
    limit, opened, there = tmp_path / "cpu.max", open, os.path.exists
    limit.write_text("150000 100000\n")
    where = {"/sys/fs/cgroup/cpu.max": limit}
    monkeypatch.setattr("builtins.open", lambda name, *rest, **named: opened(where.get(name, name), *rest, **named))
    monkeypatch.setattr(os.path, "exists", lambda path: path in where or there(path))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)))
    assert usable_cores() == 2


def test_the_reference_is_used_on_request(tmp_path: Path) -> None:
    """``QA_RUNTIME=torch`` exports nothing."""
    settings = load_settings(index=tmp_path / "index", cache_dir=str(tmp_path / "cache"), runtime="torch")
    assert embedder_to_ask(settings).runtime == "torch fp32"
    assert embedder_to_build(settings).runtime == "torch fp32"
    assert not list(tmp_path.iterdir())


def test_two_runtimes_embed_questions_by_one_export_and_passages_by_another(exports: dict[str, Path]) -> None:
    """With the vectors of each export by itself."""
    questions, passages = open_runtime(exports["int8"]), open_runtime(exports[OPENVINO_INT8], threads=2)
    embedder = TwoRuntimeEmbedder(questions, passages)
    np.testing.assert_array_equal(
        embedder.embed_questions(TEXTS[:1])[0].vector, questions.embed_questions(TEXTS[:1])[0].vector
    )
    np.testing.assert_array_equal(
        embedder.embed_passages(TEXTS[:5]).vectors, passages.embed_passages(TEXTS[:5]).vectors
    )
    assert embedder.count_tokens(TEXTS) == questions.count_tokens(TEXTS)
    assert embedder.runtime == passages.runtime
    assert embedder.runtime.startswith("OpenVINO")


@pytest.mark.parametrize(
    ("flags", "runtime", "chosen"),
    [
        ({"avx512_vnni", "amx_bf16"}, "auto", OPENVINO_BF16),
        ({"avx512_vnni"}, "auto", OPENVINO_INT8),
        ({"avx512_vnni", "amx_bf16"}, "int8", None),
        ({"avx2"}, "auto", None),
    ],
)
def test_openvino_embeds_passages_on_cpus_with_the_instructions(
    exports: dict[str, Path],
    tmp_path: Path,
    flags: set[str],
    runtime: str,
    chosen: str | None,
) -> None:
    """Unless the settings name a precision."""
    files = find_model(DEFAULT_MODEL)
    for precision in filter(None, ("int8", chosen)):
        shutil.copytree(exports[precision], tmp_path / "models" / runtimes.export_name(files, precision))
    settings = load_settings(cache_dir=str(tmp_path), runtime=runtime)
    embedder = embedder_to_build(settings, flags=frozenset(flags))
    assert type(embedder) is (OnnxEmbedder if chosen is None else TwoRuntimeEmbedder)
    assert chosen is None or ("int8" in embedder.runtime) == (chosen == OPENVINO_INT8)
    assert len(list((tmp_path / "models").iterdir())) == (1 if chosen is None else 2)
    assert type(embedder_to_ask(settings)) is OnnxEmbedder


def test_openvino_gets_padded_lengths(exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """It caches kernels for each length; a batch is divided into parts of equal size, in order."""
    embedder = open_runtime(exports[OPENVINO_INT8], threads=2)
    shapes = []
    inputs = type(embedder)._inputs

    def seen(self: ExportedEmbedder, *arguments: Any) -> dict[str, Any]:
        made = inputs(self, *arguments)
        shapes.append(made["input_ids"].shape)
        return made

    monkeypatch.setattr(type(embedder), "_inputs", seen)
    texts = ["word " * count for count in (3, 9, 40, 90, 1000)]
    together = embedder.embed_passages(texts)
    assert shapes == [(3, 48), (2, 256)]
    for text, vector in zip(texts, together.vectors, strict=True):
        assert embedder.embed_passages([text]).vectors[0] @ vector > 0.999
    assert shapes[2:] == [(1, 16), (1, 16), (1, 48), (1, 96), (1, 256)]


def test_onnx_runtime_runs_a_few_texts_in_a_pass(exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Within a limit of tokens, a long text by itself; several threads share a batch."""
    texts = ["word " * count for count in (1000, 90, 3, 2, 1, 40)]
    alone = open_runtime(exports["int8"]).embed_passages(texts).vectors
    shapes, inputs = [], OnnxEmbedder._inputs

    def seen(self: ExportedEmbedder, encoded: Any) -> dict[str, Any]:
        made = inputs(self, encoded)
        shapes.append(made["input_ids"].shape)
        return made

    monkeypatch.setattr(OnnxEmbedder, "_inputs", seen)
    both = open_runtime(exports["int8"], threads=2)
    np.testing.assert_allclose(both.embed_passages(texts).vectors, alone, atol=1e-6)
    assert sorted(shapes) == [(1, 3), (1, 4), (1, 5), (1, 42), (1, 92), (1, 256)]
    shapes.clear()
    both.embed_passages(["word word"] * 7)
    assert sorted(shapes) == [(3, 4), (4, 4)]
    shapes.clear()
    open_runtime(exports["int8"]).embed_passages(["word word"] * 50)
    assert shapes == [(32, 4), (18, 4)]


def test_an_error_in_an_embedding_thread_is_raised(exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads can embed the next batch."""
    both = open_runtime(exports["int8"], threads=2)
    with monkeypatch.context() as patched:
        patched.setattr(OnnxEmbedder, "_inputs", lambda _, encoded: (_ for _ in ()).throw(MemoryError(len(encoded))))
        with pytest.raises(MemoryError):
            both.embed_passages(TEXTS)
    assert len(both.embed_passages(TEXTS).vectors) == len(TEXTS)


@pytest.fixture(scope="module")
def prompted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a tiny model of random weights with different prompts for questions and passages."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import AutoConfig, AutoModel, AutoTokenizer, set_seed

    folder = tmp_path_factory.mktemp("models")
    set_seed(1)
    source = find_model(DEFAULT_MODEL).folder
    config = AutoConfig.from_pretrained(
        source, hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    AutoModel.from_config(config).save_pretrained(folder / "plain")
    AutoTokenizer.from_pretrained(source).save_pretrained(folder / "plain")
    module = Transformer(str(folder / "plain"), max_seq_length=32)
    model = SentenceTransformer(
        modules=[module, Pooling(32), Normalize()],
        prompts={"query": "question: ", "document": "passage: "},
        device="cpu",
    )
    model.save_pretrained(str(folder / "prompted"))
    return folder / "prompted"


@pytest.mark.parametrize("precision", ["int8", OPENVINO_INT8])
def test_a_model_that_ignores_tokenizer_outputs_is_exported(tmp_path: Path, precision: str) -> None:
    """DistilBERT has no token types. Its dimension here is no multiple of the quantisation group."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import AutoModel, AutoTokenizer, DistilBertConfig, set_seed

    set_seed(1)
    tokenizer = AutoTokenizer.from_pretrained(find_model(DEFAULT_MODEL).folder)
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=36, n_layers=1, n_heads=2, hidden_dim=50)
    for part in (AutoModel.from_config(config), tokenizer):
        part.save_pretrained(tmp_path / "plain")
    module = Transformer(str(tmp_path / "plain"), max_seq_length=32)
    SentenceTransformer(modules=[module, Pooling(36)], device="cpu").save_pretrained(str(tmp_path / "model"))
    folder = tmp_path / "export"
    folder.mkdir()
    Exporter(find_model(str(tmp_path / "model"))).write(folder, precision)
    assert open_runtime(folder).embed_passages(["Bread was baked from rye."]).vectors.shape == (1, 36)


def test_prompts_are_embedded_counted_and_not_cited(prompted: Path, tmp_path: Path) -> None:
    """By reference and export: the vector is that of prompt and text together, the tokens are those of the text."""
    reference = SentenceTransformerEmbedder(find_model(str(prompted)))
    Exporter(reference.files).write(tmp_path, "fp32")
    text = "Bread was baked from rye."
    bare = len(reference.model.tokenizer(text)["input_ids"])
    for embedder in (reference, open_runtime(tmp_path)):
        question, passage = embedder.embed_questions([text])[0], embedder.embed_passages([text])
        for tokens in (question.tokens, passage.tokens[0]):
            assert [text[start:end] for start, end in tokens.spans] == ["Bread", "was", "baked", "from", "rye", "."]
        assert not np.allclose(question.vector, passage.vectors[0], atol=1e-3)
        assert embedder.count_tokens([text]) == [bare + 2]
        expected = reference.model.encode("question: " + text, normalize_embeddings=True)
        np.testing.assert_allclose(question.vector, expected, atol=1e-5)
        assert len(embedder.embed_passages([text * 20]).tokens[0].ids) == 32 - 2 - 2


def test_a_model_that_cannot_be_exported_is_run_by_the_reference(
    tmp_path: Path, prompted: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As one whose pooling excludes the prompt: a graph does not know the prompt's length."""
    folder = tmp_path / "model"
    shutil.copytree(prompted, folder)
    path = next(folder.glob("*Pooling/config.json"))
    path.write_text(json.dumps({**json.loads(path.read_text()), "include_prompt": False}))
    with pytest.raises(ExportFailed, match="prompt"):
        Exporter(find_model(str(folder))).write(tmp_path, "fp32")
    settings = load_settings(model=str(folder), cache_dir=str(tmp_path / "cache"))
    assert isinstance(embedder_to_build(settings), SentenceTransformerEmbedder)
    assert "can't be exported" in caplog.text
    assert [path.name for path in (tmp_path / "cache/models").iterdir()] == ["lock"]


def test_an_export_that_differs_from_the_reference_is_refused(prompted: Path, tmp_path: Path) -> None:
    """By the least cosine of a vector."""
    exporter = Exporter(find_model(str(prompted)), {"int8": 1.01})
    with pytest.raises(ExportFailed, match=r"cosine .* at least 1.01"):
        exporter.write(tmp_path, "int8")
