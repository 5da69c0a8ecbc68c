"""The graph of a BERT, written from its weights: the reference's vectors, from a library that knows no torch."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from conftest import ROOT

from qa_service.embedding import SentenceTransformerEmbedder, find_model, open_runtime
from qa_service.embedding.bert import write_bert
from qa_service.embedding.graphs import open_graph
from qa_service.embedding.quantization import quantize
from qa_service.errors import ModelCorrupt
from qa_service.settings import DEFAULT_MODEL

TEXTS = [
    *(ROOT / "source_text/us-korea-relations.md").read_text(encoding="utf-8").split("\n\n")[5:45],
    "",
    "Ça, un café à 3½ €\tou\u00a0deux?\u200b — ﬁn\r\n",
    "한미 상호방위조약은 1953년에 서명되었다. 条約は署名された。สนธิสัญญา 🇰🇷 ΣΊΣΥΦΟΣ İstanbul",
    "word " * 400,
]
QUESTIONS = ["How many launchers are there in a THAAD battery?", "When was the treaty signed?", "Who pays for bases?"]


def test_the_written_graph_has_the_vectors_and_the_rankings_of_the_reference(
    exports: dict[str, Path], real: SentenceTransformerEmbedder
) -> None:
    """Cosine .9999 in fp32 for every text and every token, which are cut alike."""
    written = open_runtime(exports["fp32"])
    mine, theirs = written.embed_passages(TEXTS), real.embed_passages(TEXTS)
    assert (mine.vectors * theirs.vectors).sum(axis=1).min() > 0.9999
    for one, other in zip(mine.tokens, theirs.tokens, strict=True):
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.spans, other.spans)
        assert (one.vectors * other.vectors).sum(axis=1).min(initial=1) > 0.9999
    assert written.whole_words() == real.whole_words()
    for one, other in zip(written.embed_questions(QUESTIONS), real.embed_questions(QUESTIONS), strict=True):
        np.testing.assert_array_equal(
            np.argsort(-mine.vectors @ one.vector), np.argsort(-theirs.vectors @ other.vector)
        )


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a BERT of random weights with a shape of its own."""
    from transformers import BertConfig, BertModel, set_seed

    set_seed(1)
    folder = tmp_path_factory.mktemp("bert")
    config = BertConfig(
        vocab_size=1200,
        hidden_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=80,
        max_position_embeddings=64,
        layer_norm_eps=1e-7,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("fused", [True, False])
def test_layers_heads_and_widths_are_those_of_the_configuration(small: Path, fused: bool) -> None:
    """Compared with transformers, in a batch of texts of several lengths."""
    import torch
    from transformers import BertModel

    ids = np.random.default_rng(1).integers(1, 1200, (3, 64))
    mask = np.array([[1] * 64, [1] * 20 + [0] * 44, [1] + [0] * 63])
    with torch.no_grad():
        states = (
            BertModel.from_pretrained(small).eval()(torch.tensor(ids), torch.tensor(mask)).last_hidden_state.numpy()
        )
    means = np.stack([row[: length.sum()].mean(axis=0) for row, length in zip(states, mask, strict=True)])
    model = write_bert(small, fused=fused)
    onnx.checker.check_model(model)
    assert {node.domain for node in model.graph.node} == ({"", "com.microsoft"} if fused else {""})
    vectors, tokens = open_graph(model.SerializeToString()).run(None, {"input_ids": ids, "attention_mask": mask})
    np.testing.assert_allclose(vectors, means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(tokens[mask > 0], states[mask > 0], atol=1e-4)


def test_the_graph_is_quantised_as_a_traced_one(small: Path) -> None:
    """All products with weights are integer products, the table of words has 16 bits."""
    model = write_bert(small, fused=True)
    quantize(model)
    kinds = [node.op_type for node in model.graph.node]
    assert (kinds.count("MatMul"), kinds.count("MatMulIntegerToFloat")) == (0, 3 * 6)
    table = next(tensor for tensor in model.graph.initializer if tensor.name.startswith("embeddings.word"))
    assert table.data_type == onnx.TensorProto.FLOAT16


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "relu"}, "hidden_act 'relu', expected 'gelu'"),
        ({"model_type": "roberta"}, "model_type 'roberta'"),
        ({"num_hidden_layers": None}, "is not a BERT's"),
        ({"num_hidden_layers": 4}, r"model\.safetensors does not hold a BERT's weights.*encoder\.layer\.3"),
    ],
)
def test_files_that_are_no_berts_are_refused_by_name(
    small: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    """By their configuration, or because a weight is missing."""
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelCorrupt, match=message):
        write_bert(tmp_path, fused=True)


def test_truncated_weights_are_refused_by_name(small: Path, tmp_path: Path) -> None:
    """As after a copy that was interrupted."""
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    path = tmp_path / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelCorrupt, match=r"model\.safetensors"):
        write_bert(tmp_path, fused=False)


def test_only_the_built_in_model_is_written_without_the_reference() -> None:
    """A folder with its name is any other model."""
    assert find_model(DEFAULT_MODEL).built_in
    assert not find_model(str(find_model(DEFAULT_MODEL).folder)).built_in
