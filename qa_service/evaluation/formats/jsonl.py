"""Reads our own format: JSON Lines, one question per line, gold as spans of documents.

::

    {"id": "q1", "question": "Who signed?", "answerable": true, "answers": ["Kim"],
     "references": [{"document": "treaty.md", "content": "signed by Kim", "start_index": 20, "end_index": 33}]}

``document`` is a path below the source folder. Offsets are code points, the end exclusive; without offsets, every
occurrence of ``content`` counts. ``docs/question-file.md`` describes all fields.
"""

import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from qa_service.errors import InvalidRequest, QuestionFileError
from qa_service.evaluation.question import LineProblem, Question, Reference, check_names, question_of
from qa_service.io import strict_json

MAX_LINE_BYTES = 1_048_576
_NEWLINE = re.compile(rb"\r\n?|\n")
_LINE_SEPARATORS = " \t\r\n\u2028\u2029\ufeff"
_JOINED = re.compile(r"(?<=\})\s*[\u2028\u2029]\s*(?=\{)")


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Return fields of our own format. Raises ``ValueError`` for a misspelt one, whose gold would be ignored."""
    check_names(fields.keys(), Question.model_fields.keys() - {"line"})
    references = fields.get("references")
    for reference in references if isinstance(references, list) else ():
        if isinstance(reference, dict):
            check_names(reference.keys(), Reference.model_fields)
    return fields


def read_json_lines(
    file: BinaryIO, path: Path, translate: Callable[[dict[str, Any]], dict[str, Any]] = _checked
) -> Iterator[Question | LineProblem]:
    """Yield the questions of a file; ``translate`` maps the fields of another format to ours.

    Raises :class:`QuestionFileError` if the file is not UTF-8, or is a JSON array.
    """
    for number, line in _lines(file, path):
        yield from _questions(number, line, translate)


def question_or_problem(line: int, make: Callable[[], Question]) -> Question | LineProblem:
    """Return the question that ``make`` returns, or the problem of the line if it raises."""
    try:
        return make()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "line"
        return LineProblem(line, f"{where}: {first['msg']}")
    except (ValueError, TypeError, KeyError, InvalidRequest) as error:
        return LineProblem(line, f"{error} is missing" if isinstance(error, KeyError) else str(error))


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, str | None]]:
    """Yield numbered lines, ended by CR LF, CR or LF; ``None`` for a line that is too long."""
    number = 0
    for raw in _raw_lines(file):
        number += 1
        if raw is None:
            yield number, None
            continue
        try:
            text = raw.decode()
        except UnicodeDecodeError as error:
            raise QuestionFileError(
                f"{path} is not UTF-8: line {number}, byte {error.start} of the line; save it as UTF-8"
            ) from error
        if number == 1 and text.lstrip(_LINE_SEPARATORS).startswith("["):
            raise QuestionFileError(f"{path} is a JSON array; write one object per line (`jq -c '.[]'` converts it)")
        if text.strip(_LINE_SEPARATORS):
            yield number, text.strip(_LINE_SEPARATORS)


def _raw_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield lines without their ends; at most one line of the allowed length is in memory."""
    rest, too_long = b"", False
    while block := file.read(io.DEFAULT_BUFFER_SIZE * 8):
        if block.endswith(b"\r"):
            block += file.read(1)  # may be the LF of a CR LF
        *whole, rest = _NEWLINE.split(rest + block)
        for line in whole:
            yield None if too_long or len(line) > MAX_LINE_BYTES else line
            too_long = False
        if len(rest) > MAX_LINE_BYTES:
            rest, too_long = b"", True
    if rest or too_long:
        yield None if too_long else rest


def _questions(
    number: int, line: str | None, translate: Callable[[dict[str, Any]], dict[str, Any]]
) -> Iterator[Question | LineProblem]:
    if line is None:
        yield LineProblem(number, f"longer than {MAX_LINE_BYTES} bytes")
        return
    for text in _JOINED.split(line):
        yield question_or_problem(number, lambda text=text: _question(number, text, translate))  # type: ignore[misc]


def _question(number: int, text: str, translate: Callable[[dict[str, Any]], dict[str, Any]]) -> Question:
    content = strict_json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of error for a bad line
    fields = translate(content)
    return question_of(number, {key: fields[key] for key in fields.keys() & Question.model_fields.keys() - {"line"}})
