"""Fixtures: a fake embedder that is fast and exact, and the real one, loaded once."""

import os
import re
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from qa_service.datatypes import Offsets
from qa_service.embedding import ModelIdentity, PassageEmbeddings, SentenceTransformerEmbedder, Vectors, open_embedder
from qa_service.index import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build
from qa_service.settings import DEFAULT_MODEL, Settings, load_settings

ROOT = Path(__file__).parent.parent
QUESTIONS = ROOT / "tests/data/us-korea-questions.jsonl"


class FakeEmbedder:
    """Bags of words, hashed into 128 components: texts that share words are near. Two special tokens."""

    def __init__(self, window: int = 64, weights: str = "a" * 64, config: str = "b" * 64, name: str = "fake") -> None:
        self.identity = ModelIdentity(name, weights, config)
        self.dimension = 128
        self.window = window
        self.embedded = 0

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [2 + len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]

    def embed_question(self, question: str) -> Vectors:
        return self._vector(question)

    def embed_passages(self, texts: Sequence[str], sentences: Sequence[Sequence[Offsets]]) -> PassageEmbeddings:
        self.embedded += len(texts)
        rows = [
            self._vector(text[start:end]) for text, spans in zip(texts, sentences, strict=True) for start, end in spans
        ]
        return PassageEmbeddings(
            np.stack([self._vector(text) for text in texts]), np.stack(rows) if rows else np.empty((0, 128), "f4")
        )

    def _vector(self, text: str) -> Vectors:
        vector = np.full(self.dimension, 0.01, np.float32)
        for word in re.findall(r"\w+", text.casefold()):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1
        return vector / np.linalg.norm(vector)


@pytest.fixture
def fake() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture(scope="session")
def real() -> SentenceTransformerEmbedder:
    return open_embedder(DEFAULT_MODEL)


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the machine reaches a test, and relative paths lead into an empty folder."""
    for name in list(os.environ):
        if name.upper().startswith("QA_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, str | bytes]], Path]:
    """Return a function that writes files into a source folder."""

    def write(files: dict[str, str | bytes]) -> Path:
        source = tmp_path / "source"
        for name, content in files.items():
            path = source / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return source

    return write


TWO_DOCUMENTS: dict[str, str | bytes] = {
    "zoo/animals.md": "# Animals\n\n## Cats\n\nThe cat sleeps on the warm mat. It wakes at noon.\n\n"
    "## Dogs\n\nA dog guards the old farm. It barks at foxes.\n",
    "sea.txt": "The whale swims in the deep ocean. It sings for hours.\n\nA crab walks sideways on the beach.\n",
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(source=tmp_path / "source", index=tmp_path / "index", passage_tokens=16)


@pytest.fixture
def answerer(
    folder: Callable[[dict[str, str | bytes]], Path], settings: Settings, fake: FakeEmbedder
) -> QuestionAnswerer:
    """Answer from TWO_DOCUMENTS with the fake embedder."""
    folder(TWO_DOCUMENTS)
    build(settings, fake)
    opened = IndexFolder(settings.index).open(fake.identity)
    return QuestionAnswerer(opened.index, fake, top_k=3, min_confidence=0.5)
