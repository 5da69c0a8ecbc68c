"""The blocks of documents, by their formats."""

from collections.abc import Callable, Sequence

from cachetools import LRUCache

from qa_service.datatypes import Run, ShownBlock, SourceDocument
from qa_service.rendering.clip import clip
from qa_service.rendering.markdown import markdown_blocks

_MARKDOWN = {"text/markdown", "text/mdx", "application/x-ipynb+json"}
_CACHE_CHARACTERS = 2_000_000


def blocks_of(document: SourceDocument) -> Sequence[ShownBlock]:
    """Return the blocks of a document, in order, in offsets of its text."""
    if document.media_type in _MARKDOWN:
        return markdown_blocks(document.text)
    return _paragraphs(document.text)


def _paragraphs(text: str) -> list[ShownBlock]:
    found, position = [], 0
    for part in text.split("\n\n"):
        start = position + len(part) - len(part.lstrip())
        end = position + len(part.rstrip())
        if start < end:
            found.append(ShownBlock("paragraph", start, end, (Run(start, end),)))
        position += len(part) + 2
    return found


class BlockCache:
    """The blocks of recent documents. Not thread-safe."""

    def __init__(self, document: Callable[[str], SourceDocument]) -> None:
        """Take how a document is found by its id."""
        self._document = document
        self._known: LRUCache[str, tuple[int, Sequence[ShownBlock]]] = LRUCache(
            _CACHE_CHARACTERS, getsizeof=lambda known: known[0]
        )

    def clipped(self, document_id: str, start: int, end: int) -> tuple[ShownBlock, ...]:
        """Return what ``[start, end)`` of a document shows, in offsets from ``start``."""
        known = self._known.get(document_id)
        if known is None:
            document = self._document(document_id)
            known = len(document.text), blocks_of(document)
            if known[0] <= self._known.maxsize:
                self._known[document_id] = known
        return clip(known[1], start, end)
