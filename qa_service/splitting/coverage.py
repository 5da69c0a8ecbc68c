"""Counts how much of a document's content its passages cover."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from qa_service.datatypes import Block, Document, Offsets, Passage
from qa_service.text.cleaning import is_blank, visible


@dataclass(frozen=True, slots=True)
class CoverageCount:
    """The number of visible characters of a document's text, of its content, and of those that are in a passage."""

    text: int
    content: int
    covered: int


def covered_characters(document: Document, passages: Sequence[Passage]) -> CoverageCount:
    """Count the visible characters of a document's text and of its content, and those that are in its passages."""
    spans = _merged([(passage.position.start_char, passage.position.end_char) for passage in passages])
    content = sum(_visible(document.text[block.start : block.end]) for block in document.blocks)
    covered = sum(
        _visible(document.text[max(block.start, start) : min(block.end, end)])
        for block in document.blocks
        for start, end in _overlapping(spans, block)
    )
    return CoverageCount(content + sum(part.characters for part in document.dropped), content, covered)


def _merged(spans: list[Offsets]) -> list[Offsets]:
    """Return the spans in order, overlapping ones merged."""
    merged: list[Offsets] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _overlapping(spans: list[Offsets], block: Block) -> Iterator[Offsets]:
    """Yield the spans that share a character with a block; they must be in order and disjoint."""
    position = bisect_right(spans, block.start, key=lambda span: span[1])
    while position < len(spans) and spans[position][0] < block.end:
        yield spans[position]
        position += 1


def _visible(text: str) -> int:
    return 0 if is_blank(text) else sum(len(word) for word in visible(text).split())
