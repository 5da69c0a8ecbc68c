"""Vectors of passages: those that the last generation has are taken from it, only the others are embedded.

A passage is the same if the model reads the same text and the same sentences of it are told apart. The
generation must be of the same model, run the same way.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import Offsets, Passage
from qa_service.embedding import Embedder, Vectors, embed_in_batches
from qa_service.index import OpenIndex
from qa_service.late_interaction import PassageTokens, PassageTokensBuilder
from qa_service.splitting import embedded_sentences


@dataclass(frozen=True, slots=True)
class EmbeddedPassages:
    """Vectors (n, d) of n passages, their tokens if the model has vectors for them, and their content keys."""

    vectors: Vectors
    tokens: PassageTokens | None
    content_keys: tuple[bytes, ...]


def _content_key(text: str, sentences: Sequence[Offsets]) -> bytes:
    """Return 16 bytes that are equal for passages of which the model sees the same."""
    return hashlib.sha256(json.dumps([text, sentences]).encode()).digest()[:16]


def embed_all(
    passages: Sequence[Passage],
    texts: Sequence[str],
    lengths: Sequence[int],
    embedder: Embedder,
    previous: OpenIndex | None,
    *,
    token_vectors: bool,
    batch_size: int,
    progress: Callable[[int], None],
) -> EmbeddedPassages:
    """Return the vectors of all passages, in their order; ``texts`` are what the model reads of them.

    ``lengths`` are the texts' numbers of tokens.
    """
    sentences = [embedded_sentences(passage) for passage in passages]
    keys = tuple(map(_content_key, texts, sentences))
    vectors = np.empty((len(passages), embedder.dimension), np.float32)
    builder = PassageTokensBuilder(len(passages)) if token_vectors else None
    known = {} if previous is None else previous.same_passages(keys)
    if previous is not None and known:
        numbers = np.array([number for number, _ in known.values()], dtype=np.int64)
        vectors[list(known)] = previous.store.vectors(numbers)
        if previous.tokens is None:
            builder = None  # nor had it any when the last generation was built
        elif builder is not None:
            for place, (number, row) in known.items():
                builder.add_stored(place, previous.tokens, number, slice(row, row + len(sentences[place])))
    new = [place for place in range(len(passages)) if place not in known]
    done = len(known)
    for batch, embedded in embed_in_batches(
        embedder, [texts[place] for place in new], [lengths[place] for place in new], batch_size
    ):
        places = [new[number] for number in batch]
        vectors[places] = embedded.vectors
        if builder is not None and embedded.tokens is not None:
            for place, tokens in zip(places, embedded.tokens, strict=True):
                builder.add(place, texts[place], tokens, sentences[place])
        elif builder is not None:
            builder = None  # this model has no token vectors; the index does without
        done += len(places)
        progress(done)
    return EmbeddedPassages(vectors, None if builder is None else builder.finish(), keys)
