"""``answers.jsonl``: lines of questions, a document and a quote; wrong lines named, any content read without harm."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import PinLine
from qa_service.loading import NO_PIN_FILE, read_pins, scan_source
from qa_service.loading.pins import MAX_PINS, parse_pins, question_key

Write = Callable[[dict[str, str | bytes]], Path]
MEGABYTE = 1_000_000


def line(questions: Any = ("Why?",), document: Any = "a.md", quote: Any = "Because.", **other: Any) -> str:
    return json.dumps({"questions": questions, "document": document, "quote": quote, **other}) + "\n"


def test_lines_are_pins_with_their_numbers() -> None:
    """Blank lines and a byte order mark are nothing; a question of one line counts once."""
    data = f"\ufeff{line(['Why?', 'why'])}\n\r\n{line(['When?'])}".encode()
    expected = [PinLine(1, ("why",), "a.md", "Because."), PinLine(4, ("When?",), "a.md", "Because.")]
    assert parse_pins(data) == (expected, [])


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ("nonsense\n", "not JSON"),
        ("[]\n", "an object with the keys"),
        ("{}\n", "an object with the keys"),
        (line(other=1), "an object with the keys"),
        (line(questions=[]), "a list of 1 to 50"),
        (line(questions=["a"] * 51), "a list of 1 to 50"),
        (line(questions="Why?"), "a list of 1 to 50"),
        (line(questions=[1]), "a list of texts"),
        (line(questions=[" "]), "the question is empty"),
        (line(questions=["x" * 2001]), "2001 characters"),
        (line(questions=["\ud800"]), "half a character"),
        (line(document=""), '"document" must be a text'),
        (line(document=None), '"document" must be a text'),
        (line(quote="x" * 2001), '"quote" must be a text'),
        (line(quote="\ud800"), "half a character"),
        ('{"questions": ["a"], "questions": ["b"], "document": "a", "quote": "b"}\n', "duplicate key"),
        ("[" * 100_000 + "\n", "nested too deeply"),
        ('"' + "x" * MEGABYTE + '"\n', "bytes, the maximum"),
    ],
)
def test_a_wrong_line_is_named_by_its_number(wrong: str, problem: str) -> None:
    """And not used; the others are. The warning never holds the line itself."""
    pins, (warning,) = parse_pins((line(["One?"]) + wrong + line(["Two?"])).encode())
    assert [pin.questions for pin in pins] == [("One?",), ("Two?",)]
    assert warning.startswith("answers.jsonl, line 2: ")
    assert problem in warning
    assert len(warning) < 250


def test_two_pins_for_one_question_are_named_with_both_lines() -> None:
    """The first is used; other questions of the second line stay."""
    pins, (warning,) = parse_pins((line(["How many?", "Why?"]) + line(["why", "When?"])).encode())
    assert [pin.questions for pin in pins] == [("How many?", "Why?"), ("When?",)]
    assert warning.startswith("answers.jsonl, lines 1 and 2: both pin the question 'why'")


def test_long_files_and_many_wrong_lines_are_bounded(folder: Write) -> None:
    """5,000 lines are read, the rest is not; twenty warnings name lines; a file over the limit is not read."""
    pins, (warning,) = parse_pins("".join(line([f"Why {at}?"]) for at in range(MAX_PINS + 5)).encode())
    assert len(pins) == MAX_PINS
    assert warning.startswith(f"answers.jsonl: lines from {MAX_PINS + 1} on are not used")
    _, warnings = parse_pins(b"nonsense\n" * 30)
    assert len(warnings) == 21
    assert warnings[-1] == "answers.jsonl: 10 more warnings"
    source = folder({"answers.jsonl": line() * 10})
    assert "over the limit" in read_pins(source, 100).warnings[0]


def test_the_file_is_no_document_and_links_do_not_leave_the_folder(folder: Write, tmp_path: Path) -> None:
    """In the source folder itself; below it a file of that name is like any other."""
    source = folder({"answers.jsonl": line(), "faq/answers.jsonl": line(), "a.md": "Because.\n"})
    assert read_pins(source, MEGABYTE).lines[0].quote == "Because."
    found = scan_source(source, {".md", ".jsonl"}, max_file_bytes=MEGABYTE)
    assert [file.uri for file in found.files] == ["a.md", "faq/answers.jsonl"]
    (source / "answers.jsonl").rename(tmp_path / "outside.jsonl")
    assert read_pins(source, MEGABYTE) == NO_PIN_FILE
    (source / "answers.jsonl").symlink_to(tmp_path / "outside.jsonl")
    (warning,) = read_pins(source, MEGABYTE).warnings
    assert "leads out of the source folder" in warning


@given(st.binary(max_size=300))
def test_any_bytes_are_read(data: bytes) -> None:
    """As pins or as warnings."""
    pins, warnings = parse_pins(data)
    assert all(pin.questions and pin.quote for pin in pins)
    assert all(warning.startswith("answers.jsonl") for warning in warnings)


def test_questions_are_equal_without_case_punctuation_and_space() -> None:
    """But not without their words."""
    assert question_key("  Who's THERE?") == question_key("who s there")
    assert question_key("Who is there?") != question_key("who s there")
    assert question_key("???") == "???"
