"""Multilingual models with tokenizers of XLM-R's kind: prompts, windows, tokens, exports, and quotes in any script."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from conftest import Run, write_files
from multilingual import PROMPTS, write_model

from qa_service.embedding import ExportedEmbedder, SentenceTransformerEmbedder, export, find_model, open_runtime
from qa_service.embedding.choose import embedder_to_ask
from qa_service.embedding.export import MIN_COSINE, Exporter
from qa_service.embedding.runtime import MODEL
from qa_service.pipeline import open_answerer
from qa_service.settings import load_settings

TEXTS = [
    "Where was the treaty signed?",
    "한미 상호방위조약은 1953년 10월 1일에 서명되었다. 발효는 1년 뒤였다.",
    "Ｆｕｌｌ　ｗｉｄｔｈ, ㎏, ﬁve,  two spaces\n\nand ½.",
    " Der Vertrag: «unterzeichnet». ",
    "条約は署名された。สนธิสัญญา 🇰🇷",
]
KINDS = {"XLM-R": ("xlm-roberta", False), "multilingual-e5": ("bert", True)}


@pytest.fixture(scope="module", params=KINDS)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    architecture, split = KINDS[request.param]
    return write_model(tmp_path_factory.mktemp("models"), architecture, split=split, prompts=PROMPTS)


@pytest.fixture(scope="module")
def reference(model: Path) -> SentenceTransformerEmbedder:
    return SentenceTransformerEmbedder(find_model(str(model)))


@pytest.fixture(scope="module")
def exported(model: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportedEmbedder]:
    """Return the model's export in every precision."""
    exporter = Exporter(find_model(str(model)))
    found = {}
    for precision in MIN_COSINE:
        folder = tmp_path_factory.mktemp("export")
        exporter.write(folder, precision)
        found[precision] = open_runtime(folder)
    return found


def test_prompts_of_questions_and_passages_are_those_of_the_model(
    model: Path, reference: SentenceTransformerEmbedder, exported: dict[str, ExportedEmbedder]
) -> None:
    """Also a prompt named "passage": sentence-transformers prefers its own empty "document"."""
    from sentence_transformers import SentenceTransformer

    plain = SentenceTransformer(str(model), device="cpu")
    texts = [text for text in TEXTS if text == text.strip()]
    for name, found in (
        ("query", np.stack([one.vector for one in reference.embed_questions(texts)])),
        ("passage", reference.embed_passages(texts).vectors),
        ("query", np.stack([one.vector for one in exported["fp32"].embed_questions(texts)])),
        ("passage", exported["fp32"].embed_passages(texts).vectors),
    ):
        expected = plain.encode([PROMPTS[name] + text for text in texts], normalize_embeddings=True)
        np.testing.assert_allclose(found, expected, atol=1e-4)
        assert not np.allclose(found, plain.encode(texts, normalize_embeddings=True), atol=1e-3)


def test_every_precision_has_the_vectors_and_tokens_of_the_reference(
    reference: SentenceTransformerEmbedder, exported: dict[str, ExportedEmbedder]
) -> None:
    """One by one and in a batch, up to the window."""
    texts = [*TEXTS, "ein langer Text " * 60]
    theirs = reference.embed_passages(texts)
    assert theirs.tokens is not None
    for precision, embedder in exported.items():
        mine = embedder.embed_passages(texts)
        alone = np.concatenate([embedder.embed_passages([text]).vectors for text in texts])
        assert mine.tokens is not None
        assert (mine.vectors * theirs.vectors).sum(axis=1).min() >= MIN_COSINE[precision]
        assert (alone * theirs.vectors).sum(axis=1).min() >= MIN_COSINE[precision]
        assert embedder.count_tokens(texts) == reference.count_tokens(texts)
        for one, other in zip(mine.tokens, theirs.tokens, strict=True):
            np.testing.assert_array_equal(one.ids, other.ids)
            np.testing.assert_array_equal(one.spans, other.spans)
            assert (one.vectors * other.vectors).sum(axis=1).mean() >= MIN_COSINE[precision] - 0.02


def test_a_token_has_its_place_in_the_text_as_written(
    reference: SentenceTransformerEmbedder, exported: dict[str, ExportedEmbedder]
) -> None:
    """Without the prompt and the space before a word, and where normalisation changes the number of characters."""
    names = {number: name for name, number in reference.model.tokenizer.get_vocab().items()}
    for text in TEXTS:
        for embedder in (reference, exported["fp32"], exported["int8"]):
            question, passages = embedder.embed_questions([text])[0], embedder.embed_passages([text])
            for tokens in (question.tokens, (passages.tokens or ())[0]):
                assert tokens is not None
                assert len(tokens.vectors) == len(tokens.ids) == len(tokens.spans)
                pieces = [text[start:end] for start, end in tokens.spans]
                for number, piece in zip(tokens.ids.tolist(), pieces, strict=True):
                    assert piece == piece.lstrip()
                    name = names[number].removeprefix("▁")
                    assert names[number] == "<unk>" or name in unicodedata.normalize("NFKC", piece)
                covered = {place for start, end in tokens.spans.tolist() for place in range(start, end)}
                assert {place for place, character in enumerate(text) if not character.isspace()} <= covered


@pytest.mark.parametrize("architecture", ["xlm-roberta", "bert"])
def test_a_model_without_a_stated_window_reads_as_many_tokens_as_it_has_positions(
    architecture: str, tmp_path: Path
) -> None:
    """XLM-R's table of 52 rows is for 50 tokens. OpenVINO's padding does not exceed it."""
    files = find_model(str(write_model(tmp_path, architecture, window=None, positions=50)))
    reference = SentenceTransformerEmbedder(files)
    assert reference.window == 50
    assert reference.passage_prompt == ""
    long = ["ein langer Text " * 60, "kurz"]
    expected = reference.embed_passages(long).vectors
    exporter = Exporter(files)
    for precision in MIN_COSINE:
        folder = tmp_path / precision
        folder.mkdir()
        exporter.write(folder, precision)
        found = open_runtime(folder).embed_passages(long).vectors
        assert (found * expected).sum(axis=1).min() >= MIN_COSINE[precision]


def test_the_table_of_a_large_vocabulary_is_in_8_bits(
    reference: SentenceTransformerEmbedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half the size, and as near to the reference."""
    exporter, sizes = Exporter(reference.files), []
    for least in (len(reference.model.tokenizer) + 1, len(reference.model.tokenizer)):
        monkeypatch.setattr(export, "_LARGE_VOCABULARY", least)
        folder = tmp_path / str(least)
        folder.mkdir()
        exporter.write(folder, "int8")
        sizes.append((folder / MODEL).stat().st_size)
        vectors = open_runtime(folder).embed_passages(TEXTS).vectors
        assert (vectors * reference.embed_passages(TEXTS).vectors).sum(axis=1).min() >= 0.99
    entries = len(reference.model.tokenizer) * reference.dimension
    assert sizes[0] - sizes[1] > 0.8 * entries


DOCUMENTS: dict[str, str | bytes] = {
    "museum.md": "# 박물관 안내\n\n## 관람 시간\n\n박물관은 아침 아홉 시에 열고 저녁 다섯 시 반에 닫는다. "
    "월요일에는 모든 전시실이 쉰다.\n\n## 입장료\n\n어른 표는 여덟 유로이고 어린이는 무료이다.\n",
    "decomposed.txt": unicodedata.normalize("NFD", "정원에는 수프와 케이크를 파는 카페가 있다.") + "\n",
    "museum-de.md": "# Museum\n\nDas Museum öffnet um neun Uhr. Hunde müssen draußen bleiben, außer Blindenhunden.\n",
}
QUESTIONS = {
    "월요일에는 모든 전시실이 쉰다?": "월요일에는 모든 전시실이 쉰다.",
    "어른 표는 여덟 유로이고 어린이는?": "어른 표는 여덟 유로이고 어린이는 무료이다.",
    "수프와 케이크를 파는 카페": unicodedata.normalize("NFD", "정원에는 수프와 케이크를 파는 카페가 있다."),
    "Hunde müssen draußen bleiben, außer Blindenhunden?": "Hunde müssen draußen bleiben, außer Blindenhunden.",
}


def test_documents_in_other_languages_are_built_and_quoted(model: Path, tmp_path: Path, run: Run) -> None:
    """With a model folder as ``QA_MODEL``: the quote is the sentence, word for word, at its place in the document."""
    write_files(tmp_path / "source", DOCUMENTS)
    here = ["--source", tmp_path / "source", "--index", tmp_path / "ix"]
    code, out, err = run("index", *here, "--model", model)
    assert code == 0, out + err
    settings = load_settings(source=tmp_path / "source", index=tmp_path / "ix", model=str(model))
    embedder = embedder_to_ask(settings)
    assert embedder.runtime == "ONNX Runtime int8"
    answerer, degraded = open_answerer(settings, embedder)
    assert degraded is None
    answerer.self_test()
    assert answerer.index.has_tokens
    for question, sentence in QUESTIONS.items():
        citation = answerer.ask(question).results[0].citation
        assert sentence in citation.quote
        document, start = answerer.document(citation.document_id), citation.position.start_char
        assert document.text[start + citation.quote_start : start + citation.quote_end] == citation.quote
