"""The question file: JSON Lines, one question a line, gold as spans of documents.

::

    {"id": "q1", "question": "Who signed?", "answerable": true, "answers": ["Kim"],
     "references": [{"document": "treaty.md", "content": "signed by Kim", "start_index": 20, "end_index": 33}]}

``document`` is a path below the source folder. Offsets are code points, the end exclusive; without
them every place where ``content`` stands counts. ``docs/question-file.md`` describes all fields.
"""

import io
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from qa_service import strict_json
from qa_service.errors import InvalidRequest, QuestionFileError
from qa_service.loading.decoding import binary_kind
from qa_service.pipeline import check_question

MAX_LINE_BYTES = 1_048_576
_NEWLINE = re.compile(rb"\r\n?|\n")
_LINE_SEPARATORS = " \t\r\n\u2028\u2029\ufeff"
_JOINED = re.compile(r"(?<=\})\s*[\u2028\u2029]\s*(?=\{)")


class Reference(BaseModel):
    """A span of a document that answers the question."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    document: str = Field(min_length=1)
    content: str | None = Field(None, min_length=1)
    start_index: int | None = Field(None, ge=0)
    end_index: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _placed(self) -> "Reference":
        if (self.start_index is None) != (self.end_index is None):
            raise ValueError("start_index and end_index go together")
        if self.start_index is None and self.content is None:
            raise ValueError("a reference needs content, or start_index and end_index")
        if self.start_index is not None and self.end_index is not None and self.start_index >= self.end_index:
            raise ValueError("end_index must be larger than start_index")
        return self


class Question(BaseModel):
    """One line. ``answerable`` defaults to whether there are references or answers."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    line: int
    id: str
    question: str
    answerable: bool
    references: tuple[Reference, ...] = ()
    answers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LineProblem:
    """A line that is no usable question, and why."""

    line: int
    reason: str


class QuestionFile:
    """Streams the questions of a file; ``-`` is standard input. Each iteration reads it anew."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def check(self) -> None:
        """Raise :class:`QuestionFileError` if the file can't be opened, before anything slow is done."""
        if str(self.path) != "-":
            with _opened(self.path):
                pass

    def __iter__(self) -> Iterator[Question | LineProblem]:
        """Yield questions and problems in the order of their lines.

        Raises :class:`QuestionFileError` if the file as a whole can't be used: missing, not a file, not
        UTF-8, an id twice, no question in it.
        """
        first_line_of: dict[str, int] = {}
        found = False
        with _opened(self.path) as file:
            for number, line in _lines(file, self.path):
                for item in _questions(number, line):
                    found = True
                    if isinstance(item, Question):
                        other = first_line_of.setdefault(item.id, number)
                        if other != number:
                            raise QuestionFileError(
                                f"{self.path}: the id of line {number} stands in line {other} already; make ids unique"
                            )
                    yield item
        if not found:
            raise QuestionFileError(f"{self.path} holds no questions; write one JSON object a line")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    if str(path) == "-":
        if sys.stdin is None or sys.stdin.closed:
            raise QuestionFileError("standard input is closed; name a question file")
        yield sys.stdin.buffer
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except OSError as error:
        raise QuestionFileError(f"can't open the question file {path}: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise QuestionFileError(f"{path} is not a regular file; name a JSON Lines file, or - for standard input")
    with open(descriptor, "rb") as file:
        kind = binary_kind(file.peek(16)[:16])
        if kind:
            raise QuestionFileError(f"{path} looks like {kind}; a question file is JSON Lines in UTF-8")
        yield file


def _lines(file: BinaryIO, path: Path) -> Iterator[tuple[int, str | None]]:
    """Yield numbered lines; CR LF, CR and LF end one. ``None`` stands for a line that is too long."""
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
            raise QuestionFileError(f"{path} is a JSON array; write one object a line (`jq -c '.[]'` does it)")
        if text.strip(_LINE_SEPARATORS):
            yield number, text.strip(_LINE_SEPARATORS)


def _raw_lines(file: BinaryIO) -> Iterator[bytes | None]:
    """Yield lines without their ends, holding at most one line of the allowed length in memory."""
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


def _questions(number: int, line: str | None) -> Iterator[Question | LineProblem]:
    if line is None:
        yield LineProblem(number, f"longer than {MAX_LINE_BYTES} bytes")
        return
    for text in _JOINED.split(line):
        try:
            yield _question(number, strict_json.loads(text))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "line"
            yield LineProblem(number, f"{where}: {first['msg']}")
        except (ValueError, InvalidRequest) as error:
            yield LineProblem(number, str(error))


def _question(number: int, content: object) -> Question:
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of error for a bad line
    fields = {key: value for key, value in content.items() if key in Question.model_fields and key != "line"}
    identifier = fields.get("id", number)
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise ValueError("id must be text or a whole number")  # noqa: TRY004
    answerable = fields.get("answerable")
    if answerable is None:
        answerable = bool(fields.get("references") or fields.get("answers"))
    lists = {
        name: tuple(fields[name]) for name in ("references", "answers", "tags") if isinstance(fields.get(name), list)
    }
    absent = {name for name in ("references", "answers", "tags") if name in fields and fields[name] is None}
    question = Question.model_validate(
        {
            **{key: value for key, value in fields.items() if key not in absent},
            **lists,
            "line": number,
            "id": str(identifier),
            "answerable": answerable,
        }
    )
    check_question(question.question)
    return question
