"""A question ready for retrieval: its wordings with their embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from qa_service.datatypes import Expansion, Filters, UnderstoodQuestion
from qa_service.embedding import QuestionEmbedding
from qa_service.index import Index

_TYPED_WEIGHT = 0.25
"""The weight of a question as it was typed beside its correction, which is right nearly always (decision 0021)."""


@dataclass(frozen=True, slots=True)
class Wording:
    """A text that is searched for, its embedding, and the expansions of its phrases."""

    text: str
    embedding: QuestionEmbedding
    expansions: tuple[Expansion, ...] = ()
    weight: float = 1.0
    """Its share among the wordings of a question."""


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
        found = iter(
            Wording(text, embedding, tuple(one for one in understood.expansions if one.phrase in text))
            for text, embedding in zip(understood.wordings, embeddings, strict=True)
        )
        main = [next(found) for _ in range(1 + len(understood.alternatives))]
        if understood.corrections:
            main[-1] = replace(main[-1], weight=_TYPED_WEIGHT)
        return cls(tuple(main), tuple(found), understood)

    @property
    def text(self) -> str:
        """The main wording."""
        return self.wordings[0].text

    def admitted(self, index: Index, filters: Filters | None) -> "Query":
        """Return the query, or the question as it was typed if a correction is in no passage that passes the filters.

        Else a correction would tell the words of documents that the filters exclude. Expansions are searched for, but
        not named.
        """
        if filters is None:
            return self
        typed = self.wordings[-1]
        for word in " ".join(one.corrected for one in self.understood.corrections).split():
            match = index.words.match(word)
            if match is None or not len(index.find(typed.embedding.vector, match, 1, filters)[1]):
                return Query((typed,), (), UnderstoodQuestion(typed.text))
        return replace(self, understood=replace(self.understood, expansions=()))
