"""Late interaction: the model's own token vectors, kept small, and the MaxSim of a question with them.

A passage's tokens are stored in 64 bytes each. The vector is moved by the mean of all and projected onto
the 128 directions in which tokens vary most (principal components), within which a random rotation makes
all components alike and near normal; each is rounded to the nearest of sixteen levels, those that Lloyd
(1957) and Max (1960) showed to lose least for a normal distribution. Two more bytes hold the length of
what is read back, which is scaled to 1, and four the token's id.

MaxSim (Khattab and Zaharia, 2020, arXiv 2004.12832): each token of the question looks for its best match
among the passage's tokens; here their cosines are averaged, weighted by how rare the token is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qa_service.datatypes import Offsets
from qa_service.embedding import Integers, TokenEmbeddings
from qa_service.lexical import idf

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.float16]
TokenIds = npt.NDArray[np.int32]

MAX_PASSAGE_BYTES = 16_384
_SEED = 20261123
_SAMPLE = 50_000
_COMPONENTS = 128
_COMPONENTS_PER_BYTE = 2
_LENGTH_BYTES, _ID_BYTES = 2, 4
# Max (1960), table I, for sixteen levels: in standard deviations, the positive half.
_HALF = [0.1284, 0.3881, 0.6568, 0.9424, 1.256, 1.618, 2.069, 2.733]
_LEVELS = np.array([-level for level in reversed(_HALF)] + _HALF, dtype=np.float32)
_EDGES = (_LEVELS[1:] + _LEVELS[:-1]) / 2
# Each byte holds two components; the table gives both at once, as the bytes of one 8-byte item.
_TABLE = np.stack([_LEVELS[np.arange(256) & 15], _LEVELS[np.arange(256) >> 4]], axis=1).view(np.complex64).ravel()
_BLOCK = 1024  # rows that stay in the cache between being unpacked and multiplied


@dataclass(frozen=True, slots=True)
class Codec:
    """Four-bit codes of token vectors in fewer dimensions.

    ``projection`` (d, k) has orthonormal columns; ``mean`` (d,) is that of the vectors, ``deviation`` their
    spread in each of the k directions.
    """

    projection: Floats
    mean: Floats
    deviation: float

    @classmethod
    def fit(cls, sample: Floats) -> "Codec":
        """Return a codec for vectors like those of ``sample`` (n, d); k is 128, or d if that is smaller."""
        kept = min(_COMPONENTS, sample.shape[1] // _COMPONENTS_PER_BYTE * _COMPONENTS_PER_BYTE)
        mean = sample.mean(axis=0)
        centred = sample - mean
        _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        rotation = np.linalg.qr(np.random.default_rng(_SEED).normal(size=(kept, kept)))[0]
        projection = (directions[:, -kept:] @ rotation).astype(np.float32)
        return cls(projection, mean, float((centred @ projection).std()) or 1.0)

    def encode(self, vectors: Floats) -> Codes:
        """Return the codes (n, k / 2) of unit vectors (n, d)."""
        scaled = (vectors - self.mean) @ self.projection / self.deviation
        levels = np.searchsorted(_EDGES, scaled).astype(np.uint8)
        codes: Codes = levels[:, ::2] | (levels[:, 1::2] << np.uint8(4))
        return codes

    def lengths(self, codes: Codes) -> Lengths:
        """Return the lengths (n,) of what the codes (n, k / 2) stand for, to be kept beside them."""
        squares = np.empty(len(codes), np.float32)
        along = self.mean @ self.projection
        for block, levels in _unpacked(codes):
            squares[block] = 2 * self.deviation * (levels @ along)
            squares[block] += self.deviation**2 * np.einsum("ij,ij->i", levels, levels)
        lengths: Lengths = np.sqrt(self.mean @ self.mean + squares).astype(np.float16)
        return lengths

    def cosines(self, vectors: Floats, codes: Codes, lengths: Lengths) -> Floats:
        """Return the cosines (m, n) of unit vectors (m, d) with what the codes (n, k / 2) stand for.

        The codes are never turned into vectors of d: with ``x = mean + deviation * levels @ projection.T``,
        ``q @ x`` follows from a product of the levels with the projected questions.
        """
        projected = vectors @ self.projection * self.deviation
        cosines = np.empty((len(projected), len(codes)), np.float32)
        for block, levels in _unpacked(codes):
            np.matmul(projected, levels.T, out=cosines[:, block])
        cosines += (vectors @ self.mean)[:, None]
        cosines /= lengths
        return cosines

    def to_array(self) -> Floats:
        """Return all numbers as one array (d, k + 2), for a file."""
        deviation = np.full(len(self.mean), self.deviation, np.float32)
        return np.column_stack([self.projection, self.mean, deviation]).astype(np.float32)

    @classmethod
    def from_array(cls, array: Floats) -> "Codec":
        """Return the codec that :meth:`to_array` wrote."""
        return cls(np.ascontiguousarray(array[:, :-2]), np.ascontiguousarray(array[:, -2]), float(array[0, -1]))


def _unpacked(codes: Codes) -> Iterator[tuple[slice, Floats]]:
    """Yield the levels (b, k) of block after block of the codes, always in the same memory."""
    memory = np.empty((min(_BLOCK, len(codes)), codes.shape[1]), _TABLE.dtype)
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK]
        # Every byte has its place in the table; to say so spares a copy.
        levels = np.take(_TABLE, block, out=memory[: len(block)], mode="clip")
        yield slice(start, start + len(block)), levels.view(np.float32)


@dataclass(frozen=True, slots=True)
class PassageTokens:
    """The stored tokens of all passages.

    ``codes`` (tokens, k / 2), ``lengths`` (tokens,) and ``ids`` (tokens,) in the model's vocabulary: passage
    ``i`` has the rows ``starts[i]`` to ``starts[i + 1]``. ``sentences`` (sentences, 2) are row ranges within
    their passage. ``frequencies`` (vocabulary,) counts the passages that hold a token id.
    """

    codec: Codec
    codes: Codes
    lengths: Lengths
    ids: TokenIds
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
        places = [slice(*pair) for pair in zip(self.starts[passages], self.starts[passages + 1], strict=True)]
        codes = np.concatenate([self.codes[place] for place in places])
        lengths = np.concatenate([self.lengths[place] for place in places])
        cosines = self.codec.cosines(question.vectors, codes, lengths)
        return Similarities(cosines, np.concatenate([[0], np.cumsum(counts)]), self.weights(question.ids))


@dataclass(frozen=True, slots=True)
class Similarities:
    """Cosines (question tokens, tokens of the passages), where each passage's begin, the tokens' weights."""

    cosines: Floats
    starts: Integers
    weights: Floats

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
        spoken = np.flatnonzero(rows[:, 0] < rows[:, 1])
        if not len(spoken):
            return 0, np.full(len(self.cosines), -1, np.float32)
        own = self.cosines[:, self.starts[passage] : self.starts[passage + 1]]
        # Of each pair of edges the first has its sentence's maximum; the last sentence may end with the passage.
        edges = rows[spoken].ravel()
        bests = np.maximum.reduceat(own, edges[:-1] if edges[-1] == own.shape[1] else edges, axis=1)[:, ::2]
        chosen = int(np.argmax(bests.mean(axis=0)))
        return int(spoken[chosen]), bests[:, chosen].astype(np.float32)


class PassageTokensBuilder:
    """Collects passages' tokens in any order and packs them.

    The codec is that of the stored tokens, if any are taken over first; else it is fitted to the first
    tokens that come, so these should be a fair sample.
    """

    def __init__(self, passages: int) -> None:
        self._codec: Codec | None = None
        self._waiting: list[tuple[int, Floats]] = []
        self._codes: list[Codes | None] = [None] * passages
        self._ids: list[TokenIds] = [np.empty(0, np.int32)] * passages
        self._sentences: list[npt.NDArray[np.int32]] = [np.empty((0, 2), np.int32)] * passages

    def add_stored(self, number: int, stored: PassageTokens, passage: int, sentences: slice) -> None:
        """Take over a passage's tokens as they are stored; ``sentences`` are its rows in ``stored.sentences``."""
        self._codec = stored.codec
        rows = slice(int(stored.starts[passage]), int(stored.starts[passage + 1]))
        self._codes[number] = stored.codes[rows]
        self._ids[number] = stored.ids[rows]
        self._sentences[number] = stored.sentences[sentences]

    def add(self, number: int, text: str, tokens: TokenEmbeddings, sentences: Sequence[Offsets]) -> None:
        """Take a passage's tokens; those without a letter or digit are dropped, and those over 16 KB."""
        spoken = np.array([any(map(str.isalnum, text[start:end])) for start, end in tokens.spans], dtype=bool)
        dimension = min(_COMPONENTS, tokens.vectors.shape[1])
        most = MAX_PASSAGE_BYTES // (dimension // _COMPONENTS_PER_BYTE + _LENGTH_BYTES + _ID_BYTES)
        kept = np.flatnonzero(spoken if spoken.any() else np.ones(len(spoken), bool))[:most]
        self._ids[number] = tokens.ids[kept].astype(np.int32)
        self._sentences[number] = _row_ranges(tokens.spans[kept], sentences)
        self._waiting.append((number, tokens.vectors[kept]))
        if self._codec is not None or sum(len(vectors) for _, vectors in self._waiting) >= _SAMPLE:
            self._encode_waiting()

    def _encode_waiting(self) -> None:
        if not self._waiting:
            return
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
        packed = np.concatenate(codes)
        return PassageTokens(
            codec=self._codec,
            codes=packed,
            lengths=self._codec.lengths(packed),
            ids=np.concatenate(self._ids),
            starts=starts,
            sentences=np.concatenate(self._sentences).astype(np.int32),
            frequencies=np.bincount(np.concatenate([np.unique(ids) for ids in self._ids])).astype(np.int32),
        )


def _row_ranges(spans: Integers, sentences: Sequence[Offsets]) -> npt.NDArray[np.int32]:
    """Return which rows belong to each sentence; both are in reading order, so each has one range."""
    ranges = [
        (np.searchsorted(spans[:, 1], start, side="right"), np.searchsorted(spans[:, 0], end, side="left"))
        for start, end in sentences
    ]
    return np.array(ranges, dtype=np.int32).reshape(-1, 2)
