"""Rows of tables as sentences for the reader: "Region: North; 2019: 4,200". Spans in them are mapped back."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from qa_service.datatypes import Offsets, Passage
from qa_service.retrieval.quotes import begins_with_header, context_header, tables
from qa_service.text.tables import BAR, lacks_first_cell

_LINE = re.compile(r"[^\n]*\S[^\n]*")
_NAMED = re.compile(r"([^:\n]{1,60}): ([^\n]*\S)")
_WORD = re.compile(r"\w+")
_MAX_WHOLE_CELL = 30
"""A cell of so many characters is quoted as a whole."""


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

        If the question names one column without saying its value, that is asked for: its cell is returned, unless the
        span is a part of it. If the span has several cells, it is the one whose column the question names best.
        """
        start, end = span
        met = [value for value in self._values if value.label < end and value.end > start] or list(self._values)
        said = [value for value in met if value.start < end] or met[-1:]
        asked = self._asked(question, said)
        if asked is not None and (len(said) > 1 or asked not in said):
            return asked.origin
        first, last = said[0], said[-1]
        low = first.origin[0] + max(0, start - first.start)
        high = last.origin[1] - max(0, last.end - end) if end > last.start else last.origin[1]
        if low >= high or (first is last and last.end - last.start <= _MAX_WHOLE_CELL):
            return last.origin
        return low, high

    def _asked(self, question: str, said: "Sequence[_Value]") -> "_Value | None":
        """Return the cell whose column the question names, wholly, or better than the others of a span."""
        words = _words(question)
        shares: dict[_Value, float] = {}
        for value in self._values:
            name = _words(value.name)
            if name and not _words(self.text[value.start : value.end]) <= words:
                shares[value] = len(name & words) / len(name)
        wholly = [value for value, share in shares.items() if share == 1]
        if len(wholly) == 1:
            return wholly[0]
        best = max((shares.get(value, 0) for value in said), default=0)
        named = [value for value in said if best and shares.get(value, 0) == best]
        return named[0] if len(named) == 1 < len(said) else None


def _words(text: str) -> frozenset[str]:
    """Return the words of a text without the endings of plurals."""
    return frozenset(word.removesuffix("s") for word in _WORD.findall(text.casefold()))


def row_sentence(passage: Passage, place: Offsets) -> RowSentence | None:
    """Return a sentence of a passage as a row with its header; ``None`` if it is no row or its table has no header."""
    text = passage.text
    header = _header(passage, place)
    if header is None:
        return _sentence_of(text, _record(text, place))
    names = [header[slice(*cell)] for cell in _cells(header, (0, len(header)))]
    cells = _cells(text, place)
    if lacks_first_cell(text[slice(*place)], len(cells), len(names)):
        cells.insert(0, (place[0], place[0]))
    named = zip_longest(names, cells)
    return _sentence_of(text, [(name or "", cell) for name, cell in named if cell is not None and cell[0] < cell[1]])


def _sentence_of(text: str, cells: Sequence[tuple[str, Offsets]]) -> RowSentence | None:
    """Return the sentence of cells with the names of their columns."""
    pieces: list[str] = []
    values: list[_Value] = []
    length = 0
    for name, cell in cells:
        separator, label = "; " if pieces else "", f"{name}: " if name else ""
        said = text[slice(*cell)]
        begin = length + len(separator)
        start = begin + len(label)
        pieces.append(separator + label + said)
        length = start + len(said)
        values.append(_Value(name, begin, start, length, cell))
    return RowSentence("".join(pieces), values) if values else None


def _record(text: str, place: Offsets) -> list[tuple[str, Offsets]]:
    """Return the names and cells of a row that has a line for each; nothing if it is not one."""
    lines = list(_LINE.finditer(text, *place))
    named = [match for line in lines if (match := _NAMED.match(text, *line.span()))]
    return [(match[1], match.span(2)) for match in named] if 1 < len(named) == len(lines) else []


def _header(passage: Passage, place: Offsets) -> str | None:
    """Return the header of the table that a row belongs to: above it in the passage, or in the passage's context."""
    for table in tables(passage):
        if passage.sentences[table[0]][0] <= place[0] <= passage.sentences[table[-1]][0]:
            header = passage.sentences[table[0]]
            if begins_with_header(passage, table):
                return None if place == header else passage.text[slice(*header)]
            return (table[0] == 0 and context_header(passage)) or None
    return None


def _cells(text: str, row: Offsets) -> list[Offsets]:
    """Return the offsets of a row's cells, also of empty ones, without white space around them."""
    start, end = _trimmed(text, row)
    start += text[start:end].startswith("|")
    bars = [match.span() for match in BAR.finditer(text, start, end)]
    edges = zip([start, *(after for _, after in bars)], [*(before for before, _ in bars), end], strict=True)
    return [_trimmed(text, cell) for cell in edges]


def _trimmed(text: str, span: Offsets) -> Offsets:
    start, end = span
    piece = text[start:end]
    start += len(piece) - len(piece.lstrip())
    return start, max(start, end - len(piece) + len(piece.rstrip()))
