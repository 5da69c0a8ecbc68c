"""A generation under way: documents one after the other, then the vectors of their passages.

What the generation before has already is taken from it: documents of unchanged files whole, and of changed
files the vectors of passages of which the model sees the same. So are documents of the shards of a build on many
machines. Of documents and vectors no more than one document and two batches are in memory, so that a folder larger
than memory can be indexed.
"""

import os
from array import array
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from qa_service.datatypes import Completeness, FloatArray, IntArray, Passage, Skipped, SourceFile
from qa_service.embedding import Embedder, batches_by_length
from qa_service.embedding.batching import prefetch
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
from qa_service.index.tokens import Codec, PassageTokensBuilder
from qa_service.index.words import BM25Builder, VocabularyMap
from qa_service.splitting import SplitDocument, embedded_sentences, embedding_text
from qa_service.text.cleaning import embeddable

_VECTORS_FILE = "vectors.spool"
_MAX_COPIED_PASSAGES = 10_000
_NEW, _PREVIOUS = -1, 0
_MAX_OPEN_SHARDS = 4


@dataclass(frozen=True, slots=True)
class Shards:
    """Finished parts of a build, each a generation of ``folder``.

    By the uri of a file: the generation that is ``holding`` it, or why it is ``empty``, without a document.
    """

    folder: IndexFolder
    holding: Mapping[str, str]
    empty: Mapping[str, Sequence[Skipped]]


@dataclass(frozen=True, slots=True)
class _Part:
    """An open index that documents are taken over from, by its number."""

    number: int
    index: OpenIndex
    terms: VocabularyMap


@dataclass(frozen=True, slots=True)
class _Run:
    """Passages of a part, from one number to another, that are taken over together."""

    part: _Part
    first: int
    last: int


class _Batch:
    """Passages that are embedded together, their numbers, and what the model reads of them."""

    def __init__(self, numbers: IntArray, passages: Sequence[Passage]) -> None:
        self.numbers = numbers
        self.passages = passages
        self.texts = [embedding_text(passage.context, passage.text) for passage in passages]


class Draft:
    """What is known so far of a generation that is being written into ``folder``, which must be empty.

    From ``previous``, the generation before, if there is one, vectors are taken over that the same model made in the
    same way; its passages that come no more are kept for the citations of them. Token vectors are written in the
    ``codec``, if one is given.
    """

    def __init__(
        self,
        folder: Path,
        contents: Contents,
        embedder: Embedder,
        previous: OpenIndex | None,
        codec: Codec | None = None,
    ) -> None:
        self._folder = folder
        self._contents = contents
        self._embedder = embedder
        self._retire_from = previous
        if previous is not None and not (
            previous.manifest.like(contents) and previous.manifest.embedded_by == embedder.runtime
        ):
            previous = None
        self._previous = previous
        self.codec = codec if previous is None or previous.tokens is None else previous.tokens.codec
        self._writer = PassageWriter(folder / PASSAGES)
        self._lexical = BM25Builder(contents.language)
        # Documents can be taken over only if the same would be made of the same file.
        self._before: _Part | None = None
        if previous is not None and previous.manifest.reads_like(contents):
            self._before = _Part(_PREVIOUS, previous, self._lexical.map_vocabulary(previous.words))
        self._shards = Shards(IndexFolder(folder), {}, {})
        self._shard_numbers: dict[str, int] = {}
        self._open: dict[str, _Part] = {}
        self._run: _Run | None = None
        self.documents = 0
        self.skipped: list[Skipped] = list(contents.skipped_at_once())
        # Of each passage: its tokens and sentences; the part that has it, and number and first row there.
        self._tokens, self._sentences = array("q"), array("q")
        self._parts, self._known, self._rows = array("q"), array("q"), array("q")

    def can_reuse(self, file: SourceFile) -> bool:
        """Tell whether the generation before has documents of a file that is unchanged."""
        return self._before is not None and bool(self._before.index.passages.places_of_file(file.uri, file.sha256))

    def use_shards(self, shards: Shards) -> None:
        """Have the documents of files that stand in shards taken over from them, when their turn comes."""
        self._shards = shards
        names = sorted(set(shards.holding.values()))
        self._shard_numbers = {name: number for number, name in enumerate(names, start=_PREVIOUS + 1)}

    def reuse_file(self, file: SourceFile) -> bool:
        """Add the documents of a file that is unchanged, or in a shard; tell whether it is."""
        if self._before is not None and self._take(self._before, file):
            return True
        name = self._shards.holding.get(file.uri)
        if name is not None:
            self._take(self._shard(name), file)
        self.skipped.extend(self._shards.empty.get(file.uri, ()))
        return name is not None or file.uri in self._shards.empty

    def _take(self, part: _Part, file: SourceFile) -> bool:
        found = part.index.passages.places_of_file(file.uri, file.sha256)
        for first, last in found:
            run = self._run
            if (
                run is not None
                and run.part is part
                and first == run.last + 1
                and last - run.first < _MAX_COPIED_PASSAGES
            ):
                self._run = replace(run, last=last)
            else:
                self._copy_run()
                self._run = _Run(part, first, last)
        self.documents += len(found)
        if found or part.number != _PREVIOUS:  # what could not be read before is tried again
            without = (item for item in part.index.manifest.skipped if f"{item.uri}#".startswith(f"{file.uri}#"))
            self.skipped.extend(item.skipped() for item in without)
        return bool(found)

    def _copy_run(self) -> None:
        """Take over the passages that were found one after the other in another index."""
        run, self._run = self._run, None
        if run is None:
            return
        passages = run.part.index.passages
        taken = passages.reusable(run.first, run.last)
        self._writer.reuse(passages.path, taken)
        headings = [embeddable(passage.context) for passage in taken]
        sentences = [passage.sentences for passage in taken]
        self._lexical.reuse(headings, sentences, run.part.terms, taken[0].first_sentence)
        for passage in taken:
            known = (passage.number, passage.first_sentence)
            self._note(passage.tokens, passage.sentences, run.part.number, known)

    def _shard(self, name: str) -> _Part:
        """Return a shard, open; those that were not of use for longest are closed."""
        part = self._open.pop(name, None)
        if part is None:
            self._copy_run()
            index = self._shards.folder.open_generation(name)
            part = _Part(self._shard_numbers[name], index, self._lexical.map_vocabulary(index.words))
        self._open[name] = part
        while len(self._open) > _MAX_OPEN_SHARDS:
            self._open.pop(next(iter(self._open))).index.close()
        return part

    def add(self, found: SplitDocument | Skipped) -> None:
        """Add a document, or note that a file, or a part of one, holds none."""
        if isinstance(found, Skipped):
            self.skipped.append(found)
            return
        self._copy_run()
        self._writer.add(found.document, found.passages, found.tokens, found.keys, found.covered)
        for passage, count, key in zip(found.passages, found.tokens, found.keys, strict=True):
            sentences = [embeddable(passage.text[slice(*span)]) for span in passage.sentences]
            self._lexical.add(embeddable(passage.context), sentences)
            known = None if self._previous is None else self._previous.passages.same_passage(key)
            if known is None:
                self._note(count, len(sentences), _NEW, (-1, -1))
            else:
                self._note(count, len(sentences), _PREVIOUS, known)
        self.documents += 1

    def expect_few_failures(self, most_percent: float) -> None:
        """Raise :class:`TooManyFailed` if more of the files can't be read that the generation before was made of.

        A single file is never too many, and new ones do not count.
        """
        if self._retire_from is None:
            return
        before = self._retire_from.manifest
        read = {file.uri for file in before.sources} - {item.uri for item in before.skipped}
        failed = [item.uri for item in self.skipped if item.failed and item.uri in read]
        if len(failed) > max(1, most_percent / 100 * len(read)):
            raise TooManyFailed(
                f"{len(failed)} of {len(read)} files can't be read any more, {failed[0]} is the first; the index in "
                "force is kept: mend the files or pass --allow-skips"
            )

    def _note(self, tokens: int, sentences: int, part: int, known: tuple[int, int]) -> None:
        self._tokens.append(tokens)
        self._sentences.append(sentences)
        self._parts.append(part)
        self._known.append(known[0])
        self._rows.append(known[1])

    def finish(self, *, batch_size: int, progress: Callable[[int, int], None]) -> Manifest:
        """Embed what is not known, write the rest and force all of it to disk."""
        self._copy_run()
        for part in self._open.values():
            part.index.close()
        self._open.clear()
        self._writer.close(None if self._retire_from is None else self._retire_from.passages.path)
        reader = PassageReader(self._folder / PASSAGES)
        try:
            vectors, counts = self._embed(reader, batch_size, progress)
            covered, warnings = reader.summary()
        finally:
            reader.close()
        window = self._contents.splitter.window
        tokens = np.array(self._tokens, np.int64)
        completeness = Completeness(
            content_characters=covered.content,
            covered_characters=covered.covered,
            tokens=int(tokens.sum()),
            tokens_lost=int(np.maximum(tokens - window, 0).sum()),
        )
        skipped = sorted(self.skipped, key=lambda item: item.uri)
        manifest = write_generation(
            self._folder,
            self._contents,
            vectors,
            self._lexical.finish(),
            GenerationSummary({PASSAGES: len(tokens), **counts}, self.documents, skipped, warnings, completeness),
            embedded_by=self._embedder.runtime,
        )
        (self._folder / _VECTORS_FILE).unlink()
        return manifest

    def _embed(
        self, reader: PassageReader, batch_size: int, progress: Callable[[int, int], None]
    ) -> tuple[FloatArray, dict[str, int]]:
        """Return the vectors (n, d) of all passages, in a file, and what was written of their tokens."""
        parts = np.frombuffer(self._parts, np.int64)
        vectors = _array_in_file(self._folder / _VECTORS_FILE, (len(parts), self._embedder.dimension))
        tokens = None
        if self._contents.token_vectors:
            tokens = PassageTokensBuilder(len(parts), self._folder, self.codec)
        order = np.argsort(parts, kind="stable")
        starts = np.searchsorted(parts, np.arange(_PREVIOUS, len(self._shard_numbers) + 2), sorter=order)
        new, taken = order[: starts[0]], [order[slice(*ends)] for ends in pairwise(starts)]
        if self._previous is not None:
            tokens = self._take_vectors(self._previous, taken[_PREVIOUS], vectors, tokens)
        for name, number in self._shard_numbers.items():
            with closing(self._shards.folder.open_generation(name)) as shard:
                tokens = self._take_vectors(shard, taken[number], vectors, tokens)
        done = len(parts) - len(new)
        batches = (
            _Batch(new[places], [reader.passage(int(number))[0] for number in new[places]])
            for places in batches_by_length([self._tokens[number] for number in new], batch_size)
        )
        for batch, embedded in prefetch(lambda batch: self._embedder.embed_passages(batch.texts), batches):
            numbers = batch.numbers
            vectors[numbers] = embedded.vectors
            if tokens is not None and embedded.tokens is None:
                tokens.drop()  # this model has no token vectors; the index does without
                tokens = None
            elif tokens is not None and embedded.tokens is not None:
                for number, passage, text, own in zip(
                    numbers, batch.passages, batch.texts, embedded.tokens, strict=True
                ):
                    tokens.add(int(number), text, own, embedded_sentences(passage))
            done += len(numbers)
            progress(done, len(parts))
        return vectors, {} if tokens is None else tokens.finish()

    def _take_vectors(
        self, part: OpenIndex, taken: IntArray, vectors: FloatArray, tokens: PassageTokensBuilder | None
    ) -> PassageTokensBuilder | None:
        """Copy the vectors and tokens of some passages; return where tokens go on to be collected."""
        known = np.frombuffer(self._known, np.int64)
        for start in range(0, len(taken), _MAX_COPIED_PASSAGES):
            block = taken[start : start + _MAX_COPIED_PASSAGES]
            vectors[block] = part.store.vectors(known[block])
        if tokens is None or not len(taken):
            return tokens
        if part.tokens is None:
            tokens.drop()  # nor had the model any when that was built
            return None
        rows, sentences = (np.frombuffer(values, np.int64)[taken] for values in (self._rows, self._sentences))
        tokens.add_stored(taken, part.tokens, known[taken], rows, sentences)
        return tokens


def _array_in_file(path: Path, shape: tuple[int, int]) -> FloatArray:
    """Return an array over a new file. Its room is taken at once: a disk full later would kill the process."""
    size = shape[0] * shape[1] * np.dtype(np.float32).itemsize
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    return np.memmap(path, np.float32, "r+", shape=shape)
