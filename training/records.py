"""Question sets, and what retrieval found for each of their questions, as JSON Lines."""

import lzma
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True, slots=True)
class GoldAnswer:
    """The words of an answer, and the character of the context at which they start."""

    text: str
    start: int


@dataclass(frozen=True, slots=True)
class SetQuestion:
    """A question of a published set, with the context that it was written for. Some sets have no titles."""

    id: str
    question: str
    context: str
    answers: tuple[GoldAnswer, ...]
    answerable: bool
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A sentence with its neighbours. ``at`` is where it starts in the question's context; ``None`` for other texts.

    ``best`` marks the window around the quote that the service would show, ``confidence`` is the service's own.
    """

    text: str
    at: int | None
    best: bool
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Record:
    """A question with the windows that were retrieved for it, best first, and the window around its first answer."""

    id: str
    question: str
    title: str | None
    answerable: bool
    answers: tuple[GoldAnswer, ...]
    windows: tuple[Window, ...]
    gold: Window | None


_QUESTION, _RECORD = TypeAdapter(SetQuestion), TypeAdapter(Record)


def read_questions(path: Path) -> list[SetQuestion]:
    """Return the questions of a ``.jsonl.xz`` file."""
    with lzma.open(path) as lines:
        return [_QUESTION.validate_json(line) for line in lines]


def windows_file(work: Path, name: str) -> Path:
    """Return where the records of a set lie."""
    return work / f"windows-{name}.jsonl"


def set_names(work: Path) -> list[str]:
    """Return the names of the sets that have records, sorted."""
    return sorted(path.stem.removeprefix("windows-") for path in work.glob("windows-*.jsonl"))


def read_records(work: Path, name: str) -> Iterator[Record]:
    """Yield the records of a set."""
    with windows_file(work, name).open("rb") as lines:
        for line in lines:
            yield _RECORD.validate_json(line)


def write_records(work: Path, name: str, records: Iterable[Record]) -> None:
    """Write the records of a set; the file has its name once it is complete."""
    path = windows_file(work, name)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.writelines(_RECORD.dump_json(record) + b"\n" for record in records)
    part.rename(path)
