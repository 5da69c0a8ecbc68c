"""Markdown -> blocks, by markdown-it-py: CommonMark with tables, strikethrough and formulas.

The library maps blocks to lines. The content of a block is the end of each of its lines, behind the markers of lists
and quotes, so every line of it has a place in the source.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from operator import attrgetter
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, table
from markdown_it.token import Token

from qa_service.datatypes import Offsets, Run, ShownBlock, ShownKind, ShownRow
from qa_service.loading.markdown import HEADING_ATTRIBUTES, block_parser
from qa_service.rendering.html_text import html_pieces
from qa_service.rendering.inline import Piece, inline_pieces

_CARRIAGE_RETURN = re.compile(r"\r(?=\n)")
_BAR = re.compile(r"\\?\|")
_SPACES = " \t\n\v\f\r"
_WORD = re.compile(r"[^\W_]")
_MAX_NESTING = 20
_LEAVES = {"heading_open", "paragraph_open", "fence", "code_block", "html_block", "hr", "table_open"}


def _table(state: StateBlock, line: int, last: int, silent: bool) -> bool:  # noqa: FBT001 - the library's interface
    """Parse a table, and note where each of its rows begins behind the markers of lists and quotes."""
    before = len(state.tokens)
    if not table(state, line, last, silent):
        return False
    for token in state.tokens[before:]:
        if token.type == "tr_open" and token.map:
            token.meta["at"] = state.bMarks[token.map[0]] + state.tShift[token.map[0]]
    return True


def _parser() -> MarkdownIt:
    markdown = block_parser()
    markdown.options["maxNesting"] = _MAX_NESTING
    markdown.block.ruler.at("table", _table, {"alt": ["paragraph", "reference"]})
    return markdown


_blocks = _parser()


def markdown_blocks(text: str, references: dict[str, Any] | None = None) -> list[ShownBlock]:
    """Return the blocks of Markdown; links to ``references`` are known beside those that the text defines."""
    source, removed = _normalized(text)
    environment: dict[str, Any] = {"references": dict(references or {})}
    tokens = _blocks.parse(source, environment)
    walk = _Walk(source, environment["references"])
    for position, token in enumerate(tokens):
        walk.add(token, tokens, position)
    walk.add_unread(tokens, environment)
    return [_moved(block, removed) for block in walk.blocks] if removed else walk.blocks


def _normalized(text: str) -> tuple[str, list[int]]:
    """Return a text whose lines end with LF, and where characters were removed, in its own offsets."""
    removed = [match.start() for match in _CARRIAGE_RETURN.finditer(text)]
    source = _CARRIAGE_RETURN.sub("", text).replace("\r", "\n").replace("\0", "\ufffd")
    return source, [place - number for number, place in enumerate(removed)]


def _moved(block: ShownBlock, removed: Sequence[int]) -> ShownBlock:
    """Return a block in the offsets of the text from which characters were removed."""

    def at(place: int, *, is_end: bool = False) -> int:
        return place + (bisect_right(removed, place - 1) if is_end else bisect_right(removed, place))

    def moved(runs: Sequence[Run]) -> tuple[Run, ...]:
        return tuple(Run(at(run.start), at(run.end, is_end=True), run.marks) for run in runs)

    rows = tuple(replace(row, cells=tuple(map(moved, row.cells))) for row in block.rows)
    return replace(block, start=at(block.start), end=at(block.end, is_end=True), runs=moved(block.runs), rows=rows)


@dataclass(frozen=True, slots=True)
class _Line:
    """A part of a block's content and where it stands in the source."""

    content: int
    source: int
    length: int


def _placed(runs: Sequence[Run], lines: Sequence[_Line]) -> tuple[Run, ...]:
    """Return runs of a block's content as runs of the source; neighbours with the same marks become one."""
    found: list[Run] = []
    number = 0
    for run in runs:
        while number < len(lines) and lines[number].content + lines[number].length <= run.start:
            number += 1
        place = number
        while place < len(lines) and lines[place].content < run.end:
            line = lines[place]
            place += 1
            start = line.source + max(run.start - line.content, 0)
            end = line.source + min(run.end - line.content, line.length)
            if start >= end:
                continue
            if found and found[-1].end == start and found[-1].marks == run.marks:
                found[-1] = Run(found[-1].start, end, run.marks)
            else:
                found.append(Run(start, end, run.marks))
    return tuple(found)


@dataclass(slots=True)
class _Walk:
    """Adds the blocks of tokens."""

    source: str
    references: dict[str, Any]
    blocks: list[ShownBlock] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    items: int = 0
    quotes: int = 0
    marker: str = ""

    def __post_init__(self) -> None:
        self.starts = [0, *(match.end() for match in re.finditer("\n", self.source)), len(self.source) + 1]

    def add(self, token: Token, tokens: Sequence[Token], position: int) -> None:
        """Add the block that a token begins."""
        self.items += {"list_item_open": 1, "list_item_close": -1}.get(token.type, 0)
        self.quotes += {"blockquote_open": 1, "blockquote_close": -1}.get(token.type, 0)
        if token.type == "list_item_open":
            self.marker = f"{token.info}{token.markup}" if token.info else "•"
        elif token.map is None:
            return
        elif token.type == "heading_open":
            self._heading(token, tokens[position + 1].content)
        elif token.type == "paragraph_open":
            self._paragraph(token, tokens[position + 1].content)
        elif token.type in {"fence", "code_block"}:
            self._code(token)
        elif token.type == "html_block":
            self._html(token)
        elif token.type == "hr":
            self.blocks.append(ShownBlock("rule", *self._span(token)))
        elif token.type == "table_open":
            self._table(token, tokens, position)

    def add_unread(self, tokens: Sequence[Token], environment: dict[str, Any]) -> None:
        """Add the lines that the library leaves out, since lists and quotes nest too deeply, as they are written."""
        if all(token.level < _MAX_NESTING for token in tokens):
            return
        read = bytearray(len(self.starts))
        defined = [*environment["references"].values(), *environment.get("duplicate_refs", ())]
        maps = [token.map for token in tokens if token.map and token.type in _LEAVES]
        for first, last in [*maps, *(one["map"] for one in defined if "map" in one)]:
            read[first:last] = b"\1" * (last - first)
        unread = [
            ShownBlock("paragraph", start, end - 1, (Run(start, end - 1),))
            for number, (start, end) in enumerate(pairwise(self.starts))
            if not read[number] and _WORD.search(self.source, start, end - 1)
        ]
        if unread:
            self.blocks = sorted([*self.blocks, *unread], key=attrgetter("start"))

    def _span(self, token: Token) -> Offsets:
        """Return the lines of a token without surrounding white space."""
        first, last = token.map or (0, 0)
        start, end = self.starts[first], self.starts[min(last, len(self.starts) - 1)] - 1
        text = self.source[start:end]
        return start + len(text) - len(text.lstrip()), start + len(text.rstrip())

    def _lines(self, content: str, first: int) -> list[_Line]:
        """Return where each line of a content stands: at the end of its source line, but for white space."""
        found, offset = [], 0
        for number, line in enumerate(content.split("\n"), start=first):
            if number + 1 < len(self.starts):
                end = self.starts[number + 1] - 1
                own = self.source[self.starts[number] : end]
                trailing = 0 if own.endswith(line) else len(own) - len(own.rstrip())
                spaces = 0 if own[: len(own) - trailing].endswith(line) else len(line) - len(line.lstrip())
                length = len(line) - spaces
                found.append(_Line(offset + spaces, end - trailing - length, length + (not trailing)))
            offset += len(line) + 1
        return found

    def _add(self, kind: ShownKind, place: Offsets, pieces: Iterator[Piece], lines: Sequence[_Line]) -> None:
        """Add a block, or several if a line is meant to end within it."""
        if self.items:
            kind = "item"
        elif self.quotes:
            kind = "quote"
        level = self.items or self.quotes
        parts: list[list[Run]] = [[]]
        for piece in pieces:
            if isinstance(piece, Run):
                parts[-1].append(piece)
            else:
                parts.append([])
        start = place[0]
        for runs in (_placed(part, lines) for part in parts):
            if not runs:
                continue
            end = min(place[1], runs[-1].end)
            self.blocks.append(ShownBlock(kind, start, end, runs, level, self.marker))
            self.marker = ""
            start = end

    def _heading(self, token: Token, content: str) -> None:
        start, end = self._span(token)
        if token.markup.startswith("#"):
            line = self.source[start:end]
            before = line.rstrip("#").rstrip() if not line.endswith(content) else line
            lines = [_Line(0, start + len(before) - len(content), len(content))]
        else:
            lines = self._lines(content, token.map[0] if token.map else 0)
        shown = HEADING_ATTRIBUTES.sub("", content)
        runs = [piece for piece in inline_pieces(shown, self.references) if isinstance(piece, Run)]
        self.blocks.append(ShownBlock("heading", start, end, _placed(runs, lines), int(token.tag[1:])))
        self.marker = ""

    def _paragraph(self, token: Token, content: str) -> None:
        place = self._span(token)
        lines = self._lines(content, token.map[0] if token.map else 0)
        self._add("paragraph", place, inline_pieces(content, self.references), lines)

    def _code(self, token: Token) -> None:
        first = (token.map[0] if token.map else 0) + (token.type == "fence")
        content = token.content.rstrip()
        runs = _placed([Run(0, len(content))], self._lines(content, first)) if content else ()
        language = token.info.split()[0] if token.info.split() else ""
        start, end = self._span(token)
        start = min([start, *(run.start for run in runs[:1])])  # the indent of its first line is part of indented code
        self.blocks.append(ShownBlock("code", start, end, runs, language=language.strip("{}.")))
        self.marker = ""

    def _html(self, token: Token) -> None:
        content = token.content.rstrip()
        lines = self._lines(content, token.map[0] if token.map else 0)
        self._add("paragraph", self._span(token), html_pieces(content), lines)

    def _table(self, token: Token, tokens: Sequence[Token], position: int) -> None:
        rows: list[ShownRow] = []
        for other in tokens[position:]:
            if other.type == "tr_open":
                header = not rows
                rows.append(ShownRow(tuple(self._cells(other)), is_header=header))
            elif other.type == "table_close":
                break
        self.blocks.append(ShownBlock("table", *self._span(token), rows=tuple(rows)))
        self.marker = ""

    def _cells(self, token: Token) -> Iterator[tuple[Run, ...]]:
        """Yield the runs of the cells of a row; also of those for which the header has no column."""
        at = token.meta["at"]
        end = self.starts[(token.map or [0])[0] + 1] - 1
        row = self.source[at:end].rstrip(_SPACES)
        return row_cells(row, at, self.references)


def row_cells(row: str, at: int, references: dict[str, Any]) -> Iterator[tuple[Run, ...]]:
    """Yield the runs of the cells of a table's row, whose first character stands at an offset."""
    bars = [match.start() for match in _BAR.finditer(row) if not match[0].startswith("\\")]
    edges = list(zip([0, *(bar + 1 for bar in bars)], [*bars, len(row)], strict=True))
    edges = edges[1:] if edges[0][0] == edges[0][1] else edges
    edges = edges[:-1] if edges and edges[-1][0] == edges[-1][1] else edges
    for start, end in edges:
        cell = row[start:end]
        start += len(cell) - len(cell.lstrip(_SPACES))  # noqa: PLW2901
        cell = cell.strip(_SPACES)
        content = cell.replace("\\|", "|")
        lines: list[_Line] = []
        offset, place = 0, at + start
        for part in cell.split("\\|"):
            # The bar belongs to the part behind it; its backslash to none.
            bar = 1 if lines else 0
            lines.append(_Line(offset, place - bar, len(part) + bar))
            offset += len(part) + bar
            place += len(part) + 2
        runs = [piece for piece in inline_pieces(content, references) if isinstance(piece, Run)]
        yield _placed(runs, lines)
