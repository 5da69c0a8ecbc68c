"""Writes the questions of a run as CSV, for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from qa_service.evaluation.states import state_of
from qa_service.evaluation.summary import first_right

_MARK = "\ufeff"
"""Spreadsheets take a file for UTF-8 that begins with it."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COLUMNS = ("id", "line", "question", "answerable", "state", "verdict", "confidence", "first relevant result")
_PLACE = ("quote", "document", "start", "end", "expected", "tags")


def question_table(results: Iterable[dict[str, Any]], measures: Sequence[str]) -> Iterator[str]:
    """Yield the lines: a row a question, with the best quote that was shown."""
    yield _MARK + _line([*_COLUMNS, *_PLACE, *measures])
    for result in results:
        got = result["got"]
        quote = got["quotes"][0] if got["quotes"] else {}
        row = [
            *(result[name] for name in ("id", "line", "question", "answerable")),
            *(state_of(result), got["verdict"], got["confidence"], first_right(result)),
            *(quote.get(name) for name in ("text", "uri", "start", "end")),
            *("|".join(result[name]) for name in ("answers", "tags")),
            *(result["measures"].get(name) for name in measures),
        ]
        yield _line(row)


def _line(row: Sequence[object]) -> str:
    file = io.StringIO()
    csv.writer(file).writerow(map(_cell, row))
    return file.getvalue()


def _cell(value: object) -> object:
    """Return a value that a spreadsheet takes for text, not for a formula."""
    return f"'{value}" if isinstance(value, str) and value.lstrip(" \n").startswith(_FORMULA) else value
