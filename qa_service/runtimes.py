"""Which way a model is run: to ask, the one that was exported beside the index; to build, the fastest for many texts.

The reference, sentence-transformers on torch, needs seconds to import and 400 MB; so a model is exported once,
when an index is built, and served without torch. What can't be exported is served by the reference.
"""

import logging
import os
import platform
from pathlib import Path

from qa_service.embedding import (
    BulkEmbedder,
    Embedder,
    ModelFiles,
    OnnxEmbedder,
    SentenceTransformerEmbedder,
    find_model,
    open_runtime,
)
from qa_service.embedding.runtime import RECIPE
from qa_service.errors import ModelCorrupt, StorageError
from qa_service.index import IndexFolder
from qa_service.settings import Settings

_AUTO, _TORCH = "auto", "torch"
_logger = logging.getLogger(__name__)


def embedder_to_ask(settings: Settings) -> Embedder:
    """Return the exported model of the index folder, or else the reference.

    Nothing is written, but by a replica of a shared store, for which nobody built here: it exports the model once,
    where its index folder can be written.
    """
    files = find_model(settings.model, allow_download=settings.allow_download)
    for precision in _precisions(settings):
        exported = _exported(settings, files, precision, threads=1)
        if exported is None and settings.store == "milvus" and _export_if_possible(settings, files, precision):
            exported = _exported(settings, files, precision, threads=1)
        if exported is not None:
            return exported
    return SentenceTransformerEmbedder(files)


def embedder_to_build(settings: Settings) -> Embedder:
    """Return what embeds passages fastest in the precision set, exporting the model first if that was not done."""
    files = find_model(settings.model, allow_download=settings.allow_download)
    cores = os.cpu_count() or 1
    for precision in _precisions(settings):
        exported = _exported(settings, files, precision, threads=cores)
        if exported is None and _export(settings, files, precision):
            exported = _exported(settings, files, precision, threads=cores)
        if exported is not None:
            return BulkEmbedder(exported, files) if settings.runtime == _AUTO and has_bf16() else exported
    return SentenceTransformerEmbedder(files)


def has_bf16() -> bool:
    """Tell whether this CPU multiplies 16-bit brain floats in hardware, as torch then does four times faster."""
    if platform.system() != "Linux":
        return False
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _precisions(settings: Settings) -> tuple[str, ...]:
    if settings.runtime == _AUTO:
        return ("int8", "fp32")
    return () if settings.runtime == _TORCH else (settings.runtime,)


def _exported(settings: Settings, files: ModelFiles, precision: str, *, threads: int) -> OnnxEmbedder | None:
    folder = IndexFolder(settings.index).exported_model(_name(files, precision))
    if folder is None:
        return None
    try:
        return open_runtime(folder, threads=threads)
    except ModelCorrupt as error:
        _logger.warning("%s; `qa-service index` writes it anew", error)
        return None


def _export(settings: Settings, files: ModelFiles, precision: str) -> bool:
    from qa_service.embedding.export import ExportFailed, export  # noqa: PLC0415 - only where one is missing

    try:
        IndexFolder(settings.index).add_exported_model(
            _name(files, precision), lambda folder: export(files, folder, precision)
        )
    except ExportFailed as error:
        _logger.warning("%s can't be exported in %s: %s", files.identity.name, precision, error)
        return False
    return True


def _export_if_possible(settings: Settings, files: ModelFiles, precision: str) -> bool:
    try:
        return _export(settings, files, precision)
    except StorageError as error:
        _logger.warning("the model is run by torch, as it can't be exported: %s", error)
        return False


def _name(files: ModelFiles, precision: str) -> str:
    return f"{files.identity.weights_sha256[:16]}-{files.identity.config_sha256[:8]}-{precision}-{RECIPE}"
