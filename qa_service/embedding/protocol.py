"""What the other rooms need of a model: its identity, its limits, vectors of texts and of their tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from qa_service.datatypes import FloatArray, IntArray
from qa_service.errors import ModelCorrupt


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model this is, by content: an index answers only to the model that built it."""

    name: str
    weights_sha256: str
    config_sha256: str
    """Of all other files that the model is made of: tokenizer, pooling, lengths."""


@dataclass(frozen=True, slots=True)
class TokenEmbeddings:
    """A text's tokens: unit ``vectors`` (t, d), vocabulary ``ids`` (t,), and ``spans`` (t, 2) in the text.

    Special tokens are left out, so that a text of none but those has none.
    """

    vectors: FloatArray
    ids: IntArray
    spans: IntArray


@dataclass(frozen=True, slots=True)
class QuestionEmbedding:
    """A question's vector (d,), and its tokens if the model has vectors for them."""

    vector: FloatArray
    tokens: TokenEmbeddings | None

    def size(self) -> int:
        """Return the bytes that it takes in memory, near enough."""
        tokens = self.tokens
        return 500 + self.vector.nbytes + (0 if tokens is None else tokens.vectors.nbytes + 24 * len(tokens.ids))


@dataclass(frozen=True, slots=True)
class PassageEmbeddings:
    """Vectors (n, d) of n texts, and each text's tokens if the model has vectors for them."""

    vectors: FloatArray
    tokens: tuple[TokenEmbeddings, ...] | None

    def one_by_one(self) -> list[QuestionEmbedding]:
        """Return each text's embedding by itself."""
        tokens = self.tokens or (None,) * len(self.vectors)
        return [QuestionEmbedding(*pair) for pair in zip(self.vectors, tokens, strict=True)]


class Embedder(Protocol):
    """What the other rooms need of a model. Texts are taken as they are; all vectors are float32 of length 1."""

    @property
    def identity(self) -> ModelIdentity:
        """The model's identity by content."""
        ...

    @property
    def dimension(self) -> int:
        """Number of components of a vector, d."""
        ...

    @property
    def window(self) -> int:
        """The most tokens that the model reads of one text, special tokens included."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens, special tokens included, nothing cut off."""
        ...

    @property
    def runtime(self) -> str:
        """What runs the model, and in which precision, for people to read."""
        ...

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the embeddings of questions, from one forward pass."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return the embeddings of texts."""
        ...


def unit_length(vectors: FloatArray) -> FloatArray:
    """Return vectors (n, d) scaled to length 1. Raises :class:`ModelCorrupt` for one without a direction."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ModelCorrupt("the model returned a vector without a direction (zero or not a number); check its files")
    unit: FloatArray = (vectors / norms).astype(np.float32)
    return unit


def own_tokens(
    offsets: npt.ArrayLike, special: npt.ArrayLike, ids: IntArray, vectors: FloatArray, prompt: int
) -> TokenEmbeddings:
    """Return a text's tokens without the special ones and those of the prompt before it.

    All of the tokenizer's tokens come in: their ``offsets`` (t, 2) in prompt and text together, whether each is
    ``special``, ``ids`` and ``vectors`` of any length; ``prompt`` is the prompt's number of characters.
    """
    spans = np.asarray(offsets, dtype=np.int64).reshape(-1, 2) - prompt
    kept = ~np.asarray(special, dtype=bool) & (spans[:, 0] >= 0)
    return TokenEmbeddings(unit_length(vectors[kept]), ids[kept].astype(np.int64), spans[kept])
