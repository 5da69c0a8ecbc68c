"""A document split: what a build needs of it, from whichever machine it comes."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from qa_service.datatypes import Document, Offsets, Passage, Skipped
from qa_service.splitting.splitter import (
    CoverageCount,
    Splitter,
    covered_characters,
    embedded_sentences,
    embedding_text,
)


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """A document and its passages; of each passage its tokens and a key that tells what the model sees of it."""

    document: Document
    passages: Sequence[Passage]
    tokens: Sequence[int]
    keys: Sequence[bytes]
    covered: CoverageCount


def split(document: Document | Skipped, splitter: Splitter) -> SplitDocument | Skipped:
    """Split a document; what holds none stays as it is."""
    if isinstance(document, Skipped):
        return document
    passages = splitter.split(document)
    texts = [embedding_text(passage.context, passage.text) for passage in passages]
    keys = [_content_key(text, embedded_sentences(passage)) for text, passage in zip(texts, passages, strict=True)]
    return SplitDocument(document, passages, splitter.count_tokens(texts), keys, covered_characters(document, passages))


def _content_key(text: str, sentences: Sequence[Offsets]) -> bytes:
    """Return 16 bytes that are equal for passages of which the model sees the same."""
    return hashlib.sha256(json.dumps([text, sentences]).encode()).digest()[:16]
