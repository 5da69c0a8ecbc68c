"""Document -> passages: where to cut, the text that the model reads of each, and how much of a document they cover."""

from qa_service.splitting.coverage import CoverageCount, covered_characters
from qa_service.splitting.split_document import SplitDocument, split
from qa_service.splitting.splitter import (
    Splitter,
    SplitterSettings,
    embedded_sentences,
    embedding_text,
)

__all__ = [
    "CoverageCount",
    "SplitDocument",
    "Splitter",
    "SplitterSettings",
    "covered_characters",
    "embedded_sentences",
    "embedding_text",
    "split",
]
