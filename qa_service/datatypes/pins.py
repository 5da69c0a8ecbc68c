"""Pinned answers: quotes that a person chose for questions."""

from dataclasses import dataclass

from qa_service.datatypes.documents import Offsets


@dataclass(frozen=True, slots=True)
class PinLine:
    """A line of ``answers.jsonl``: the quote of a document that answers questions, not yet looked for in it."""

    line: int
    """Its number, from 1."""
    questions: tuple[str, ...]
    document: str
    quote: str


@dataclass(frozen=True, slots=True)
class Pin:
    """A quote of a document that answers questions.

    ``parts`` are the numbers of the passages that hold it, with its place in the text of each; there are several if it
    reaches over passages.
    """

    questions: tuple[str, ...]
    document_id: str
    parts: tuple[tuple[int, Offsets], ...]
