"""The blocks of documents, by their formats. A long document is read a window at a time."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cachetools import LRUCache
from markdown_it.common.utils import normalizeReference

from qa_service.datatypes import Offsets, ShownBlock, SourceDocument
from qa_service.loading.formats import FORMATS
from qa_service.loading.front_matter import front_matter
from qa_service.loading.source_code import SOURCE_SUFFIXES
from qa_service.rendering.clip import clip, moved
from qa_service.rendering.markdown import markdown_blocks
from qa_service.rendering.text import Headings, Look, Section, code_block, text_blocks
from qa_service.rendering.windows import WINDOW, code_at, cut_at, fenced_codes

_MARKDOWN = {"text/markdown", "text/mdx", "application/x-ipynb+json"}
_RECORDS = {"text/csv", "text/tab-separated-values", "application/jsonl"}
_OFFICE = "application/vnd.o"
# Formats whose readers write a paragraph on one line; several lines are code.
_JOINED = {"text/html", "text/x-rst", "text/asciidoc", "text/org", "application/x-tex", "application/epub+zip"}
_REFERENCE = re.compile(
    r"^ {0,3}\[(?!\^)([^\]\n]{1,999})\]:[ \t]*(?:<[^<>\n]*>|[^\s<]\S*)"
    r"(?:[ \t]+(?:\"[^\"\n]*\"|'[^'\n]*'|\([^()\n]*\)))?[ \t]*\r?$",
    re.MULTILINE,
)
_CACHE_CHARACTERS, _CACHE_READINGS = 2_000_000, 256

_NOWHERE: dict[str, Any] = {"href": "", "title": ""}
_Window = tuple[int, int, tuple[ShownBlock, ...]]
"""Where it begins and ends, and its blocks."""


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the windows of a document are read: ``read`` is given a text and its place in the document."""

    read: Callable[[str, int], list[ShownBlock]]
    codes: Sequence[Offsets] = ()
    is_code: bool = False


def _reading(document: SourceDocument, sections: Sequence[Section]) -> _Reading:
    text, kind = document.text, document.media_type
    if kind in _MARKDOWN:
        # Another window may define the link; within one the parser knows better.
        defined = _REFERENCE.finditer(text) if len(text) > WINDOW else ()
        references = {normalizeReference(match[1]): _NOWHERE for match in defined}
        return _Reading(lambda part, _: markdown_blocks(part, references), fenced_codes(text))
    suffix = os.path.splitext(document.uri)[1].lower()
    if kind == "text/plain" and (suffix in SOURCE_SUFFIXES or suffix == ".log"):
        return _Reading(lambda part, _: code_block(part, suffix[1:]), is_code=True)
    joined = kind in _JOINED or (kind.startswith(_OFFICE) and "sheet" not in kind)
    look = Look(code=joined or kind == "application/msword", records=kind in _RECORDS)
    headings = Headings(sections, document.title)
    return _Reading(lambda part, at: text_blocks(part, look, headings, at))


def _window(document: SourceDocument, reading: _Reading, number: int) -> _Window:
    text = document.text
    if reading.is_code:
        return 0, len(text), tuple(reading.read(text, 0))
    start, end = cut_at(text, number, reading.codes), cut_at(text, number + 1, reading.codes)
    begin, fence = start, ""
    if number == 0 and document.media_type in _MARKDOWN:
        begin = front_matter(text)[1]
    elif code := code_at(start, reading.codes):
        fence = text[code[0] : start].split("\n", 1)[0] + "\n"
    blocks = reading.read(fence + text[begin:end], begin)
    return start, end, tuple(moved(block, begin - len(fence), begin) for block in blocks)


def _between(window: Callable[[int], _Window], start: int, end: int) -> list[ShownBlock]:
    """Return the blocks of the windows that hold what is between two offsets."""
    number = start // WINDOW
    while window(number)[0] > start:
        number -= 1
    found: list[ShownBlock] = []
    while True:
        _, last, blocks = window(number)
        found += blocks
        number += 1
        if last >= end or last < number * WINDOW:  # the end of the document
            return found


def blocks_of(
    document: SourceDocument, start: int = 0, end: int | None = None, *, sections: Sequence[Section] = ()
) -> list[ShownBlock]:
    """Return the blocks of a document in order, in offsets of its text; at least those between two offsets.

    ``sections`` are the section paths of its passages, with their first characters: they tell the headings of formats
    that have no signs for them.
    """
    length = len(document.text)
    end = length if end is None else min(end, length)
    return _between(partial(_window, document, _reading(document, sections)), min(start, end), end)


def document_at(uri: str, text: str) -> SourceDocument:
    """Return a document of which only path and text are known; its format is that of the path."""
    known = FORMATS.get(os.path.splitext(uri)[1].lower())
    return SourceDocument("", uri, "", "", uri, known.media_type if known else "text/plain", None, (), text)


class BlockCache:
    """The blocks of recent documents. Not thread-safe."""

    def __init__(self, document: Callable[[str], SourceDocument]) -> None:
        """Take how a document is found by its id."""
        self._document = document
        self._readings: LRUCache[str, _Reading] = LRUCache(_CACHE_READINGS)
        self._windows: LRUCache[tuple[str, int], _Window] = LRUCache(_CACHE_CHARACTERS, _characters)

    def clipped(self, document_id: str, start: int, end: int) -> tuple[ShownBlock, ...]:
        """Return what ``[start, end)`` of a document shows, in offsets from ``start``."""
        return clip(_between(partial(self._window, document_id), start, end), start, end)

    def _window(self, document_id: str, number: int) -> _Window:
        known = self._windows.get((document_id, number))
        if known is None:
            document = self._document(document_id)
            reading = self._readings.get(document_id)
            if reading is None:
                self._readings[document_id] = reading = _reading(document, ())
            known = _window(document, reading, number)
            if _characters(known) <= self._windows.maxsize:
                self._windows[document_id, number] = known
        return known


def _characters(window: _Window) -> int:
    start, end, _ = window
    return end - start + 1_000
