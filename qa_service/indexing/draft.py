"""A generation under way: first the documents, one by one, then the vectors of their passages.

A document changes its form on its way::

    SourceFile ── read ──> Document ── split ──> SplitDocument ── add ──> rows in passages.sqlite, terms of its words
        │                                                                        │
        └── unchanged, or built in a shard: rows and terms are copied ── reuse ──┤
                                                                                 │ read back by length of text
                                                                                 v
        generation <── write ── vectors.spool, tokens.spool <── embed ── batch of passages
                                     ^
                                     └── copied for passages that the current generation or a shard has

Each detour has its reason:

- All passages go to disk before any is embedded: a batch of texts of similar length pads little, and such batches can
  be formed only when all lengths are known. Memory holds one document, two batches, and 40 bytes for each passage, so
  that a folder larger than memory can be indexed.
- Vectors go to a file of the final size, since batches come in random order.
- Documents of unchanged files are copied, rows and terms, in runs of consecutive passages: if the hash of the file is
  the same, and it would be read, split and cut into terms in the same way.
- Passages of changed files keep their vectors: if the content key of the passage is the same, that is, the text and
  sentences that the model sees, and the same model is run in the same way.
- The shards of a cluster build are small generations; their documents are copied like those of unchanged files.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from qa_service.datatypes import Completeness, FloatArray, Skipped, SourceFile
from qa_service.embedding import Embedder
from qa_service.errors import TooManyFailed
from qa_service.index import PASSAGES, Contents, Manifest
from qa_service.index.disk import (
    GenerationSummary,
    IndexFolder,
    OpenIndex,
    PassageReader,
    PassageWriter,
    write_generation,
)
from qa_service.index.pins import PINS
from qa_service.index.tokens import Codec, PassageTokensBuilder
from qa_service.index.words import BM25Builder, Synonyms
from qa_service.indexing.pins import find_pins
from qa_service.indexing.reuse import CURRENT, NEW, FinishedShards, OpenShards, PassageOrigins, Reusable, SourceIndex
from qa_service.indexing.vectors import VECTORS_FILE, VectorCollector
from qa_service.loading import NO_PIN_FILE, NO_SYNONYMS, PinFile, SynonymFile
from qa_service.splitting import CoverageCount, SplitDocument
from qa_service.text.cleaning import embeddable

MAX_COPIED_PASSAGES = 10_000
"""How many passages are copied at once."""


@dataclass(frozen=True, slots=True)
class _Run:
    """Passages of a source, from one number to another, that are copied together."""

    source: SourceIndex
    first: int
    last: int


class Draft:
    """A generation that is being written into ``folder``, which must be empty.

    ``current`` is the current generation, if there is one; :class:`Reusable` says how much of it is reused. Token
    vectors are written with its codec, or else with the ``codec``, or else with one fitted to the first of them.
    """

    def __init__(
        self,
        folder: Path,
        contents: Contents,
        embedder: Embedder,
        current: OpenIndex | None = None,
        codec: Codec | None = None,
        *,
        max_copied_passages: int = MAX_COPIED_PASSAGES,
    ) -> None:
        self._folder = folder
        self._contents = contents
        self._embedder = embedder
        self._max_copied_passages = max_copied_passages
        self._reusable = Reusable.of(current, contents, embedder.runtime)
        vectors, documents = self._reusable.vectors, self._reusable.documents
        self.codec = codec if vectors is None or vectors.tokens is None else vectors.tokens.codec
        self._writer = PassageWriter(folder / PASSAGES)
        self._lexical = BM25Builder(contents.language)
        self._unchanged: SourceIndex | None = None
        if documents is not None:
            self._unchanged = SourceIndex(CURRENT, documents, self._lexical.map_vocabulary(documents.words))
        self._shards = OpenShards(FinishedShards(IndexFolder(folder), {}, {}), self._lexical.map_vocabulary)
        self._run: _Run | None = None
        self._origins = PassageOrigins()
        self.documents = 0
        self.skipped: list[Skipped] = list(contents.left_out)

    def can_reuse(self, file: SourceFile) -> bool:
        """Tell whether the current generation has documents of this file, unchanged."""
        return self._unchanged is not None and bool(
            self._unchanged.index.passages.places_of_file(file.uri, file.sha256)
        )

    def use_shards(self, shards: FinishedShards) -> None:
        """Let :meth:`reuse_file` take the documents of files from shards too."""
        self._shards = OpenShards(shards, self._lexical.map_vocabulary)

    def reuse_file(self, file: SourceFile) -> bool:
        """Add the documents of a file from the current generation or a shard; tell whether one of them has it."""
        if self._unchanged is not None and self._reuse_from(self._unchanged, file):
            return True
        shards = self._shards.shards
        name = shards.shard_of.get(file.uri)
        if name is not None:
            if not self._shards.is_open(name):
                self._copy_run()  # its source may be closed by opening another
            self._reuse_from(self._shards.get(name), file)
        self.skipped.extend(shards.skipped.get(file.uri, ()))
        return name is not None or file.uri in shards.skipped

    def _reuse_from(self, source: SourceIndex, file: SourceFile) -> bool:
        found = source.index.passages.places_of_file(file.uri, file.sha256)
        for first, last in found:
            run = self._run
            follows = run is not None and run.source is source and first == run.last + 1
            if run is not None and follows and last - run.first < self._max_copied_passages:
                self._run = replace(run, last=last)
            else:
                self._copy_run()
                self._run = _Run(source, first, last)
        self.documents += len(found)
        if found or source.number != CURRENT:  # a file that could not be read before is tried again
            without = (item for item in source.index.manifest.skipped if f"{item.uri}#".startswith(f"{file.uri}#"))
            self.skipped.extend(without)
        return bool(found)

    def _copy_run(self) -> None:
        """Copy the passages of the run, if there is one."""
        run, self._run = self._run, None
        if run is None:
            return
        passages = run.source.index.passages
        copied = passages.reusable(run.first, run.last)
        self._writer.reuse(passages.path, copied)
        headings = [embeddable(passage.context) for passage in copied]
        sentences = [passage.sentences for passage in copied]
        self._lexical.reuse(headings, sentences, run.source.words, copied[0].first_sentence)
        for passage in copied:
            place = (passage.number, passage.first_sentence)
            self._origins.add(passage.tokens, passage.sentences, run.source.number, place)

    def add(self, found: SplitDocument | Skipped) -> None:
        """Add a document, or note why a file, or a part of one, holds none."""
        if isinstance(found, Skipped):
            self.skipped.append(found)
            return
        self._copy_run()
        self._writer.add(found.document, found.passages, found.tokens, found.keys, found.covered)
        vectors = self._reusable.vectors
        for passage, count, key in zip(found.passages, found.tokens, found.keys, strict=True):
            sentences = [embeddable(passage.text[slice(*span)]) for span in passage.sentences]
            self._lexical.add(embeddable(passage.context), sentences)
            place = None if vectors is None else vectors.passages.same_passage(key)
            if place is None:
                self._origins.add(count, len(sentences), NEW)
            else:
                self._origins.add(count, len(sentences), CURRENT, place)
        self.documents += 1

    def expect_few_failures(self, max_percent: float) -> None:
        """Raise :class:`TooManyFailed` if more of the current generation's files have become unreadable.

        A single file is never too many, and new ones do not count.
        """
        if self._reusable.index is None:
            return
        before = self._reusable.index.manifest
        read = {file.uri for file in before.sources} - {item.uri for item in before.skipped}
        failed = [item.uri for item in self.skipped if item.failed and item.uri in read]
        if len(failed) > max(1, max_percent / 100 * len(read)):
            raise TooManyFailed(
                f"{len(failed)} of {len(read)} files became unreadable (first: {failed[0]}); the current index is "
                "kept. Fix them or pass --allow-skips"
            )

    def finish(
        self,
        *,
        batch_size: int,
        progress: Callable[[int, int], None],
        synonyms: SynonymFile = NO_SYNONYMS,
        pins: PinFile = NO_PIN_FILE,
    ) -> Manifest:
        """Embed the new passages, write the generation with the synonyms and pins, and force it to disk."""
        self._copy_run()
        self._shards.close()
        retired_from = self._reusable.index
        self._writer.close(None if retired_from is None else retired_from.passages.path)
        reader = PassageReader(self._folder / PASSAGES)
        # Words are sorted in another thread while vectors are copied and their codes are chosen.
        with closing(reader), ThreadPoolExecutor(1, "words") as thread:
            lexical = thread.submit(self._lexical.finish, Synonyms.of(reader.acronyms().items(), synonyms.rules))
            vectors, counts = self._collect_vectors(reader, batch_size, progress)
            covered, warnings = reader.summary()
            unpinned = self._write_pins(pins, reader, counts)
            manifest = write_generation(
                self._folder,
                self._contents,
                vectors,
                lexical.result,
                GenerationSummary(
                    {PASSAGES: len(self._origins.tokens), **counts},
                    self.documents,
                    sorted(self.skipped, key=lambda item: item.uri),
                    [*synonyms.warnings, *unpinned, *warnings],
                    self._completeness(covered),
                ),
                embedded_by=self._embedder.runtime,
            )
        (self._folder / VECTORS_FILE).unlink()
        return manifest

    def _completeness(self, covered: CoverageCount) -> Completeness:
        tokens = np.array(self._origins.tokens, np.int64)
        return Completeness(
            text_characters=covered.text,
            content_characters=covered.content,
            covered_characters=covered.covered,
            tokens=int(tokens.sum()),
            tokens_lost=int(np.maximum(tokens - self._contents.splitter.window, 0).sum()),
        )

    def _write_pins(self, file: PinFile, reader: PassageReader, counts: dict[str, int]) -> list[str]:
        """Write the pins whose quotes stand, and count them; return warnings on the others."""
        pins, problems = find_pins(file.lines, reader, self._embedder)
        if pins:
            (self._folder / PINS).write_bytes(pins.dump().encode())
            counts[PINS] = len(pins)
        return [*file.warnings, *problems]

    def _collect_vectors(
        self, reader: PassageReader, batch_size: int, progress: Callable[[int, int], None]
    ) -> tuple[FloatArray, dict[str, int]]:
        """Return the vectors (n, d) of all passages, in a file, and the number of rows in each file of tokens."""
        tokens = None
        if self._contents.token_vectors:
            tokens = PassageTokensBuilder(len(self._origins.tokens), self._folder, self.codec)
        collector = VectorCollector(
            self._folder, self._origins, self._embedder.dimension, tokens, self._max_copied_passages
        )
        new, copied = self._origins.by_source(len(self._shards.numbers))
        if self._reusable.vectors is not None:
            collector.copy(self._reusable.vectors, copied[CURRENT])
        for name, number in self._shards.numbers.items():
            with closing(self._shards.shards.folder.open_generation(name)) as shard:
                collector.copy(shard, copied[number])
        collector.embed(reader, new, self._embedder, batch_size, progress)
        return collector.finish()
