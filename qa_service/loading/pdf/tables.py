"""Rows of tables: cells keep their places, lines of one cell are joined."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from qa_service.loading.pdf.segments import Gap, Segment, column_of, fits

_MAX_LINE_PITCH = 1.5
_SAME_ROW = 0.5
_MIN_ROWS = 2
_NUMBER = re.compile(r"\W{0,3}\d[\d.,'’ \u00a0]*\W{0,3}(?:[^\W\d_]{1,4}\W?)?\Z|[-–—]\Z|n/?a\Z", re.IGNORECASE)
_YEAR = re.compile(r"\D{0,4}(?:19|20)\d\d\Z")


@dataclass(slots=True)
class TableRow:
    """The cells of a row, each with its lines; a cell can be empty."""

    cells: list[list[Segment]]

    @property
    def segments(self) -> list[Segment]:
        """The segments of all cells."""
        return [segment for cell in self.cells for segment in cell]


@dataclass(slots=True)
class _Cell:
    column: int
    segments: list[Segment]

    @property
    def top(self) -> float:
        return max(segment.top for segment in self.segments)

    @property
    def bottom(self) -> float:
        return min(segment.bottom for segment in self.segments)


def rows_of(segments: Sequence[Segment], gaps: Sequence[Gap], *, by_columns: bool) -> list[TableRow]:
    """Return the rows of a table from the top. ``by_columns`` tells that the file draws one column after the other."""
    rows: list[list[_Cell]] = []
    for cell in sorted(_cells(segments, gaps, by_columns=by_columns), key=lambda cell: -cell.top):
        row = next((row for row in reversed(rows) if _belongs(cell, row)), None)
        if row is None:
            rows.append([cell])
        else:
            row.append(cell)
    ordered = sorted(rows, key=lambda row: -max(cell.top for cell in row))
    table = [_table_row(row, len(gaps) + 1) for row in ordered]
    _move_names(table)
    return table


def _move_names(rows: Sequence[TableRow]) -> None:
    """Move a name that stands between the columns that it covers into the first of them."""
    first = rows[0].cells
    for column in range(len(first) - 1, 0, -1):
        if not first[column] or first[column - 1]:
            continue
        below = [segment.left for row in rows[1:] for segment in row.cells[column]]
        if not below and column + 1 < len(first) and not first[column + 1]:
            first[column - 1] = first[column]
            for row in rows:
                del row.cells[column]
        elif below and first[column][0].left < min(below) - _SAME_ROW * first[column][0].size:
            first[column - 1], first[column] = first[column], []


def _table_row(row: list[_Cell], columns: int) -> TableRow:
    cells: list[list[Segment]] = [[] for _ in range(columns)]
    for cell in sorted(row, key=lambda cell: min(segment.left for segment in cell.segments)):
        cells[cell.column].extend(cell.segments)
    return TableRow(cells)


def _cells(segments: Sequence[Segment], gaps: Sequence[Gap], *, by_columns: bool) -> list[_Cell]:
    """Group segments that the file draws one after the other in a column, if the second continues the first."""
    rights = [
        max(segment.right for segment in column)
        for _, column in groupby(
            sorted(segments, key=lambda segment: column_of(segment, gaps)), key=lambda part: column_of(part, gaps)
        )
    ]
    numbers = sorted({column_of(segment, gaps) for segment in segments})
    right_of = dict(zip(numbers, rights, strict=True))
    cells: list[_Cell] = []
    for segment in sorted(segments, key=lambda segment: segment.order):
        column = column_of(segment, gaps)
        if (
            cells
            and cells[-1].column == column
            and _continues(cells[-1], segment, right_of[column], by_columns=by_columns)
        ):
            cells[-1].segments.append(segment)
        else:
            cells.append(_Cell(column, [segment]))
    return cells


def _continues(cell: _Cell, segment: Segment, right: float, *, by_columns: bool) -> bool:
    last = cell.segments[-1]
    if abs(last.middle - segment.middle) < _SAME_ROW * last.size:
        return True
    if by_columns or not 0 < last.middle - segment.middle <= _MAX_LINE_PITCH * last.size:
        return False
    return not fits(last, segment, right)


def _belongs(cell: _Cell, row: list[_Cell]) -> bool:
    """Tell whether a cell stands beside the others of a row, in a column that is free."""
    top, bottom = max(other.top for other in row), min(other.bottom for other in row)
    common = min(top, cell.top) - max(bottom, cell.bottom)
    if common <= _SAME_ROW * min(top - bottom, cell.top - cell.bottom):
        return False
    return all(
        other.column != cell.column or min(other.top, cell.top) - max(other.bottom, cell.bottom) > 0 for other in row
    )


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Tell whether the first row names the columns: one at least holds numbers below a name."""
    if len(rows) < _MIN_ROWS or not all(rows[0][1:]):
        return False
    for column in range(1, len(rows[0])):
        name, below = rows[0][column], [row[column] for row in rows[1:] if row[column]]
        is_year = _YEAR.match(name) and not all(map(_YEAR.match, below))
        if below and (is_year or not any(map(str.isdigit, name))) and all(map(_NUMBER.match, below)):
            return True
    return False
