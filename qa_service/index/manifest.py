"""The manifest of a generation: its inputs, its contents, and the hashes of its files."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, astuple
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from qa_service.datatypes import Completeness, Skipped, SourceFile
from qa_service.embedding import Embedder, ModelIdentity
from qa_service.errors import IndexCorrupt, IndexIncompatible, ModelChanged
from qa_service.index import tokens, words
from qa_service.index.pins import PINS
from qa_service.index.vectors import VectorIndex
from qa_service.io import strict_json
from qa_service.splitting import SplitterSettings

FORMAT_VERSION = 8
MANIFEST = "manifest.json"
VECTORS = "vectors.faiss"
PASSAGES = "passages.sqlite"
MAX_MANIFEST_BYTES = 256_000_000
GENERATION_ID_DIGITS = 16


def data_files(*, token_vectors: bool, pins: bool = False) -> tuple[str, ...]:
    """Return the names of a generation's files, except the manifest."""
    own = (VECTORS, PASSAGES, *words.FILES, *(tokens.FILES if token_vectors else ()), *((PINS,) if pins else ()))
    return tuple(sorted(own))


Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0)]
Value = TypeVar("Value")


class _Part(BaseModel):
    # A newer minor version may have added keys; they are ignored.
    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class FileEntry(_Part):
    """A data file: its size in bytes, its sha256, and its number of entries."""

    bytes: Count
    sha256: Sha256
    count: Count


class ModelEntry(_Part):
    """The model that computed the vectors."""

    name: str
    weights_sha256: Sha256
    config_sha256: Sha256
    dimension: Annotated[int, Field(ge=1, le=65536)]
    window: Annotated[int, Field(ge=1)]

    @classmethod
    def of(cls, embedder: Embedder) -> "ModelEntry":
        """Return the entry of an embedder's model."""
        return cls(**asdict(embedder.identity), dimension=embedder.dimension, window=embedder.window)


class SourceEntry(_Part):
    """A file of the source folder in a supported format."""

    uri: str
    sha256: Sha256

    @classmethod
    def of(cls, files: Sequence[SourceFile]) -> "tuple[SourceEntry, ...]":
        """Return the entries of files."""
        return tuple(cls(uri=file.uri, sha256=file.sha256) for file in files)


def _without_negatives(value: Value) -> Value:
    if any(isinstance(count, int) and count < 0 for count in astuple(value)):  # type: ignore[call-overload]
        raise ValueError("a count is negative")
    return value


_Counts = AfterValidator(_without_negatives)


class Contents(_Part):
    """The inputs of a generation. Equal contents have the same generation id.

    ``sources`` are the files that are read, ``left_out`` those that are skipped unopened; ``synonyms`` and ``pins`` are
    the sha256 of ``synonyms.txt`` and ``answers.jsonl``, empty without one.
    """

    model: ModelEntry
    language: str
    token_vectors: bool
    splitter: Annotated[SplitterSettings, _Counts]
    readers: str
    sources: tuple[SourceEntry, ...]
    left_out: tuple[Skipped, ...]
    synonyms: str
    pins: str = ""

    def of_part(self, files: Sequence[SourceFile]) -> "Contents":
        """Return the contents for some of the files, as a shard has them."""
        own = {name: getattr(self, name) for name in Contents.model_fields}
        return Contents(**{**own, "sources": SourceEntry.of(files), "left_out": (), "synonyms": "", "pins": ""})

    def like(self, other: "Contents") -> bool:
        """Tell whether both have the same vectors for the same passage."""
        return (self.model, self.token_vectors) == (other.model, other.token_vectors)

    def reads_like(self, other: "Contents") -> bool:
        """Tell whether both have the same documents, passages and terms for the same file."""
        mine, others = ((one.readers, one.splitter, one.language) for one in (self, other))
        return mine == others

    def generation_id(self) -> str:
        """Return the id: 16 hexadecimal digits of the sha256 of model, settings and source files."""
        parts = {**self.model_dump(mode="json", include=set(Contents.model_fields)), "format_version": FORMAT_VERSION}
        if not self.pins:
            del parts["pins"]  # ids are those of earlier versions, which had no pins
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:GENERATION_ID_DIGITS]


class Manifest(Contents):
    """The content of ``manifest.json``, which is the last file of a generation to be written."""

    format_version: int
    generation: Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
    created_at: str
    written_by: str
    embedded_by: str
    vector_index: Annotated[VectorIndex, _Counts]
    documents: Count
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    completeness: Annotated[Completeness, _Counts]
    files: dict[str, FileEntry]

    @property
    def has_tokens(self) -> bool:
        """Whether there are token vectors; a model may have none even if the settings ask for them."""
        return tokens.STARTS in self.files

    @property
    def has_pins(self) -> bool:
        """Whether there are pinned answers."""
        return PINS in self.files

    @property
    def calibrated_for(self) -> tuple[str, bool]:
        """The key of confidence constants: the sha256 of the weights, and whether there are token vectors."""
        return self.model.weights_sha256, self.has_tokens

    @property
    def passages(self) -> int:
        """The number of passages."""
        return self.files[PASSAGES].count

    @property
    def vectors(self) -> int:
        """The number of vectors, equal to the number of passages."""
        return self.files[VECTORS].count

    def to_bytes(self) -> bytes:
        """Return the manifest as indented JSON."""
        return (json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n").encode()


def parse_manifest(data: bytes, where: str) -> Manifest:
    """Return the manifest in ``data``; errors name ``where`` it came from.

    Raises :class:`IndexIncompatible` for another format version, :class:`IndexCorrupt` for anything else that is not a
    complete manifest.
    """
    try:
        content = strict_json.loads(data)
    except ValueError as error:
        raise IndexCorrupt(f"{where} is not a readable manifest: {error}; rebuild with `qa-service index`") from error
    if not isinstance(content, dict):
        raise IndexCorrupt(f"{where} is not a JSON object; rebuild with `qa-service index`")
    version = content.get("format_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise IndexCorrupt(f"{where} has format_version {version!r}; rebuild with `qa-service index`")
    if version > FORMAT_VERSION:
        raise IndexIncompatible(
            f"{where} has format version {version}, but this program reads {FORMAT_VERSION}: it was built by a newer "
            f"version; update qa-service or rebuild with `qa-service index`"
        )
    if version < FORMAT_VERSION:
        raise IndexIncompatible(f"{where} has the old format version {version}; rebuild with `qa-service index`")
    try:
        manifest = Manifest.model_validate_json(data)  # strict mode accepts lists as tuples only in JSON
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(map(str, first["loc"])) or "it"
        raise IndexCorrupt(f"{where}: {at}: {first['msg']}; rebuild with `qa-service index`") from error
    expected = data_files(token_vectors=manifest.has_tokens, pins=manifest.has_pins)
    if tuple(sorted(manifest.files)) != expected:
        raise IndexCorrupt(
            f"{where} lists the files {sorted(manifest.files)}, expected {list(expected)}; "
            "rebuild with `qa-service index`"
        )
    return manifest


def check_model(manifest: Manifest, identity: ModelIdentity) -> None:
    """Raise :class:`IndexIncompatible` or :class:`ModelChanged` if a generation was built with another model."""
    built = manifest.model
    if built.weights_sha256 != identity.weights_sha256:
        if built.name == identity.name:
            raise ModelChanged(
                f"the index was built with other weights of {built.name} (sha256 {built.weights_sha256[:12]}…, now "
                f"{identity.weights_sha256[:12]}…); restore the model or rebuild with `qa-service index`"
            )
        raise IndexIncompatible(
            f"the index was built with the model {built.name}, not {identity.name}; set QA_MODEL={built.name} or "
            f"rebuild with `qa-service index`"
        )
    if built.config_sha256 != identity.config_sha256:
        raise IndexIncompatible(
            f"the tokenizer or settings of {built.name} changed since the build; rebuild with `qa-service index`"
        )
