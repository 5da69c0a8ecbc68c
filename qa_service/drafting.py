"""A generation under way: documents one after the other, then the vectors of their passages.

What the generation before has already is taken from it: documents of unchanged files whole, and of changed
files the vectors of passages of which the model sees the same. Of documents and vectors no more than one
document and one batch are in memory, so that a folder larger than memory can be indexed.
"""

import hashlib
import json
import os
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from qa_service.cleaning import embeddable
from qa_service.datatypes import Completeness, Document, Offsets, Skipped, SourceFile
from qa_service.embedding import Embedder, Vectors, in_batches
from qa_service.errors import TooManyFailed
from qa_service.index import (
    PASSAGES,
    Contents,
    Covered,
    Manifest,
    OpenIndex,
    PassageReader,
    PassageWriter,
    Written,
    write_generation,
)
from qa_service.late_interaction import PassageTokensBuilder
from qa_service.lexical import LexicalBuilder
from qa_service.splitting import Splitter, covered_characters, embedded_sentences, embedding_text
from qa_service.stores import Ids

_SPOOL = "vectors.spool"
_BLOCK = 10_000


class Draft:
    """What is known so far of a generation that is being written into ``folder``, which must be empty.

    From ``previous``, the generation before, if there is one, vectors are taken over that the same model made in the
    same way; its passages that come no more are kept for the citations of them.
    """

    def __init__(
        self,
        folder: Path,
        contents: Contents,
        splitter: Splitter,
        embedder: Embedder,
        previous: OpenIndex | None,
    ) -> None:
        self._folder = folder
        self._contents = contents
        self._splitter = splitter
        self._embedder = embedder
        self._retire_from = previous
        if previous is not None and not (
            previous.manifest.like(contents) and previous.manifest.embedded_by == embedder.runtime
        ):
            previous = None
        self._previous = previous
        # Documents can be taken over only if the same would be made of the same file.
        self._same_documents = previous is not None and previous.manifest.reads_like(contents)
        self._writer = PassageWriter(folder / PASSAGES)
        self._lexical = LexicalBuilder(
            contents.language, previous.lexical if previous is not None and self._same_documents else None
        )
        self.documents = 0
        self.skipped: list[Skipped] = list(contents.skipped_at_once())
        # Of each passage: its tokens and sentences; its number before, or -1, and its first sentence's row then.
        self._tokens, self._sentences, self._known, self._rows = array("q"), array("q"), array("q"), array("q")

    def take_over(self, file: SourceFile) -> bool:
        """Add the documents of a file that is unchanged; tell whether it is."""
        if self._previous is None or not self._same_documents:
            return False
        reader = self._previous.passages
        found = reader.ids_of_file(file.uri, file.sha256)
        for document_id in found:
            for passage in self._writer.take_over(reader, document_id):
                first, last = passage.first_sentence, passage.first_sentence + passage.sentences
                self._lexical.take_over(embeddable(passage.context), first, last)
                self._note(passage.tokens, passage.sentences, (passage.number, first))
            self.documents += 1
        if found:
            parts = (item for item in self._previous.manifest.skipped if item.uri.startswith(f"{file.uri}#"))
            self.skipped.extend(item.skipped() for item in parts)
        return bool(found)

    def add(self, document: Document | Skipped) -> None:
        """Split a document and add it, or note that a file, or a part of one, holds none."""
        if isinstance(document, Skipped):
            self.skipped.append(document)
            return
        passages = self._splitter.split(document, first_number=len(self._tokens))
        texts = [embedding_text(passage.context, passage.text) for passage in passages]
        keys = [_content_key(text, embedded_sentences(passage)) for text, passage in zip(texts, passages, strict=True)]
        tokens = self._embedder.count_tokens(texts)
        content, covered = covered_characters(document, passages)
        self._writer.add(document, passages, tokens, keys, Covered(content, covered))
        for passage, count, key in zip(passages, tokens, keys, strict=True):
            sentences = [embeddable(passage.text[slice(*span)]) for span in passage.sentences]
            self._lexical.add(embeddable(passage.context), sentences)
            known = None if self._previous is None else self._previous.passages.same_passage(key)
            self._note(count, len(sentences), known)
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

    def _note(self, tokens: int, sentences: int, known: tuple[int, int] | None) -> None:
        self._tokens.append(tokens)
        self._sentences.append(sentences)
        self._known.append(-1 if known is None else known[0])
        self._rows.append(-1 if known is None else known[1])

    def finish(self, *, batch_size: int, progress: Callable[[int, int], None]) -> Manifest:
        """Embed what is not known, write the rest and force all of it to disk."""
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
            Written({PASSAGES: len(tokens), **counts}, self.documents, skipped, warnings, completeness),
            embedded_by=self._embedder.runtime,
        )
        (self._folder / _SPOOL).unlink()
        return manifest

    def _embed(
        self, reader: PassageReader, batch_size: int, progress: Callable[[int, int], None]
    ) -> tuple[Vectors, dict[str, int]]:
        """Return the vectors (n, d) of all passages, in a file, and what was written of their tokens."""
        known = np.array(self._known, np.int64)
        vectors = _array_in_file(self._folder / _SPOOL, (len(known), self._embedder.dimension))
        tokens = PassageTokensBuilder(len(known), self._folder) if self._contents.token_vectors else None
        taken, new = np.flatnonzero(known >= 0), np.flatnonzero(known < 0)
        if self._previous is not None and len(taken):
            tokens = self._take_vectors(self._previous, taken, vectors, tokens)
        done = len(taken)
        for places in in_batches([self._tokens[number] for number in new], batch_size):
            numbers = new[places]
            passages = [reader.passage(int(number))[0] for number in numbers]
            texts = [embedding_text(passage.context, passage.text) for passage in passages]
            embedded = self._embedder.embed_passages(texts)
            vectors[numbers] = embedded.vectors
            if tokens is not None and embedded.tokens is None:
                tokens.drop()  # this model has no token vectors; the index does without
                tokens = None
            elif tokens is not None and embedded.tokens is not None:
                for number, passage, text, own in zip(numbers, passages, texts, embedded.tokens, strict=True):
                    tokens.add(int(number), text, own, embedded_sentences(passage))
            done += len(places)
            progress(done, len(known))
        return vectors, {} if tokens is None else tokens.finish()

    def _take_vectors(
        self,
        previous: OpenIndex,
        taken: Ids,
        vectors: Vectors,
        tokens: PassageTokensBuilder | None,
    ) -> PassageTokensBuilder | None:
        """Copy the vectors and tokens of some passages; return where tokens go on to be collected."""
        known = np.array(self._known, np.int64)
        for start in range(0, len(taken), _BLOCK):
            block = taken[start : start + _BLOCK]
            vectors[block] = previous.store.vectors(known[block])
        if tokens is None:
            return None
        if previous.tokens is None:
            tokens.drop()  # nor had the model any when the last generation was built
            return None
        for number in taken.tolist():
            rows = slice(self._rows[number], self._rows[number] + self._sentences[number])
            tokens.add_stored(number, previous.tokens, self._known[number], rows)
        return tokens


def _content_key(text: str, sentences: Sequence[Offsets]) -> bytes:
    """Return 16 bytes that are equal for passages of which the model sees the same."""
    return hashlib.sha256(json.dumps([text, sentences]).encode()).digest()[:16]


def _array_in_file(path: Path, shape: tuple[int, int]) -> Vectors:
    """Return an array over a new file. Its room is taken at once: a disk full later would kill the process."""
    size = shape[0] * shape[1] * np.dtype(np.float32).itemsize
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
    return np.memmap(path, np.float32, "r+", shape=shape)
