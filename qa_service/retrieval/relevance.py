"""How relevant texts that are in no index are to a question."""

from collections.abc import Iterator, Sequence

from qa_service.embedding import Embedder, QuestionEmbedding
from qa_service.retrieval.reranking import Reranker


def relevance(
    embedder: Embedder, reranker: Reranker | None, question: str, embedding: QuestionEmbedding, texts: Sequence[str]
) -> list[float]:
    """Return a relevance of 0 to 1 for each text: the reranker's, else MaxSim, or the cosine without tokens.

    A text that is longer than the model's window is read in pieces, and its best piece counts.
    """
    pieces = [list(_pieces(text, embedder)) for text in texts]
    every = [piece for own in pieces for piece in own]
    if reranker is not None:
        scores = [float(score) for score in reranker.score(question, every)]
    else:
        scores = [_similarity(embedding, one) for one in embedder.embed_passages(every).one_by_one()]
    found = iter(scores)
    return [min(1.0, max(0.0, *(next(found) for _ in own))) for own in pieces]


def _pieces(text: str, embedder: Embedder) -> Iterator[str]:
    """Yield a text in pieces that fit into the model's window, cut at spaces where there are any."""
    if len(text) == 1 or embedder.count_tokens([text])[0] <= embedder.window:
        yield text
        return
    middle = len(text) // 2
    space = text.rfind(" ", 1, middle)
    cut = middle if space < 0 else space
    yield from _pieces(text[:cut], embedder)
    yield from _pieces(text[cut:], embedder)


def _similarity(question: QuestionEmbedding, text: QuestionEmbedding) -> float:
    if question.tokens is None or text.tokens is None or not len(question.tokens.ids) or not len(text.tokens.ids):
        return float(question.vector @ text.vector)
    return float((question.tokens.vectors @ text.tokens.vectors.T).max(axis=1).mean())
