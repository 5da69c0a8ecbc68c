"""Reads the stored tokens of all passages and computes MaxSim of a question with them."""

import math
import os
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from qa_service.datatypes import ByteArray, Float16Array, FloatArray, Int32Array, IntArray, Offsets
from qa_service.embedding import TokenEmbeddings
from qa_service.errors import StorageError
from qa_service.index.tokens.codec import Codec
from qa_service.index.words import idf

CODES, LENGTHS, IDS = "tokens.npy", "token-lengths.npy", "token-ids.npy"
STARTS, SENTENCES, FREQUENCIES, CODEC = (
    "token-starts.npy",
    "token-sentences.npy",
    "token-frequencies.npy",
    "token-codec.npy",
)
FILES = (CODES, LENGTHS, IDS, STARTS, SENTENCES, FREQUENCIES, CODEC)


class StoredRows:
    """Rows of an array in a file, read on demand; a file of up to ``max_bytes_in_memory`` is read into memory.

    Memory-mapping would count every page that was ever read as memory of this process, in the end the whole file.
    """

    def __init__(self, path: Path, *, max_bytes_in_memory: int = 64_000_000) -> None:
        self._path = path
        with path.open("rb") as file:
            np.lib.format.read_magic(file)
            self.shape, _, self._dtype = np.lib.format.read_array_header_1_0(file)
            self._offset = file.tell()
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.close = weakref.finalize(self, os.close, self._descriptor)
        """Close the file."""
        self._width = math.prod(self.shape[1:]) * self._dtype.itemsize
        self._all: ByteArray | None = None
        if len(self) * self._width <= max_bytes_in_memory:
            self._all = self._from_file([(0, len(self))])

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.shape[0])

    def read(self, ranges: Sequence[Offsets]) -> ByteArray:
        """Return the concatenated rows of ranges. Raises :class:`StorageError` if they can't be read."""
        if self._all is not None:
            return np.concatenate([self._all[first:last] for first, last in ranges])
        return self._from_file(ranges)

    def _from_file(self, ranges: Sequence[Offsets]) -> ByteArray:
        width = self._width
        try:
            pieces = [
                _read(self._descriptor, (last - first) * width, self._offset + first * width) for first, last in ranges
            ]
        except OSError as error:
            raise StorageError(f"{self._path}: {error.strerror}; check the disk") from error
        rows = np.frombuffer(b"".join(pieces), self._dtype)
        wanted = (sum(last - first for first, last in ranges), *self.shape[1:])
        if rows.size != math.prod(wanted):
            raise StorageError(f"{self._path} ends before its last row; check the disk")
        return rows.reshape(wanted)


def _read(descriptor: int, length: int, offset: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, offset)
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, length)


@dataclass(frozen=True, slots=True)
class PassageTokens:
    """The stored tokens of all passages.

    Passage ``i`` has the rows ``starts[i]`` to ``starts[i + 1]`` of ``codes`` (tokens, k / 4), ``lengths`` (tokens,)
    and ``ids`` (tokens,) in the model's vocabulary. ``sentences`` (sentences, 2) are row ranges within their passage.
    ``frequencies`` (vocabulary,) are the numbers of passages that hold each token id. The files lie in ``folder``.
    """

    folder: Path
    codec: Codec
    codes: "StoredRows"
    lengths: Float16Array
    ids: IntArray
    starts: IntArray
    sentences: Int32Array
    frequencies: Int32Array

    @classmethod
    def load(cls, folder: Path) -> "PassageTokens":
        """Open the files of :class:`PassageTokensBuilder`, memory-mapped. The caller has checked their hashes."""

        def read(name: str) -> npt.NDArray[Any]:
            # A plain array over the mapped file; slicing numpy.memmap is slow.
            return np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False))

        return cls(folder, Codec.from_array(read(CODEC)), StoredRows(folder / CODES), *map(read, FILES[1:-1]))

    def close(self) -> None:
        """Close the file of codes."""
        self.codes.close()

    def weights(self, ids: IntArray) -> FloatArray:
        """Return the weight of each token of a question: BM25's idf over passages."""
        return token_weights(ids, self.frequencies, len(self.starts) - 1)

    def similarities(self, question: TokenEmbeddings, passages: IntArray) -> "Similarities":
        """Return the cosines of a question's tokens with all tokens of the passages, in order."""
        counts = self.starts[passages + 1] - self.starts[passages]
        ranges = list(zip(self.starts[passages].tolist(), self.starts[passages + 1].tolist(), strict=True))
        codes = self.codes.read(ranges)
        lengths = np.concatenate([self.lengths[first:last] for first, last in ranges])
        cosines = self.codec.cosines(question.vectors, codes, lengths)
        return Similarities(cosines, np.concatenate([[0], np.cumsum(counts)]), self.weights(question.ids))


@dataclass(frozen=True, slots=True)
class Similarities:
    """The ``cosines`` (question tokens, passage tokens), the passages' first columns, and token weights."""

    cosines: FloatArray
    starts: IntArray
    weights: FloatArray

    def best(self) -> FloatArray:
        """Return the best cosine of each question token in each passage (question tokens, passages)."""
        best: FloatArray = np.maximum.reduceat(self.cosines, self.starts[:-1], axis=1)
        return best

    def maxsim(self, best: FloatArray | None = None) -> FloatArray:
        """Return the MaxSim of each passage: the weighted mean of the best cosine of each question token.

        Pass the result of :meth:`best` if it is known.
        """
        scores: FloatArray = (self.weights / self.weights.sum()) @ (self.best() if best is None else best)
        return scores

    def sentence(self, passage: int, rows: Int32Array, allowed: Sequence[int]) -> tuple[int, FloatArray]:
        """Return the number of a passage's best sentence, and the best cosine of each question token in it.

        ``passage`` is an index into ``starts``; ``rows`` (sentences, 2) are the sentences' token ranges, ``allowed``
        the increasing numbers of those to choose from. The best sentence has the highest mean of these cosines.
        """
        spoken = np.array(allowed)
        spoken = spoken[rows[spoken, 0] < rows[spoken, 1]]
        if not len(spoken):
            return allowed[0], np.full(len(self.cosines), -1, np.float32)
        own = self.cosines[:, self.starts[passage] : self.starts[passage + 1]]
        # The first edge of each pair gets its sentence's maximum; the last sentence may end with the passage.
        edges = rows[spoken].ravel()
        bests = np.maximum.reduceat(own, edges[:-1] if edges[-1] == own.shape[1] else edges, axis=1)[:, ::2]
        chosen = int(np.argmax(bests.sum(axis=0)))
        return int(spoken[chosen]), bests[:, chosen]


def token_weights(ids: IntArray, frequencies: Int32Array, passages: int) -> FloatArray:
    """Return the idf of token ids over a number of passages; ``frequencies`` are indexed by token id."""
    known = np.where(ids < len(frequencies), frequencies[np.minimum(ids, len(frequencies) - 1)], 0)
    return idf(passages, known).astype(np.float32)
