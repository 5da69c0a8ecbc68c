"""Converts offsets in code points to UTF-16 units, UTF-8 bytes and lines; finds where a text may be cut."""

import re
from bisect import bisect_left, bisect_right

import regex

from qa_service.datatypes import Position

_LINE_BREAK = re.compile(r"\r\n?|\n")
_GRAPHEME = regex.compile(r"\X")
_STRIDE = 4096  # characters


def line_starts(text: str) -> list[int]:
    """Return the offset of the first character of every line; CR LF, CR and LF each end a line."""
    return [0, *(match.end() for match in _LINE_BREAK.finditer(text))]


def grapheme_starts(text: str) -> list[int]:
    """Return the offsets at which ``text`` may be cut without splitting a character as a reader sees it.

    These are the extended grapheme clusters of UAX #29, and ``len(text)`` at the end.
    """
    return [*(match.start() for match in _GRAPHEME.finditer(text)), len(text)]


class PositionMap:
    """Locates spans of one text. A lookup encodes at most 4,096 characters twice, whatever the size of the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = line_starts(text)
        self._utf16 = [0]
        self._bytes = [0]
        for start in range(0, len(text), _STRIDE):
            utf16, size = _lengths(text[start : start + _STRIDE])
            self._utf16.append(self._utf16[-1] + utf16)
            self._bytes.append(self._bytes[-1] + size)

    def _units_before(self, offset: int) -> tuple[int, int]:
        stride = offset // _STRIDE
        utf16, size = _lengths(self._text[stride * _STRIDE : offset])
        return self._utf16[stride] + utf16, self._bytes[stride] + size

    def locate(self, start: int, end: int) -> Position:
        """Return the position of ``text[start:end]``. Raises ``ValueError`` if it is empty or outside the text."""
        if not 0 <= start < end <= len(self._text):
            raise ValueError(f"[{start}, {end}) is empty or outside a text of {len(self._text)} characters")
        start_utf16, start_byte = self._units_before(start)
        end_utf16, end_byte = self._units_before(end)
        return Position(
            start_char=start,
            end_char=end,
            start_utf16=start_utf16,
            end_utf16=end_utf16,
            start_byte=start_byte,
            end_byte=end_byte,
            start_line=bisect_right(self._lines, start),
            end_line=bisect_left(self._lines, end),
        )


def _lengths(text: str) -> tuple[int, int]:
    return len(text.encode("utf-16-le")) // 2, len(text.encode("utf-8"))
