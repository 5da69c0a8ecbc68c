"""A question ready for retrieval: its wordings with their embeddings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from qa_service.datatypes import UnderstoodQuestion
from qa_service.embedding import QuestionEmbedding


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that is searched for, and its embedding."""

    text: str
    embedding: QuestionEmbedding


@dataclass(frozen=True, slots=True)
class Query:
    """A question as understood. ``wordings`` holds the main one and its alternatives, which are ranked together.

    Each of ``parts`` is ranked for itself.
    """

    wordings: tuple[Wording, ...]
    parts: tuple[Wording, ...] = ()
    understood: UnderstoodQuestion = field(default_factory=lambda: UnderstoodQuestion(""))

    @classmethod
    def of(cls, understood: UnderstoodQuestion, embeddings: Sequence[QuestionEmbedding]) -> "Query":
        """Return the query of a question and the embeddings of its ``wordings``, in order."""
        found: Iterator[Wording] = map(Wording, understood.wordings, embeddings)
        main = tuple(next(found) for _ in range(1 + len(understood.alternatives)))
        return cls(main, tuple(found), understood)

    @property
    def text(self) -> str:
        """The main wording."""
        return self.wordings[0].text
