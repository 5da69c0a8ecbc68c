"""Combines two ways to run one model: one that is fast for questions, and one that is fast for passages."""

from collections.abc import Sequence

from qa_service.embedding.batching import Batching
from qa_service.embedding.interface import PassageEmbeddings, QuestionEmbedding
from qa_service.embedding.runtime import ExportedEmbedder


class TwoRuntimeEmbedder:
    """An exported model for questions, with another export of it, or the model on a device, for passages."""

    def __init__(self, questions: ExportedEmbedder, passages: ExportedEmbedder) -> None:
        self._questions = questions
        self.passages = passages
        self.identity = questions.identity
        self.dimension = questions.dimension
        self.window = questions.window

    @property
    def runtime(self) -> str:
        """The runtime for passages and its precision."""
        return self.passages.runtime

    @property
    def batching(self) -> Batching:
        """How a build calls :meth:`embed_passages`."""
        return self.passages.batching

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each passage's number of tokens."""
        return self.passages.count_tokens(texts)

    def whole_words(self) -> frozenset[str]:
        """Return the words that the tokenizer has as single tokens."""
        return self._questions.whole_words()

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the embeddings of questions."""
        return self._questions.embed_questions(questions)

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return the embeddings of texts."""
        return self.passages.embed_passages(texts)
