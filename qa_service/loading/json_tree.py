"""JSON -> documents: a list of records gives one for each, as JSON Lines do; any other value is one document.

In that, the names of objects are headings, and lists of alike objects are tables.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, SkippedPart, TextBuilder, UnreadableError
from qa_service.loading.tables import read_json_lines

_MAX_TABLE_COLUMNS = 20
_MAX_CELL_CHARACTERS = 300


def read_json(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield the documents of a file; one of many JSON texts is read as JSON Lines."""
    text, warning = decode(data)
    try:
        value = json.loads(text.removeprefix("\ufeff"))
    except ValueError as error:
        if not _begins_with_json_line(text):
            raise UnreadableError(f"is not readable JSON: {error}") from error
        yield from read_json_lines(data, limits)
        return
    if isinstance(value, list) and len(value) > 1 and all(isinstance(item, dict) for item in value):
        records = "\n".join(json.dumps(dict(_flat(item))) for item in value)
        for part in read_json_lines(records.encode(), limits):
            yield replace(part, part=part.part.replace("line=", "record=", 1))
        return
    builder = TextBuilder()
    _write(builder, value, "", 1)
    title = value.get("title") if isinstance(value, dict) else None
    found = builder.document(title=title if isinstance(title, str) else "")
    yield replace(found, warnings=(warning,) if warning else ())


def _begins_with_json_line(text: str) -> bool:
    lines = [line for line in text.removeprefix("\ufeff").splitlines() if line.strip()]
    try:
        return len(lines) > 1 and isinstance(json.loads(lines[0]), dict)
    except ValueError:
        return False


def _flat(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of a record by their paths: ``address.city``, ``crew.2.name``."""
    for key, item in value.items():
        if isinstance(item, list) and not _is_scalars(item):
            item = {str(number): entry for number, entry in enumerate(item, start=1)}  # noqa: PLW2901
        if isinstance(item, dict):
            yield from _flat(item, f"{above}{key}.")
        elif words := _words(item):
            yield f"{above}{key}", words


def _write(builder: TextBuilder, value: Any, name: str, level: int) -> None:
    """Write a value below the heading of its ``name``."""
    if isinstance(value, list) and _is_scalars(value) and sum(map(len, map(_words, value))) <= _MAX_CELL_CHARACTERS:
        value = _words(value)
    if not isinstance(value, dict | list):
        words = _words(value)
        builder.block(f"{name}: {words}" if name and words else words)
        return
    if name:
        builder.heading(level, name)
    if isinstance(value, dict):
        # Values first: those behind an inner object would stand below its heading.
        for key, item in sorted(value.items(), key=lambda entry: isinstance(entry[1], dict | list)):
            _write(builder, item, key, level + 1)
    elif columns := _columns(value):
        builder.table([columns, *([_words(item.get(key)) for key in columns] for item in value)], has_header=True)
    else:
        _write_list(builder, value, name, level)
    builder.leave_sections(level)


def _write_list(builder: TextBuilder, value: list[Any], name: str, level: int) -> None:
    if all(isinstance(item, list) and _is_scalars(item) for item in value):
        builder.table([list(map(_words, item)) for item in value])
        return
    for number, item in enumerate(value, start=1):
        if isinstance(item, dict | list):
            _write(builder, item, f"{name} {number}".strip(), level + 1)
        else:
            builder.block(_words(item), "list_item")


def _columns(items: list[Any]) -> list[str]:
    """Return the names of the columns if a list is a table: objects of short values, mostly the same ones."""
    if len(items) < 2 or not all(isinstance(item, dict) for item in items):  # noqa: PLR2004 - one object is no table
        return []
    names = list(dict.fromkeys(key for item in items for key in item))
    values = [value for item in items for value in item.values()]
    is_table = all(not isinstance(value, dict | list) or _is_scalars(value) for value in values)
    is_short = all(len(_words(value)) <= _MAX_CELL_CHARACTERS for value in values) if is_table else False
    return names if is_short and 2 * len(values) >= len(names) * len(items) and len(names) <= _MAX_TABLE_COLUMNS else []


def _is_scalars(value: Any) -> bool:
    return isinstance(value, list) and not any(isinstance(item, dict | list) for item in value)


def _words(value: Any) -> str:
    """Return a scalar, or several, as text; nothing for ``null``."""
    if isinstance(value, list):
        return ", ".join(filter(None, map(_words, value)))
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)
