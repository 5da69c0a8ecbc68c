"""Chooses how to run the model: the exported graph for questions, a graphics card or the fastest runtime for passages.

The reference, sentence-transformers on torch, takes seconds to import and 400 MB. So the model is exported once, into
a cache of the machine, and the service runs without torch. A model that can't be exported is run by the reference.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property, partial
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
    find_model,
    open_runtime,
)
from qa_service.embedding.device import AUTO, CPU, DeviceEmbedder, find_device
from qa_service.embedding.processor import cpu_flags, usable_cores
from qa_service.embedding.runtime import RECIPE
from qa_service.settings import Settings

if TYPE_CHECKING:
    from qa_service.embedding.export import Exporter

Say = Callable[[str], None]
"""Receives messages for people, for the seconds in which a model is exported."""
_TORCH = "torch"
_logger = logging.getLogger(__name__)


def embedder_to_ask(settings: Settings, say: Say = _logger.info) -> Embedder:
    """Return the exported model, or else the reference.

    The built-in model is exported if it was not yet, which takes seconds. Others are not, except on a Milvus replica,
    which has no build.
    """
    files = find_model(settings.model, allow_download=settings.allow_download)
    precisions = _precisions(settings)
    with _exports(settings, files, say, threads=1) as exports:
        for precision in precisions:
            if (exported := exports.find(precision)) is not None:
                return exported
        if files.built_in or settings.store == "milvus":
            for precision in precisions:
                if (exported := exports.find_or_export(precision)) is not None:
                    return exported
    return SentenceTransformerEmbedder(files)


def embedder_to_build(settings: Settings, say: Say = _logger.info, flags: frozenset[str] | None = None) -> Embedder:
    """Return the fastest embedder for passages in the precision set; the model is exported if it was not yet.

    ``flags`` are those of the CPU; they are read from the system if not given. Raises :class:`SettingsError` if the
    device set is missing.
    """
    device = device_to_build(settings)
    files = find_model(settings.model, allow_download=settings.allow_download)
    with _exports(settings, files, say, threads=usable_cores()) as exports:
        for precision in _precisions(settings):
            exported = exports.find_or_export(precision)
            if exported is not None:
                openvino = openvino_precision(flags) if settings.runtime == AUTO else None
                for_passages = None if device == CPU else exports.on_device(exported, device)
                if for_passages is None and openvino is not None:
                    for_passages = exports.find_or_export(openvino)
                return exported if for_passages is None else TwoRuntimeEmbedder(exported, for_passages)
    return SentenceTransformerEmbedder(files, device)


def device_to_build(settings: Settings) -> str:
    """Return the device of torch that embeds passages; ``cpu`` also stands for the runtimes without torch.

    Machines of a cluster use their processors, and so does a build whose settings name a runtime and no device.
    Raises :class:`SettingsError` if the device set is missing.
    """
    by_processor = settings.engine == "ray" or (settings.device == AUTO and settings.runtime not in {AUTO, _TORCH})
    return CPU if by_processor else find_device(settings.device)


def openvino_precision(flags: frozenset[str] | None = None) -> str | None:
    """Return the precision in which OpenVINO embeds passages fastest, or ``None`` if it is not faster on this CPU.

    The CPU must multiply matrices of bf16 (AMX), or 64 8-bit integers at once (AVX512 VNNI).
    """
    if find_spec("openvino") is None:
        return None
    if flags is None:
        flags = cpu_flags()
    return OPENVINO_BF16 if "amx_bf16" in flags else OPENVINO_INT8 if "avx512_vnni" in flags else None


def _precisions(settings: Settings) -> tuple[str, ...]:
    if settings.runtime == AUTO:
        return ("int8", "fp32")
    return () if settings.runtime == _TORCH else (settings.runtime,)


@contextmanager
def _exports(settings: Settings, files: ModelFiles, say: Say, *, threads: int) -> Iterator["_Exports"]:
    """Yield the exports of a model, to be opened for a number of threads; say how long those took that are new."""
    exports = _Exports(ExportedModels(settings.model_cache, settings.index), files, say, threads)
    yield exports
    if exports.started is not None:
        say(f"prepared the model in {time.monotonic() - exports.started:.1f} s")


class _Exports:
    """The exports of one model."""

    def __init__(self, models: ExportedModels, files: ModelFiles, say: Say, threads: int) -> None:
        self._models = models
        self._files = files
        self._say = say
        self._opened = partial(open_runtime, threads=threads)
        self.started: float | None = None

    def find(self, precision: str) -> ExportedEmbedder | None:
        """Return the model in a precision, or ``None`` if it is not exported or is damaged."""
        return self._models.find(export_name(self._files, precision), self._opened)

    def find_or_export(self, precision: str) -> ExportedEmbedder | None:
        """Return the model in a precision, exporting it if necessary, or ``None`` if it can't be exported."""
        if (found := self.find(precision)) is not None:
            return found
        if self.started is None:
            self.started = time.monotonic()
            self._say("preparing the model (once)…")
        from qa_service.embedding.traced import ExportFailed  # noqa: PLC0415 - only where an export is missing

        try:
            return self._models.add(
                export_name(self._files, precision),
                self._opened,
                lambda folder: self._exporter.write(folder, precision),
            )
        except ExportFailed as error:
            _logger.warning("%s can't be exported in %s: %s", self._files.identity.name, precision, error)
            return None

    def on_device(self, exported: ExportedEmbedder, device: str) -> ExportedEmbedder | None:
        """Return the model on a device, or ``None`` if its vectors there are not those of the reference."""
        from qa_service.embedding.traced import ExportFailed  # noqa: PLC0415 - as above

        embedder = DeviceEmbedder(exported, self._files, device)
        try:
            self._exporter.compare(embedder, "fp32")
        except ExportFailed as error:
            _logger.warning("%s is not embedded on %s: %s", self._files.identity.name, device, error)
            return None
        return embedder

    @cached_property
    def _exporter(self) -> "Exporter":
        from qa_service.embedding.export import Exporter  # noqa: PLC0415 - as above

        return Exporter(self._files)


def export_name(files: ModelFiles, precision: str) -> str:
    """Return the folder name of a model's export; it depends on the model's content, the precision and the recipe."""
    return f"{files.identity.weights_sha256[:16]}-{files.identity.config_sha256[:8]}-{precision}-{RECIPE}"
