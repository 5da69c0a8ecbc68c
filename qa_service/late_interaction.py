"""Late interaction: the model's own token vectors, kept small, and the MaxSim of a question with them.

A passage's tokens are stored in two bits a component: the vector is moved by the mean of all, turned by
a fixed random rotation, after which all components are alike and near normal, and each is rounded to the
nearest of four levels, those that Lloyd (1957) and Max (1960) showed to lose least for a normal
distribution. Of a 384-dimensional model that is 96 bytes a token. What is read back is scaled to length 1.

MaxSim (Khattab and Zaharia, 2020, arXiv 2004.12832): each token of the question looks for its best match
among the passage's tokens; here their cosines are averaged, weighted by how rare the token is.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_service.datatypes import Offsets
from qa_service.embedding import Integers, TokenEmbeddings
from qa_service.lexical import idf

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]

MAX_PASSAGE_BYTES = 16_384
_SEED = 20261123
_SAMPLE = 50_000
_COMPONENTS_PER_BYTE = 4
# Lloyd and Max's levels for two bits are ±0.4528 and ±1.510 standard deviations: 3 to 10, as integers.
_LEVELS = np.array([-10, -3, 3, 10], dtype=np.float32)
_LEVEL_UNIT = 1.510 / 10
_EDGE = 0.9816  # the middle between the two positive levels
# Each byte holds four components; the table gives all four at once, as the bytes of one 16-byte item.
_TABLE = (
    np.ascontiguousarray(_LEVELS[(np.arange(256)[:, None] >> np.array([0, 2, 4, 6])) & 3]).view(np.complex128).ravel()
)
_BLOCK = 1024  # rows that stay in the cache between being unpacked and multiplied


@dataclass(frozen=True, slots=True)
class Codec:
    """Two-bit codes of token vectors. ``rotation`` (d, d) is orthogonal; ``mean`` (d,) is rotated already."""

    rotation: Floats
    mean: Floats
    deviation: float

    @classmethod
    def fit(cls, sample: Floats) -> "Codec":
        """Return a codec for vectors like those of ``sample`` (n, d), d divisible by four."""
        dimension = sample.shape[1]
        if dimension % _COMPONENTS_PER_BYTE:
            raise ValueError(f"{dimension} dimensions do not pack into bytes")
        normal = np.random.default_rng(_SEED).normal(size=(dimension, dimension))
        rotation = np.linalg.qr(normal)[0].astype(np.float32)
        rotated = sample @ rotation
        mean = rotated.mean(axis=0)
        return cls(rotation, mean, float((rotated - mean).std()) or 1.0)

    def encode(self, vectors: Floats) -> Codes:
        """Return the codes (n, d / 4) of unit vectors (n, d)."""
        scaled = (vectors @ self.rotation - self.mean) / self.deviation
        levels = ((scaled > -_EDGE).astype(np.uint8) + (scaled > 0) + (scaled > _EDGE)).astype(np.uint8)
        parts = levels.reshape(len(vectors), -1, _COMPONENTS_PER_BYTE)
        codes: Codes = (parts << np.array([0, 2, 4, 6], dtype=np.uint8)).sum(axis=2, dtype=np.uint8)
        return codes

    def cosines(self, vectors: Floats, codes: Codes) -> Floats:
        """Return the cosines (m, n) of unit vectors (m, d) with what the codes (n, d / 4) stand for.

        The codes are never turned into vectors: with ``x = mean + unit * levels``, both ``q @ x`` and the
        length of ``x`` follow from one product of the levels with the questions and the mean.
        """
        unit = self.deviation * _LEVEL_UNIT
        rotated = vectors @ self.rotation
        factors = np.vstack([rotated, self.mean])
        products = np.empty((len(factors), len(codes)), np.float32)
        squares = np.empty(len(codes), np.float32)
        for start in range(0, len(codes), _BLOCK):
            block = slice(start, start + _BLOCK)
            levels = np.take(_TABLE, codes[block]).view(np.float32)
            np.matmul(factors, levels.T, out=products[:, block])
            squares[block] = np.einsum("ij,ij->i", levels, levels)
        lengths = np.sqrt(unit**2 * squares + 2 * unit * products[-1] + self.mean @ self.mean)
        cosines: Floats = (unit * products[:-1] + (rotated @ self.mean)[:, None]) / lengths
        return cosines

    def to_array(self) -> Floats:
        """Return all numbers as one array (d + 2, d), for a file."""
        deviation = np.full((1, len(self.mean)), self.deviation, np.float32)
        return np.concatenate([self.rotation, self.mean[None, :].astype(np.float32), deviation])

    @classmethod
    def from_array(cls, array: Floats) -> "Codec":
        """Return the codec that :meth:`to_array` wrote."""
        return cls(array[:-2], array[-2], float(array[-1, 0]))


@dataclass(frozen=True, slots=True)
class PassageTokens:
    """The stored tokens of all passages.

    ``codes`` (tokens, d / 4); passage ``i`` has the rows ``starts[i]`` to ``starts[i + 1]``. ``sentences``
    (sentences, 2) are row ranges within their passage. ``frequencies`` (vocabulary,) counts the passages
    that hold a token id.
    """

    codec: Codec
    codes: Codes
    starts: Integers
    sentences: npt.NDArray[np.int32]
    frequencies: npt.NDArray[np.int32]

    def weights(self, ids: Integers) -> Floats:
        """Return each question token's weight: its idf over passages, as BM25 defines it."""
        passages = len(self.starts) - 1
        known = np.where(ids < len(self.frequencies), self.frequencies[np.minimum(ids, len(self.frequencies) - 1)], 0)
        return idf(passages, known).astype(np.float32)

    def similarities(self, question: TokenEmbeddings, passages: Integers) -> "Similarities":
        """Return the cosines of a question's tokens with all tokens of some passages, in their order."""
        counts = self.starts[passages + 1] - self.starts[passages]
        rows = np.concatenate([self.codes[self.starts[number] : self.starts[number + 1]] for number in passages])
        cosines = self.codec.cosines(question.vectors, rows)
        return Similarities(cosines, np.concatenate([[0], np.cumsum(counts)]), self.weights(question.ids))


@dataclass(frozen=True, slots=True)
class Similarities:
    """Cosines (question tokens, tokens of the passages), where each passage's begin, the tokens' weights."""

    cosines: Floats
    starts: Integers
    weights: Floats

    def take(self, order: Integers) -> "Similarities":
        """Return the same for the passages in another order."""
        columns = [np.arange(self.starts[place], self.starts[place + 1]) for place in order]
        counts = (self.starts[1:] - self.starts[:-1])[order]
        starts = np.concatenate([[0], np.cumsum(counts)])
        return Similarities(self.cosines[:, np.concatenate(columns)], starts, self.weights)

    def maxsim(self) -> Floats:
        """Return each passage's MaxSim: the weighted mean over the question's tokens of their best cosine."""
        best = np.maximum.reduceat(self.cosines, self.starts[:-1], axis=1)
        scores: Floats = self.weights @ best / self.weights.sum()
        return scores

    def sentence(self, passage: int, rows: npt.NDArray[np.int32]) -> tuple[int, Floats]:
        """Return the sentence of a passage that answers best, and the best cosine of each question token in it.

        ``passage`` is a place in the order asked for; ``rows`` (sentences, 2) are its sentences' ranges. The
        best has the highest mean over the question's tokens.
        """
        first = self.starts[passage]
        bests = [
            self.cosines[:, first + start : first + end].max(axis=1)
            if start < end
            else np.full(len(self.cosines), -1.0)
            for start, end in rows
        ]
        chosen = int(np.argmax([best.mean() for best in bests]))
        return chosen, bests[chosen].astype(np.float32)


class PassageTokensBuilder:
    """Collects passages' tokens in any order and packs them.

    The codec is fitted to the first tokens that come, so these should be a fair sample.
    """

    def __init__(self, passages: int) -> None:
        self._codec: Codec | None = None
        self._waiting: list[tuple[int, Floats]] = []
        self._codes: list[Codes | None] = [None] * passages
        self._sentences: list[npt.NDArray[np.int32]] = [np.empty((0, 2), np.int32)] * passages
        self._frequencies: npt.NDArray[np.int32] = np.zeros(0, np.int32)

    def add(self, number: int, text: str, tokens: TokenEmbeddings, sentences: Sequence[Offsets]) -> None:
        """Take a passage's tokens; those without a letter or digit are dropped, and those over 16 KB."""
        spoken = np.array([any(map(str.isalnum, text[start:end])) for start, end in tokens.spans], dtype=bool)
        most = MAX_PASSAGE_BYTES * _COMPONENTS_PER_BYTE // tokens.vectors.shape[1]
        kept = np.flatnonzero(spoken if spoken.any() else np.ones(len(spoken), bool))[:most]
        present = np.unique(tokens.ids[kept])
        if len(present) and present[-1] >= len(self._frequencies):
            self._frequencies = np.pad(self._frequencies, (0, int(present[-1]) + 1 - len(self._frequencies)))
        self._frequencies[present] += 1
        self._sentences[number] = _row_ranges(tokens.spans[kept], sentences)
        self._waiting.append((number, tokens.vectors[kept]))
        if self._codec is not None or sum(len(vectors) for _, vectors in self._waiting) >= _SAMPLE:
            self._encode_waiting()

    def _encode_waiting(self) -> None:
        if self._codec is None:
            self._codec = Codec.fit(np.concatenate([vectors for _, vectors in self._waiting]))
        for number, vectors in self._waiting:
            self._codes[number] = self._codec.encode(vectors)
        self._waiting.clear()

    def finish(self) -> PassageTokens:
        """Return all of them, packed. Raises ``ValueError`` if a passage is missing."""
        self._encode_waiting()
        codes = [code for code in self._codes if code is not None]
        if self._codec is None or len(codes) != len(self._codes):
            raise ValueError(f"tokens of {len(codes)} passages, expected {len(self._codes)}")
        starts = np.concatenate([[0], np.cumsum([len(code) for code in codes])]).astype(np.int64)
        sentences = np.concatenate(self._sentences).astype(np.int32)
        return PassageTokens(self._codec, np.concatenate(codes), starts, sentences, self._frequencies)


def _row_ranges(spans: Integers, sentences: Sequence[Offsets]) -> npt.NDArray[np.int32]:
    """Return which rows belong to each sentence; both are in reading order, so each has one range."""
    ranges = [
        (np.searchsorted(spans[:, 1], start, side="right"), np.searchsorted(spans[:, 0], end, side="left"))
        for start, end in sentences
    ]
    return np.array(ranges, dtype=np.int32).reshape(-1, 2)
