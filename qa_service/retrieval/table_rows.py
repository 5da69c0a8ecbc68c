"""Rows of tables as sentences for the reader: "Region: North; 2019: 4,200". Spans in them are mapped back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from qa_service.datatypes import Offsets, Passage
from qa_service.retrieval.quotes import is_row

_BAR = re.compile(r"(?<!\\)\|")
_RULE = re.compile(r"\s*[|:+\s]*[-=]{2}[|:+=\s-]*\Z")
_BLANK_LINE = re.compile(r"\n[ \t\r>]*\n")
_HEADING_SEPARATOR = " > "


@dataclass(frozen=True, slots=True)
class _Value:
    """A cell: the name of its column, the offsets in the sentence of that and of the cell, and those in the passage."""

    name: str
    label: int
    start: int
    end: int
    origin: Offsets


@dataclass(frozen=True, slots=True)
class RowSentence:
    """A row with the names of its columns, as one sentence."""

    text: str
    _values: Sequence[_Value]

    def origin(self, span: Offsets, question: str) -> Offsets:
        """Return the part of the passage that a span of the sentence says; of a name, its cell.

        If the span has several cells, and the question names the column of one, that is returned.
        """
        start, end = span
        met = [value for value in self._values if value.label < end and value.end > start] or list(self._values)
        said = [value for value in met if value.start < end] or met[-1:]
        named = [value for value in said if value.name and value.name.casefold() in question.casefold()]
        if len(named) == 1 < len(said):
            return named[0].origin
        first, last = said[0], said[-1]
        low = first.origin[0] + max(0, start - first.start)
        high = last.origin[1] - max(0, last.end - end) if end > last.start else last.origin[1]
        return (low, high) if low < high else last.origin


def row_sentence(passage: Passage, place: Offsets) -> RowSentence | None:
    """Return a sentence of a passage as a row with its header; ``None`` if it is no row or its table has no header."""
    header = _header(passage, place)
    if header is None:
        return None
    names = [header[slice(*cell)] for cell in _cells(header, (0, len(header)))]
    cells = _cells(passage.text, place)
    pieces: list[str] = []
    values: list[_Value] = []
    length = 0
    for name, cell in zip_longest(names, cells):
        if cell is None or cell[0] == cell[1]:
            continue
        separator, label = "; " if pieces else "", f"{name}: " if name else ""
        said = passage.text[slice(*cell)]
        begin = length + len(separator)
        start = begin + len(label)
        pieces.append(separator + label + said)
        length = start + len(said)
        values.append(_Value(name or "", begin, start, length, cell))
    return RowSentence("".join(pieces), values) if values else None


def _header(passage: Passage, place: Offsets) -> str | None:
    """Return the header of the table that a row belongs to: above it in the passage, or in the passage's context."""
    text, sentences = passage.text, passage.sentences
    if place not in sentences or not is_row(text[slice(*place)]):
        return None
    number = first = sentences.index(place)
    while first and is_row(text[slice(*sentences[first - 1])]) and not _parted(text, sentences, first - 1):
        first -= 1
    if first == number or not _RULE.match(text[sentences[first][1] : sentences[first + 1][0]]):
        context = passage.context.rpartition(_HEADING_SEPARATOR)[2]
        return context if first == 0 and is_row(context) else None
    return text[slice(*sentences[first])]


def _parted(text: str, sentences: Sequence[Offsets], number: int) -> bool:
    """Tell whether a blank line is between a sentence and the next."""
    return _BLANK_LINE.search(text[sentences[number][1] : sentences[number + 1][0]]) is not None


def _cells(text: str, row: Offsets) -> list[Offsets]:
    """Return the offsets of a row's cells, also of empty ones, without white space around them."""
    start, end = _trimmed(text, row)
    start += text[start:end].startswith("|")
    bars = [match.span() for match in _BAR.finditer(text, start, end)]
    edges = zip([start, *(after for _, after in bars)], [*(before for before, _ in bars), end], strict=True)
    return [_trimmed(text, cell) for cell in edges]


def _trimmed(text: str, span: Offsets) -> Offsets:
    start, end = span
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - len(piece) + len(piece.rstrip()))
