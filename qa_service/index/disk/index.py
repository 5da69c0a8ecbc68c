"""One generation on disk: written once, checked by hash before it is read, never changed."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from qa_service import __version__
from qa_service.datatypes import (
    Completeness,
    Filters,
    FloatArray,
    Int32Array,
    IntArray,
    Metadata,
    Passage,
    Skipped,
    SourceDocument,
)
from qa_service.embedding import ModelIdentity, TokenEmbeddings
from qa_service.errors import IndexCorrupt
from qa_service.index.disk.checked import check_files, hash_files
from qa_service.index.disk.passage_reader import PassageReader
from qa_service.index.interface import Index, WordMatch
from qa_service.index.manifest import (
    FORMAT_VERSION,
    MANIFEST,
    MAX_MANIFEST_BYTES,
    PASSAGES,
    VECTORS,
    Contents,
    Manifest,
    check_model,
    parse_manifest,
)
from qa_service.index.pins import NO_PINS, PINS, Pins
from qa_service.index.tokens import PassageTokens, Similarities
from qa_service.index.vectors.faiss import FaissStore
from qa_service.index.words import MATRIX_FILES, BM25Index
from qa_service.io.durable import storage_errors, sync_file, sync_folder, write_file

_ADD_BATCH = 10_000  # vectors
_REBUILD = "rebuild with `qa-service index`"
_numpy_header_lock = threading.Lock()
"""Held while arrays are opened, also by bm25s. NumPy parses array headers with ``ast``, and Python 3.11 keeps its
recursion depth in a variable that all threads share: two at once sometimes end in a SystemError
(github.com/python/cpython/issues/106905)."""


@dataclass(frozen=True, slots=True)
class GenerationSummary:
    """The counts, skipped files and warnings of a new generation; ``counts`` are the entries of each file so far."""

    counts: Mapping[str, int]
    documents: int
    skipped: Sequence[Skipped]
    warnings: Sequence[str]
    completeness: Completeness


def write_generation(
    folder: Path,
    contents: Contents,
    vectors: FloatArray,
    lexical: Callable[[], BM25Index],
    summary: GenerationSummary,
    *,
    embedded_by: str,
) -> Manifest:
    """Complete a generation in ``folder`` and force it to disk, manifest last.

    ``vectors`` (number of passages, d) and the result of ``lexical`` are in the order of the passages; the latter is
    called when all vectors are written. Passages and tokens are in the folder already. ``embedded_by`` names the
    runtime; the next generation reuses vectors of the same runtime only.
    """
    store = _store_of(vectors, contents.model.dimension)
    with storage_errors(folder):
        vector_index = store.choose_index()
        store.save(folder / VECTORS)
        words = lexical()
        if not len(vectors) == summary.counts[PASSAGES] == len(words):
            raise ValueError(f"{len(vectors)} vectors and {len(words)} texts, but {summary.counts[PASSAGES]} passages")
        counts = {**summary.counts, VECTORS: len(store), **words.save(folder)}
        for name in sorted(counts):
            sync_file(folder / name)
        manifest = Manifest(
            **dict(contents),
            format_version=FORMAT_VERSION,
            generation=contents.generation_id(),
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            written_by=f"qa-service {__version__}",
            embedded_by=embedded_by,
            vector_index=vector_index,
            documents=summary.documents,
            skipped=tuple(summary.skipped),
            warnings=tuple(summary.warnings),
            completeness=summary.completeness,
            files=hash_files(folder, counts),
        )
        write_file(folder / MANIFEST, manifest.to_bytes())
        sync_folder(folder)
    return manifest


def _store_of(vectors: FloatArray, dimension: int) -> FaissStore:
    store = FaissStore(dimension)
    for start in range(0, len(vectors), _ADD_BATCH):
        block = vectors[start : start + _ADD_BATCH]
        store.add(np.arange(start, start + len(block), dtype=np.int64), block)
    return store


class OpenIndex(Index):
    """An open generation in a folder.

    ``tokens`` holds the passages' token vectors, ``None`` if the index was built without them.
    """

    store: FaissStore
    words: BM25Index

    def __init__(
        self,
        manifest: Manifest,
        store: FaissStore,
        lexical: BM25Index,
        tokens: PassageTokens | None,
        reader: PassageReader,
        pins: Pins = NO_PINS,
    ) -> None:
        self.manifest = manifest
        self.generation = manifest.generation
        self.store = store
        self.words = lexical
        self.tokens = tokens
        self._reader = reader
        self._pins = pins

    @classmethod
    def open(cls, folder: Path, identity: ModelIdentity | None, *, read_all: bool = False) -> "OpenIndex":
        """Open a generation, to be used with a model; ``None`` skips the comparison of models.

        Files that are known to be intact are not read again, unless ``read_all`` is given. Raises
        :class:`IndexCorrupt`, before any file is parsed, if one differs from the manifest; :class:`IndexIncompatible`
        or :class:`ModelChanged` if the index was built with another model.
        """
        manifest = read_manifest(folder)
        if manifest.generation != folder.name:
            raise IndexCorrupt(f"{folder / MANIFEST} is the manifest of generation {manifest.generation}; {_REBUILD}")
        if identity is not None:
            check_model(manifest, identity)
        check_files(folder, manifest.files, read_all=read_all)
        count = manifest.passages
        if {manifest.files[name].count for name in (VECTORS, *MATRIX_FILES)} != {count}:
            raise IndexCorrupt(
                f"{folder / MANIFEST}: the entry counts of its files differ, expected {count}; {_REBUILD}"
            )
        try:
            with storage_errors(folder), _numpy_header_lock:
                searched = manifest.vector_index
                store = FaissStore.open(
                    folder / VECTORS,
                    dimension=manifest.model.dimension,
                    count=count,
                    kind=searched.kind,
                    candidates=searched.candidates,
                )
                lexical = BM25Index.load(folder, manifest.language)
                tokens = PassageTokens.load(folder) if manifest.has_tokens else None
                pins = Pins.parse((folder / PINS).read_bytes().decode()) if manifest.has_pins else NO_PINS
        except (ValueError, EOFError, RuntimeError, KeyError) as error:
            raise IndexCorrupt(f"{folder}: {error}; {_REBUILD}") from error
        reader = PassageReader(folder / PASSAGES)
        index = cls(manifest, store, lexical, tokens, reader, pins)
        index._compare_counts(folder)
        return index

    def _compare_counts(self, folder: Path) -> None:
        """Raise :class:`IndexCorrupt`, and close the index, if the counts of its files differ."""
        documents, passages, sentences = self._reader.counts()
        count, tokens = self.manifest.passages, self.tokens
        found = (documents, passages, len(self.words), self.words.sentences())
        of_tokens = None if tokens is None else (len(tokens.sentences), len(tokens.starts) - 1)
        if tokens is not None and not len(tokens.lengths) == len(tokens.ids) == len(tokens.codes):
            of_tokens = (-1, -1)
        if found != (self.manifest.documents, count, count, sentences) or of_tokens not in {None, (sentences, count)}:
            self.close()
            raise IndexCorrupt(
                f"{folder}: {documents} documents, {passages} passages and {sentences} sentences do not agree with "
                f"its vectors, words or tokens, as expected; {_REBUILD}"
            )

    @property
    def passages(self) -> PassageReader:
        """The documents and passages, which the next build reuses."""
        return self._reader

    @property
    def has_tokens(self) -> bool:
        return self.tokens is not None

    @property
    def pins(self) -> Pins:
        return self._pins

    def find(
        self, vector: FloatArray, match: WordMatch | None, depth: int, filters: Filters | None
    ) -> tuple[IntArray, IntArray]:
        """Return the candidates for a question."""
        selected = None if filters is None else np.array(self._reader.matching(filters), dtype=np.int64)
        ids, _ = self.store.search(vector[None, :], depth, selected)
        return ids[0], np.empty(0, np.int64) if match is None else match.best(depth, selected)

    def __len__(self) -> int:
        return len(self.store)

    def vectors(self, numbers: IntArray) -> FloatArray:
        return self.store.vectors(numbers)

    def similarities(self, question: TokenEmbeddings, numbers: IntArray) -> Similarities:
        return self._tokens().similarities(question, numbers)

    def token_rows(self, number: int) -> Int32Array:
        return self._tokens().sentences[self._sentences(number)]

    def passage(self, number: int) -> Passage:
        return self._reader.passage(number)[0]

    def sentence_terms(self, number: int) -> list[Int32Array]:
        rows = self._sentences(number)
        return [self.words.sentence_terms(row, row + 1) for row in range(rows.start, rows.stop)]

    def document(self, document_id: str) -> SourceDocument | None:
        return self._reader.document(document_id)

    def documents_without_text(self, document_ids: Iterable[str]) -> dict[str, SourceDocument]:
        return {identifier: self._reader.document_without_text(identifier) for identifier in document_ids}

    def page_lines(self, pages: Iterable[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
        return {
            (document_id, page): lines
            for document_id, page in pages
            for lines in self._reader.page_lines(document_id, [page]).values()
        }

    def front_matter(self, document_ids: Iterable[str]) -> dict[str, Metadata]:
        return {identifier: self._reader.metadata(identifier) for identifier in document_ids}

    def document_id_at(self, uri: str) -> str | None:
        return self._reader.document_id_at(uri)

    def list_documents(self, after: str, limit: int) -> list[SourceDocument]:
        return self._reader.list_documents(after, limit)

    def texts(self) -> Iterator[tuple[str, str]]:
        return self._reader.texts()

    def kept_of_files(self) -> list[tuple[str, float]]:
        """Return for each file the share of its visible text, 0 to 1, that its passages cover; the least first."""
        return self._reader.kept_of_files()

    def cited_passage(self, identifier: str) -> tuple[str, int, str] | None:
        return self._reader.cited_passage(identifier)

    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        return self._reader.overlapping(document_id, start, end)

    def spans(self, document_id: str, start: int = 0, end: int = 2**62) -> list[tuple[int, int]]:
        return self._reader.spans(document_id, start, end)

    def sections(self, document_id: str) -> list[tuple[int, tuple[str, ...]]]:
        return self._reader.sections(document_id)

    def _sentences(self, number: int) -> slice:
        """Return the rows of a passage's sentences among the sentences of all passages."""
        passage, first = self._reader.passage(number)
        return slice(first, first + len(passage.sentences))

    def _tokens(self) -> PassageTokens:
        if self.tokens is None:
            raise ValueError("the index was built without token vectors")
        return self.tokens

    def close(self) -> None:
        """Release memory and files."""
        self.store.close()
        if self.tokens is not None:
            self.tokens.close()
        self._reader.close()


def read_manifest(folder: Path) -> Manifest:
    """Read the manifest in a generation's folder."""
    path = folder / MANIFEST
    if folder.is_symlink() or not folder.is_dir():
        raise IndexCorrupt(f"{folder} is not a folder; {_REBUILD}")
    with storage_errors(path):
        if not path.is_file():
            raise IndexCorrupt(f"{path} is missing: the build did not finish; {_REBUILD}")
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise IndexCorrupt(f"{path} has {path.stat().st_size} bytes, more than a manifest can have; {_REBUILD}")
        return parse_manifest(path.read_bytes(), str(path))
