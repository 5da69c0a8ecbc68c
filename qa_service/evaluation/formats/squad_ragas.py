"""Reads SQuAD 1.1 and 2.0 (JSON) and the test sets of ragas (JSON Lines or CSV).

Their gold names no file: it is an offset in a paragraph (SQuAD) or a text (ragas). All documents are searched for it.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from qa_service.errors import QuestionFileError
from qa_service.evaluation.formats.csv import rows_of
from qa_service.evaluation.formats.jsonl import question_or_problem
from qa_service.evaluation.question import LineProblem, Question, question_of

_SQUAD = re.compile(rb'\A\s*\{.*"(?:data|paragraphs)"\s*:\s*\[', re.DOTALL)
_RAGAS_COLUMNS = ("user_input", "reference", "reference_contexts")
_HOP = re.compile(r"\A<\d+-hop>\s*")


def is_squad(start: bytes) -> bool:
    """Tell by its first bytes whether a file is SQuAD's JSON."""
    first_line = start.split(b"\n", 1)[0]
    return bool(_SQUAD.match(start)) and b'"question"' not in first_line.split(b'"paragraphs"', 1)[0]


def is_ragas(first_line: bytes) -> bool:
    """Tell by its first line whether a file is a ragas test set."""
    return b"user_input" in first_line


def read_squad(file: BinaryIO, path: Path) -> Iterator[Question | LineProblem]:
    """Yield SQuAD's questions, numbered in file order. Raises :class:`QuestionFileError`."""
    try:
        articles = json.load(file)["data"]
        number = 0
        for article in articles:
            for paragraph in article["paragraphs"]:
                for entry in paragraph["qas"]:
                    number += 1
                    yield question_or_problem(number, lambda: _squad(number, entry, article, paragraph))  # noqa: B023 - called at once
    except UnicodeDecodeError as error:
        raise QuestionFileError(f"{path} is not UTF-8 ({error.reason}); save it as UTF-8") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise QuestionFileError(f"{path} is not SQuAD's JSON: {type(error).__name__}: {error}") from error


def _squad(number: int, entry: dict[str, Any], article: dict[str, Any], paragraph: dict[str, Any]) -> Question:
    answers = [] if entry.get("is_impossible") else entry["answers"]
    spans = {(answer["answer_start"], answer["text"]): None for answer in answers}
    references = [
        {"within": paragraph["context"], "start_index": start, "end_index": start + len(text), "content": text}
        for start, text in spans
    ]
    return question_of(
        number,
        {
            "id": entry["id"],
            "question": entry["question"].strip(),
            "answerable": bool(answers),
            "references": references,
            "answers": list(dict.fromkeys(answer["text"] for answer in answers)),
            "tags": [article["title"]] if article.get("title") else [],
        },
    )


def ragas_fields(entry: dict[str, Any]) -> dict[str, Any]:
    """Map a ragas sample to our fields. A sample without contexts has no gold."""
    contexts = entry.get("reference_contexts") or []
    if not isinstance(contexts, list) or not all(isinstance(text, str) for text in contexts):
        raise ValueError("reference_contexts must be a list of strings")
    fields: dict[str, Any] = {
        "question": entry.get("user_input"),
        "references": [{"content": _HOP.sub("", text).strip()} for text in contexts if text.strip()],
        "answerable": bool(contexts or entry.get("reference")),
    }
    if entry.get("reference"):
        fields["answers"] = [entry["reference"]]
    if entry.get("synthesizer_name"):
        fields["tags"] = [entry["synthesizer_name"]]
    return fields


def read_ragas_table(file: BinaryIO, path: Path) -> Iterator[Question | LineProblem]:
    """Yield the questions of a ragas test set in CSV, in which lists are Python literals."""
    for number, row in rows_of(file, path, ",", _RAGAS_COLUMNS):
        if isinstance(row, LineProblem):
            yield row
        else:
            yield question_or_problem(number, lambda row=row, number=number: question_of(number, _from_cells(row)))  # type: ignore[misc]


def _from_cells(row: dict[str, str]) -> dict[str, Any]:
    try:
        contexts = ast.literal_eval(row.get("reference_contexts") or "[]")
    except (SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"reference_contexts is not a list: {error}") from error
    return ragas_fields({**row, "reference_contexts": contexts})
