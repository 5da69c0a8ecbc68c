"""Tables of word vectors in 16 and in 8 bits."""

from typing import Literal

import numpy as np
import pytest

from qa_service.embedding.quantization import quantize

ROWS, WIDTH = 1500, 8


@pytest.fixture(scope="module")
def table() -> np.ndarray:
    """Rows of very different lengths, one of them zero."""
    random = np.random.default_rng(7)
    rows = random.normal(size=(ROWS, WIDTH)) * np.exp(random.normal(size=(ROWS, 1)))
    rows[3] = 0
    return rows.astype(np.float32)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_table_is_read_within_the_step_of_its_rows(table: np.ndarray, bits: Literal[8, 16]) -> None:
    """8 bits: half of 1/127 of a row's largest entry. 16 bits: 2**-11 of an entry."""
    import onnxruntime

    model = lookup_twice(table)
    quantize(model, table_bits=bits)
    places = np.array([[0, 3, 7], [ROWS - 1, 7, 1]], np.int64)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    found = session.run(None, {"first": places, "second": places[::-1].copy()})
    for output, rows in zip(found, (table[places], table[places[::-1]]), strict=True):
        step = np.abs(rows).max(axis=-1, keepdims=True) / 127 / 2 if bits == 8 else np.abs(rows) * 2.0**-11
        assert output.dtype == np.float32
        assert (np.abs(output - rows) <= step + 1e-6).all()


def test_a_table_takes_one_byte_or_two_for_an_entry(table: np.ndarray) -> None:
    """A row of 8 bits has four bytes more for its scale, and both lookups share one table."""
    sizes = {}
    for bits in (8, 16):
        model = lookup_twice(table)
        quantize(model, table_bits=bits)
        stored = {tensor.name: tensor for tensor in model.graph.initializer if tensor.name.startswith("table")}
        sizes[bits] = sum(len(tensor.raw_data) for tensor in stored.values())
    assert sizes == {8: ROWS * (WIDTH + 4), 16: ROWS * WIDTH * 2}


def lookup_twice(table: np.ndarray):  # noqa: ANN201 - an onnx.ModelProto
    from onnx import TensorProto, helper, numpy_helper

    names = ("first", "second")
    graph = helper.make_graph(
        [helper.make_node("Gather", ["table", name], [name + "_rows"]) for name in names],
        "lookups",
        [helper.make_tensor_value_info(name, TensorProto.INT64, [2, 3]) for name in names],
        [helper.make_tensor_value_info(name + "_rows", TensorProto.FLOAT, [2, 3, WIDTH]) for name in names],
        [numpy_helper.from_array(table, "table")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
