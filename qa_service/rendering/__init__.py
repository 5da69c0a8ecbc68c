"""How does a document look? Its text as blocks of runs: every character that is shown keeps its offset."""

from qa_service.rendering.clip import clip
from qa_service.rendering.document import BlockCache, blocks_of

__all__ = ["BlockCache", "blocks_of", "clip"]
