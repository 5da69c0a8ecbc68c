"""Writes a BERT with mean pooling as an ONNX graph, from its safetensors, without torch.

There are two forms of one graph. ``fused`` has the nodes that ONNX Runtime runs fastest, with attention and Gelu as
one node each. ``plain`` has operators of ONNX only, as OpenVINO reads it. The names of constants are those of the
weights. Devlin et al. (2019, arXiv 1810.04805) describe the layers, Reimers and Gurevych (2019, arXiv 1908.10084) the
pooling.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto, helper, numpy_helper
from safetensors import SafetensorError
from safetensors.numpy import load_file

from qa_service.embedding.runtime import OUTPUTS
from qa_service.errors import ModelCorrupt

INPUTS = ("input_ids", "attention_mask")
"""The graph's inputs. The service embeds one text at a time, whose tokens all have the first type."""
OPSET, _FUSED_DOMAIN, _IR = 17, "com.microsoft", 8
_MASKED = float(np.finfo(np.float32).min)
_MIN_TOKENS, _MIN_NORM = 1e-9, 1e-12
_CONFIG, _WEIGHTS = "config.json", "model.safetensors"
_EXPECTED = {"model_type": "bert", "hidden_act": "gelu"}


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers of a BERT's configuration that its weights do not tell."""

    layers: int
    heads: int
    width: int
    epsilon: float

    @classmethod
    def read(cls, folder: Path) -> "Shape":
        """Read a model folder's configuration. Raises :class:`ModelCorrupt` unless it is that of a plain BERT."""
        path = folder / _CONFIG
        try:
            config = json.loads(path.read_bytes())
            for name, expected in _EXPECTED.items():
                if config[name] != expected:
                    raise ModelCorrupt(f"{path} has {name} {config[name]!r}, expected {expected!r}")
            return cls(
                layers=int(config["num_hidden_layers"]),
                heads=int(config["num_attention_heads"]),
                width=int(config["hidden_size"]),
                epsilon=float(config["layer_norm_eps"]),
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelCorrupt(f"{path} is not a BERT's: {type(error).__name__}: {error}") from error


def write_bert(folder: Path, *, fused: bool) -> ModelProto:
    """Return the graph of a BERT's folder, for any number of texts and of tokens.

    Raises :class:`ModelCorrupt`, naming the file.
    """
    shape, path = Shape.read(folder), folder / _WEIGHTS
    try:
        weights = load_file(path)
        return (_FusedWriter if fused else _PlainWriter)(shape, weights).model()
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelCorrupt(f"{path} does not hold a BERT's weights: {type(error).__name__}: {error}") from error


class _Writer:
    """Collects nodes and constants. Methods that add nodes take and return names of tensors."""

    domains: ClassVar[dict[str, int]] = {"": OPSET}

    def __init__(self, shape: Shape, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self._shape = shape
        self._weights = weights
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}

    def model(self) -> ModelProto:
        """Return the complete graph."""
        states = self._embeddings()
        mask = self._mask()
        for number in range(self._shape.layers):
            states = self._layer(f"encoder.layer.{number}", states, mask)
        vectors = self._pooled(states)
        for found, name in zip((vectors, states), OUTPUTS, strict=True):
            self._rename(found, name)
        rows: list[str | int] = ["texts", "tokens"]
        inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, rows) for name in INPUTS]
        shapes: tuple[list[str | int], ...] = (["texts", self._shape.width], [*rows, self._shape.width])
        outputs = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in zip(OUTPUTS, shapes, strict=True)
        ]
        graph = helper.make_graph(self._nodes, "bert", inputs, outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid(domain, version) for domain, version in self.domains.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR, producer_name="qa-service")

    def _rename(self, old: str, new: str) -> None:
        for node in self._nodes:
            for names in (node.input, node.output):
                for place, name in enumerate(names):
                    if name == old:
                        names[place] = new

    def _node(self, kind: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        output = f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def _constant(self, name: str, values: Any, kind: Any = np.float32) -> str:
        if name not in self._constants:
            self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(values, kind), name)
        return name

    def _weight(self, name: str) -> str:
        return self._constant(name, self._weights[name])

    def _embeddings(self) -> str:
        """Add the vectors of words, of the first token type and of positions, in the order in which torch does."""
        table, place, kind = (f"embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type"))
        words = self._node("Gather", [self._weight(table), INPUTS[0]])
        typed = self._node("Add", [words, self._constant("first_type", self._weights[kind][0])])
        first, second, third = (self._constant(str(number), [number], np.int64) for number in (0, 1, 2))
        length = self._node("Slice", [self._node("Shape", [INPUTS[0]]), second, third])
        positions = self._node("Slice", [self._weight(place), first, length])
        return self._norm("embeddings", self._node("Add", [typed, positions]))

    def _layer(self, name: str, states: str, mask: str) -> str:
        attended = self._attention(f"{name}.attention.self", states, mask)
        found = self._linear(f"{name}.attention.output.dense", attended)
        states = self._norm(f"{name}.attention.output", self._node("Add", [found, states]))
        grown = self._gelu(f"{name}.intermediate.dense", states)
        found = self._linear(f"{name}.output.dense", grown)
        return self._norm(f"{name}.output", self._node("Add", [found, states]))

    def _norm(self, name: str, values: str) -> str:
        scale, shift = (self._weight(f"{name}.LayerNorm.{part}") for part in ("weight", "bias"))
        return self._node("LayerNormalization", [values, scale, shift], axis=-1, epsilon=self._shape.epsilon)

    def _product(self, name: str, values: str) -> str:
        """Multiply with a weight, which is stored as (outputs, inputs)."""
        weight = self._weights[f"{name}.weight"]
        return self._node("MatMul", [values, self._constant(f"{name}.weight", weight.T)])

    def _linear(self, name: str, values: str) -> str:
        return self._node("Add", [self._product(name, values), self._weight(f"{name}.bias")])

    def _pooled(self, states: str) -> str:
        """Add the mean of each text's tokens, scaled to length 1."""
        last, tokens = self._constant("-1", [-1], np.int64), self._constant("1", [1], np.int64)
        present = self._node("Cast", [self._node("Unsqueeze", [INPUTS[1], last])], to=TensorProto.FLOAT)
        total = self._node("ReduceSum", [self._node("Mul", [states, present]), tokens], keepdims=0)
        count = self._node("ReduceSum", [present, tokens], keepdims=0)
        mean = self._node("Div", [total, self._node("Max", [count, self._constant("min_tokens", _MIN_TOKENS)])])
        norm = self._node("ReduceL2", [mean], axes=[-1], keepdims=1)
        return self._node("Div", [mean, self._node("Max", [norm, self._constant("min_norm", _MIN_NORM)])])

    def _mask(self) -> str:
        raise NotImplementedError

    def _attention(self, name: str, states: str, mask: str) -> str:
        raise NotImplementedError

    def _gelu(self, name: str, states: str) -> str:
        """Multiply with the weight ``name``, add its bias, apply Gelu."""
        raise NotImplementedError


class _FusedWriter(_Writer):
    """Writes attention and Gelu as nodes of ONNX Runtime. The mask is the number of tokens of each text."""

    domains: ClassVar[dict[str, int]] = {"": OPSET, _FUSED_DOMAIN: 1}

    def _mask(self) -> str:
        present = self._node("Cast", [INPUTS[1]], to=TensorProto.INT32)
        return self._node("ReduceSum", [present, self._constant("1", [1], np.int64)], keepdims=0)

    def _attention(self, name: str, states: str, mask: str) -> str:
        parts = [f"{name}.{part}" for part in ("query", "key", "value")]
        biases = self._constant(f"{name}.bias", np.concatenate([self._weights[f"{part}.bias"] for part in parts]))
        products = [self._product(part, states) for part in parts]
        heads = self._shape.heads
        return self._node("MultiHeadAttention", [*products, biases, mask], domain=_FUSED_DOMAIN, num_heads=heads)

    def _gelu(self, name: str, states: str) -> str:
        inputs = [self._product(name, states), self._weight(f"{name}.bias")]
        return self._node("BiasGelu", inputs, domain=_FUSED_DOMAIN)


class _PlainWriter(_Writer):
    """Writes attention and Gelu out. The mask is added to the scores of attention."""

    def _mask(self) -> str:
        present = self._node("Cast", [INPUTS[1]], to=TensorProto.BOOL)
        wide = self._node("Unsqueeze", [present, self._constant("1_2", [1, 2], np.int64)])
        return self._node("Where", [wide, self._constant("zero", 0), self._constant("masked", _MASKED)])

    def _attention(self, name: str, states: str, mask: str) -> str:
        width = self._shape.width // self._shape.heads
        split = self._constant("split_heads", [0, 0, self._shape.heads, width], np.int64)

        def heads(part: str, order: list[int]) -> str:
            values = self._linear(f"{name}.{part}", states)
            return self._node("Transpose", [self._node("Reshape", [values, split])], perm=order)

        queries, keys, values = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]), heads("value", [0, 2, 1, 3])
        scores = self._node("MatMul", [queries, keys])
        scaled = self._node("Mul", [scores, self._constant("attention_scale", width**-0.5)])
        shares = self._node("Softmax", [self._node("Add", [scaled, mask])], axis=-1)
        found = self._node("Transpose", [self._node("MatMul", [shares, values])], perm=[0, 2, 1, 3])
        return self._node("Reshape", [found, self._constant("join_heads", [0, 0, self._shape.width], np.int64)])

    def _gelu(self, name: str, states: str) -> str:
        values = self._linear(name, states)
        scaled = self._node("Div", [values, self._constant("sqrt_2", np.sqrt(2))])
        share = self._node("Add", [self._node("Erf", [scaled]), self._constant("one", 1)])
        return self._node("Mul", [self._node("Mul", [values, share]), self._constant("half", 0.5)])
