"""Ranks candidates by their fused scores: cosine, BM25, and MaxSim or a reranker's score."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import FloatArray, IntArray, Scores
from qa_service.index import Index
from qa_service.index.tokens import Similarities
from qa_service.retrieval.candidates import Candidates
from qa_service.retrieval.coverage import covering_order
from qa_service.retrieval.fusion import LEXICAL, fuse, lexical_weight_for
from qa_service.retrieval.query import Wording
from qa_service.retrieval.reranking import RERANKER_DEPTH, Reranker


@dataclass(frozen=True, slots=True)
class Ranking:
    """Candidates in their final order, with the similarities of their tokens if the index has tokens.

    ``places`` are the candidates' indices in ``similarities``; ``median`` is that of their cosines.
    """

    candidates: Candidates
    fused: FloatArray
    rerank: FloatArray | None
    maxsim: FloatArray | None
    similarities: Similarities | None
    places: IntArray
    median: float

    def __len__(self) -> int:
        """Return the number of candidates."""
        return len(self.fused)

    def place_of(self, number: int) -> int:
        """Return the place of a passage, by its number."""
        return int(np.flatnonzero(self.candidates.numbers == number)[0])

    def scores(self, place: int) -> Scores:
        """Return the signals behind the rank of the candidate at a place."""
        lexical = self.candidates.lexical
        return Scores(
            dense=float(self.candidates.dense[place]),
            lexical=None if lexical is None else float(lexical[place]),
            rerank=None if self.rerank is None else float(self.rerank[place]),
        )


@dataclass(frozen=True, slots=True)
class _Signals:
    """The scores of some candidates for one wording."""

    candidates: Candidates
    fused: FloatArray
    rerank: FloatArray | None
    maxsim: FloatArray | None
    similarities: Similarities | None
    best: FloatArray | None
    """The best cosine of each token of the wording in each candidate (tokens, n)."""


class Ranker:
    """Ranks the candidates of one index.

    ``late_interaction`` lets MaxSim rerank if the index has token vectors; a ``reranker``, a second model, takes its
    place.
    """

    def __init__(
        self,
        index: Index,
        *,
        late_interaction: bool = True,
        reranker: Reranker | None = None,
        lexical_weight: float = LEXICAL,
    ) -> None:
        self._index = index
        self._late_interaction = late_interaction
        self.reranker = reranker
        self._lexical_weight = lexical_weight

    def rank(self, wordings: Sequence[Wording], candidates: Sequence[Candidates], depth: int) -> Ranking:
        """Return the best ``depth`` candidates by vectors and words, ordered by all signals.

        The candidates of all wordings are the same passages. A passage's fused score is the weighted mean of those for
        each wording, or that of the candidate before it if that is lower; all else is of the first wording.
        """
        weights = [lexical_weight_for(one.weights, one.lexical, self._lexical_weight) for one in candidates]
        first = _mean(
            [fuse(one.dense, one.lexical, None, weight) for one, weight in zip(candidates, weights, strict=True)],
            wordings,
        )
        chosen = np.lexsort((candidates[0].numbers, -first))[:depth]
        signals = [
            self._signals(wording, one.take(chosen), weight)
            for wording, one, weight in zip(wordings, candidates, weights, strict=True)
        ]
        main = signals[0]
        fused = _mean([one.fused for one in signals], wordings)
        order = np.lexsort((main.candidates.numbers, -fused))
        if main.similarities is not None and main.best is not None:
            order = order[covering_order(fused[order], main.best[:, order], main.similarities.weights)]
            fused[order] = np.minimum.accumulate(fused[order])
        return Ranking(
            main.candidates.take(order),
            fused[order],
            None if main.rerank is None else main.rerank[order],
            None if main.maxsim is None else main.maxsim[order],
            main.similarities,
            order,
            float(np.median(main.candidates.dense)),
        )

    def _signals(self, wording: Wording, candidates: Candidates, lexical_weight: float) -> "_Signals":
        tokens = wording.embedding.tokens
        similarities = best = maxsim = rerank = None
        if self._index.has_tokens and tokens is not None and len(tokens.ids):
            similarities = self._index.similarities(tokens, candidates.numbers)
            best = similarities.best()
            maxsim = similarities.maxsim(best)
        if self.reranker is not None:
            rerank = self._reranker_scores(self.reranker, wording.text, candidates)
        elif self._late_interaction:
            rerank = maxsim
        fused = fuse(candidates.dense, candidates.lexical, rerank, lexical_weight)
        return _Signals(candidates, fused, rerank, maxsim, similarities, best)

    def _reranker_scores(self, reranker: Reranker, question: str, candidates: Candidates) -> FloatArray:
        """Return the reranker's scores of the first candidates; all others get the lowest of them."""
        numbers = candidates.numbers[:RERANKER_DEPTH].tolist()
        scores = reranker.score(question, [self._index.passage(number).text for number in numbers])
        return np.concatenate([scores, np.full(len(candidates.numbers) - len(scores), scores.min(), np.float32)])


def _mean(scores: Sequence[FloatArray], wordings: Sequence[Wording]) -> FloatArray:
    if len(scores) == 1:
        return scores[0]
    mean: FloatArray = np.average(scores, axis=0, weights=[wording.weight for wording in wordings]).astype(np.float32)
    return mean
