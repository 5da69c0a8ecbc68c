"""Exports a sentence-transformers model as an ONNX graph, and compares it with the reference."""

import logging
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qa_service.embedding.models import ModelFiles, sha256_of
from qa_service.embedding.quantization import quantize, quantize_weights
from qa_service.embedding.reference import SentenceTransformerEmbedder
from qa_service.embedding.runtime import (
    INPUTS,
    MODEL,
    OPENVINO_BF16,
    OPENVINO_INT8,
    OPENVINO_PRECISIONS,
    OUTPUTS,
    RECIPE,
    SPECIFICATION,
    TOKENIZER,
    Specification,
    open_runtime,
)
from qa_service.errors import ModelCorrupt, QAServiceError

MIN_COSINE = {"fp32": 0.999, "int8": 0.97, OPENVINO_INT8: 0.97, OPENVINO_BF16: 0.999}
_MIN_TOKEN_COSINE = {"fp32": 0.999, "int8": 0.9, OPENVINO_INT8: 0.9, OPENVINO_BF16: 0.999}
_OPSET = 17
_LARGE_VOCABULARY = 100_000
"""From so many tokens on, their table is in 8 bits: multilingual-e5-small's vectors keep their cosine of .998 with the
reference's, and a process needs 100 MB less."""
_MODULES = {"Transformer", "Pooling", "Normalize", "Dense"}
# Compared with the reference one by one and in one batch: several lengths and scripts, no text, more than any window.
_PROBES = (
    "Where was the treaty signed?",
    "",
    "The mutual defence treaty was signed in Washington on 1 October 1953 and came into force a year later.",
    "한미 상호방위조약은 1953년에 서명되었다. Договор подписан. 条約は署名された。สนธิสัญญา 🇰🇷",
    "Names such as Yeonpyeong, figures such as 28,500 and 3.14, and (brackets), all in one sentence. " * 40,
)


@dataclass(frozen=True, slots=True)
class _Graph:
    """A model as torch's exporter writes it, and the names of its inputs and outputs."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    onnx: bytes


class ExportFailed(Exception):
    """Raised for a model that can't be exported, or whose export differs; the reference is used instead."""


class Exporter:
    """Writes one model in any of the precisions; it is loaded and traced once.

    ``min_cosine`` is, for each precision, the least cosine of an exported vector with the reference's.
    """

    def __init__(self, files: ModelFiles, min_cosine: Mapping[str, float] = MIN_COSINE) -> None:
        self._reference = SentenceTransformerEmbedder(files)
        self._min_cosine = min_cosine

    def write(self, folder: Path, precision: str) -> None:
        """Write the model's graph, tokenizer and specification into ``folder``, which must be empty.

        ``precision`` is ``fp32`` or ``int8`` for ONNX Runtime, :data:`OPENVINO_INT8` or :data:`OPENVINO_BF16`. Raises
        :class:`ExportFailed`, with the reason.
        """
        reference = self._reference
        try:
            with quiet():
                self._write_graph(folder / MODEL, precision)
                reference.model.tokenizer.backend_tokenizer.save(str(folder / TOKENIZER))
            specification = Specification(
                identity=reference.identity,
                precision=precision,
                recipe=RECIPE,
                dimension=reference.dimension,
                window=reference.window,
                inputs=self._graph.inputs,
                outputs=self._graph.outputs,
                question_prompt=reference.question_prompt,
                passage_prompt=reference.passage_prompt,
                sha256={name: sha256_of(folder / name) for name in (MODEL, TOKENIZER)},
            )
            (folder / SPECIFICATION).write_bytes(specification.to_bytes())
            _compare(reference, folder, self._min_cosine[precision], _MIN_TOKEN_COSINE[precision])
        except (QAServiceError, ExportFailed):
            raise
        except Exception as error:  # torch, transformers, onnx and the runtimes may raise anything
            raise ExportFailed(f"{type(error).__name__}: {str(error)[:200]}") from error

    def _write_graph(self, path: Path, precision: str) -> None:
        import onnx  # noqa: PLC0415 - seconds of import

        graph = onnx.load_model_from_string(self._graph.onnx)
        if precision not in OPENVINO_PRECISIONS:  # OpenVINO fuses by itself
            graph = fused(graph, *self._attention)
        if precision == "int8":
            quantize(graph, table_bits=16 if self._vocabulary < _LARGE_VOCABULARY else 8)
        elif precision == OPENVINO_INT8:
            quantize_weights(graph)
        onnx.save(graph, str(path))

    @property
    def _vocabulary(self) -> int:
        return len(self._reference.model.tokenizer)

    @property
    def _attention(self) -> tuple[int, int]:
        """Return the model's attention heads and width, which the graph does not state; 0 and 0 if unknown."""
        config = getattr(self._reference.model[0], "config", None)
        heads, width = (getattr(config, name, None) for name in ("num_attention_heads", "hidden_size"))
        return (heads, width) if isinstance(heads, int) and isinstance(width, int) else (0, 0)

    @cached_property
    def _graph(self) -> _Graph:
        import torch  # noqa: PLC0415 - seconds of import

        # The optimizer can fuse attention that is written out, not as one call of torch.
        model = self._reference.load(attn_implementation="eager")
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


def fused(graph: Any, heads: int, width: int) -> Any:
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


def _compare(reference: SentenceTransformerEmbedder, folder: Path, min_cosine: float, min_token_cosine: float) -> None:
    """Raise :class:`ExportFailed` if the exported model tokenizes, counts or embeds the probes differently."""
    exported = open_runtime(folder)
    try:
        exported.load()
    except ModelCorrupt as error:  # it was just written, so it is not corrupt
        raise ExportFailed(str(error)) from error
    if exported.count_tokens(_PROBES) != reference.count_tokens(_PROBES):
        raise ExportFailed("its exported tokenizer counts differently")
    for texts in (*([probe] for probe in _PROBES), list(_PROBES)):
        mine, theirs = exported.embed_passages(texts), reference.embed_passages(texts)
        _expect(float((mine.vectors * theirs.vectors).sum(axis=1).min()), min_cosine)
        if (mine.tokens is None) != (theirs.tokens is None):
            raise ExportFailed("only one of export and reference has token vectors")
        for one, other in zip(mine.tokens or (), theirs.tokens or (), strict=True):
            if not (np.array_equal(one.ids, other.ids) and np.array_equal(one.spans, other.spans)):
                raise ExportFailed("its exported tokenizer cuts differently")
            cosines = (one.vectors * other.vectors).sum(axis=1)
            _expect(float(cosines.mean()) if len(cosines) else 1.0, min_token_cosine)


def _expect(cosine: float, least: float) -> None:
    if not cosine >= least:
        raise ExportFailed(f"a vector has cosine {cosine:.4f} with the reference's; at least {least} is needed")


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
