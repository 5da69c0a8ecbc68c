"""Previews: the part of a document around a quote, as blocks, with the document's sections."""

from collections.abc import Sequence
from dataclasses import dataclass

from qa_service.datatypes import Offsets, ShownBlock, SourceDocument
from qa_service.rendering import blocks_of, clip
from qa_service.rendering.text import Section

MAX_SPAN = 10_000
"""Characters of a span that are shown; a quote is shorter."""
CONTEXT_CHARACTERS = 600
"""Characters shown on each side of a quote where only its surroundings may be read."""
_WINDOW_CHARACTERS = 4_000
_MAX_SECTIONS = 2_000


@dataclass(frozen=True, slots=True)
class Heading:
    """A section of a document: its heading, its depth from 1, and the first character below the heading."""

    text: str
    level: int
    start: int


@dataclass(frozen=True, slots=True)
class Preview:
    """A part of a document around a span.

    ``window`` are the offsets of the part in the document, ``blocks`` have offsets in the part. ``pages`` are the first
    and the last page of the span.
    """

    document: SourceDocument
    span: Offsets
    window: Offsets
    blocks: tuple[ShownBlock, ...]
    outline: tuple[Heading, ...]
    pages: tuple[int, int] | None


def preview_of(document: SourceDocument, sections: Sequence[Section], span: Offsets, *, whole: bool) -> Preview:
    """Return the preview of a span; without ``whole``, of the span's surroundings and their sections only.

    ``sections`` are the first characters of the passages with their section paths.
    """
    length = len(document.text)
    start = min(span[0], length)
    span = start, min(max(start, span[1]), start + MAX_SPAN, length)
    around = _WINDOW_CHARACTERS if whole else CONTEXT_CHARACTERS
    blocks = blocks_of(document, max(0, span[0] - around), span[1] + around, sections=sections)
    window = _window(document.text, blocks, span, around)
    headings = outline_of(sections)
    if not whole:
        headings = [heading for heading in headings if window[0] <= heading.start < window[1]]
    first, last = document.page(span[0]), document.page(max(span[0], span[1] - 1))
    return Preview(
        document=document,
        span=span,
        window=window,
        blocks=clip(blocks, *window),
        outline=tuple(headings[:_MAX_SECTIONS]),
        pages=(first, last) if first and last else None,
    )


def outline_of(sections: Sequence[Section]) -> list[Heading]:
    """Return the headings in the order of the text, each at the first passage below it."""
    found: list[Heading] = []
    above: tuple[str, ...] = ()
    for start, path in sections:
        shared = 0
        while shared < min(len(path), len(above)) and path[shared] == above[shared]:
            shared += 1
        found += (Heading(text, level, start) for level, text in enumerate(path[shared:], shared + 1))
        above = path
    return found


def _window(text: str, blocks: Sequence[ShownBlock], span: Offsets, around: int) -> Offsets:
    """Return the offsets of the blocks around a span that end within so many characters of it.

    A longer block is cut between two words.
    """
    start, end = span
    least, most = max(0, start - around), min(len(text), end + around)
    first = next((block.start for block in blocks if least <= block.start <= start), None)
    last = next((block.end for block in reversed(blocks) if end <= block.end <= most), None)
    if first is None:
        first = least if least == 0 else next((at for at in range(least, start) if text[at - 1].isspace()), start)
    if last is None:
        last = most if most == len(text) else next((at for at in range(most, end, -1) if text[at].isspace()), end)
    return first, last
