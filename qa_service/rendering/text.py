"""Text without markup -> blocks: what readers wrote of HTML, PDF, spreadsheets and others, plain text, source code."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from qa_service.datatypes import Offsets, Run, ShownBlock, ShownRow
from qa_service.text.positions import line_starts
from qa_service.text.tables import BAR, RULE, has_header

_ITEM = re.compile(r"[ \t]*(?P<marker>[-*•‣◦▪–]|\(?\d{1,3}[.)]|\(?[a-z][.)])[ \t]+(?=\S)")
_COLUMNS = re.compile(r"\S(?: {3,}|\t+)\S")
_RECORD = re.compile(r"(?P<name>[^:\n]{1,80}): +(?=\S)")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,}|~{3,}|\*{3,})\Z")
_ESCAPED_BAR = re.compile(r"\\\|")
_MIN_WIDTH = 40
"""Characters; nobody wraps lines that are shorter."""
_CODE_INDENT = 4
_MAX_ROWS_FOR_HEADER = 200
_MIN_SHARE = 0.5
_MAX_LEVEL = 6

Section = tuple[int, tuple[str, ...]]
"""The first character of a passage, and the headings above it."""


@dataclass(frozen=True, slots=True)
class Look:
    """How lines that stand together are read: as code, as records of names and values, or as prose."""

    code: bool = False
    records: bool = False


def code_block(text: str, language: str) -> list[ShownBlock]:
    """Return all of a text as code."""
    end = len(text.rstrip())
    return [ShownBlock("code", 0, end, (Run(0, end),), language=language)] if end else []


def text_blocks(text: str, look: Look, headings: "Headings", at: int = 0) -> list[ShownBlock]:
    """Return the blocks of a text, which blank lines separate; it begins ``at`` an offset of its document."""
    found: list[ShownBlock] = []
    for lines in _chunks(text):
        level = headings.level(text, lines, at)
        if level:
            shown = lines[:1] if _UNDERLINE.match(text[slice(*lines[-1])]) else lines
            runs = tuple(Run(*line) for line in shown)
            found.append(ShownBlock("heading", lines[0][0], lines[-1][1], runs, min(level, _MAX_LEVEL)))
        else:
            found += _blocks(text, lines, look)
    return found


class Headings:
    """The headings of a document, known by their words and by the passages below them."""

    def __init__(self, sections: Sequence[Section] = (), title: str = "") -> None:
        self._title = title
        self._places: dict[str, list[tuple[int, int, int]]] = {}
        before = -1
        above: tuple[str, ...] = ()
        for start, path in sections:
            for level, words in enumerate(path, 1):
                if path[:level] != above[:level]:
                    self._places.setdefault(words, []).append((before, start, level))
            before, above = start, path

    def level(self, text: str, lines: Sequence[Offsets], at: int) -> int:
        """Return the level of the heading that lines are, or 0."""
        if len(lines) > 2:  # noqa: PLR2004 - a line and its underline
            return 0
        start, end = lines[0]
        words = " ".join(text[start:end].split())
        if not at and not text[:start].strip() and words == self._title:
            return 1
        places = self._places.get(words, ())
        return next((level for first, last, level in places if first < at + start < last), 0)


def _chunks(text: str) -> Iterator[list[Offsets]]:
    """Yield the lines between blank lines, without white space behind them; the first and last line is trimmed."""
    lines: list[Offsets] = []
    for start, after in pairwise([*line_starts(text), len(text)]):
        line = text[start:after]
        end = start + len(line.rstrip())
        if end > start and not line.isspace():
            lines.append((start, end))
        elif lines:
            yield lines
            lines = []
    if lines:
        yield lines


def _blocks(text: str, lines: list[Offsets], look: Look) -> Iterator[ShownBlock]:
    rows = [text[start:end] for start, end in lines]
    if _is_table(rows):
        yield _table(lines, rows)
    elif look.records and all(map(_RECORD.match, rows)):
        yield _records(lines, rows)
    elif _is_code(rows, look):
        runs = (Run(lines[0][0], lines[-1][1]),)
        yield ShownBlock("code", lines[0][0], lines[-1][1], runs)
    else:
        yield from _prose(text, lines)


def _is_code(rows: Sequence[str], look: Look) -> bool:
    """Tell whether lines keep their places: they are indented, or have columns, or the format joins other lines."""
    if all(row.startswith(("\t", " " * _CODE_INDENT)) and not _ITEM.match(row) for row in rows):
        return True
    if look.code:
        return len(rows) > 1
    return len(rows) > 1 and sum(bool(_COLUMNS.search(row.strip())) for row in rows) > _MIN_SHARE * len(rows)


def _is_table(rows: Sequence[str]) -> bool:
    """Tell whether most lines have as many bars as each other, or a rule is below the first."""
    counts = Counter(len(BAR.findall(row.strip().strip("|"))) for row in rows)
    bars, lines = counts.most_common(1)[0]
    if len(rows) > 1 and RULE.match(rows[1]) and "|" in rows[1] and "|" in rows[0]:
        return True
    return len(rows) > 1 and bars > 0 and lines > _MIN_SHARE * len(rows)


def _table(lines: Sequence[Offsets], rows: Sequence[str]) -> ShownBlock:
    ruled = len(rows) > 1 and RULE.match(rows[1]) is not None
    header = ruled or has_header(rows[:_MAX_ROWS_FOR_HEADER])
    shown = [
        ShownRow(tuple(plain_cells(row, start)), is_header=header and not number)
        for number, (row, (start, _)) in enumerate(zip(rows, lines, strict=True))
        if not (ruled and number == 1)
    ]
    return ShownBlock("table", lines[0][0], lines[-1][1], rows=tuple(shown))


def plain_cells(row: str, at: int) -> Iterator[tuple[Run, ...]]:
    """Yield the runs of the cells of a row without markup; the backslash before a bar is not shown."""
    for start, end in cell_spans(row):
        edges = [start, *(start + match.start() for match in _ESCAPED_BAR.finditer(row[start:end])), end]
        parts = enumerate(pairwise(edges))
        runs = (Run(at + left + (number > 0), at + right) for number, (left, right) in parts)
        yield tuple(run for run in runs if run.start < run.end)


def cell_spans(row: str) -> list[Offsets]:
    """Return where the cells of a row stand, without white space around them."""
    bars = [match.start() for match in BAR.finditer(row)]
    edges = list(zip([0, *(bar + 1 for bar in bars)], [*bars, len(row)], strict=True))
    if bars and not row[slice(*edges[0])].strip():
        edges = edges[1:]
    if bars and edges and not row[slice(*edges[-1])].strip():
        edges = edges[:-1]
    return [
        (start + len(cell) - len(cell.lstrip()), start + len(cell.rstrip())) if cell.strip() else (start, start)
        for start, end in edges
        for cell in [row[start:end]]
    ]


def _records(lines: Sequence[Offsets], rows: Sequence[str]) -> ShownBlock:
    """Return a table of names and values."""
    shown = []
    for row, (start, end) in zip(rows, lines, strict=True):
        match = _RECORD.match(row)
        if match:
            name = Run(start, start + match.end("name"), ("strong",))
            shown.append(ShownRow(((name,), (Run(start + match.end(), end),))))
    return ShownBlock("table", lines[0][0], lines[-1][1], rows=tuple(shown))


def _prose(text: str, lines: Sequence[Offsets]) -> Iterator[ShownBlock]:
    """Yield items and paragraphs: a line that had room for the next word ends where its author wants it to end."""
    width = max(_MIN_WIDTH, *(end - start for start, end in lines))
    indents: list[int] = []
    begin, shown, marker = lines[0][0], lines[0][0], ""
    for number, (start, end) in enumerate(lines):
        match = _ITEM.match(text, start, end)
        hangs = bool(indents) and text[start].isspace()
        if number and (match or (not hangs and _had_room(text, lines[number - 1], (start, end), width))):
            yield _paragraph(text, (begin, lines[number - 1][1]), shown, marker, len(indents))
            begin, shown, marker = start, start, ""
            indents = indents if hangs else []
        if match:
            indent = match.start("marker") - start
            indents = [*(other for other in indents if other < indent), indent]
            shown, marker = match.end(), match["marker"]
    yield _paragraph(text, (begin, lines[-1][1]), shown, marker, len(indents))


def _had_room(text: str, before: Offsets, line: Offsets, width: int) -> bool:
    word = text[line[0] : line[1]].split(maxsplit=1)[0]
    return before[1] - before[0] + 1 + len(word) <= width


def _paragraph(text: str, place: Offsets, shown: int, marker: str, depth: int) -> ShownBlock:
    begin, end = place
    content = text[shown:end]
    run = Run(shown + len(content) - len(content.lstrip()), end)
    if marker and not marker.strip("().").isalnum():
        marker = "•"
    return ShownBlock("item" if depth else "paragraph", begin, end, (run,), min(depth, _MAX_LEVEL), marker)
