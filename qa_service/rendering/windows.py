"""Where a long text may be cut, so that a part of it can be read without the rest.

A cut is the first block at or behind a multiple of ``WINDOW`` characters: a heading or a line of text without indent
below a blank line, outside code. Nothing before it can change how it is read.
"""

import re
from bisect import bisect_right
from collections.abc import Sequence

from qa_service.datatypes import Offsets

WINDOW = 16_384
"""Characters."""
_BLANK_LINES = re.compile(r"\n[ \t]*\r?\n(?=[^\s*+>\d-])|\n(?=#{1,6} )|\r\n(?=#{1,6} )")
_LINE = re.compile(r"\n|\r(?!\n)")
_FENCE = re.compile(r"^ {0,3}(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})(?P<info>[^\n]*)$", re.MULTILINE)


def cut_at(text: str, number: int, codes: Sequence[Offsets]) -> int:
    """Return where the window with a number begins; at the end of the text there are no more.

    A text without blank lines is cut between two lines, or anywhere.
    """
    least = number * WINDOW
    if least == 0 or least >= len(text):
        return min(least, len(text))
    for pattern in (_BLANK_LINES, _LINE):
        for match in pattern.finditer(text, least - 1, min(least + WINDOW, len(text))):
            if pattern is _LINE or code_at(match.end(), codes) is None:
                return match.end()
    return least


def code_at(place: int, codes: Sequence[Offsets]) -> Offsets | None:
    """Return the block of code that contains a place behind its first line, or ``None``."""
    number = bisect_right(codes, (place, 0)) - 1
    return codes[number] if number >= 0 and codes[number][0] < place < codes[number][1] else None


def fenced_codes(text: str) -> list[Offsets]:
    """Return where blocks of code between fences begin and end in Markdown; a fence without end goes on to the end."""
    found: list[Offsets] = []
    fence, start = "", 0
    for match in _FENCE.finditer(text):
        if not fence:
            fence, start = match["fence"], match.start()
        elif match["fence"].startswith(fence) and not match["info"].strip():
            found.append((start, match.end()))
            fence = ""
    return [*found, (start, len(text))] if fence else found
