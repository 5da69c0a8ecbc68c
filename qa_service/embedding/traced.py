"""Any sentence-transformers model as an original to export: traced by torch."""

import logging
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from qa_service.embedding.models import ModelFiles
from qa_service.embedding.reference import SentenceTransformerEmbedder
from qa_service.embedding.runtime import INPUTS, MODEL, OUTPUTS, RECIPE
from qa_service.embedding.specification import Specification

_OPSET = 17
_MODULES = {"Transformer", "Pooling", "Normalize", "Dense"}


class ExportFailed(Exception):
    """Raised for a model that can't be exported, or whose export differs; the reference is used instead."""


@dataclass(frozen=True, slots=True)
class _Graph:
    """A model as torch's exporter writes it, and the names of its inputs and outputs."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    onnx: bytes


class TracedModel:
    """A model of sentence-transformers, which is the reference; it is loaded and traced once."""

    def __init__(self, files: ModelFiles) -> None:
        self.reference = SentenceTransformerEmbedder(files)

    @cached_property
    def specification(self) -> Specification:
        """The properties of an export in fp32, without hashes of files."""
        reference = self.reference
        return Specification(
            identity=reference.identity,
            precision="fp32",
            recipe=RECIPE,
            dimension=reference.dimension,
            window=reference.window,
            inputs=self._graph.inputs,
            outputs=self._graph.outputs,
            question_prompt=reference.question_prompt,
            passage_prompt=reference.passage_prompt,
            sha256={},
        )

    def graph(self, *, fused: bool) -> Any:
        """Return an ``onnx.ModelProto`` in fp32, with the fused nodes of ONNX Runtime or with ONNX's own alone."""
        import onnx  # noqa: PLC0415 - seconds of import

        graph = onnx.load_model_from_string(self._graph.onnx)
        return with_fused_nodes(graph, *self._attention) if fused else graph

    def write_tokenizer(self, path: Path) -> None:
        """Write the tokenizer in the format of ``tokenizers``."""
        self.reference.model.tokenizer.backend_tokenizer.save(str(path))

    @property
    def _attention(self) -> tuple[int, int]:
        """Return the model's attention heads and width, which the graph does not state; 0 and 0 if unknown."""
        config = getattr(self.reference.model[0], "config", None)
        heads, width = (getattr(config, name, None) for name in ("num_attention_heads", "hidden_size"))
        return (heads, width) if isinstance(heads, int) and isinstance(width, int) else (0, 0)

    @cached_property
    def _graph(self) -> _Graph:
        import torch  # noqa: PLC0415 - seconds of import

        # The optimizer can fuse attention that is written out, not as one call of torch.
        model = self.reference.load(attn_implementation="eager")
        if unknown := {type(module).__name__ for module in model} - _MODULES:
            raise ExportFailed(f"it has unsupported modules: {', '.join(sorted(unknown))}")
        if not all(getattr(module, "include_prompt", True) for module in model):
            raise ExportFailed("its pooling leaves the prompt out")
        example = model.preprocess(["A short text.", "Another text that is a little longer."])
        inputs = tuple(name for name in INPUTS if name in example)

        class Graph(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, *values: Any) -> tuple[Any, ...]:
                features = self.model(dict(zip(inputs, values, strict=True)))
                return tuple(features[name] for name in OUTPUTS if features.get(name) is not None)

        arguments = tuple(example[name] for name in inputs)
        outputs = OUTPUTS[: len(Graph()(*arguments))]
        onnx = traced(Graph(), arguments, inputs, outputs)
        return _Graph(_used_inputs(onnx, inputs), outputs, onnx)


def traced(module: Any, arguments: tuple[Any, ...], inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    """Return a module as an ONNX graph for any number of texts and of tokens.

    The first output has a row for each text, a second one for each token.
    """
    import torch  # noqa: PLC0415 - seconds of import

    axes: dict[str, dict[int, str]] = {name: {0: "texts", 1: "tokens"} for name in (*inputs, *outputs)}
    axes[outputs[0]] = {0: "texts"}
    with tempfile.TemporaryDirectory(prefix="qa-service-export-") as folder:
        path = Path(folder, MODEL)
        torch.onnx.export(
            module,
            arguments,
            path,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )
        return path.read_bytes()


def with_fused_nodes(graph: Any, heads: int, width: int) -> Any:
    """Return a BERT's ``onnx.ModelProto`` with fused nodes; 0 and 0 if attention heads and width are unknown."""
    from onnxruntime.transformers.fusion_options import FusionOptions  # noqa: PLC0415 - seconds of import
    from onnxruntime.transformers.optimizer import optimize_model  # noqa: PLC0415

    fusion = FusionOptions("bert")
    fusion.use_multi_head_attention = True  # keeps the products separate, to be quantised
    fusion.enable_embed_layer_norm = False  # would hide the table of word vectors from quantisation
    # An addition and a normalisation as two nodes take half the time of the fused node.
    fusion.enable_skip_layer_norm = fusion.enable_bias_skip_layer_norm = False
    return optimize_model(
        graph, model_type="bert", num_heads=heads, hidden_size=width, opt_level=0, optimization_options=fusion
    ).model


def _used_inputs(graph: bytes, inputs: tuple[str, ...]) -> tuple[str, ...]:
    """Return the inputs of a graph: it has none for tokenizer outputs that the model ignores."""
    import onnx  # noqa: PLC0415 - seconds of import

    used = {value.name for value in onnx.load_model_from_string(graph).graph.input}
    return tuple(name for name in inputs if name in used)


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the exporters' warnings about deprecations."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
