"""Vectors of questions in 8 bits a component. Their lengths are lost, and cosines do not need them."""

from collections.abc import Sequence

import numpy as np

from qa_service.datatypes import FloatArray

_MAX_COMPONENT = 127


def packed(vector: FloatArray) -> bytes:
    """Return a vector (d,) as d bytes."""
    largest = float(np.abs(vector).max()) or 1.0
    return bytes(np.round(vector * (_MAX_COMPONENT / largest)).astype(np.int8).tobytes())


def unpacked(rows: Sequence[bytes]) -> FloatArray:
    """Return unit vectors (n, d)."""
    vectors: FloatArray = np.frombuffer(b"".join(rows), np.int8).reshape(len(rows), -1).astype(np.float32)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)
    return vectors
