"""Two ways to run one model at once: one that is fast for a question, one that is fast for many passages."""

from collections.abc import Sequence

from qa_service.embedding.protocol import PassageEmbeddings, QuestionEmbedding
from qa_service.embedding.runtime import ExportedEmbedder


class TwoRuntimeEmbedder:
    """An exported model that leaves passages to another export of it."""

    def __init__(self, questions: ExportedEmbedder, passages: ExportedEmbedder) -> None:
        self._questions = questions
        self.passages = passages
        self.identity = questions.identity
        self.dimension = questions.dimension
        self.window = questions.window

    @property
    def runtime(self) -> str:
        """What runs the model for passages."""
        return self.passages.runtime

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each passage's number of tokens."""
        return self.passages.count_tokens(texts)

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the embeddings of questions."""
        return self._questions.embed_questions(questions)

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return the embeddings of texts."""
        return self.passages.embed_passages(texts)
