"""The vectors of a new generation's passages: copied where another index has them, embedded otherwise."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qa_service.datatypes import FloatArray, IntArray, Passage
from qa_service.embedding import Embedder, PassageEmbeddings, batches_by_length
from qa_service.embedding.batching import prefetch
from qa_service.index.disk import OpenIndex, PassageReader
from qa_service.index.tokens import PassageTokensBuilder
from qa_service.indexing.reuse import PassageOrigins
from qa_service.splitting import embedded_sentences, embedding_text

VECTORS_FILE = "vectors.spool"


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
        """Embed some passages, a batch while the one before is stored."""
        count = len(self._origins.tokens)
        done = count - len(passages)
        batches = (
            _Batch(passages[places], [reader.passage(int(number))[0] for number in passages[places]])
            for places in batches_by_length([self._origins.tokens[number] for number in passages], batch_size)
        )
        for batch, embedded in prefetch(lambda batch: embedder.embed_passages(batch.texts), batches):
            self._store(batch, embedded)
            done += len(batch.numbers)
            progress(done, count)

    def _store(self, batch: _Batch, embedded: PassageEmbeddings) -> None:
        self._vectors[batch.numbers] = embedded.vectors
        if self._tokens is None:
            return
        if embedded.tokens is None:
            self._drop_tokens()
            return
        for number, passage, text, own in zip(batch.numbers, batch.passages, batch.texts, embedded.tokens, strict=True):
            self._tokens.add(int(number), text, own, embedded_sentences(passage))

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
