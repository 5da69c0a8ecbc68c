"""Tables of markup -> rows in which every cell has its place.

A merged cell stands in its first column, in each of its rows: so a row can be read without the rows above. Columns
without text are dropped; columns of currency and per cent signs join their numbers. A row that holds headings, code or
long texts is there for the layout of a page, and is read as paragraphs. A table in a cell follows its row.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from qa_service.datatypes import BlockKind

_MAX_CELL_CHARACTERS = 1000
_MAX_REPEATED_CHARACTERS = 200
_FREE_CHARACTERS = 10_000
_MAX_SPAN = 1000  # as in HTML
_MAX_HEADER_CHARACTERS = 60
_MAX_HEADER_ROWS = 3
_MAX_NUMBER_CHARACTERS = 30
_MIN_ROWS_OF_NUMBERS = 4
_SIGNS_BEFORE = frozenset({"$", "€", "£", "¥", "(", "$(", "($", "US$"})
_SIGNS_BEHIND = frozenset({")", "%", ")%", "%)"})
_NUMBER = re.compile(r"[(<>~≈±+−–-]*\s*[$€£¥]?\s*[\d.,'’ ]*\d[\d.,'’ ]*\s*[)%‰°]*\s*\w{0,3}\Z")
_PERIOD = re.compile(r"\b(?:FY ?)?(?:19|20)\d\d(?:[/-]\d\d)?\b|\b[QH][1-4]\b")


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A paragraph, or a heading if it has a level."""

    words: str
    kind: BlockKind = "paragraph"
    level: int = 0


@dataclass(frozen=True, slots=True)
class SectionEnd:
    """The end of the sections of a level and below."""

    level: int


@dataclass(slots=True)
class Cell:
    """A cell with its content, and how many columns and rows it covers; 0 rows are all below."""

    parts: "list[Part]" = field(default_factory=list)
    columns: int = 1
    rows: int = 1
    is_header: bool = False
    continues: bool = False
    is_bold: bool = True

    def words(self) -> str:
        """Return the text of the cell without that of tables in it."""
        return " ".join(part.words for part in self.parts if isinstance(part, Paragraph))


@dataclass(slots=True)
class Row:
    """A row of cells."""

    cells: list[Cell] = field(default_factory=list)
    is_header: bool = False


@dataclass(slots=True)
class Table:
    """A table as it stands in the file."""

    rows: list[Row] = field(default_factory=list)
    is_layout: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of text, of which the first may be the header."""

    rows: list[list[str]]
    has_header: bool


Part = Paragraph | Table | SectionEnd


def arranged(table: Table) -> Iterator[Part | Rows]:
    """Yield the content of a table as rows, paragraphs and tables, in reading order."""
    rows = [row for row in table.rows if any(cell.parts or cell.continues for cell in row.cells)]
    if table.is_layout or all(sum(bool(cell.parts) for cell in row.cells) <= 1 for row in rows):
        yield from (part for row in rows for cell in row.cells for part in cell.parts)
        return
    while rows and _title_of(rows[0]):
        yield from _title_of(rows.pop(0))
    if not rows:
        return
    marked = _marked_rows(rows)
    heads, texts = _with_header(rows, marked)
    run = [_merged(texts[:heads])] if heads else []
    has_header = heads > 0
    for row, cells in zip(rows[heads:], texts[heads:], strict=True):
        nested = [part for cell in row.cells for part in cell.parts if isinstance(part, Table)]
        flows = (nested and sum(map(bool, cells)) <= 1) or (not marked and _is_layout(row))
        if not flows:
            run.append([row.cells[0].words()] if _spans_all(row, cells) else cells)
        if flows or nested:
            yield Rows(run, has_header)
            run, has_header = [], False
            yield from (part for cell in row.cells for part in cell.parts) if flows else nested
    yield Rows(run, has_header)


def _title_of(row: Row) -> list[Part]:
    """Return the content of a row whose only cell covers all columns, or nothing."""
    only = len(row.cells) == 1 and row.cells[0].columns > 1
    return row.cells[0].parts if only else []


def _spans_all(row: Row, cells: list[str]) -> bool:
    return len(row.cells) == 1 and row.cells[0].columns > 1 and bool(cells) and not any(cells[1:])


def _is_layout(row: Row) -> bool:
    return any(
        isinstance(part, Paragraph) and (part.level or (part.kind == "code" and "\n" in part.words))
        for cell in row.cells
        for part in cell.parts
    ) or any(len(cell.words()) > _MAX_CELL_CHARACTERS for cell in row.cells)


def _texts(rows: list[Row], heads: int) -> list[list[str]]:
    """Return the text of every place; names of columns stand in all that they cover.

    Repeated text is bounded by the table's own text: spans may be hostile.
    """
    grid = _Grid(_FREE_CHARACTERS + sum(len(cell.words()) for row in rows for cell in row.cells))
    for number, row in enumerate(rows):
        grid.begin_row()
        for cell in row.cells:
            grid.place(cell, is_header=number < heads, rows_below=len(rows) - number - 1)
        grid.end_row()
    return grid.rows


class _Grid:
    """Places cells row by row; ``spare`` is how many characters may be repeated."""

    def __init__(self, spare: int) -> None:
        self.rows: list[list[str]] = []
        self._spare = spare
        self._covered: dict[int, tuple[str, int]] = {}  # column -> text and number of rows that it still covers
        self._covered_next: dict[int, tuple[str, int]] = {}

    def begin_row(self) -> None:
        self._covered, self._covered_next = self._covered_next, {}
        self.rows.append([])

    def place(self, cell: Cell, *, is_header: bool, rows_below: int) -> None:
        """Add a cell in the next column that no cell above covers."""
        self._take_covered()
        row = self.rows[-1]
        column, words = len(row), cell.words()
        above = self.rows[-2] if len(self.rows) > 1 else []
        if cell.continues and not words and column < len(above):
            words = self._repeatable(above[column])
            self._spare -= len(words)
        columns = max(1, min(cell.columns, _MAX_SPAN, self._spare))
        again = self._repeatable(words) if is_header else ""
        row += [words, *([again] * (columns - 1))]
        self._spare -= (columns - 1) * (1 + len(again))
        covered = min(cell.rows - 1, rows_below) if cell.rows else rows_below
        if covered > 0 and self._spare > 0:
            text = self._repeatable(words)
            self._spare -= covered * (len(text) + columns)
            self._covered_next |= {column + more: ("" if more else text, covered) for more in range(columns)}

    def end_row(self) -> None:
        """Add what cells above cover beyond the last cell."""
        for column in sorted(self._covered):
            self.rows[-1] += [""] * (column - len(self.rows[-1]))
            self._take_covered()

    def _take_covered(self) -> None:
        row = self.rows[-1]
        while len(row) in self._covered:
            text, covered = self._covered.pop(len(row))
            if covered > 1:
                self._covered_next[len(row)] = (text, covered - 1)
            row.append(text)

    def _repeatable(self, words: str) -> str:
        return words if len(words) <= min(_MAX_REPEATED_CHARACTERS, self._spare) else ""


def _columns_joined(rows: list[list[str]], heads: int, used: list[int]) -> list[list[str]]:
    """Return rows of the columns that are used, with columns of signs joined to their numbers."""
    body: dict[int, set[str]] = {}
    for row in rows[heads:]:
        for column, text in enumerate(row):
            if text:
                body.setdefault(column, set()).add("".join(text[:8].split()))
    target: dict[int, int] = {}
    joined = 0
    for place, column in enumerate(used):
        below = body.get(column, set())
        joins_left = below and place and below <= _SIGNS_BEHIND
        joined += bool(joins_left)
        target[column] = place - joined
        joined += bool(below and not joins_left and place + 1 < len(used) and below <= _SIGNS_BEFORE)
    return [_placed(row, target) for row in rows]


def _placed(row: list[str], target: dict[int, int]) -> list[str]:
    places: list[str] = []
    for column, text in enumerate(row):
        if column in target:
            places += [""] * (target[column] + 1 - len(places))
            before = places[target[column]]
            places[target[column]] = text if before in {"", text} else f"{before} {text}".strip()
    return places


def _merged(rows: list[list[str]]) -> list[str]:
    """Return several header rows as one: each column has the words of all."""
    width = max(map(len, rows))
    columns = ([row[column] for row in rows if column < len(row) and row[column]] for column in range(width))
    return [" ".join(dict.fromkeys(column)) for column in columns]


def _marked_rows(rows: list[Row]) -> int:
    """Return how many rows at the top are marked as the header."""
    marked = 0
    for row in rows[:-1]:
        names_columns = any(cell.parts for cell in row.cells[1:]) and all(
            map(_is_head, (cell for cell in row.cells if cell.parts))
        )
        if not row.is_header and not names_columns:
            break
        marked += 1
    return marked if marked < len(rows) - 1 or len(rows) == 2 else min(marked, 1)  # noqa: PLR2004 - a header and a row


def _is_bold(row: Row) -> bool:
    cells = [cell for cell in row.cells if cell.parts]
    return len(cells) > 1 and all(cell.is_bold for cell in cells)


def _with_header(rows: list[Row], marked: int) -> tuple[int, list[list[str]]]:
    """Return the number of rows of the header, and the texts; without marks it is what looks like a header."""
    plain = _texts(rows, 0)
    used = sorted({column for row in plain for column, text in enumerate(row) if text})
    if marked:
        return marked, _columns_joined(_texts(rows, marked), marked, used)
    # Rows whose first cell is empty name columns.
    named = next((number for number, row in enumerate(rows) if row.cells[0].parts), 0)
    below = named + 1 if named else 0  # the first name of the first column may stand at its bottom
    for heads in sorted({min(number, _MAX_HEADER_ROWS) for number in (below, named, 1)} - {0}, reverse=True):
        texts = _columns_joined(_texts(rows, heads), heads, used)
        if _looks_like_header(rows, texts, heads):
            return heads, texts
    return 0, _columns_joined(plain, 0, used)


def _is_head(cell: Cell) -> bool:
    """Tell whether a cell is marked as the head of its column, or is a single heading."""
    only = cell.parts[0] if len(cell.parts) == 1 else None
    return cell.is_header or (isinstance(only, Paragraph) and only.level > 0)


def _looks_like_header(rows: list[Row], texts: list[list[str]], heads: int) -> bool:
    """Tell whether the first rows are bold, or name columns of numbers. Unsure ones don't: a header is never quoted."""
    first, body = _merged(texts[:heads]), texts[heads:]
    if not body or len(first) < 2 or not all(first[1:]) or max(map(len, first)) > _MAX_HEADER_CHARACTERS:  # noqa: PLR2004
        return False
    if all(map(_is_bold, rows[:heads])) and not _is_bold(rows[heads]):
        return True
    columns = 0
    for column in range(1, len(first)):
        below = [row[column] for row in body if column < len(row) and row[column]]
        is_name = not any(map(str.isdigit, _PERIOD.sub("", first[column]))) and not all(map(_PERIOD.fullmatch, below))
        columns += bool(below and is_name and all(map(_is_number, below)))
    return columns > 1 or (columns == 1 and len(body) >= _MIN_ROWS_OF_NUMBERS)


def _is_number(text: str) -> bool:
    return len(text) <= _MAX_NUMBER_CHARACTERS and _NUMBER.match(text) is not None
