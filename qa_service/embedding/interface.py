"""The interface of a model: its identity and limits, and the vectors of texts and of their tokens."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.batching import Batching
from qa_service.errors import ModelCorrupt

_MIN_NORM, _MAX_NORM = 1e-15, 1e18
_WORD_MARKS = ("\u2581", "\u0120")
"""The marks of tokens that begin a word, in vocabularies of SentencePiece and of bytes."""


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """A model's identity by content. An index can be searched only with the model that built it."""

    name: str
    weights_sha256: str
    config_sha256: str
    """The hash of all other files of the model: tokenizer, pooling, limits."""


@dataclass(frozen=True, slots=True)
class TokenEmbeddings:
    """A text's tokens without the special ones: unit ``vectors`` (t, d), vocabulary ``ids`` (t,), ``spans`` (t, 2)."""

    vectors: FloatArray
    ids: IntArray
    spans: IntArray


@dataclass(frozen=True, slots=True)
class QuestionEmbedding:
    """A question's vector (d,), and its tokens if the model has vectors for them."""

    vector: FloatArray
    tokens: TokenEmbeddings | None

    def size(self) -> int:
        """Return its approximate size in memory, in bytes."""
        tokens = self.tokens
        return 500 + self.vector.nbytes + (0 if tokens is None else tokens.vectors.nbytes + 24 * len(tokens.ids))


@dataclass(frozen=True, slots=True)
class PassageEmbeddings:
    """Vectors (n, d) of n texts, and each text's tokens if the model has vectors for them."""

    vectors: FloatArray
    tokens: tuple[TokenEmbeddings, ...] | None

    def one_by_one(self) -> list[QuestionEmbedding]:
        """Return a separate embedding for each text."""
        tokens = self.tokens or (None,) * len(self.vectors)
        return [QuestionEmbedding(*pair) for pair in zip(self.vectors, tokens, strict=True)]


class Embedder(Protocol):
    """A model that embeds texts, which are not changed before; all vectors are float32 of length 1."""

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
        """The maximum number of tokens that the model reads of a text, special tokens included."""
        ...

    @property
    def batching(self) -> Batching:
        """How a build calls :meth:`embed_passages`."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens, special tokens included, without truncation."""
        ...

    @property
    def runtime(self) -> str:
        """The runtime of the model and its precision, for people to read."""
        ...

    def whole_words(self) -> frozenset[str]:
        """Return the words that the tokenizer has as single tokens: those of its language, not of the documents."""
        ...

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the embeddings of questions, from one forward pass."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return the embeddings of texts."""
        ...


def whole_words_of(vocabulary: Iterable[str]) -> frozenset[str]:
    """Return the words of letters among a tokenizer's tokens.

    Tokens that begin a word have a mark, or else those that continue one have (WordPiece: ``##``).
    """
    tokens = list(vocabulary)
    mark = next((mark for mark in _WORD_MARKS if any(token.startswith(mark) for token in tokens)), "")
    return frozenset(
        word for token in tokens if token.startswith(mark) and (word := token.removeprefix(mark)).isalpha()
    )


def unit_length(vectors: FloatArray) -> FloatArray:
    """Return vectors (n, d) scaled to length 1. Raises ``ValueError`` for one without a direction."""
    vectors = np.ascontiguousarray(vectors, dtype=np.float32)
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
    if not ((norms > _MIN_NORM) & (norms < _MAX_NORM)).all():  # their squares leave the range of float32
        norms = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ValueError("a vector has no direction: zero, infinite or not a number")
    unit: FloatArray = (vectors / norms).astype(np.float32, copy=False)
    return unit


def checked_unit_length(vectors: FloatArray) -> FloatArray:
    """Return a model's vectors (n, d) scaled to length 1. Raises :class:`ModelCorrupt` for one without a direction."""
    try:
        return unit_length(vectors)
    except ValueError as error:
        raise ModelCorrupt(f"the model's output is invalid: {error}; check its files") from error


def own_tokens(
    text: str, offsets: npt.ArrayLike, special: npt.ArrayLike, ids: IntArray, vectors: FloatArray
) -> TokenEmbeddings:
    """Return a text's tokens, without special tokens and those of the prompt before the text.

    The others describe all tokens of the tokenizer: their ``offsets`` (t, 2), negative in the prompt, whether each is
    ``special``, their ``ids`` and their ``vectors``, of any length. Spans don't begin with white space: a token of
    SentencePiece has the space before its word, the first one that of the prompt.
    """
    ends = np.asarray(offsets, dtype=np.int64).reshape(-1, 2)
    kept = ~np.asarray(special, dtype=bool) & (ends[:, 1] > 0)
    spans = np.maximum(ends[kept], 0)
    for token in [number for number, start in enumerate(spans[:, 0].tolist()) if text[start : start + 1].isspace()]:
        start, end = spans[token]
        spans[token, 0] = end - len(text[start:end].lstrip())
    return TokenEmbeddings(checked_unit_length(vectors[kept]), ids[kept].astype(np.int64), spans)
