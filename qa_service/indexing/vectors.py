"""The vectors of a new generation's passages: copied where another index has them, embedded otherwise."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qa_service.datatypes import FloatArray, IntArray, Passage
from qa_service.embedding import Embedder, batches_by_length
from qa_service.embedding.batching import prefetch
from qa_service.index.disk import OpenIndex, PassageReader
from qa_service.index.tokens import PackedTokens, PassageTokensBuilder
from qa_service.indexing.reuse import PassageOrigins
from qa_service.splitting import embedded_sentences, embedding_text

VECTORS_FILE = "vectors.spool"
_EmbeddedBatch = tuple[FloatArray, Sequence[PackedTokens] | None]
"""The vectors of a batch of passages, and their tokens if the model has vectors for them."""


class _Batch:
    """Passages that are embedded together, their numbers, and the texts that the model reads."""

    def __init__(self, numbers: IntArray, passages: Sequence[Passage]) -> None:
        self.numbers = numbers
        self.passages = passages
        self.texts = [embedding_text(passage.context, passage.text) for passage in passages]


class VectorCollector:
    """Collects the vectors (n, d) of n passages in a file of ``folder``, and their tokens' in ``tokens``.

    ``tokens`` is ``None`` for an index without token vectors; they are dropped where a model has none.
    """

    def __init__(
        self,
        folder: Path,
        origins: PassageOrigins,
        dimension: int,
        tokens: PassageTokensBuilder | None,
        max_copied_passages: int,
    ) -> None:
        self._origins = origins
        self._vectors = _array_in_file(folder / VECTORS_FILE, (len(origins.tokens), dimension))
        self._tokens = tokens
        self._max_copied_passages = max_copied_passages

    def copy(self, source: OpenIndex, passages: IntArray) -> None:
        """Copy the vectors and tokens of some passages, which come from this ``source``."""
        numbers, rows, sentences = (
            np.frombuffer(values, np.int64)[passages]
            for values in (self._origins.numbers, self._origins.rows, self._origins.sentences)
        )
        for start in range(0, len(passages), self._max_copied_passages):
            block = slice(start, start + self._max_copied_passages)
            self._vectors[passages[block]] = source.store.vectors(numbers[block])
        if self._tokens is None or not len(passages):
            return
        if source.tokens is None:
            self._drop_tokens()
        else:
            self._tokens.add_stored(passages, source.tokens, numbers, rows, sentences)

    def embed(
        self,
        reader: PassageReader,
        passages: IntArray,
        embedder: Embedder,
        batch_size: int,
        progress: Callable[[int, int], None],
    ) -> None:
        """Embed some passages, in the threads that the embedder works best with, and store them in this one."""
        count = len(self._origins.tokens)
        done = count - len(passages)
        lengths = np.minimum(np.frombuffer(self._origins.tokens, np.int64)[passages], embedder.window)
        batches = (
            _Batch(passages[places], [reader.passage(int(number))[0] for number in passages[places]])
            for places in batches_by_length(lengths, batch_size, embedder.batching.tokens)
        )
        for batch, made in prefetch(lambda batch: self._embedded(batch, embedder), batches, embedder.batching.threads):
            self._store(batch, *made)
            done += len(batch.numbers)
            progress(done, count)

    def _embedded(self, batch: _Batch, embedder: Embedder) -> _EmbeddedBatch:
        found, builder = embedder.embed_passages(batch.texts), self._tokens
        if builder is None or found.tokens is None:
            return found.vectors, None
        rows = zip(batch.passages, batch.texts, found.tokens, strict=True)
        return found.vectors, [builder.pack(text, own, embedded_sentences(passage)) for passage, text, own in rows]

    def _store(self, batch: _Batch, vectors: FloatArray, tokens: Sequence[PackedTokens] | None) -> None:
        self._vectors[batch.numbers] = vectors
        if self._tokens is None:
            return
        if tokens is None:
            self._drop_tokens()
            return
        for number, packed in zip(batch.numbers.tolist(), tokens, strict=True):
            self._tokens.add(number, packed)

    def _drop_tokens(self) -> None:
        """Do without token vectors: this model, or the one that built the source, has none."""
        if self._tokens is not None:
            self._tokens.drop()
            self._tokens = None

    def finish(self) -> tuple[FloatArray, dict[str, int]]:
        """Return the vectors, in their file, and the number of rows in each file of tokens."""
        return self._vectors, {} if self._tokens is None else self._tokens.finish()


def _array_in_file(path: Path, shape: tuple[int, int]) -> FloatArray:
    """Return an array over a new file. Its room is taken at once: a disk full later would kill the process."""
    size = shape[0] * shape[1] * np.dtype(np.float32).itemsize
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    return np.memmap(path, np.float32, "r+", shape=shape)
