"""Embeds passages by torch on a graphics card.

The card must never wait for this process. So several threads tokenise and pack batches, two of them at a time are on
the card, each with a stream of its own: while one of these copies its results, the other computes. A batch has as many
texts as fit in a number of tokens, which is halved when the card runs out of memory.
"""

import platform
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import cached_property
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from qa_service.datatypes import FloatArray
from qa_service.embedding.batching import Batching
from qa_service.embedding.models import ModelFiles
from qa_service.embedding.reference import SentenceTransformerEmbedder
from qa_service.embedding.runtime import ExportedEmbedder, chunks
from qa_service.errors import SettingsError, StorageError

AUTO, CPU = "auto", "cpu"
_DRIVERS = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""Devices of NVIDIA's and AMD's drivers, and of a card that Windows lends to Linux."""
_ON_CARD = 2
_MAX_THREADS = 8
_BATCH_TOKENS = 65_536
_PAD_TO_TOKENS = 32


def find_device(setting: str) -> str:
    """Return ``cuda``, ``mps`` or ``cpu``; ``auto`` means a card if there is one that torch can use.

    Torch takes seconds to import, so that is not done on a machine that has no card, or a torch without any. Raises
    :class:`SettingsError` if torch does not see the card that is asked for.
    """
    if setting == CPU or (setting == AUTO and not _may_have_card()):
        return CPU
    if find_spec("torch") is None:
        raise SettingsError(f"QA_DEVICE is {setting}, but torch is not installed; pip install torch, or set it to cpu")
    import torch  # noqa: PLC0415 - seconds of import

    found = [name for name, there in (("cuda", torch.cuda), ("mps", torch.backends.mps)) if there.is_available()]
    if setting in found:
        return setting
    if setting == AUTO:
        return found[0] if found else CPU
    raise SettingsError(
        f"QA_DEVICE is {setting}, but torch {torch.__version__} sees no such device; install its driver and a build of "
        "torch for it, or set QA_DEVICE=auto to use the processor"
    )


def name_of(device: str) -> str:
    """Return a device's name for people."""
    if device != "cuda":
        return "the processor" if device == CPU else device
    import torch  # noqa: PLC0415 - seconds of import

    return f"cuda: {torch.cuda.get_device_name()}"


def _may_have_card() -> bool:
    """Tell whether a card is possible, without importing torch."""
    system = platform.system()
    if system == "Linux":
        driven = any(Path(driver).exists() for driver in _DRIVERS)
    else:
        driven = system == "Windows" or platform.machine() == "arm64"
    return driven and find_spec("torch") is not None and not metadata.version("torch").endswith("+cpu")


class DeviceEmbedder(ExportedEmbedder):
    """Runs the original of an exported model on a device of torch, in 16 bits.

    Tokenizer, prompts and limits are those of the export. A batch has up to ``batch_tokens`` tokens.
    """

    def __init__(
        self, exported: ExportedEmbedder, files: ModelFiles, device: str, *, batch_tokens: int = _BATCH_TOKENS
    ) -> None:
        import torch  # noqa: PLC0415 - seconds of import

        super().__init__(exported.folder, exported.specification, threads=exported.threads)
        self._torch: Any = torch
        self._files = files
        self._device = device
        self._pass_tokens = batch_tokens
        self.batching = Batching(min(_ON_CARD + self.threads, _MAX_THREADS), batch_tokens)
        # bf16 has the range of fp32; older cards emulate it.
        self._bf16 = device == CPU or (device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False))
        self._streams: SimpleQueue[Any] = SimpleQueue()
        for stream in [self._torch.cuda.Stream() for _ in range(_ON_CARD)] if device == "cuda" else [None]:
            self._streams.put(stream)

    @property
    def runtime(self) -> str:
        """The runtime of the model, its precision and the kind of device."""
        return f"torch {'bf16' if self._bf16 else 'fp16'}, {self._device}"

    def load(self) -> None:
        """Load the model now instead of with the first text."""
        _ = self._model

    @cached_property
    def _model(self) -> Any:
        dtype = self._torch.bfloat16 if self._bf16 else self._torch.float16
        model = SentenceTransformerEmbedder(self._files, self._device).load().to(dtype)
        if self._device == "cuda":
            self._torch.cuda.synchronize()  # other streams do not wait for the copy of the weights
        return model

    def _forward(self, encoded: Sequence[Any]) -> Iterator[tuple[FloatArray, FloatArray | None]]:
        stream = self._streams.get()
        try:
            passes = self._passes(encoded, stream)
        finally:
            self._streams.put(stream)
        for outputs in passes:
            vectors, *tokens = (output.float().numpy() for output in outputs)
            yield from zip(vectors, tokens[0] if tokens else [None] * len(vectors), strict=True)

    def _passes(self, encoded: Sequence[Any], stream: Any) -> list[list[Any]]:
        """Run as many texts at a time as the memory of the device allows; return the outputs of each pass."""
        longest = self._padded(encoded, _PAD_TO_TOKENS)
        while True:
            texts = max(1, self._pass_tokens // longest)
            try:
                return [self._pass(part, stream) for part in chunks(encoded, texts)]
            except RuntimeError as error:
                if not (isinstance(error, self._torch.OutOfMemoryError) or "out of memory" in str(error)):
                    raise
                if texts == 1:
                    raise StorageError(
                        f"the memory of the device {self._device} is too small for a passage of {longest} tokens; end "
                        "other programs that use it, or set QA_DEVICE=cpu"
                    ) from error
            self._pass_tokens = min(texts, len(encoded)) * longest // 2
            self._torch.cuda.empty_cache()

    def _pass(self, encoded: Sequence[Any], stream: Any) -> list[Any]:
        """Return the model's outputs for some texts, in 16 bits, in the memory of this process."""
        torch, inputs = self._torch, self._inputs(encoded, _PAD_TO_TOKENS)
        own = nullcontext() if stream is None else torch.cuda.stream(stream)
        with torch.inference_mode(), own:
            if stream is None:
                given = {name: torch.from_numpy(values).to(self._device) for name, values in inputs.items()}
            else:  # from and to pinned memory, so that this thread does not wait
                given = {
                    name: torch.from_numpy(values).pin_memory().to(self._device, non_blocking=True)
                    for name, values in inputs.items()
                }
            found = self._model(given)
            outputs = [found[name].to(CPU, non_blocking=stream is not None) for name in self.specification.outputs]
            if stream is not None:
                stream.synchronize()
        return outputs
