"""Two ways to run one model at once: the exported one for questions, torch for passages."""

from collections.abc import Sequence
from functools import cached_property

from qa_service.embedding.models import ModelFiles
from qa_service.embedding.protocol import PassageEmbeddings, QuestionEmbedding
from qa_service.embedding.reference import SentenceTransformerEmbedder
from qa_service.embedding.runtime import OnnxEmbedder


class BulkEmbedder:
    """An exported model that leaves passages to torch in bf16, which is loaded when the first ones come."""

    def __init__(self, exported: OnnxEmbedder, files: ModelFiles) -> None:
        self.exported = exported
        self._files = files
        self.identity = exported.identity
        self.dimension = exported.dimension
        self.window = exported.window

    @cached_property
    def _bulk(self) -> SentenceTransformerEmbedder:
        return SentenceTransformerEmbedder(self._files, "bf16")

    @property
    def runtime(self) -> str:
        """What runs the model."""
        return f"torch bf16 for passages, {self.exported.runtime} for questions"

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Return each passage's number of tokens."""
        return self.exported.count_tokens(texts)

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the embeddings of questions."""
        return self.exported.embed_questions(questions)

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        """Return the embeddings of texts."""
        return self._bulk.embed_passages(texts)
