"""Encodes token vectors in two bits a component, and computes cosines without decoding them."""

from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import ByteArray, Float16Array, FloatArray
from qa_service.index.tokens.product import products, unpacked

COMPONENTS = 128
COMPONENTS_PER_BYTE = 4
_SEED = 20261123
_PRIOR_TOKENS = 8
# Max (1960), table II: the distance of four equally spaced levels, in standard deviations.
_STEP = 0.9957
_MIDDLE = 1.5
_QUESTION_LEVELS = 127
_COLUMN_MULTIPLE = 16
_DECODE_BATCH = 65_536  # rows


@dataclass(frozen=True, slots=True)
class Codec:
    """Two-bit codes of projected token vectors.

    ``projection`` (d, k) has orthonormal columns, ``mean`` (d,) is the mean of the vectors, and ``deviation`` their
    standard deviation in each of the k directions.
    """

    projection: FloatArray
    mean: FloatArray
    deviation: float

    @classmethod
    def fit(cls, sample: FloatArray) -> "Codec":
        """Fit a codec to a sample of vectors (n, d); k is 128, or d if that is smaller.

        The mean of a small sample is drawn to 0: the first documents of an index may be a few lines, and those that
        are added later are encoded by the same codec.
        """
        kept = min(COMPONENTS, sample.shape[1] // COMPONENTS_PER_BYTE * COMPONENTS_PER_BYTE)
        mean = sample.sum(axis=0) / (len(sample) + _PRIOR_TOKENS)
        centred = sample - mean
        _, directions = np.linalg.eigh((centred.T @ centred).astype(np.float64))
        rotation = np.linalg.qr(np.random.default_rng(_SEED).normal(size=(kept, kept)))[0]
        projection = (directions[:, -kept:] @ rotation).astype(np.float32)
        return cls(projection, mean, float((centred @ projection).std()) or 1.0)

    def encode(self, vectors: FloatArray) -> ByteArray:
        """Return the codes (n, k / 4) of unit vectors (n, d)."""
        scaled = (vectors - self.mean) @ self.projection / (self.deviation * _STEP)
        levels = np.clip(np.rint(scaled + _MIDDLE), 0, 2 * _MIDDLE).astype(np.uint8)
        parts = np.split(levels, COMPONENTS_PER_BYTE, axis=1)
        codes: ByteArray = parts[0] | (parts[1] << np.uint8(2)) | (parts[2] << np.uint8(4)) | (parts[3] << np.uint8(6))
        return codes

    def lengths(self, codes: ByteArray) -> Float16Array:
        """Return the norms (n,) of the decoded vectors, to be stored with the codes (n, k / 4)."""
        squares = np.empty(len(codes), np.float32)
        step = self.deviation * _STEP
        along = self.mean @ self.projection
        for start in range(0, len(codes), _DECODE_BATCH):
            block = codes[start : start + _DECODE_BATCH]
            levels = np.concatenate(unpacked(block), axis=1).astype(np.float32) - np.float32(_MIDDLE)
            squares[start : start + _DECODE_BATCH] = 2 * step * (levels @ along) + step**2 * np.einsum(
                "ij,ij->i", levels, levels
            )
        lengths: Float16Array = np.sqrt(self.mean @ self.mean + squares).astype(np.float16)
        return lengths

    def cosines(self, vectors: FloatArray, codes: ByteArray, lengths: Float16Array) -> FloatArray:
        """Return the cosines (m, n) of unit vectors (m, d) with the vectors that the codes (n, k / 4) encode.

        The codes are not decoded to d components: with ``x = mean + step * (numbers - 1.5) @ projection.T``, ``q @ x``
        is a product of the numbers with the projected question, plus a constant. The projected question is rounded to
        eight bits a component, a small part of the error of the codes.
        """
        projected = vectors @ self.projection * (self.deviation * _STEP)
        scales = np.maximum(np.abs(projected).max(axis=1) / _QUESTION_LEVELS, np.finfo(np.float32).tiny)
        rounded = np.rint(projected / scales[:, None]).astype(np.int8)
        # Products are computed in blocks of 16 columns; the last block is padded with zeros.
        columns = np.zeros((projected.shape[1], -(-len(vectors) // _COLUMN_MULTIPLE) * _COLUMN_MULTIPLE), np.int8)
        columns[:, : len(vectors)] = rounded.T
        cosines = np.empty((len(vectors), len(codes)), np.float32)
        cosines[:] = products(codes, columns)[:, : len(vectors)].T
        cosines *= scales[:, None]
        cosines += (vectors @ self.mean - _MIDDLE * scales * rounded.sum(axis=1, dtype=np.float32))[:, None]
        cosines *= 1 / lengths.astype(np.float32)
        return cosines

    def same_as(self, other: "Codec") -> bool:
        """Tell whether codes of the one are codes of the other."""
        return np.array_equal(self.to_array(), other.to_array())

    def to_array(self) -> FloatArray:
        """Return all numbers as one array (d, k + 2), for a file."""
        deviation = np.full(len(self.mean), self.deviation, np.float32)
        return np.column_stack([self.projection, self.mean, deviation]).astype(np.float32)

    @classmethod
    def from_array(cls, array: FloatArray) -> "Codec":
        """Return the codec that :meth:`to_array` wrote."""
        return cls(np.ascontiguousarray(array[:, :-2]), np.ascontiguousarray(array[:, -2]), float(array[0, -1]))
