"""Cache of question embeddings."""

from collections.abc import Sequence

from cachetools import LRUCache

from qa_service.embedding.batching import question_batches
from qa_service.embedding.interface import Embedder, QuestionEmbedding


class QuestionCache:
    """Embeds questions, and caches the most recently used embeddings, up to ``most_bytes``."""

    def __init__(self, embedder: Embedder, most_bytes: int) -> None:
        self._embedder = embedder
        self._known: LRUCache[str, QuestionEmbedding] = LRUCache(most_bytes, QuestionEmbedding.size)
        self.embedded = 0
        """Number of questions embedded (cache misses)."""

    def embed(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the embeddings of questions; those that are not in the cache are embedded in batches."""
        known = {text: self._known[text] for text in questions if text in self._known}
        if unknown := sorted(set(questions) - known.keys()):
            self.embedded += len(unknown)
            for together in question_batches(unknown):
                known |= zip(together, self._embedder.embed_questions(together), strict=True)
            small = (text for text in unknown if known[text].size() <= self._known.maxsize)
            self._known.update({text: known[text] for text in small})
        return [known[text] for text in questions]

    def forget(self) -> None:
        """Empty the cache."""
        self._known.clear()
