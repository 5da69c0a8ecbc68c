"""A document with its passages, in the form that a build takes, also from other machines."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from qa_service.datatypes import Document, Offsets, Passage, Skipped
from qa_service.splitting.coverage import CoverageCount, covered_characters
from qa_service.splitting.splitter import (
    Splitter,
    embedded_sentences,
    embedding_text,
)


@dataclass(frozen=True, slots=True)
class SplitDocument:
    """A document and its passages, with the token count and the content key of each passage.

    Passages with equal content keys have equal vectors: the model sees the same text and sentences.
    """

    document: Document
    passages: Sequence[Passage]
    tokens: Sequence[int]
    keys: Sequence[bytes]
    covered: CoverageCount


def split(document: Document | Skipped, splitter: Splitter) -> SplitDocument | Skipped:
    """Split a document; return a skipped one as it is."""
    if isinstance(document, Skipped):
        return document
    passages = splitter.split(document)
    texts = [embedding_text(passage.context, passage.text) for passage in passages]
    keys = [_content_key(text, embedded_sentences(passage)) for text, passage in zip(texts, passages, strict=True)]
    return SplitDocument(document, passages, splitter.count_tokens(texts), keys, covered_characters(document, passages))


def _content_key(text: str, sentences: Sequence[Offsets]) -> bytes:
    """Return a hash, 16 bytes, of the text that the model sees and of its sentences."""
    return hashlib.sha256(json.dumps([text, sentences]).encode()).digest()[:16]
