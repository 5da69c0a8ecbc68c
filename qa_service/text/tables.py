"""Rows of tables in text: their cells, and whether the first row names the columns."""

import re
from collections.abc import Sequence
from itertools import zip_longest

BAR = re.compile(r"(?<!\\)\|")
RULE = re.compile(r"[\s|:+=-]*[-=]{3}[\s|:+=-]*\Z|[\s|:+=-]*:?-+:?\s*\|[\s|:+=-]*\Z")
"""The text between a header and the next row."""
_YEAR = re.compile(r"(?:1[89]|2[01])\d\d\Z")
_NUMBER = re.compile(r"[^\w]*\d[\d.,:/%\s-]*\w{0,3}[^\w]*\Z")
_WORD = re.compile(r"[^\W\d_]{3}")
_NOTHING = re.compile(r"[\s–—-]*\Z")
_MIN_ROWS = 3
_MAX_NAME_CHARACTERS = 60


def cells_of(row: str) -> list[str]:
    """Return the cells of a row without white space around them, also empty ones."""
    return [cell.strip() for cell in BAR.split(row.strip().removeprefix("|").removesuffix("|"))]


def lacks_first_cell(row: str, cells: int, columns: int) -> bool:
    """Tell whether the bar at the beginning of a row is behind an empty cell: otherwise a cell is missing."""
    return cells == columns - 1 and row.startswith("|") and not row.endswith("|")


def has_header(rows: Sequence[str]) -> bool:
    """Tell whether the first row names columns, one at least of numbers, or with a digit in each cell."""
    header = cells_of(rows[0])
    if len(rows) < _MIN_ROWS or not all(header[1:]) or max(map(len, header)) > _MAX_NAME_CHARACTERS:
        return False
    others = []
    for row in map(str.strip, rows[1:]):
        cells = cells_of(row)
        others.append(["", *cells] if lacks_first_cell(row, len(cells), len(header)) else cells)
    columns = zip_longest(*others, fillvalue="")
    return (
        len(header) > 1
        and not _has_digit(header[0])
        and any(_is_named(name, list(column)) for name, column in zip(header, columns, strict=False))
    )


def _is_named(name: str, column: Sequence[str]) -> bool:
    """Tell whether a name stands above numbers or what has digits. A year names numbers that are not all years."""
    below = [cell for cell in column if not _NOTHING.match(cell)]
    if 2 * len(below) <= len(column) or not all(map(_has_digit, below)):
        return False
    if not _has_digit(name):
        return True
    is_year = _YEAR.match(name) and not all(map(_YEAR.match, below))
    return bool(is_year or _WORD.search(name)) and all(map(_NUMBER.match, below))


def _has_digit(text: str) -> bool:
    return any(map(str.isdigit, text))
