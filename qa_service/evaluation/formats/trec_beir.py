"""Reads questions with judgements of whole documents: BEIR folders, and TREC topics with qrels."""

import html
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from qa_service.errors import QuestionFileError
from qa_service.evaluation.formats.jsonl import MAX_LINE_BYTES, question_or_problem
from qa_service.evaluation.question import LineProblem, Question, question_of
from qa_service.io import strict_json

Opened = Callable[[Path], AbstractContextManager[BinaryIO]]
Grades = dict[str, dict[str, int]]
_TOP = re.compile(r"<top>(.*?)</top>", re.DOTALL | re.IGNORECASE)
_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.IGNORECASE)
_TITLE = re.compile(r"<title>\s*(?:Topic:)?\s*(.*?)\s*(?=<|\Z)", re.DOTALL | re.IGNORECASE)
_QREL_COLUMNS = (3, 4)


def beir_files(folder: Path, split: str) -> list[Path]:
    """Return the files of questions and judgements of a BEIR folder. Raises :class:`QuestionFileError`."""
    queries, qrels = folder / "queries.jsonl", folder / "qrels" / f"{split}.tsv"
    if not queries.is_file():
        raise QuestionFileError(f"{folder} is not a BEIR folder (no queries.jsonl); name a question file")
    if not qrels.is_file():
        there = ", ".join(sorted(path.stem for path in (folder / "qrels").glob("*.tsv"))) or "none"
        raise QuestionFileError(f"{folder} has no qrels/{split}.tsv; choose another split with --split: {there}")
    return [queries, qrels]


def read_beir(folder: Path, split: str, opened: Opened) -> Iterator[Question | LineProblem]:
    """Yield the questions of a BEIR folder that have judgements in the split."""
    queries, qrels = beir_files(folder, split)
    grades = _grades(qrels, opened)
    with opened(queries) as file:
        for number, line in enumerate(file, start=1):
            item = question_or_problem(number, lambda: _beir(number, line, grades))  # noqa: B023 - called at once
            if isinstance(item, LineProblem) or item.id in grades:
                yield item


def _beir(number: int, line: bytes, grades: Grades) -> Question:
    if len(line) > MAX_LINE_BYTES:
        raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
    entry = strict_json.loads(line)
    if not isinstance(entry, dict) or not isinstance(entry.get("_id"), str):
        raise ValueError("not an object with an _id")  # noqa: TRY004 - one kind of error for a bad line
    return _judged(number, entry["_id"], entry.get("text"), grades)


def _judged(number: int, identifier: str, text: object, grades: Grades) -> Question:
    references = [
        {"document": document, "whole": True, "relevance": grade}
        for document, grade in grades.get(identifier, {}).items()
        if grade > 0
    ]
    fields = {"id": identifier, "question": text, "references": references, "answerable": bool(references)}
    return question_of(number, fields)


def is_trec_topics(start: bytes) -> bool:
    """Tell by its first bytes whether a file holds TREC topics in the tagged form."""
    return start.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(b"<top>")


def read_trec(topics: Path, qrels: Path, opened: Opened) -> Iterator[Question | LineProblem]:
    """Yield TREC topics: the titles, or the second column of lines ``number TAB question``."""
    grades = _grades(qrels, opened)
    text = _text(topics, opened)
    if is_trec_topics(text[:100].encode()):
        found = list(_tagged(text))
    else:
        rows = (line.split("\t", 1) for line in text.splitlines())
        found = [(row[0].strip(), row[1].strip() if len(row) > 1 else None) for row in rows if row != [""]]
    for number, (identifier, question) in enumerate(found, start=1):
        item = question_or_problem(number, lambda: _judged(number, identifier, question, grades))  # noqa: B023 - called at once
        if isinstance(item, LineProblem) or item.id in grades:
            yield item


def _tagged(text: str) -> Iterator[tuple[str, str | None]]:
    for top in _TOP.finditer(text):
        number, title = _NUMBER.search(top[1]), _TITLE.search(top[1])
        if number is not None:
            yield number[1], None if title is None else " ".join(html.unescape(title[1]).split())


def _text(path: Path, opened: Opened) -> str:
    with opened(path) as file:
        try:
            return file.read().decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise QuestionFileError(f"{path} is not UTF-8: byte {error.start}; save it as UTF-8") from error


def _grades(path: Path, opened: Opened) -> Grades:
    """Read judgements: TREC's ``question 0 document grade``, or BEIR's three columns below a header."""
    grades: Grades = {}
    for number, line in enumerate(_text(path, opened).splitlines(), start=1):
        columns = line.split("\t") if "\t" in line else line.split()
        if not line.strip() or (number == 1 and columns[-1].strip() == "score"):
            continue
        try:
            if len(columns) not in _QREL_COLUMNS:
                raise ValueError(f"{len(columns)} columns")  # noqa: TRY301
            grades.setdefault(columns[0].strip(), {})[columns[-2].strip()] = int(columns[-1])
        except ValueError as error:
            raise QuestionFileError(f"{path}, line {number} is not a judgement: {error}") from error
    if not grades:
        raise QuestionFileError(f"{path} has no judgements")
    return grades
