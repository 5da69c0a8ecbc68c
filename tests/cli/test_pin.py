"""``qa-service pin``: a line is added only if a build will serve it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import TWO_DOCUMENTS, Run, write_files

from qa_service.indexing import pin_file
from qa_service.server.feedback import FeedbackAnswer, FeedbackFile, Quote


@pytest.fixture
def pin(run: Run, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    write_files(tmp_path / "source", TWO_DOCUMENTS)

    def call(*arguments: object) -> tuple[int, str, str]:
        return run("pin", *arguments, "--source", tmp_path / "source", "--data", tmp_path / "data")

    return call


def lines(tmp_path: Path) -> list[Any]:
    path = tmp_path / "source/answers.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def test_a_quote_that_stands_is_pinned(pin: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """Behind the lines that are there, also if the last one has no end; the quote is printed as it stands."""
    dog = ("--document", "zoo/animals.md", "--quote", "Dogs A dog guards the old farm.")
    code, out, err = pin("Who guards the farm?", *dog)
    assert (code, "A dog guards the old farm." in out, "qa-service index" in err) == (0, True, True)
    path = tmp_path / "source/answers.jsonl"
    path.write_text(path.read_text().rstrip("\n"))
    code, _, err = pin("What is it?", "--document", "zoo/animals.md", "--quote", "It")
    assert (code, "it stands 2 times" in err) == (0, True)
    assert [line["questions"] for line in lines(tmp_path)] == [["Who guards the farm?"], ["What is it?"]]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("Why?", "--document", "sea.txt", "--quote", "The whale swims in the shallow ocean."), 4, "deep ocean"),
        (("Why?", "--document", "sky.txt", "--quote", "It sings"), 4, "no document 'sky.txt'"),
        (("Why?", "--document", "../source/sea.txt", "--quote", "It sings"), 4, "no document"),
        ((" ", "--document", "sea.txt", "--quote", "It sings"), 4, "the question is empty"),
        (("Why?", "--document", "sea.txt", "--quote", ""), 4, "1 to 2000 characters"),
        (("Why?", "--document", "sea.txt"), 2, "--quote is missing"),
        (("--document", "sea.txt", "--quote", "It sings"), 2, "QUESTION is missing"),
        (("--feedback", "x"), 4, "no feedback"),
    ],
)
def test_anything_else_is_refused_and_nothing_is_written(
    pin: Callable[..., tuple[int, str, str]], tmp_path: Path, arguments: tuple[str, ...], code: int, message: str
) -> None:
    """With what to do; a quote that does not stand with the nearest text."""
    got, _, err = pin(*arguments)
    assert got == code
    assert message in err
    assert lines(tmp_path) == []


def test_a_question_is_pinned_once(pin: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """The line that has it is named."""
    where = ("--document", "sea.txt", "--quote", "It sings for hours.")
    assert pin("Who sings?", *where)[0] == 0
    code, _, err = pin("who SINGS", *where)
    assert code == 4
    assert "already pinned by line 1" in err
    assert len(lines(tmp_path)) == 1


def test_feedback_gives_the_question_and_the_passage(pin: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    """If it names one; else the document and the quote must be given."""
    with FeedbackFile(tmp_path / "data") as file:
        for identifier, question, right in (
            ("one", "Who sings?", Quote("sea.txt", 36, 55, "It sings for hours.")),
            ("two", "Who walks?", None),
        ):
            answered = FeedbackAnswer(identifier, "", "v", question, found=True, best=None)
            file.add(answered, useful=False, right=right, note="")
    assert pin("--feedback", "one")[0] == 0
    assert pin("--feedback", "two")[0] == 2
    assert pin("--feedback", "two", "--document", "sea.txt", "--quote", "A crab walks sideways")[0] == 0
    assert pin("--feedback", "three")[0] == 4
    assert [line["questions"] for line in lines(tmp_path)] == [["Who sings?"], ["Who walks?"]]


def test_a_full_disk_leaves_the_file_as_it_was(
    pin: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a link is not followed."""
    where = ("--document", "sea.txt", "--quote", "It sings for hours.")
    assert pin("Who sings?", *where)[0] == 0

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pin_file.os, "fsync", full)
    assert pin("Who swims?", *where)[0] == 7
    assert [line["questions"] for line in lines(tmp_path)] == [["Who sings?"]]
    path = tmp_path / "source/answers.jsonl"
    path.rename(tmp_path / "outside.jsonl")
    path.symlink_to(tmp_path / "outside.jsonl")
    assert pin("Who swims?", *where)[0] == 4
