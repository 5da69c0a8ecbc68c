"""From code points to UTF-16 units, UTF-8 bytes and lines; and where a text may be cut."""

import re
from bisect import bisect_left, bisect_right

import regex

from qa_service.datatypes import Position

_LINE_BREAK = re.compile(r"\r\n?|\n")
_GRAPHEME = regex.compile(r"\X")
_STRIDE = 4096


def line_starts(text: str) -> list[int]:
    """Offsets of the first character of every line; CR LF, CR and LF each end one."""
    return [0, *(match.end() for match in _LINE_BREAK.finditer(text))]


def grapheme_starts(text: str) -> list[int]:
    """Offsets at which ``text`` may be cut without tearing what a reader sees as one character.

    Extended grapheme clusters of UAX #29, by the ``regex`` module. Ends with ``len(text)``.
    """
    return [*(match.start() for match in _GRAPHEME.finditer(text)), len(text)]


class PositionMap:
    """Locates spans of one text. Lookups cost a stride of 4,096 characters, whatever the text's size."""

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
        """Return the position of ``text[start:end]``, which must not be empty."""
        if not 0 <= start < end <= len(self._text):
            raise ValueError(f"no span [{start}, {end}) in a text of {len(self._text)} characters")
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
