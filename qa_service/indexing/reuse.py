"""Reuses the current generation, and the shards that a cluster has finished."""

from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

import numpy as np

from qa_service.datatypes import IntArray, Skipped
from qa_service.index import Contents
from qa_service.index.disk import IndexFolder, OpenIndex
from qa_service.index.words import BM25Index, VocabularyMap

NEW, CURRENT = -1, 0
"""Sources of a passage: made by this build, or copied from the current generation. Shards are numbered from 1."""
_MAX_OPEN_SHARDS = 4


@dataclass(frozen=True, slots=True)
class Reusable:
    """The current generation, if there is one, and how much of it the next one may reuse.

    Passages that no longer occur are always kept as retired ones, so that their citations still open.
    """

    index: OpenIndex | None
    same_model: bool
    same_reading: bool

    @classmethod
    def of(cls, index: OpenIndex | None, contents: Contents, runtime: str) -> Self:
        """Compare the current generation with the ``contents`` of the next one and the ``runtime`` of its embedder."""
        if index is None:
            return cls(None, same_model=False, same_reading=False)
        manifest = index.manifest
        same_model = manifest.like(contents) and manifest.embedded_by == runtime
        return cls(index, same_model, same_model and manifest.reads_like(contents))

    @property
    def vectors(self) -> OpenIndex | None:
        """The index whose vectors were made by the same model, run in the same way."""
        return self.index if self.same_model else None

    @property
    def documents(self) -> OpenIndex | None:
        """The index for which an unchanged file was read, split and cut into terms as it would be now."""
        return self.index if self.same_reading else None


@dataclass(frozen=True, slots=True)
class FinishedShards:
    """Finished parts of a build, each a generation of ``folder``."""

    folder: IndexFolder
    shard_of: Mapping[str, str]
    """The generation that holds a file, by the file's uri."""
    skipped: Mapping[str, Sequence[Skipped]]
    """Why a file holds no document, by the file's uri."""


@dataclass(frozen=True, slots=True)
class SourceIndex:
    """An open index to copy from: the number of this source, and its words as the draft numbers them."""

    number: int
    index: OpenIndex
    words: VocabularyMap


class OpenShards:
    """Finished shards by name, opened when needed; the least recently used ones are closed."""

    def __init__(self, shards: FinishedShards, map_vocabulary: Callable[[BM25Index], VocabularyMap]) -> None:
        self.shards = shards
        self.numbers = {name: number for number, name in enumerate(sorted(set(shards.shard_of.values())), CURRENT + 1)}
        self._map_vocabulary = map_vocabulary
        self._open: dict[str, SourceIndex] = {}

    def is_open(self, name: str) -> bool:
        """Tell whether :meth:`get` will open or close nothing."""
        return name in self._open

    def get(self, name: str) -> SourceIndex:
        """Return a shard, open."""
        source = self._open.pop(name, None)
        if source is None:
            index = self.shards.folder.open_generation(name)
            source = SourceIndex(self.numbers[name], index, self._map_vocabulary(index.words))
        self._open[name] = source
        while len(self._open) > _MAX_OPEN_SHARDS:
            self._open.pop(next(iter(self._open))).index.close()
        return source

    def close(self) -> None:
        """Close all of them."""
        for source in self._open.values():
            source.index.close()
        self._open.clear()


@dataclass(frozen=True, slots=True)
class PassageOrigins:
    """For each passage, in order, its size and where its vectors come from; 40 bytes a passage."""

    tokens: "array[int]" = field(default_factory=lambda: array("q"))
    sentences: "array[int]" = field(default_factory=lambda: array("q"))
    sources: "array[int]" = field(default_factory=lambda: array("q"))
    """:data:`NEW`, :data:`CURRENT`, or the number of a shard."""
    numbers: "array[int]" = field(default_factory=lambda: array("q"))
    """The passage's number in its source."""
    rows: "array[int]" = field(default_factory=lambda: array("q"))
    """The row of its first sentence in its source."""

    def add(self, tokens: int, sentences: int, source: int = NEW, place: tuple[int, int] = (-1, -1)) -> None:
        """Add a passage; ``place`` is its number and the row of its first sentence in the source."""
        self.tokens.append(tokens)
        self.sentences.append(sentences)
        self.sources.append(source)
        self.numbers.append(place[0])
        self.rows.append(place[1])

    def by_source(self, shards: int) -> tuple[IntArray, list[IntArray]]:
        """Return the new passages, and those of each source: the current generation, then so many shards."""
        sources = np.frombuffer(self.sources, np.int64)
        order = np.argsort(sources, kind="stable")
        starts = np.searchsorted(sources, np.arange(CURRENT, shards + 2), sorter=order)
        return order[: starts[0]], [order[slice(*ends)] for ends in pairwise(starts)]
