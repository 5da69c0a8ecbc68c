"""One generation: a folder that is written whole, checked by hash when opened, and never changed."""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from qa_service import __version__
from qa_service.datatypes import Completeness, Document, Passage, SourceDocument
from qa_service.embedding import ModelIdentity, PassageEmbeddings
from qa_service.errors import IndexCorrupt, IndexIncompatible, ModelChanged
from qa_service.index.durable import storage_errors, sync_file, sync_folder, write_file
from qa_service.index.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PASSAGES,
    SENTENCES,
    VECTORS,
    CompletenessEntry,
    Contents,
    FileEntry,
    Manifest,
    parse_manifest,
)
from qa_service.index.passages import PassageReader, write_passages
from qa_service.stores import VectorStore
from qa_service.stores.faiss import FaissStore

_REBUILD = "rebuild with `qa-service index`"


def write_generation(
    folder: Path,
    contents: Contents,
    documents: Sequence[Document],
    passages: Sequence[Passage],
    embeddings: PassageEmbeddings,
    completeness: Completeness,
) -> Manifest:
    """Write a generation into ``folder``, which must be empty, and force it to disk, manifest last.

    ``embeddings.passages`` is (number of passages, d) and ``embeddings.sentences`` (number of all their
    sentences, d), both in the order of ``passages``.
    """
    if len(embeddings.passages) != len(passages):
        raise ValueError(f"{len(embeddings.passages)} vectors for {len(passages)} passages")
    store = FaissStore(contents.model.dimension)
    store.add(np.array([passage.number for passage in passages], dtype=np.int64), embeddings.passages)
    with storage_errors(folder):
        write_passages(folder / PASSAGES, documents, passages)
        sync_file(folder / PASSAGES)
        write_file(folder / VECTORS, store.to_bytes())
        write_file(folder / SENTENCES, _npy(embeddings.sentences.astype(np.float16)))
        counts = {PASSAGES: len(passages), VECTORS: len(store), SENTENCES: len(embeddings.sentences)}
        manifest = Manifest(
            **dict(contents),
            format_version=FORMAT_VERSION,
            generation=contents.generation_id(),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            written_by=f"qa-service {__version__}",
            completeness=CompletenessEntry(**asdict(completeness)),
            files={name: _file_entry(folder / name, count) for name, count in sorted(counts.items())},
        )
        write_file(folder / MANIFEST, manifest.to_bytes())
        sync_folder(folder)
    return manifest


class OpenIndex:
    """A generation that was checked byte for byte and is ready to be asked.

    ``store`` searches the passages' vectors; ``sentences`` (number of sentences, d) are the vectors of
    all sentences, float16, of which a passage's own begin at the row that :meth:`passage` returns.
    """

    def __init__(
        self, manifest: Manifest, store: VectorStore, sentences: npt.NDArray[np.float16], reader: PassageReader
    ) -> None:
        self.manifest = manifest
        self.version = manifest.generation
        self.store = store
        self.sentences = sentences
        self._reader = reader

    @classmethod
    def open(cls, folder: Path, identity: ModelIdentity | None) -> "OpenIndex":
        """Open a generation for the model it is to be asked with; ``None`` skips that comparison.

        Raises :class:`IndexCorrupt` naming the file that differs from the manifest, before anything of it
        is parsed; :class:`IndexIncompatible` and :class:`ModelChanged` if the model is another.
        """
        manifest = read_manifest(folder)
        if manifest.generation != folder.name:
            raise IndexCorrupt(f"{folder / MANIFEST} is that of generation {manifest.generation}; {_REBUILD}")
        if identity is not None:
            _check_model(manifest, identity)
        vectors = _checked_bytes(folder, VECTORS, manifest.files[VECTORS])
        sentences = _checked_bytes(folder, SENTENCES, manifest.files[SENTENCES])
        _checked_bytes(folder, PASSAGES, manifest.files[PASSAGES])
        count = manifest.files[VECTORS].count
        try:
            store = FaissStore.from_bytes(vectors, dimension=manifest.model.dimension, count=count)
            rows = np.load(io.BytesIO(sentences), allow_pickle=False)
        except (ValueError, EOFError, RuntimeError) as error:
            raise IndexCorrupt(f"{folder}: {error}; {_REBUILD}") from error
        reader = PassageReader(folder / PASSAGES)
        expected = (len(manifest.documents), count, len(rows))
        if reader.counts() != expected or rows.shape != (manifest.files[SENTENCES].count, manifest.model.dimension):
            found = reader.counts()
            reader.close()
            raise IndexCorrupt(
                f"{folder}: {found} documents, passages and sentences, expected {expected} by its vectors; {_REBUILD}"
            )
        return cls(manifest, store, rows, reader)

    def passage(self, number: int) -> tuple[Passage, int]:
        """Return a passage and the row in ``sentences`` of its first sentence."""
        return self._reader.passage(number)

    def document(self, document_id: str) -> SourceDocument | None:
        """Return a document, or ``None`` if there is none of that id."""
        return self._reader.document(document_id)

    def document_without_text(self, document_id: str) -> SourceDocument:
        """Return a document's id, uri, title and hash, with an empty text."""
        return self._reader.document_without_text(document_id)

    def document_by_uri(self, uri: str) -> SourceDocument | None:
        """Return the document at a path below the source folder, or ``None``."""
        return self._reader.document_by_uri(uri)

    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        """Return the numbers of the passages that share a character with ``[start, end)``."""
        return self._reader.overlapping(document_id, start, end)

    def __len__(self) -> int:
        """Return the number of passages."""
        return len(self.store)

    def close(self) -> None:
        """Free memory and files."""
        self.store.close()
        self._reader.close()


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a generation's folder."""
    path = folder / MANIFEST
    if folder.is_symlink() or not folder.is_dir():
        raise IndexCorrupt(f"{folder} is not a folder; {_REBUILD}")
    with storage_errors(path):
        if not path.is_file():
            raise IndexCorrupt(f"{path} is not there: the build did not finish; {_REBUILD}")
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise IndexCorrupt(f"{path} has {path.stat().st_size} bytes, far more than any manifest; {_REBUILD}")
        return parse_manifest(path.read_bytes(), str(path))


def _check_model(manifest: Manifest, identity: ModelIdentity) -> None:
    built = manifest.model
    if built.weights_sha256 != identity.weights_sha256:
        if built.name == identity.name:
            raise ModelChanged(
                f"the index was built with other weights of {built.name} (sha256 {built.weights_sha256[:12]}…, now "
                f"{identity.weights_sha256[:12]}…); restore the model or {_REBUILD}"
            )
        raise IndexIncompatible(
            f"the index was built with the model {built.name}, not {identity.name}; set QA_MODEL={built.name} or "
            f"{_REBUILD}"
        )
    if built.config_sha256 != identity.config_sha256:
        raise IndexIncompatible(f"the tokenizer or settings of {built.name} changed since the build; {_REBUILD}")


def _checked_bytes(folder: Path, name: str, entry: FileEntry) -> bytes:
    """Return a file's content after comparing length and sha256, both taken from what is returned."""
    path = folder / name
    with storage_errors(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
        except FileNotFoundError as error:
            raise IndexCorrupt(f"{path} is missing; {_REBUILD}") from error
        with open(descriptor, "rb") as file:
            size = os.fstat(descriptor).st_size
            if size != entry.bytes:
                raise IndexCorrupt(f"{path} has {size} bytes, the manifest says {entry.bytes}; {_REBUILD}")
            data = file.read()
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry.sha256:
        raise IndexCorrupt(f"{path} has sha256 {digest}, the manifest says {entry.sha256}; {_REBUILD}")
    return data


def _file_entry(path: Path, count: int) -> FileEntry:
    data = path.read_bytes()
    return FileEntry(bytes=len(data), sha256=hashlib.sha256(data).hexdigest(), count=count)


def _npy(rows: npt.NDArray[np.float16]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows, allow_pickle=False)
    return buffer.getvalue()
