"""CSV, TSV and JSON Lines: every row is a document.

A row's part of the uri is its id, if no row before it has the same, so that it stays the same document when rows are
added or removed; or else its number.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from urllib.parse import quote

from qa_service.io import strict_json
from qa_service.loading.decoding import decode
from qa_service.loading.outline import Limits, ParsedDocument, SkippedPart, TextBuilder, UnreadableError

_MAX_FIELD_CHARACTERS = 10_000_000
_MAX_ID_CHARACTERS = 200


def read_csv(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a document for each row below the header. Rows are numbered as in RFC 7111: the header is row 1."""
    yield from _table(data, limits, ",")


def read_tsv(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a document for each row below the header; tabs separate the columns."""
    yield from _table(data, limits, "\t")


def _table(data: bytes, limits: Limits, delimiter: str) -> Iterator[ParsedDocument | SkippedPart]:
    text, warning = decode(data)
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter, strict=True)
    header = next(rows, [])
    if len(set(header)) < len(header) or not all(name.strip() for name in header):
        raise UnreadableError("has no header with a unique name for every column")
    _check_columns(header, limits)
    names = _RowNames(limits.row_id)
    number = 1
    while True:
        number += 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            yield SkippedPart(f"row={number}", f"is not readable: {error}")
            continue
        if len(row) != len(header):
            if row:
                yield SkippedPart(f"row={number}", f"has {len(row)} cells, the header has {len(header)}")
            continue
        values = dict(zip(header, row, strict=True))
        yield from _document(values, names.of(values, f"row={number}"), limits, warning)
        warning = ""


def read_json_lines(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield a document for each line."""
    text, warning = decode(data)
    names = _RowNames(limits.row_id)
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry = strict_json.loads(line.encode())
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
        yield from _document(values, names.of(values, f"line={number}"), limits, warning)
        warning = ""


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
    values: Mapping[str, str], part: str, limits: Limits, warning: str
) -> Iterator[ParsedDocument | SkippedPart]:
    title = values.get(limits.row_title, "")
    names = limits.row_text or tuple(name for name in values if name != limits.row_title)
    texts = {name: values.get(name, "").strip() for name in names}
    builder = TextBuilder()
    for name, value in texts.items():
        builder.block(value if len(names) == 1 else f"{name}: {value}" if value else "", "paragraph")
    found = builder.document(title=title, metadata={name: value for name, value in values.items() if name != "title"})
    if not found.outline.blocks:
        yield SkippedPart(part, "is empty")
        return
    yield ParsedDocument(found.text, found.outline, part=part, warnings=(warning,) if warning else ())
