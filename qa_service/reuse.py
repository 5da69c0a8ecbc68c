"""Vectors of passages: those that the last generation has are taken from it, only the others are embedded.

A passage is the same if the model reads the same text and the same sentences of it are told apart. The
generation must be of the same model, run the same way.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import Passage
from qa_service.embedding import Embedder, Vectors, embed_in_batches
from qa_service.index import OpenIndex
from qa_service.late_interaction import PassageTokens, PassageTokensBuilder
from qa_service.splitting import embedded_sentences, embedding_text


@dataclass(frozen=True, slots=True)
class EmbeddedPassages:
    """Vectors (n, d) of n passages, their tokens if the model has vectors for them, and how many were reused."""

    vectors: Vectors
    tokens: PassageTokens | None
    reused: int


def content_key(passage: Passage) -> bytes:
    """Return 16 bytes that are equal for passages of which the model sees the same."""
    text = embedding_text(passage.context, passage.text)
    content = json.dumps([text, embedded_sentences(passage)]).encode()
    return hashlib.sha256(content).digest()[:16]


def embed_all(
    passages: Sequence[Passage],
    lengths: Sequence[int],
    embedder: Embedder,
    previous: OpenIndex | None,
    *,
    token_vectors: bool,
    batch_size: int,
    progress: Callable[[int], None],
) -> EmbeddedPassages:
    """Return the vectors of all passages, in their order; ``lengths`` are their numbers of tokens."""
    vectors = np.empty((len(passages), embedder.dimension), np.float32)
    builder = PassageTokensBuilder(len(passages)) if token_vectors else None
    known = {} if previous is None else previous.same_passages([content_key(passage) for passage in passages])
    if previous is not None and known:
        vectors[list(known)] = previous.store.vectors(np.array(list(known.values()), dtype=np.int64))
        builder = _stored_tokens(builder, previous, known)
    new = [place for place in range(len(passages)) if place not in known]
    done = len(known)
    for batch, embedded in embed_in_batches(
        embedder,
        [embedding_text(passages[place].context, passages[place].text) for place in new],
        [lengths[place] for place in new],
        batch_size,
    ):
        places = [new[number] for number in batch]
        vectors[places] = embedded.vectors
        if builder is not None and embedded.tokens is not None:
            for place, tokens in zip(places, embedded.tokens, strict=True):
                passage = passages[place]
                builder.add(place, embedding_text(passage.context, passage.text), tokens, embedded_sentences(passage))
        elif builder is not None:
            builder = None  # this model has no token vectors; the index does without
        done += len(places)
        progress(done)
    return EmbeddedPassages(vectors, None if builder is None else builder.finish(), len(known))


def _stored_tokens(
    builder: PassageTokensBuilder | None, previous: OpenIndex, known: dict[int, int]
) -> PassageTokensBuilder | None:
    """Give a builder the tokens that the previous generation has of passages, place by number."""
    if builder is None or previous.tokens is None:
        return None
    for place, number in known.items():
        passage, first_row = previous.passage(number)
        builder.add_stored(place, previous.tokens, number, slice(first_row, first_row + len(passage.sentences)))
    return builder
