"""How does a document look? Its text as blocks of runs: every character that is shown keeps its offset."""

from qa_service.rendering.clip import clip
from qa_service.rendering.document import BlockCache, blocks_of, document_at
from qa_service.rendering.text import Section

__all__ = ["BlockCache", "Section", "blocks_of", "clip", "document_at"]
