"""Integer products of packed codes with a question's numbers, in a third of the time that floats take.

ONNX Runtime multiplies bytes by the widest instructions of the CPU. Its graph, ``products.onnx``, has three nodes; a
test builds it again and compares.
"""

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from qa_service.datatypes import ByteArray, Int8Array, Int32Array
from qa_service.embedding.graphs import open_graph

GRAPH = Path(__file__).with_name("products.onnx")


def products(codes: ByteArray, question: Int8Array) -> Int32Array:
    """Return the products (n, m) of the numbers in the codes (n, k / 2) with those of a question (k, m).

    The lower four bits of a row's bytes are its first k / 2 numbers, the upper four bits the others.
    """
    half = codes.shape[1]
    given = {
        "low": codes & np.uint8(15),
        "high": codes >> np.uint8(4),
        "for_low": question[:half],
        "for_high": question[half:],
    }
    result: Int32Array = _session().run(None, given)[0]
    return result


@cache
def _session() -> Any:
    return open_graph(GRAPH)
