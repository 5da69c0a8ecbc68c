"""Text -> records of a table as programs write it: any delimiter, quotes without an end, lines above the header."""

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

MAX_FIELD_CHARACTERS = 10_000_000
_DELIMITERS = ",;\t|"
_SEPARATOR_LINE = re.compile(r"sep=(?P<delimiter>.)\s*\Z", re.IGNORECASE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z")
_SAMPLE_RECORDS = 50
_MAX_RECORD_LINES = 10_000
_MAX_LINES_ABOVE_HEADER = 20


@dataclass(frozen=True, slots=True)
class Record:
    """A row with the line at which it begins, both from 1; ``error`` says why its quotes were not those of CSV."""

    row: int
    line: int
    cells: list[str]
    delimiter: str
    error: str = ""


def records_of(text: str, delimiter: str) -> Iterator[Record]:
    """Yield the records that are no blank lines. ``delimiter`` is used unless another fits the first records better."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    lines = [match[0] for match in _LINE.finditer(text)]
    separator = _SEPARATOR_LINE.match(lines[0]) if lines else None
    if separator is None:
        delimiter = _best_delimiter(lines, delimiter)
    else:
        delimiter, lines[0] = separator["delimiter"], "\n"
    return _records(lines, delimiter)


def header_of(records: Sequence[Record]) -> int:
    """Return the index of the header among the first records: the first with two names, if most below have as many."""
    place = next((place for place, record in enumerate(records[:_MAX_LINES_ABOVE_HEADER]) if _filled(record) > 1), 0)
    width = len(records[place].cells) if records else 0
    below = [abs(len(record.cells) - width) <= 1 < len(record.cells) for record in records[place + 1 :]]
    return place if 2 * sum(below) > len(below) else 0


def _filled(record: Record) -> int:
    return sum(bool(cell.strip()) for cell in record.cells)


def _best_delimiter(lines: list[str], usual: str) -> str:
    """Return the delimiter that gives most of the first records the same number of cells, and several."""

    def fit(delimiter: str) -> tuple[int, int, bool]:
        sample = list(islice(_records(lines[:_MAX_RECORD_LINES], delimiter), _SAMPLE_RECORDS))
        if any(record.error for record in sample):
            return (0, 0, False)
        widths = Counter(len(record.cells) for record in sample if len(record.cells) > 1)
        width, count = max(widths.items(), key=lambda item: (item[1], item[0]), default=(0, 0))
        return (count, width, delimiter == usual) if 2 * count >= len(sample) else (0, 0, False)

    best = max(_DELIMITERS, key=fit)
    return best if fit(best)[0] else usual


def _records(lines: list[str], delimiter: str) -> Iterator[Record]:
    place = row = 0
    # As in: Name, "Price, net"
    spaced = 2 * sum(f'{delimiter} "' in line for line in lines[:_SAMPLE_RECORDS]) >= min(len(lines), _SAMPLE_RECORDS)
    while place < len(lines):
        row += 1
        following = (lines[number] for number in range(place, min(len(lines), place + _MAX_RECORD_LINES)))
        reader = csv.reader(following, delimiter=delimiter, strict=True, skipinitialspace=spaced)
        error = ""
        try:
            cells = next(reader)
            read = reader.line_num
        except csv.Error as problem:
            error, read = str(problem), 1
            cells = _without_csv_quotes(lines[place], delimiter)
        if cells:
            yield Record(row, place + 1, cells, delimiter, error)
        place += read


def _without_csv_quotes(line: str, delimiter: str) -> list[str]:
    """Return the cells of a line whose quotes are not those of CSV."""
    cells = line.rstrip("\r\n").split(delimiter)
    return [cell[1:-1] if len(cell) > 1 and cell[0] == cell[-1] == '"' else cell for cell in cells]
