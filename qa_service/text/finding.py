"""Finds a quote in a text, also where white space or markup differ, and the words of a text that are most like it."""

import re
from array import array

from rapidfuzz import fuzz

from qa_service.datatypes import Offsets

_PIECE = re.compile(
    r"!?\[|\](?:\([^()\n]*\)|\[[^\[\]\n]*\])?"  # links and pictures: their words stay
    r"|</?[A-Za-z][^<>\n]*>"
    r"|^[ \t]*(?:\#{1,6}|>|[-+*]|\d{1,9}[.)])[ \t]"  # headings, quotations, items
    r"|[*_`~\\\u00ad\u200b\u2060\ufeff]"
    r"|(?P<space>\n|[^\S\n]+|\|+)"
    r"|(?P<words>[^\s|!\[\]<*_`~\\\u00ad\u200b\u2060\ufeff]+|[!<])",
    re.MULTILINE,
)
_TYPOGRAPHIC = str.maketrans("‘’“”–—\u2011", "''\"\"---")
_MAX_COMPARED = 2_000_000
"""Characters of a text in which similar words are looked for."""
_MAX_SIMILAR = 300  # characters


def places_of(quote: str, text: str) -> list[Offsets]:
    """Return the places of a quote in a text: verbatim, or else with other white space, markup or quotation marks."""
    return _verbatim(quote, text) or _loosely(quote, text)


def _verbatim(quote: str, text: str) -> list[Offsets]:
    found = []
    start = text.find(quote)
    while start >= 0:
        found.append((start, start + len(quote)))
        start = text.find(quote, start + len(quote))
    return found


def _loosely(quote: str, text: str) -> list[Offsets]:
    wanted = _plain(quote)[0].strip()
    if not wanted:
        return []
    plain, offsets = _plain(text)
    return [(offsets[start], offsets[end - 1] + 1) for start, end in _verbatim(wanted, plain)]


def _plain(text: str) -> tuple[str, "array[int]"]:
    """Return a text without markup, each run of white space as one space, and the offset of each of its characters."""
    kept: list[str] = []
    offsets = array("Q")
    for piece in _PIECE.finditer(text):
        if piece.lastgroup == "words":
            kept.append(piece.group())
            offsets.extend(range(*piece.span()))
        elif piece.lastgroup == "space" and kept and kept[-1] != " ":
            kept.append(" ")
            offsets.append(piece.start())
    return "".join(kept).translate(_TYPOGRAPHIC), offsets


def most_similar(quote: str, text: str) -> str:
    """Return the words of a text that are most like a quote, or nothing if none are alike."""
    compared = text[:_MAX_COMPARED]
    found = fuzz.partial_ratio_alignment(quote, compared, score_cutoff=50)
    if found is None:
        return ""
    start, end = found.dest_start, found.dest_end
    while start > 0 and not compared[start - 1].isspace():
        start -= 1
    while end < len(compared) and not compared[end].isspace():
        end += 1
    return compared[start:end].strip()[:_MAX_SIMILAR]
