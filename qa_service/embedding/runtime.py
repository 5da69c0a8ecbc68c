"""Runs exported models, by ONNX Runtime or OpenVINO, without torch.

ONNX Runtime embeds questions, one after another in one thread. OpenVINO embeds batches of passages if the CPU
multiplies matrices of bf16, or 8-bit integers in its widest registers: then it is four times as fast as torch, and
twice as fast as ONNX Runtime; see docs/decisions/0008.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from qa_service.datatypes import FloatArray, IntArray
from qa_service.embedding.batching import Batching
from qa_service.embedding.counting import TokenCounter
from qa_service.embedding.graphs import open_graph, open_tokenizer
from qa_service.embedding.interface import (
    PassageEmbeddings,
    QuestionEmbedding,
    checked_unit_length,
    own_tokens,
    whole_words_of,
)
from qa_service.embedding.models import sha256_of
from qa_service.embedding.processor import cpu_flags
from qa_service.embedding.specification import Specification
from qa_service.errors import ModelCorrupt

MODEL, TOKENIZER, SPECIFICATION = "model.onnx", "tokenizer.json", "export.json"
RECIPE = 2
"""Raised with every change of export or quantisation that changes vectors."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("sentence_embedding", "token_embeddings")
OPENVINO_INT8, OPENVINO_BF16 = "int8-bulk", "bf16-bulk"
"""Precisions of exports for OpenVINO: weights in 8 bits, or unchanged and computed in bf16."""
OPENVINO_PRECISIONS = frozenset((OPENVINO_INT8, OPENVINO_BF16))


def open_runtime(folder: Path, *, threads: int = 1) -> "ExportedEmbedder":
    """Open an exported model after verifying its files' hashes.

    It runs in so many ``threads``: one for questions, all cores for passages. Raises :class:`ModelCorrupt`, naming
    the file.
    """
    path = folder / SPECIFICATION
    try:
        specification = Specification.from_bytes(path.read_bytes())
        for name in (MODEL, TOKENIZER):
            digest = sha256_of(folder / name)
            if digest != specification.sha256[name]:
                raise ModelCorrupt(f"{folder / name} has sha256 {digest}, expected {specification.sha256[name]}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelCorrupt(f"{path} is not an exported model: {type(error).__name__}: {error}") from error
    return run_export(folder, specification, threads=threads)


def run_export(folder: Path, specification: Specification, *, threads: int = 1) -> "ExportedEmbedder":
    """Open an exported model whose files are known to be those of its specification."""
    runs = OpenVinoEmbedder if specification.precision in OPENVINO_PRECISIONS else OnnxEmbedder
    return runs(folder, specification, threads=threads)


def chunks(encoded: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Return the texts in parts of at most ``size``."""
    return [encoded[start : start + size] for start in range(0, len(encoded), size)]


class ExportedEmbedder:
    """An exported model. Threads may embed at once: one runs the model, while others prepare and finish batches."""

    batching = Batching(threads=2)

    def __init__(self, folder: Path, specification: Specification, *, threads: int) -> None:
        self.folder = folder
        self.specification = specification
        self.threads = threads
        self.identity = specification.identity
        self.dimension = specification.dimension
        self.window = specification.window

    @property
    def runtime(self) -> str:
        """The runtime of the model and its precision."""
        raise NotImplementedError

    def load(self) -> None:
        """Load the model now instead of with the first text."""
        raise NotImplementedError

    def _forward(self, encoded: Sequence[Any]) -> Iterable[tuple[FloatArray, FloatArray | None]]:
        """Yield each text's vector (d,) and, if the model has them, its tokens' vectors (t or more, d)."""
        raise NotImplementedError

    @cached_property
    def _tokenizer(self) -> Any:
        return open_tokenizer(self.folder / TOKENIZER)

    @cached_property
    def _counter(self) -> TokenCounter:
        return TokenCounter(self._tokenizer)

    def files(self) -> dict[str, bytes]:
        """Return the content of the files that :func:`open_runtime` needs, by name, for other machines."""
        return {name: (self.folder / name).read_bytes() for name in (MODEL, TOKENIZER, SPECIFICATION)}

    def whole_words(self) -> frozenset[str]:
        """Return the words that the tokenizer has as single tokens."""
        return whole_words_of(self._tokenizer.get_vocab())

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each passage's number of tokens, prompt and special tokens included, without truncation."""
        prompt = self.specification.passage_prompt
        return self._counter.count([prompt + text for text in texts])

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return vectors of questions and of their tokens."""
        return self._run(questions, self.specification.question_prompt).one_by_one()

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return vectors of texts and of their tokens."""
        return self._run(texts, self.specification.passage_prompt)

    def _encode(self, texts: Sequence[str]) -> list[Any]:
        encoded = self._tokenizer.encode_batch(texts)
        pairs = zip(texts, encoded, strict=True)
        return [item if len(item) <= self.window else self._encode_start(text) for text, item in pairs]

    def _encode_start(self, text: str) -> Any:
        """Encode as many tokens of a text as the model reads."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        encoded.truncate(self.window - self._tokenizer.num_special_tokens_to_add(is_pair=False))
        return self._tokenizer.post_process(encoded)

    def _run(self, texts: Sequence[str], prompt: str) -> PassageEmbeddings:
        encoded = self._encode([prompt + text for text in texts])
        vectors, tokens = [], []
        for text, item, (vector, rows) in zip(texts, encoded, self._forward(encoded), strict=True):
            vectors.append(vector)
            if rows is not None:
                offsets, ids = np.array(item.offsets, np.int64) - len(prompt), np.array(item.ids)
                tokens.append(own_tokens(text, offsets, item.special_tokens_mask, ids, rows[: len(ids)]))
        return PassageEmbeddings(checked_unit_length(np.stack(vectors)), tuple(tokens) if tokens else None)

    def _padded(self, encoded: Sequence[Any], multiple: int = 1) -> int:
        """Return the length of the longest text, rounded up to a ``multiple`` in the window."""
        return min(-(-max(map(len, encoded)) // multiple) * multiple, self.window)

    def _inputs(self, encoded: Sequence[Any], multiple: int = 1) -> dict[str, IntArray]:
        """Return the model's inputs, all texts padded to the longest, rounded up to a ``multiple`` in the window."""
        length = self._padded(encoded, multiple)
        ids: IntArray = np.zeros((len(encoded), length), np.int64)
        mask: IntArray = np.zeros((len(encoded), length), np.int64)
        for row, item in enumerate(encoded):
            ids[row, : len(item)] = item.ids
            mask[row, : len(item)] = 1
        values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: values[name] for name in self.specification.inputs}


class OnnxEmbedder(ExportedEmbedder):
    """Runs a model by ONNX Runtime: one passage or a few short texts in a pass, and each thread its own passes.

    So a pass fits in the cache of a core, and little is padded: this is a third faster than 32 passages in a pass of
    all threads.
    """

    _MAX_PASS_TOKENS = 128

    @property
    def runtime(self) -> str:
        """The runtime of the model and its precision."""
        return f"ONNX Runtime {self.specification.precision}"

    def load(self) -> None:
        """Load the model now instead of with the first text."""
        _ = self._session

    def _forward(self, encoded: Sequence[Any]) -> Iterable[tuple[FloatArray, FloatArray | None]]:
        self.load()  # else every thread would load it
        longest = self._padded(encoded)
        size = max(1, min(self._MAX_PASS_TOKENS // longest, -(-len(encoded) // self.threads)))
        parts = chunks(encoded, size)
        passes = map(self._pass, parts) if self.threads == 1 else self._pool.map(self._pass, parts)
        return chain.from_iterable(passes)

    def _pass(self, encoded: Sequence[Any]) -> Iterable[tuple[FloatArray, FloatArray | None]]:
        vectors, *tokens = self._session.run(None, self._inputs(encoded))
        return zip(vectors, tokens[0] if tokens else [None] * len(vectors), strict=True)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="embed")

    @cached_property
    def _session(self) -> Any:
        return open_graph(self.folder / MODEL)


class OpenVinoEmbedder(ExportedEmbedder):
    """Runs a model by OpenVINO: a batch is divided among the threads.

    Matrix products with weights in 8 bits have a scale for each ``_ACTIVATIONS_PER_SCALE`` activations of a token, so
    that a vector does not depend on the rest of its batch; other operations are in bf16 if the CPU supports it.
    Lengths are padded to a multiple of ``_PAD_TO_TOKENS``, since OpenVINO caches kernels for each length, 7 MB each.
    """

    _ACTIVATIONS_PER_SCALE = (
        128  # activations; of 384 the worst vector has cosine .991, of 128 .996, for a thirtieth of the speed
    )
    _PAD_TO_TOKENS = 16
    _turn = Lock()

    @property
    def runtime(self) -> str:
        """The runtime of the model and its precision."""
        rest = "bf16" if self._bf16 else "fp32"
        return f"OpenVINO {rest}" if self.specification.precision == OPENVINO_BF16 else f"OpenVINO int8, {rest}"

    def load(self) -> None:
        """Load the model now instead of with the first text."""
        _ = self._requests

    @cached_property
    def _bf16(self) -> bool:
        return "avx512_bf16" in cpu_flags()

    def _forward(self, encoded: Sequence[Any]) -> Iterator[tuple[FloatArray, FloatArray | None]]:
        parts = chunks(encoded, -(-len(encoded) // self.threads))
        with self._turn:
            for request, part in zip(self._requests, parts, strict=False):
                request.start_async(self._inputs(part, self._PAD_TO_TOKENS))
            outputs = [self._outputs(request) for request, _ in zip(self._requests, parts, strict=False)]
        for part, (vectors, *tokens) in zip(parts, outputs, strict=True):
            yield from zip(vectors, tokens[0] if tokens else [None] * len(part), strict=True)

    def _outputs(self, request: Any) -> list[FloatArray]:
        request.wait()
        return [np.array(request.get_tensor(name).data) for name in self.specification.outputs]

    @cached_property
    def _requests(self) -> list[Any]:
        # OpenVINO reports its import to its makers unless its telemetry module is missing.
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
        import openvino  # noqa: PLC0415 - not needed to ask

        options = {
            "NUM_STREAMS": self.threads,
            "INFERENCE_NUM_THREADS": self.threads,
            "INFERENCE_PRECISION_HINT": "bf16" if self._bf16 else "f32",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": self._ACTIVATIONS_PER_SCALE,
        }
        try:
            model = openvino.Core().compile_model(str(self.folder / MODEL), "CPU", options)
            return [model.create_infer_request() for _ in range(self.threads)]
        except Exception as error:  # the library may raise anything
            raise ModelCorrupt(f"{self.folder / MODEL} can't be loaded: {error}") from error
