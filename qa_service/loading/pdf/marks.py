"""Marks of list items: bullets, numbers and letters."""

import re

_BULLETS = "•‣▪▫◦·∙⁃*●○■□◆◇▶►▸➢➤➔→✓✔✗✘☐☑☒★☆❖❑❒⦁–-"
_NUMBERS = r"\(?\d{1,3}[.)]|\(?[a-z][.)]|\([ivxlc]{1,5}\)"
_NUMERALS = r"[A-Z][.)]|\(?[IVXLC]{1,6}[.)]|[ivxlc]{1,6}[.)]"

BULLET = re.compile(rf"\s*(?:[{_BULLETS}]|{_NUMBERS})\s")
DOUBTFUL_BULLET = re.compile(rf"\s*(?:o|{_NUMERALS})\s")
"""A line of a paragraph can begin with such a mark, too: an initial, a numeral, a small word."""
MARK = re.compile(rf"(?:[o{_BULLETS}]|{_NUMBERS}|{_NUMERALS})\Z")
"""Nothing but the mark of a list item."""
