"""Finds the header of each row of a table, by the rule below it or by its cells."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from qa_service.datatypes import Block

_RULE = re.compile(r"[\s|:+=-]*[-=]{3}[\s|:+=-]*\Z|[\s|:+=-]*:?-+:?\s*\|[\s|:+=-]*\Z")
_BLANK_LINE = re.compile(r"(?:\r\n|\r|\n)[ \t>]*(?:\r\n|\r|\n)")
_NUMBER = re.compile(r"[^\w]*\d[\d.,:/%\s-]*\w{0,3}[^\w]*\Z")
_YEAR = re.compile(r"(?:1[89]|2[01])\d\d\Z")
_MIN_ROWS_WITHOUT_RULE = 3


def table_headers(text: str, blocks: Sequence[Block]) -> list[str]:
    """Return for each block the header row of its table, on one line; empty for headers and what is no row."""
    headers = [""] * len(blocks)
    for first, last in _tables(text, blocks):
        if _has_header(text, blocks[first:last]):
            cells = text[blocks[first].start : blocks[first].end].strip().strip("|")
            headers[first + 1 : last] = [" ".join(cells.split())] * (last - first - 1)
    return headers


def _tables(text: str, blocks: Sequence[Block]) -> Iterator[tuple[int, int]]:
    """Yield the ranges of blocks that are rows of one table: lines that follow each other."""
    first = 0
    for place, (before, after) in enumerate(pairwise(blocks), start=1):
        between = text[before.end : after.start]
        if not before.kind == after.kind == "table_row" or _BLANK_LINE.search(between):
            yield first, place
            first = place
    if blocks:
        yield first, len(blocks)


def _has_header(text: str, rows: Sequence[Block]) -> bool:
    """Tell whether a rule is below the first row, or else names stand above columns of numbers."""
    if len(rows) < 2 or rows[0].kind != "table_row":  # noqa: PLR2004 - a header and a row
        return False
    if _RULE.match(text[rows[0].end : rows[1].start]):
        return True
    header, *others = (
        [cell.strip() for cell in text[row.start : row.end].strip().strip("|").split("|")] for row in rows
    )
    return (
        len(rows) >= _MIN_ROWS_WITHOUT_RULE
        and len(header) > 1
        and not _NUMBER.match(header[0])
        and not any(_NUMBER.match(cell) and not _YEAR.match(cell) for cell in header)
        and any(
            all(len(row) == len(header) and _NUMBER.match(row[place]) for row in others) for place in range(len(header))
        )
    )
