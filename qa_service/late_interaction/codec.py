"""Token vectors in four bits a component, and cosines with them that never turn them back."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
Lengths = npt.NDArray[np.float16]

COMPONENTS = 128
COMPONENTS_PER_BYTE = 2
_SEED = 20261123
# Max (1960), table II: the distance of sixteen equally spaced levels, in standard deviations. Levels at unequal
# distances lose .8 dB less, and reading them takes twice as long.
_STEP = 0.3352
_MIDDLE = 7.5
_BLOCK = 2048  # rows that are unpacked at once, in the same megabyte of memory


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
        kept = min(COMPONENTS, sample.shape[1] // COMPONENTS_PER_BYTE * COMPONENTS_PER_BYTE)
        mean = sample.mean(axis=0)
        centred = sample - mean
        _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        rotation = np.linalg.qr(np.random.default_rng(_SEED).normal(size=(kept, kept)))[0]
        projection = (directions[:, -kept:] @ rotation).astype(np.float32)
        return cls(projection, mean, float((centred @ projection).std()) or 1.0)

    def encode(self, vectors: Floats) -> Codes:
        """Return the codes (n, k / 2) of unit vectors (n, d)."""
        scaled = (vectors - self.mean) @ self.projection / (self.deviation * _STEP)
        levels = np.clip(np.rint(scaled + _MIDDLE), 0, 2 * _MIDDLE).astype(np.uint8)
        half = levels.shape[1] // COMPONENTS_PER_BYTE
        codes: Codes = levels[:, :half] | (levels[:, half:] << np.uint8(4))
        return codes

    def lengths(self, codes: Codes) -> Lengths:
        """Return the lengths (n,) of what the codes (n, k / 2) stand for, to be kept beside them."""
        squares = np.empty(len(codes), np.float32)
        step = self.deviation * _STEP
        along = self.mean @ self.projection
        for block, numbers in _unpacked(codes):
            levels = numbers - np.float32(_MIDDLE)
            squares[block] = 2 * step * (levels @ along) + step**2 * np.einsum("ij,ij->i", levels, levels)
        lengths: Lengths = np.sqrt(self.mean @ self.mean + squares).astype(np.float16)
        return lengths

    def cosines(self, vectors: Floats, codes: Codes, lengths: Lengths) -> Floats:
        """Return the cosines (m, n) of unit vectors (m, d) with what the codes (n, k / 2) stand for.

        The codes are never turned into vectors of d: with ``x = mean + step * (numbers - 7.5) @ projection.T``,
        ``q @ x`` is a product of the numbers with the projected question, and a constant.
        """
        projected = vectors @ self.projection * (self.deviation * _STEP)
        cosines = np.empty((len(projected), len(codes)), np.float32)
        for block, numbers in _unpacked(codes):
            np.matmul(projected, numbers.T, out=cosines[:, block])
        cosines += (vectors @ self.mean - _MIDDLE * projected.sum(axis=1))[:, None]
        cosines *= 1 / lengths.astype(np.float32)
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
    """Yield the numbers (b, k), 0 to 15, of block after block of the codes, always in the same memory."""
    rows, half = min(_BLOCK, len(codes)), codes.shape[1]
    numbers, nibbles = np.empty((rows, 2 * half), np.float32), np.empty((rows, half), np.uint8)
    for start in range(0, len(codes), _BLOCK):
        block = codes[start : start + _BLOCK]
        own, some = numbers[: len(block)], nibbles[: len(block)]
        own[:, :half] = np.bitwise_and(block, 15, out=some)
        own[:, half:] = np.right_shift(block, 4, out=some)
        yield slice(start, start + len(block)), own
