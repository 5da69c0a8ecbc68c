"""Finds the header of each row of a table, by the rule below it or by its cells."""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from qa_service.datatypes import Block
from qa_service.text.tables import RULE, has_header

_BLANK_LINE = re.compile(r"(?:\r\n|\r|\n)[ \t>]*(?:\r\n|\r|\n)")


def table_headers(text: str, blocks: Sequence[Block]) -> list[str]:
    """Return for each block the header row of its table, on one line; empty for headers and what is no row."""
    headers = [""] * len(blocks)
    for first, last in _tables(text, blocks):
        if _begins_with_header(text, blocks[first:last]):
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


def _begins_with_header(text: str, rows: Sequence[Block]) -> bool:
    """Tell whether a rule is below the first row, or else names stand above columns of numbers."""
    if len(rows) < 2 or rows[0].kind != "table_row":  # noqa: PLR2004 - a header and a row
        return False
    if RULE.match(text[rows[0].end : rows[1].start]):
        return True
    return has_header([text[row.start : row.end] for row in rows])
