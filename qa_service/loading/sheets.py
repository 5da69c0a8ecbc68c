"""The sheets of a spreadsheet -> documents: a table, or fifty rows of a long one, is one.

Its part of the uri is the sheet and the cells: ``sheet=Budget&range=A3:F20``. Blank rows and columns part tables. A row
with a single cell above a table is its heading.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from urllib.parse import quote

from qa_service.loading.flow import Flow
from qa_service.loading.outline import ParsedDocument, TextBuilder

_MAX_ROWS = 50
_MIN_COLUMNS_BESIDE_GAP = 2
_MAX_COVERED_COLUMNS = 1000
_MIN_COLUMNS_OF_HEADER = 3
_MAX_NAME_CHARACTERS = 60
_NUMBER = re.compile(r"\W*\d[\d\W]*\w{0,3}\Z|\d{4}-\d\d(?:-\d\d)?(?: [\d:]+)?\Z")


@dataclass(slots=True)
class Sheet:
    """The texts of a sheet by row and column, from 1."""

    name: str
    is_hidden: bool = False
    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    bold: set[tuple[int, int]] = field(default_factory=set)
    merged: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """How many rows and columns the cell at a place covers."""
    notes: dict[tuple[int, int], str] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    """Text that stands beside the cells, as in text boxes."""
    warnings: list[str] = field(default_factory=list)

    def put(self, row: int, column: int, text: str) -> None:
        """Set the text of a cell, unless it is blank."""
        if text.strip():
            self.rows.setdefault(row, {})[column] = text


@dataclass(frozen=True, slots=True)
class _Area:
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    """Those that are used."""

    @property
    def first(self) -> int:
        return self.columns[0]

    @property
    def last(self) -> int:
        return self.columns[-1]


def documents_of(sheets: Iterator[Sheet]) -> Iterator[ParsedDocument]:
    """Yield the tables of all sheets."""
    for sheet in sheets:
        warnings = tuple(sheet.warnings)
        if sheet.is_hidden:
            warnings += (f"sheet {sheet.name!r} is hidden; it is read too",)
        for document in _tables(sheet):
            yield replace(document, warnings=warnings)
            warnings = ()


def column_name(column: int) -> str:
    """Return the letters of a column: 28 is AB."""
    name = ""
    while column:
        column, place = divmod(column - 1, 26)
        name = chr(ord("A") + place) + name
    return name


def _tables(sheet: Sheet) -> Iterator[ParsedDocument]:
    headings: list[str] = []
    notes = dict(sheet.notes)
    areas = list(_areas(sheet))
    for number, area in enumerate(areas):
        only = _only_cell(sheet, area.rows[0], area) if len(area.rows) == 1 else ""
        if only and number + 1 < len(areas) and len(only) <= 2 * _MAX_NAME_CHARACTERS:
            headings.append(only)
            continue
        yield from _documents(sheet, area, headings, notes)
        headings = []
    if notes or sheet.texts:
        builder = TextBuilder()
        builder.heading(1, sheet.name)
        for text in [*sheet.texts, *map(_note, notes.items())]:
            builder.block(text)
        yield replace(builder.document(), part=f"sheet={quote(sheet.name, safe='')}")


def _documents(
    sheet: Sheet, area: _Area, headings: list[str], notes: dict[tuple[int, int], str]
) -> Iterator[ParsedDocument]:
    """Yield the parts of a table, each with its header."""
    rows = list(area.rows)
    headings = list(headings)
    while len(rows) > 1 and (title := _only_cell(sheet, rows[0], area)) and len(title) <= 2 * _MAX_NAME_CHARACTERS:
        headings.append(title)
        rows.pop(0)
    header = rows[:1] if _is_header(sheet, rows, area) else []
    body = rows[len(header) :]
    for start in range(0, len(body), _MAX_ROWS):
        some = body[start : start + _MAX_ROWS]
        begin = area.rows[0] if start == 0 else some[0]
        builder = TextBuilder()
        builder.heading(1, sheet.name)
        for level, words in enumerate(headings, start=2):
            builder.heading(level, words)
        _write(sheet, area, header, some).write(builder)
        for place in [place for place in notes if begin <= place[0] <= some[-1] and place[1] <= area.last]:
            builder.block(_note((place, notes.pop(place))))
        cells = f"{column_name(area.first)}{begin}:{column_name(area.last)}{some[-1]}"
        yield replace(builder.document(), part=f"sheet={quote(sheet.name, safe='')}&range={cells}")


def _write(sheet: Sheet, area: _Area, header: list[int], body: list[int]) -> Flow:
    flow = Flow()
    flow.start_table()
    covered: dict[tuple[int, int], int] = {}
    for row in [*header, *body]:
        flow.start_row(is_header=row in header)
        beyond = 0
        for column in area.columns:
            if column < beyond:
                continue
            rows, columns = sheet.merged.get((row, column), (1, 1))
            beyond = column + columns
            if rows > 1:
                covered |= dict.fromkeys(((below, column) for below in body if row < below < row + rows), row)
            # A merged cell stands in each of its rows.
            words = sheet.rows[covered.get((row, column), row)].get(column, "")
            flow.start_cell(sum(column <= other < beyond for other in area.columns))
            flow.bold += (row, column) in sheet.bold
            flow.text(words)
            flow.end_cell()
            flow.bold = 0
    flow.end_table()
    return flow


def _areas(sheet: Sheet) -> Iterator[_Area]:
    """Yield the parts of a sheet that blank rows and columns separate."""
    rows = sorted(sheet.rows)
    cuts = [0, *(place for place, (one, other) in enumerate(pairwise(rows), start=1) if other - one > 1), len(rows)]
    groups = [rows[start:end] for start, end in pairwise(cuts) if start < end]
    joined: list[list[int]] = []
    for group in groups:
        if joined and _continues(sheet, joined[-1], group):
            joined[-1] += group
        else:
            joined.append(group)
    for group in joined:
        for columns in _column_ranges(sheet, group):
            inside = [row for row in group if any(columns[0] <= column <= columns[-1] for column in sheet.rows[row])]
            yield _Area(tuple(inside), tuple(columns))


def _continues(sheet: Sheet, above: list[int], below: list[int]) -> bool:
    """Tell whether rows behind a blank one belong to the table above: they have its columns, and numbers at once."""
    widths = [{column for row in rows for column in sheet.rows[row]} for rows in (above, below)]
    first = sheet.rows[below[0]]
    return len(above) > 1 and len(first) > 1 and widths[1] <= widths[0] and any(map(_NUMBER.match, first.values()))


def _column_ranges(sheet: Sheet, group: list[int]) -> list[list[int]]:
    """Return the columns that rows use, parted at blank ones that have several columns on both sides."""
    used = {column for row in group for column in sheet.rows[row]}
    for row in group:
        for column in sheet.rows[row]:
            width = sheet.merged.get((row, column), (1, 1))[1]
            used |= set(range(column, column + min(width, _MAX_COVERED_COLUMNS))) if width > 1 else set()
    columns = sorted(used)
    ranges = [[columns[0]]]
    for place, (one, other) in enumerate(pairwise(columns), start=1):
        is_gap = other - one > 1 and len(group) > 1
        if is_gap and min(len(ranges[-1]), len(columns) - place) >= _MIN_COLUMNS_BESIDE_GAP:
            ranges.append([])
        ranges[-1].append(other)
    return ranges


def _only_cell(sheet: Sheet, row: int, area: _Area) -> str:
    """Return the text of a row that has one cell; nothing if it has more, or a number."""
    texts = [text for column, text in sheet.rows[row].items() if area.first <= column <= area.last]
    return texts[0] if len(texts) == 1 and not _NUMBER.match(texts[0]) else ""


def _is_header(sheet: Sheet, rows: list[int], area: _Area) -> bool:
    """Tell whether a row names the columns.

    With two columns only numbers tell: the first row may be a name and a value.
    """
    names = [sheet.rows[rows[0]].get(column, "") for column in area.columns]
    filled = list(filter(None, names))
    if len(rows) < 2 or len(filled) < max(2, len(names) - 1) or len(set(filled)) < len(filled):  # noqa: PLR2004
        return False
    if any(_NUMBER.match(name) or len(name) > _MAX_NAME_CHARACTERS for name in filled):
        return False
    below = [sheet.rows[row].get(area.last, "") for row in rows[1:]]
    is_bold = all((rows[0], column) in sheet.bold for column, name in zip(area.columns, names, strict=True) if name)
    return len(filled) >= _MIN_COLUMNS_OF_HEADER or is_bold or all(map(_NUMBER.match, filter(None, below)))


def _note(entry: tuple[tuple[int, int], str]) -> str:
    (row, column), text = entry
    return f"{column_name(column)}{row}: {text}"
