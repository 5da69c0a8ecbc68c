"""Array types, as names for annotations."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    """Vectors, cosines, scores."""
    Float64Array = NDArray[np.float64]
    Float16Array = NDArray[np.float16]
    IntArray = NDArray[np.int64]
    """Passage numbers, offsets, counts."""
    Int32Array = NDArray[np.int32]
    """Ids of terms and of tokens."""
    Int8Array = NDArray[np.int8]
    ByteArray = NDArray[np.uint8]
    BoolArray = NDArray[np.bool_]
else:  # the client imports this module, and must not load numpy
    FloatArray = Float64Array = Float16Array = IntArray = Int32Array = Int8Array = ByteArray = BoolArray = Any
