"""Exports a model as an ONNX graph for one of the runtimes, and compares it with the reference."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx

from qa_service.embedding.built_in import BuiltInModel
from qa_service.embedding.graphs import open_tokenizer
from qa_service.embedding.interface import Embedder
from qa_service.embedding.models import ModelFiles, sha256_of
from qa_service.embedding.quantization import quantize, quantize_weights
from qa_service.embedding.runtime import (
    MODEL,
    OPENVINO_BF16,
    OPENVINO_INT8,
    OPENVINO_PRECISIONS,
    SPECIFICATION,
    TOKENIZER,
    ExportedEmbedder,
    run_export,
)
from qa_service.embedding.traced import ExportFailed, TracedModel, quiet
from qa_service.errors import ModelCorrupt, QAServiceError

MIN_COSINE = {"fp32": 0.999, "int8": 0.97, OPENVINO_INT8: 0.97, OPENVINO_BF16: 0.999}
_MIN_TOKEN_COSINE = {"fp32": 0.999, "int8": 0.9, OPENVINO_INT8: 0.9, OPENVINO_BF16: 0.999}
_LARGE_VOCABULARY = 100_000
"""From so many tokens on, their table is in 8 bits: multilingual-e5-small's vectors keep their cosine of .998 with the
reference's, and a process needs 100 MB less."""
# Compared with the reference one by one and in one batch: several lengths and scripts, no text, more than any window.
_PROBES = (
    "Where was the treaty signed?",
    "",
    "The mutual defence treaty was signed in Washington on 1 October 1953 and came into force a year later.",
    "한미 상호방위조약은 1953년에 서명되었다. Договор подписан. 条約は署名された。สนธิสัญญา 🇰🇷",
    "Names such as Yeonpyeong, figures such as 28,500 and 3.14, and (brackets), all in one sentence. " * 40,
)


class Exporter:
    """Writes one model in any of the precisions; it is loaded once.

    ``min_cosine`` is, for each precision, the least cosine of an exported vector with the reference's.
    """

    def __init__(self, files: ModelFiles, min_cosine: Mapping[str, float] = MIN_COSINE) -> None:
        self._model = BuiltInModel(files) if files.built_in else TracedModel(files)
        self._min_cosine = min_cosine

    def write(self, folder: Path, precision: str) -> None:
        """Write the model's graph, tokenizer and specification into ``folder``, which must be empty.

        ``precision`` is ``fp32`` or ``int8`` for ONNX Runtime, :data:`OPENVINO_INT8` or :data:`OPENVINO_BF16`. Raises
        :class:`ExportFailed`, with the reason; ``OSError`` if the files can't be written.
        """
        model = self._model
        with _failures():
            with quiet():
                model.write_tokenizer(folder / TOKENIZER)
                self._write_graph(folder / MODEL, precision)
            hashes = {name: sha256_of(folder / name) for name in (MODEL, TOKENIZER)}
            specification = replace(model.specification, precision=precision, sha256=hashes)
            (folder / SPECIFICATION).write_bytes(specification.to_bytes())
        self.compare(run_export(folder, specification), precision)

    def compare(self, embedder: ExportedEmbedder, precision: str) -> None:
        """Raise :class:`ExportFailed` if a runtime embeds the probes less alike than one of this ``precision``."""
        with _failures():
            _compare(self._model.reference, embedder, self._min_cosine[precision], _MIN_TOKEN_COSINE[precision])

    def _write_graph(self, path: Path, precision: str) -> None:
        graph = self._model.graph(fused=precision not in OPENVINO_PRECISIONS)  # OpenVINO fuses by itself
        if precision == "int8":
            words = open_tokenizer(path.with_name(TOKENIZER)).get_vocab_size()
            quantize(graph, table_bits=16 if words < _LARGE_VOCABULARY else 8)
        elif precision == OPENVINO_INT8:
            quantize_weights(graph)
        onnx.save(graph, str(path))


@contextmanager
def _failures() -> Iterator[None]:
    """Convert the errors of libraries to :class:`ExportFailed`."""
    try:
        yield
    except (QAServiceError, ExportFailed, OSError):
        raise
    except Exception as error:  # torch, transformers, onnx and the runtimes may raise anything
        raise ExportFailed(f"{type(error).__name__}: {str(error)[:200]}") from error


def _compare(reference: Embedder, exported: ExportedEmbedder, min_cosine: float, min_token_cosine: float) -> None:
    """Raise :class:`ExportFailed` if the exported model tokenizes, counts or embeds the probes differently."""
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
