"""Chooses how to run the model: the exported graph for questions, the fastest runtime for passages.

The reference, sentence-transformers on torch, takes seconds to import and 400 MB. So a build exports the model once,
and the service runs without torch. A model that can't be exported is run by the reference.
"""

import logging
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING

from qa_service.embedding import (
    OPENVINO_BF16,
    OPENVINO_INT8,
    Embedder,
    ExportedEmbedder,
    ExportedModels,
    ModelFiles,
    SentenceTransformerEmbedder,
    TwoRuntimeEmbedder,
    cpu_flags,
    find_model,
    open_runtime,
)
from qa_service.embedding.runtime import RECIPE
from qa_service.errors import ModelCorrupt, StorageError
from qa_service.settings import Settings

if TYPE_CHECKING:
    from qa_service.embedding.export import Exporter

_AUTO, _TORCH = "auto", "torch"
_logger = logging.getLogger(__name__)


def embedder_to_ask(settings: Settings) -> Embedder:
    """Return the exported model of the index folder, or else the reference.

    Read-only, except on a Milvus replica, which has no build: it exports the model once if its index folder is
    writable.
    """
    files = find_model(settings.model, allow_download=settings.allow_download)
    exports = _Exports(settings, files, threads=1)
    for precision in _precisions(settings):
        exported = exports.find(precision)
        if exported is None and settings.store == "milvus":
            try:
                exported = exports.find_or_export(precision)
            except StorageError as error:
                _logger.warning("the model can't be exported and is run by torch: %s", error)
        if exported is not None:
            return exported
    return SentenceTransformerEmbedder(files)


def embedder_to_build(settings: Settings, flags: frozenset[str] | None = None) -> Embedder:
    """Return the fastest embedder for passages in the precision set; the model is exported if it was not yet.

    ``flags`` are those of the CPU; they are read from the system if not given.
    """
    files = find_model(settings.model, allow_download=settings.allow_download)
    exports = _Exports(settings, files, threads=usable_cores())
    for precision in _precisions(settings):
        exported = exports.find_or_export(precision)
        if exported is not None:
            openvino = openvino_precision(flags) if settings.runtime == _AUTO else None
            for_passages = None if openvino is None else exports.find_or_export(openvino)
            return exported if for_passages is None else TwoRuntimeEmbedder(exported, for_passages)
    return SentenceTransformerEmbedder(files)


def openvino_precision(flags: frozenset[str] | None = None) -> str | None:
    """Return the precision in which OpenVINO embeds passages fastest, or ``None`` if it is not faster on this CPU.

    The CPU must multiply matrices of bf16 (AMX), or 64 8-bit integers at once (AVX512 VNNI).
    """
    if find_spec("openvino") is None:
        return None
    if flags is None:
        flags = cpu_flags()
    return OPENVINO_BF16 if "amx_bf16" in flags else OPENVINO_INT8 if "avx512_vnni" in flags else None


def usable_cores() -> int:
    """Return the number of cores that this process may use, limited by a container's quota, rounded up."""
    from joblib import cpu_count  # noqa: PLC0415 - only to build or evaluate

    return int(cpu_count())


def _precisions(settings: Settings) -> tuple[str, ...]:
    if settings.runtime == _AUTO:
        return ("int8", "fp32")
    return () if settings.runtime == _TORCH else (settings.runtime,)


class _Exports:
    """The exports of one model in an index folder, to be opened for a number of threads."""

    def __init__(self, settings: Settings, files: ModelFiles, *, threads: int) -> None:
        self._models = ExportedModels(settings.index)
        self._files = files
        self._threads = threads

    def find(self, precision: str) -> ExportedEmbedder | None:
        """Return the model in a precision, or ``None`` if it is not exported or is damaged."""
        folder = self._models.find(export_name(self._files, precision))
        if folder is None:
            return None
        try:
            return open_runtime(folder, threads=self._threads)
        except ModelCorrupt as error:
            _logger.warning("%s; `qa-service index` exports the model again", error)
            return None

    def find_or_export(self, precision: str) -> ExportedEmbedder | None:
        """Return the model in a precision, exporting it if necessary, or ``None`` if it can't be exported."""
        if (found := self.find(precision)) is not None:
            return found
        from qa_service.embedding.traced import ExportFailed  # noqa: PLC0415 - only where an export is missing

        try:
            self._models.add(
                export_name(self._files, precision), lambda folder: self._exporter.write(folder, precision)
            )
        except ExportFailed as error:
            _logger.warning("%s can't be exported in %s: %s", self._files.identity.name, precision, error)
            return None
        return self.find(precision)

    @cached_property
    def _exporter(self) -> "Exporter":
        from qa_service.embedding.export import Exporter  # noqa: PLC0415 - as above

        return Exporter(self._files)


def export_name(files: ModelFiles, precision: str) -> str:
    """Return the folder name of a model's export; it depends on the model's content, the precision and the recipe."""
    return f"{files.identity.weights_sha256[:16]}-{files.identity.config_sha256[:8]}-{precision}-{RECIPE}"
