"""The fast way to run a model: ONNX Runtime on what :mod:`export` wrote. Nothing here imports torch."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import TypeAdapter

from qa_service import strict_json
from qa_service.embedding.models import sha256_of
from qa_service.embedding.protocol import (
    Integers,
    ModelIdentity,
    PassageEmbeddings,
    QuestionEmbedding,
    own_tokens,
    unit_length,
)
from qa_service.errors import ModelCorrupt

MODEL, TOKENIZER, SPECIFICATION = "model.onnx", "tokenizer.json", "export.json"
RECIPE = 1
"""Grows with every change of export or quantization that changes what is written."""
INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUTS = ("sentence_embedding", "token_embeddings")


@dataclass(frozen=True, slots=True)
class Specification:
    """What an exported model is, and what its files must be."""

    identity: ModelIdentity
    precision: str
    recipe: int
    dimension: int
    window: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    question_prompt: str
    passage_prompt: str
    sha256: dict[str, str]
    """Of each file, by name."""

    def to_bytes(self) -> bytes:
        """Return it as JSON, beside the sha256 of itself."""
        content = asdict(self)
        return (json.dumps({"sha256": _digest(content), "specification": content}, indent=1) + "\n").encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Specification":
        """Return what :meth:`to_bytes` wrote. Raises ``ValueError`` or ``KeyError`` if a byte of it differs."""
        content = strict_json.loads(data)
        if content["sha256"] != _digest(content["specification"]):
            raise ValueError("its sha256 is not that of its content")
        return TypeAdapter(cls).validate_python(content["specification"])


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def open_runtime(folder: Path, *, threads: int = 1) -> "OnnxEmbedder":
    """Open an exported model after comparing its files' hashes.

    ``threads`` work on one forward pass: one for questions, all cores for passages. Raises
    :class:`ModelCorrupt`, naming the file.
    """
    path = folder / SPECIFICATION
    try:
        specification = Specification.from_bytes(path.read_bytes())
        for name in (MODEL, TOKENIZER):
            digest = sha256_of(folder / name)
            if digest != specification.sha256[name]:
                raise ModelCorrupt(f"{folder / name} has sha256 {digest}, expected {specification.sha256[name]}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelCorrupt(f"{path} is no exported model: {type(error).__name__}: {error}") from error
    return OnnxEmbedder(folder, specification, threads=threads)


class OnnxEmbedder:
    """Runs an exported model by ONNX Runtime. Not for use by several threads at once: give it one."""

    def __init__(self, folder: Path, specification: Specification, *, threads: int) -> None:
        self._folder = folder
        self._specification = specification
        self._threads = threads
        self.identity = specification.identity
        self.dimension = specification.dimension
        self.window = specification.window
        self.runtime = f"ONNX Runtime {specification.precision}"

    @cached_property
    def _tokenizer(self) -> Any:
        from tokenizers import Tokenizer  # noqa: PLC0415 - not for who only builds a command line

        try:
            tokenizer = Tokenizer.from_file(str(self._folder / TOKENIZER))
        except Exception as error:  # the library raises plain Exception
            raise ModelCorrupt(f"{self._folder / TOKENIZER} can't be loaded: {error}") from error
        tokenizer.no_padding()
        return tokenizer

    @cached_property
    def _session(self) -> Any:
        import onnxruntime  # noqa: PLC0415 - as above

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            return onnxruntime.InferenceSession(str(self._folder / MODEL), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the library raises a dozen classes of its own
            raise ModelCorrupt(f"{self._folder / MODEL} can't be loaded: {error}") from error

    def files(self) -> dict[str, bytes]:
        """Return the files that :func:`open_runtime` needs, by name, for other machines."""
        return {name: (self._folder / name).read_bytes() for name in (MODEL, TOKENIZER, SPECIFICATION)}

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each passage's number of tokens, prompt and special tokens included, nothing cut off."""
        self._tokenizer.no_truncation()
        prompt = self._specification.passage_prompt
        return [len(encoded.ids) for encoded in self._tokenizer.encode_batch([prompt + text for text in texts])]

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return vectors of questions and of their tokens, from one forward pass."""
        return self._run(questions, self._specification.question_prompt).one_by_one()

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return vectors of texts and of their tokens, from one forward pass."""
        return self._run(texts, self._specification.passage_prompt)

    def _run(self, texts: Sequence[str], prompt: str) -> PassageEmbeddings:
        self._tokenizer.enable_truncation(self.window)
        encoded = self._tokenizer.encode_batch([prompt + text for text in texts])
        length = max(len(item.ids) for item in encoded)
        ids: Integers = np.zeros((len(encoded), length), np.int64)
        mask: Integers = np.zeros((len(encoded), length), np.int64)
        for row, item in enumerate(encoded):
            ids[row, : len(item.ids)] = item.ids
            mask[row, : len(item.ids)] = 1
        values = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        outputs = self._session.run(None, {name: values[name] for name in self._specification.inputs})
        vectors = unit_length(outputs[0])
        if len(self._specification.outputs) == 1:
            return PassageEmbeddings(vectors, None)
        tokens = (
            own_tokens(item.offsets, item.special_tokens_mask, np.array(item.ids), row[: len(item.ids)], len(prompt))
            for item, row in zip(encoded, outputs[1], strict=True)
        )
        return PassageEmbeddings(vectors, tuple(tokens))
