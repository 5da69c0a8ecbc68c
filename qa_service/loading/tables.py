"""CSV, TSV and JSON Lines: every row is a document. Rows are read as far as they can be; a warning names each repair.

A row's part of the uri is its id, if no row before it has the same, so that it stays the same document when rows are
added or removed; or else its number.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count, islice, zip_longest
from typing import Any
from urllib.parse import quote

from qa_service.io import strict_json
from qa_service.loading.csv_records import MAX_FIELD_CHARACTERS, Record, header_of, records_of
from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, SkippedPart, TextBuilder, UnreadableError

_SAMPLE_RECORDS = 50
_MAX_REPAIR_WARNINGS = 20
_LINE_END = re.compile(r"\r\n|\r|\n")
_JSON_COMMA = re.compile(r'(?P<string>"(?:[^"\\]|\\.)*")|,(?P<end>\s*(?:[}\]]|\Z))')
_MAX_ID_CHARACTERS = 200
_MAX_ROW_CHARACTERS = 300


def read_csv(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a document for each row below the header. Rows are numbered as in RFC 7111, from 1."""
    yield from _table(data, limits, ",")


def read_tsv(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a document for each row below the header; tabs separate the columns."""
    yield from _table(data, limits, "\t")


def _table(data: bytes, limits: Limits, delimiter: str) -> Iterator[ParsedDocument | SkippedPart]:
    text, warning = decode(data)
    records = records_of(text.removeprefix("\ufeff"), delimiter)
    first = list(islice(records, _SAMPLE_RECORDS))
    header = header_of(first)
    if not first:
        return
    columns = _Columns(first[header], limits)
    warnings = _Warnings([warning, *columns.repairs])
    for record in first[:header]:
        builder = TextBuilder()
        builder.block(" ".join(filter(None, (cell.strip() for cell in record.cells))))
        above = builder.document()
        if above.outline.blocks:
            warnings.add(record.line, "stands above the header; it is a document of its own")
            yield ParsedDocument(above.text, above.outline, part=f"row={record.row}", warnings=warnings.taken())
    names = _RowNames(limits.row_id)
    for record in chain(first[header + 1 :], records):
        if max(map(len, record.cells)) > MAX_FIELD_CHARACTERS:
            yield SkippedPart(f"row={record.row}", f"is not readable: {record.error}")
            continue
        if record.error:
            warnings.add(record.line, f"has quotes that are not those of CSV ({record.error}); they are read as text")
        values = columns.values(record, warnings)
        yield from _document(values, names.of(values, f"row={record.row}"), limits, warnings.taken())


class _Columns:
    """The columns of a table. Those without a name, or with one that was there before, get one."""

    def __init__(self, header: Record, limits: Limits) -> None:
        self.repairs: list[str] = []
        self._names: list[str] = []
        self._unnamed: set[str] = set()
        for number, cell in enumerate(header.cells, start=1):
            name = cell.strip() or f"column {number}"
            if not cell.strip():
                self._unnamed.add(name)
            if name in self._names:
                doubled, name = name, _unused(name, [*self._names, *header.cells])
                self.repairs.append(f"line {header.line}: a second column is named {doubled!r}; it is called {name!r}")
            self._names.append(name)
        while self._names and self._names[-1] in self._unnamed:  # a delimiter at the end of each line
            self._names.pop()
        _check_columns(self._names, limits)

    def values(self, record: Record, warnings: "_Warnings") -> dict[str, str]:
        """Return a row's values by name; missing ones are empty, surplus ones are part of the last."""
        cells, width = record.cells, len(self._names)
        while len(cells) > width and not cells[-1].strip():
            cells = cells[:-1]
        if len(cells) < width and any(map(str.strip, cells)):
            warnings.add(record.line, f"has {len(cells)} cells, the header has {width}; the others are empty")
        elif len(cells) > width:
            warnings.add(record.line, f"has {len(cells)} cells, the header has {width}; the last ones are one")
            cells = [*cells[: width - 1], record.delimiter.join(cells[width - 1 :])]
        found = dict(zip_longest(self._names, cells, fillvalue=""))
        return {name: value for name, value in found.items() if value.strip() or name not in self._unnamed}


def _unused(name: str, used: Sequence[str]) -> str:
    return next(other for other in (f"{name} {number}" for number in count(2)) if other not in used)


class _Warnings:
    """Collects the repairs of a file; each goes to the next document."""

    def __init__(self, found: Iterable[str]) -> None:
        self._found = list(filter(None, found))
        self._repairs = 0

    def add(self, line: int, repair: str) -> None:
        """Note a repair; only the first ``_MAX_REPAIR_WARNINGS`` are listed."""
        self._repairs += 1
        if self._repairs <= _MAX_REPAIR_WARNINGS:
            self._found.append(f"line {line}: {repair}")
        elif self._repairs == _MAX_REPAIR_WARNINGS + 1:
            self._found.append(f"line {line} and others were repaired too; fix the file")

    def taken(self) -> tuple[str, ...]:
        """Return the warnings since the last call."""
        found, self._found = tuple(self._found), []
        return found


def read_json_lines(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a document for each line."""
    text, warning = decode(data)
    warnings = _Warnings([warning])
    names = _RowNames(limits.row_id)
    for number, line in enumerate(_LINE_END.split(text.removeprefix("\ufeff")), start=1):
        if not line.strip() or line.strip() in {"[", "]"}:
            continue
        try:
            entry = _entry(line, number, warnings)
        except ValueError as error:
            yield SkippedPart(f"line={number}", f"is not readable: {error}")
            continue
        if not isinstance(entry, dict):
            yield SkippedPart(f"line={number}", "is not a JSON object")
            continue
        values = {
            name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            for name, value in entry.items()
            if value is not None
        }
        yield from _document(values, names.of(values, f"line={number}"), limits, warnings.taken())


def _entry(line: str, number: int, warnings: _Warnings) -> Any:
    """Return the value of a line, also with commas before its end or a bracket. Raises ``ValueError``."""
    try:
        return strict_json.loads(line.encode())
    except ValueError:
        repaired = _JSON_COMMA.sub(lambda match: match["string"] or match["end"], line)
        if repaired == line:
            raise
        entry = strict_json.loads(repaired.encode())
        warnings.add(number, "has a comma with nothing behind it; it is ignored")
        return entry


class _RowNames:
    """Names the rows of one file by their ids or numbers."""

    def __init__(self, column: str) -> None:
        self._column = column
        self._used: set[str] = set()

    def of(self, values: Mapping[str, str], by_number: str) -> str:
        identifier = values.get(self._column, "").strip()
        if not identifier or len(identifier) > _MAX_ID_CHARACTERS or identifier in self._used:
            return by_number
        self._used.add(identifier)
        return f"id={quote(identifier, safe='', errors='replace')}"


def _check_columns(header: list[str], limits: Limits) -> None:
    missing = [name for name in limits.row_text if name not in header]
    if missing:
        raise UnreadableError(f"has no column {missing[0]!r} (QA_ROW_TEXT); it has {', '.join(header)}")


def _document(
    values: Mapping[str, str], part: str, limits: Limits, warnings: tuple[str, ...]
) -> Iterator[ParsedDocument | SkippedPart]:
    title = values.get(limits.row_title, "")
    names = limits.row_text or tuple(name for name in values if name != limits.row_title)
    texts = {name: values.get(name, "").strip() for name in names}
    builder = TextBuilder()
    lines = [f"{name}: {value}" if len(names) > 1 else value for name, value in texts.items() if value]
    is_short = sum(map(len, lines)) <= _MAX_ROW_CHARACTERS and not any(map(_LINE_END.search, lines))
    if is_short and len(lines) > 1:
        builder.block("\n".join(lines), "table_row")  # one quote: a cell alone does not tell of which row it is
    else:
        for line in lines:
            builder.block(line)
    found = builder.document(title=title, metadata={name: value for name, value in values.items() if name != "title"})
    if not found.outline.blocks:
        yield SkippedPart(part, "is empty")
        return
    yield ParsedDocument(found.text, found.outline, part=part, warnings=warnings)
