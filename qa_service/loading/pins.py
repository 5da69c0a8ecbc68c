"""Reads ``answers.jsonl`` of a source folder: quotes of documents that a person chose as the answers to questions.

::

    {"questions": ["How do I reset my password?"], "document": "guide/accounts.md", "quote": "Open *Settings* and …"}

Whether a quote stands in its document is checked by the build, which has the documents' texts.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from qa_service.datatypes import PinLine
from qa_service.errors import InvalidRequest
from qa_service.io import strict_json
from qa_service.loading.folder import PINS_FILE, SkipFile, read_companion
from qa_service.text.cleaning import check_question, is_blank

MAX_PINS, MAX_QUESTIONS_PER_PIN, MAX_QUOTE_CHARACTERS, MAX_PATH_CHARACTERS = 5_000, 50, 2_000, 1_000
MAX_QUESTIONS = 10_000
_MAX_LINE_BYTES = 1_000_000
_MAX_WARNINGS = 20
_KEYS = {"questions", "document", "quote"}
_BETWEEN_WORDS = re.compile(r"[\W_]+")


@dataclass(frozen=True, slots=True)
class PinFile:
    """The usable lines, warnings on the others, and the sha256 of the file's bytes; empty without a file."""

    lines: tuple[PinLine, ...] = ()
    warnings: tuple[str, ...] = ()
    sha256: str = ""


NO_PIN_FILE = PinFile()


class _WrongLineError(ValueError):
    pass


def read_pins(source: Path, max_bytes: int) -> PinFile:
    """Return the pinned answers of a source folder. A file that can't be read gives a warning and no lines."""
    try:
        data = read_companion(source, PINS_FILE, max_bytes)
    except SkipFile as skip:
        return PinFile(warnings=(f"{PINS_FILE}: {skip.reason}",))
    if data is None:
        return NO_PIN_FILE
    lines, warnings = parse_pins(data)
    return PinFile(tuple(lines), tuple(warnings), hashlib.sha256(data).hexdigest())


def parse_pins(data: bytes) -> tuple[list[PinLine], list[str]]:
    """Return the usable lines of a file, and a warning for each wrong line, up to twenty.

    A question that an earlier line has too is left out of the later one.
    """
    found: list[PinLine] = []
    wrong: list[str] = []
    pinned: dict[str, int] = {}
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        if len(found) == MAX_PINS or len(pinned) >= MAX_QUESTIONS:
            wrong.append(f"{PINS_FILE}: lines from {number} on are not used; {MAX_PINS} lines are the maximum")
            break
        try:
            pin = _pin(number, line)
        except _WrongLineError as error:
            wrong.append(f"{PINS_FILE}, line {number}: {error}; correct the line, which is not used")
            continue
        own = []
        for question in pin.questions:
            first = pinned.setdefault(question_key(question), number)
            if first == number:
                own.append(question)
            else:
                wrong.append(
                    f"{PINS_FILE}, lines {first} and {number}: both pin the question {question[:80]!r}; remove it from "
                    f"one of them, line {first} is used"
                )
        if own:
            found.append(replace(pin, questions=tuple({question_key(one): one for one in own}.values())))
    if len(wrong) > _MAX_WARNINGS:
        wrong[_MAX_WARNINGS:] = [f"{PINS_FILE}: {len(wrong) - _MAX_WARNINGS} more warnings"]
    return found, wrong


def question_key(question: str) -> str:
    """Return a text that is equal for questions that differ in case, punctuation and white space only."""
    return _BETWEEN_WORDS.sub(" ", question.casefold()).strip() or question


def _pin(number: int, line: bytes) -> PinLine:
    if len(line) > _MAX_LINE_BYTES:
        raise _WrongLineError(f"it has {len(line)} bytes, the maximum is {_MAX_LINE_BYTES}")
    try:
        content = strict_json.loads(line.strip())
    except ValueError as error:
        raise _WrongLineError(str(error)) from error
    if not isinstance(content, dict) or content.keys() != _KEYS:
        raise _WrongLineError('it must be an object with the keys "questions", "document" and "quote"')
    document = _text(content["document"], "document", MAX_PATH_CHARACTERS)
    quote = _text(content["quote"], "quote", MAX_QUOTE_CHARACTERS)
    return PinLine(number, tuple(_questions(content["questions"])), document, quote)


def _questions(value: Any) -> Iterator[str]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_QUESTIONS_PER_PIN:
        raise _WrongLineError(f'"questions" must be a list of 1 to {MAX_QUESTIONS_PER_PIN} texts')
    for question in value:
        if not isinstance(question, str):
            raise _WrongLineError('"questions" must be a list of texts')
        try:
            check_question(question)
        except InvalidRequest as error:
            raise _WrongLineError(f'in "questions", {error}') from error
        yield question


def _text(value: Any, name: str, longest: int) -> str:
    if not isinstance(value, str) or is_blank(value) or len(value) > longest:
        raise _WrongLineError(f'"{name}" must be a text of 1 to {longest} characters')
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise _WrongLineError(f'"{name}" contains half a character (a lone surrogate)')
    return value
