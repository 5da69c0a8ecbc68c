"""Quantises the matrix products of an ONNX graph to 8 bits, for ONNX Runtime with a scale for each row of activations.

ONNX Runtime's own dynamic quantisation has one scale for a whole tensor. Then a text's vector depends on the other
texts of its batch, and one outlying token costs all others precision. A scale for each row, as in LLM.int8() (Dettmers
et al., 2022, arXiv 2208.07339), avoids both. Weights have a scale for each output channel, and seven bits: the sum of
two products of eight bits overflows the 16 bits in which CPUs without VNNI add them. The table of word vectors is
stored in 16 bits, as only a few of its rows are read, or in 8 bits with a scale for each row if size matters more.
"""

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np

_LEVELS, _WEIGHT_LEVELS = 127, 63
_LARGE_TABLE = 1000
_DOMAIN = "com.microsoft"  # of MatMulIntegerToFloat, ONNX Runtime's fused product


def quantize(model: Any, *, table_bits: Literal[8, 16] = 16, scale_per_row: bool = True) -> None:
    """Change an ``onnx.ModelProto`` in place: every product with a constant matrix, every large table.

    A table's entries take ``table_bits``: 16 as floats, or 8 as integers with a float32 scale for each row. Without
    ``scale_per_row`` activations have one scale for a whole tensor: for models that never see two texts together.
    """
    _Rewriter(model.graph, table_bits, scale_per_row=scale_per_row).rewrite()
    from onnx import helper  # noqa: PLC0415 - only when a model is exported

    if _DOMAIN not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(_DOMAIN, 1))


def quantize_weights(model: Any) -> None:
    """Change an ``onnx.ModelProto`` in place: constant matrices of products in 8 bits, one scale for an output channel.

    Activations are quantised by the runtime if it can; OpenVINO does.
    """
    from onnx import helper, numpy_helper  # noqa: PLC0415 - only when a model is exported

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    made: dict[str, Any] = {}
    for node in graph.node:
        name = node.input[1] if node.op_type == "MatMul" else ""
        if name not in made:
            weights = _matrix(constants.get(name))
            if weights is None:
                continue
            parts = _in_8_bits(name, weights, _LEVELS)
            graph.initializer.extend(numpy_helper.from_array(array, part) for part, array in parts.items())
            graph.initializer.remove(constants[name])
            made[name] = helper.make_node("DequantizeLinear", list(parts), [name + "_float"], axis=1)
        node.input[1] = name + "_float"
    for node in made.values():
        graph.node.insert(0, node)


def _matrix(tensor: Any) -> Any:
    """Return a constant as an array if it is a matrix of float32, else ``None``."""
    from onnx import numpy_helper  # noqa: PLC0415 - only when a model is exported

    if tensor is None or len(tensor.dims) != 2:  # noqa: PLR2004 - rows and columns
        return None
    array = numpy_helper.to_array(tensor)
    return array if array.dtype == np.float32 else None


def _in_8_bits(name: str, weights: Any, levels: int) -> dict[str, Any]:
    """Return weights as integers in ``-levels..levels``, and each column's scale and zero point, by tensor names."""
    scales = np.maximum(np.abs(weights).max(axis=0) / levels, 1e-12).astype(np.float32)
    return {
        name + "_int8": np.rint(weights / scales).astype(np.int8),
        name + "_scales": scales,
        name + "_zeros": np.zeros(len(scales), np.int8),
    }


class _Rewriter:
    """Rewrites one graph, node by node; tensors that several nodes share are added once."""

    def __init__(self, graph: Any, table_bits: int, *, scale_per_row: bool) -> None:
        import onnx  # noqa: PLC0415 - only when a model is exported

        self._onnx: Any = onnx
        self._graph = graph
        self._product = self._product_by_rows if scale_per_row else self._product_by_tensor
        self._lookup = self._lookup_8_bits if table_bits == 8 else self._lookup_16_bits  # noqa: PLR2004 - its name
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._added: dict[str, Any] = {}
        self._replaced: set[str] = set()
        self._quantized: set[str] = set()

    def rewrite(self) -> None:
        """Replace the nodes and constants of the graph."""
        if self._product == self._product_by_rows:
            self._constant("q_least", np.array(1e-9, np.float32))
            self._constant("q_step", np.array(1 / 127, np.float32))
            self._constant("q_zero", np.array(128, np.uint8))
        nodes = [new for node in self._graph.node for new in self._rewritten(node)]
        kept = [tensor for tensor in self._graph.initializer if tensor.name not in self._replaced]
        del self._graph.node[:], self._graph.initializer[:]
        self._graph.node.extend(nodes)
        self._graph.initializer.extend([*kept, *self._added.values()])

    def _rewritten(self, node: Any) -> Iterator[Any]:
        if node.op_type == "MatMul" and (weights := self._matrix(node.input[1])) is not None:
            yield from self._product(node, weights)
        elif node.op_type == "Gather" and (table := self._matrix(node.input[0])) is not None:
            yield from self._lookup(node, table) if len(table) >= _LARGE_TABLE else (node,)
        else:
            yield node

    def _matrix(self, name: str) -> Any:
        return _matrix(self._constants.get(name))

    def _constant(self, name: str, array: Any) -> None:
        self._added[name] = self._onnx.numpy_helper.from_array(array, name)

    def _product_by_rows(self, node: Any, weights: Any) -> Iterator[Any]:
        """``x @ w = (x / s) @ (w / t) * s * t``: both factors are integers, ``s`` is a row's, ``t`` a column's."""
        make = self._onnx.helper.make_node
        values, name = node.input
        if values not in self._quantized:
            self._quantized.add(values)
            yield make("Abs", [values], [values + "_abs"])
            yield make("ReduceMax", [values + "_abs"], [values + "_most"], axes=[-1], keepdims=1)
            yield make("Max", [values + "_most", "q_least"], [values + "_scale"])
            yield make("Div", [values, values + "_scale"], [values + "_unit"])
            yield make("QuantizeLinear", [values + "_unit", "q_step", "q_zero"], [values + "_int8"])
        self._add_weights(name, weights)
        inputs = [values + "_int8", name + "_int8", "q_step", name + "_scales", "q_zero", name + "_zeros"]
        output = node.output[0]
        yield make("MatMulIntegerToFloat", inputs, [output + "_unit"], domain=_DOMAIN)
        yield make("Mul", [output + "_unit", values + "_scale"], [output])

    def _product_by_tensor(self, node: Any, weights: Any) -> Iterator[Any]:
        """As ``_product_by_rows``, with one scale and zero point for all of ``x``."""
        make = self._onnx.helper.make_node
        values, name = node.input
        parts = [values + "_int8", values + "_scale", values + "_zero"]
        if values not in self._quantized:
            self._quantized.add(values)
            yield make("DynamicQuantizeLinear", [values], parts)
        self._add_weights(name, weights)
        inputs = [parts[0], name + "_int8", parts[1], name + "_scales", parts[2], name + "_zeros"]
        yield make("MatMulIntegerToFloat", inputs, [node.output[0]], domain=_DOMAIN)

    def _add_weights(self, name: str, weights: Any) -> None:
        if name not in self._replaced:
            self._replaced.add(name)
            for part, array in _in_8_bits(name, weights, _WEIGHT_LEVELS).items():
                self._constant(part, array)

    def _lookup_16_bits(self, node: Any, table: Any) -> Iterator[Any]:
        make = self._onnx.helper.make_node
        name, places = node.input
        output = node.output[0]
        if name not in self._replaced:
            self._replaced.add(name)
            self._constant(name + "_fp16", table.astype(np.float16))
        yield make("Gather", [name + "_fp16", places], [output + "_fp16"])
        yield make("Cast", [output + "_fp16"], [output], to=self._onnx.TensorProto.FLOAT)

    def _lookup_8_bits(self, node: Any, table: Any) -> Iterator[Any]:
        """Row = integers * scale: both are gathered, so the table is never unpacked as a whole."""
        make = self._onnx.helper.make_node
        name, places = node.input
        output = node.output[0]
        if name not in self._replaced:
            self._replaced.add(name)
            scales = np.maximum(np.abs(table).max(axis=1, keepdims=True) / _LEVELS, 1e-12).astype(np.float32)
            self._constant(name + "_int8", np.rint(table / scales).astype(np.int8))
            self._constant(name + "_scales", scales)
        yield make("Gather", [name + "_int8", places], [output + "_int8"])
        yield make("Cast", [output + "_int8"], [output + "_unit"], to=self._onnx.TensorProto.FLOAT)
        yield make("Gather", [name + "_scales", places], [output + "_scale"])
        yield make("Mul", [output + "_unit", output + "_scale"], [output])
