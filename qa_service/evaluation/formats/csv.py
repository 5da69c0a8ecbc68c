"""Reads question files in CSV: a row is a question, or another reference of the previous question.

Columns: ``question`` and optionally ``id``, ``answerable``, ``answers`` and ``tags`` (separated by ``|``),
``document``, ``content``, ``start_index``, ``end_index``.
"""

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from qa_service.errors import QuestionFileError
from qa_service.evaluation.formats.jsonl import MAX_LINE_BYTES, question_or_problem
from qa_service.evaluation.question import LineProblem, Question, check_names, question_of

COLUMNS = ("id", "question", "answerable", "answers", "tags", "document", "content", "start_index", "end_index")
_REFERENCE = ("document", "content", "start_index", "end_index")
_DELIMITERS = ",;\t"
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


def read_table(file: BinaryIO, path: Path, delimiter: str | None) -> Iterator[Question | LineProblem]:
    """Yield the questions of a table; without a ``delimiter``, the most frequent one in the header is used.

    Raises :class:`QuestionFileError` for an invalid header and for invalid UTF-8.
    """
    pending: tuple[int, dict[str, Any]] | None = None
    for number, row in rows_of(file, path, delimiter):
        fields: dict[str, Any] | LineProblem
        if isinstance(row, LineProblem):
            fields = row
        else:
            try:
                fields = _fields(row)
            except ValueError as error:
                fields = LineProblem(number, str(error))
        if isinstance(fields, dict) and pending is not None and _goes_on(pending[1], fields):
            pending[1]["references"] += fields["references"]
            continue
        if pending is not None:
            yield _question(*pending)
        pending = None
        if isinstance(fields, LineProblem):
            yield fields
        else:
            pending = (number, fields)
    if pending is not None:
        yield _question(*pending)


def rows_of(
    file: BinaryIO, path: Path, delimiter: str | None, columns: tuple[str, ...] = COLUMNS
) -> Iterator[tuple[int, dict[str, str] | LineProblem]]:
    """Yield the number of each row's last line, and the row as a mapping of column names to cells."""
    csv.field_size_limit(MAX_LINE_BYTES)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        header_line = text.readline()
        rows = csv.reader(text, delimiter=delimiter or _delimiter(header_line), strict=True)
        header = [
            name.strip().casefold()
            for name in next(csv.reader([header_line], delimiter=delimiter or _delimiter(header_line)), [])
        ]
        if header and (("question" not in header and "user_input" not in header) or len(set(header)) < len(header)):
            raise QuestionFileError(
                f"{path} has the columns {', '.join(header)}; needed once each: {columns[0]}, {columns[1]} …"
            )
        try:
            check_names(header, COLUMNS if columns is COLUMNS else ())  # others' columns are theirs
        except ValueError as error:
            raise QuestionFileError(f"{path}: {error}") from error
        while True:
            try:
                row = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                yield rows.line_num + 1, LineProblem(rows.line_num + 1, f"not CSV: {error}")
                continue
            number = rows.line_num + 1
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                yield number, LineProblem(number, f"has {len(row)} cells, but the header has {len(header)}")
                continue
            yield number, dict(zip(header, row, strict=True))
    except UnicodeDecodeError as error:
        raise QuestionFileError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    finally:
        text.detach()


def _delimiter(header: str) -> str:
    return max(_DELIMITERS, key=header.count)


def _fields(row: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"question": row["question"], "references": []}
    if row.get("id", "").strip():
        fields["id"] = row["id"].strip()
    if said := row.get("answerable", "").strip().casefold():
        if said not in _TRUE | _FALSE:
            raise ValueError(f"answerable is {said!r}; it must be true or false")
        fields["answerable"] = said in _TRUE
    for name in ("answers", "tags"):
        if parts := [part.strip() for part in row.get(name, "").split("|") if part.strip()]:
            fields[name] = parts
    reference: dict[str, Any] = {name: row[name] for name in _REFERENCE if row.get(name, "").strip()}
    for name in ("start_index", "end_index"):
        if name in reference:
            reference[name] = int(reference[name])
    if reference:
        fields["references"].append(reference)
    return fields


def _goes_on(before: dict[str, Any], fields: dict[str, Any]) -> bool:
    """Tell whether a row adds a reference to the question of the previous row."""
    same = "id" in fields and fields["id"] == before.get("id") and fields["references"]
    return bool(same) and fields["question"].strip() in {"", before["question"].strip()}


def _question(number: int, fields: dict[str, Any]) -> Question | LineProblem:
    return question_or_problem(number, lambda: question_of(number, fields))
