"""Ranks passages for a question: candidates, fusion, reranking, duplicates, quotes, confidence.

The order of steps stands in :meth:`Retriever.retrieve`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from qa_service.datatypes import OFF_TOPIC, Explanation, Filters, IntArray, Passage, Quote, ScoredPassage, Scores
from qa_service.index import Index
from qa_service.questions.function_words import function_words_of
from qa_service.retrieval.answer import AnswerReader
from qa_service.retrieval.candidates import CANDIDATE_DEPTH, Candidates, gather
from qa_service.retrieval.confidence import Calibration
from qa_service.retrieval.evidence import Evidence, QuestionFeatures, ReadEvidence
from qa_service.retrieval.hits import Hit, HitFinder
from qa_service.retrieval.parts import RankedHits, confidence_of, covering, quotes_of_parts
from qa_service.retrieval.query import Query, Wording
from qa_service.retrieval.ranking import Ranker, Ranking
from qa_service.retrieval.reranking import Reranker

_RERANK_DEPTH = 32
"""The least number of candidates that MaxSim reranks."""
_QUOTE_DEPTH = 3
"""Without a reader, the best quote is chosen among so many first results."""


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Results in order, and the quotes that answer, the best one first.

    ``evidence`` and ``read`` are of the result with the best quote; ``read`` is ``None`` if it was not read.
    ``further`` are results behind those asked for that the reader saw; they may contradict the first.
    ``pinned`` tells whether a person chose the quotes.
    """

    results: tuple[ScoredPassage, ...]
    quotes: tuple[Quote, ...]
    evidence: Evidence | None
    confidence: float | None
    read: ReadEvidence | None = None
    further: tuple[ScoredPassage, ...] = ()
    pinned: bool = False


@dataclass(frozen=True, slots=True)
class DocumentRank:
    """The rank of a document's best passage among all passages, and the passages ``before`` it. Ranks start at 1."""

    passage: Passage
    rank: int
    dense_rank: int
    lexical_rank: int | None
    score: float
    scores: Scores
    before: tuple[ScoredPassage, ...]


@dataclass(frozen=True, slots=True)
class _Limits:
    """How many results are wanted, which passages may be results, and whether ranks are explained."""

    top_k: int
    filters: Filters | None
    without: IntArray | None
    explain: bool


class Retriever:
    """Ranks the passages of one index, and chooses quotes from them.

    At most ``max_per_document`` results come from one document; 0 means no limit. ``answers`` reads the first results.
    """

    def __init__(
        self,
        index: Index,
        calibration: Calibration | None,
        *,
        ranker: Ranker | None = None,
        answers: AnswerReader | None = None,
        max_per_document: int = 0,
    ) -> None:
        self._index = index
        self._calibration = calibration
        self._ranker = ranker or Ranker(index)
        self._hits = HitFinder(index, calibration, max_per_document)
        self._answers = answers
        words = function_words_of(index.manifest.language)
        self._stop_terms = frozenset(index.words.terms(" ".join(words.stop_words)))
        self._negations = words.negations

    @property
    def reader_mode(self) -> str:
        """How the reader reads; empty without one."""
        return "" if self._answers is None else self._answers.mode

    @property
    def reranker(self) -> Reranker | None:
        """The second model that reranks, if there is one."""
        return self._ranker.reranker

    def load_reader(self) -> None:
        """Load the reader now instead of with the first question."""
        if self._answers is not None:
            self._answers.load()

    def retrieve(
        self,
        query: Query,
        top_k: int,
        filters: Filters | None = None,
        *,
        without: IntArray | None = None,
        explain: bool = False,
    ) -> RetrievalResult:
        """Return ``top_k`` results that pass the filters and are not in ``without``.

        There are fewer if duplicates and ``max_per_document`` leave fewer candidates. ``explain`` adds to each
        result an explanation of its rank.
        """
        limits = _Limits(top_k, filters, without, explain)
        found = self._ranked_hits(query.wordings, limits)
        if found is None:
            return RetrievalResult((), (), None, None if self._calibration is None else 0.0)
        parts = [hits for part in query.parts if (hits := self._ranked_hits([part], limits)) is not None]
        merged = list(self._hits.distinct(covering(found, parts))) if parts else found.hits
        results = [replace(hit.result, rank=rank) for rank, hit in enumerate(merged, start=1)]
        shown, further = results[:top_k], results[top_k:]
        hit = found.hits[found.best]
        best = next(place for place, one in enumerate(merged) if one.result.passage.number == hit.result.passage.number)
        quotes = (Quote(best, hit.result.quote, hit.result.spans), *quotes_of_parts(merged[:top_k], best, parts))
        confidence = confidence_of(found, parts)
        return RetrievalResult(tuple(shown), quotes, hit.evidence, confidence, hit.read, tuple(further))

    def _ranked_hits(self, wordings: Sequence[Wording], limits: "_Limits") -> RankedHits | None:
        """Return the hits for one question in their final order; ``None`` if no passage is a candidate."""
        # The reader chooses among as many results, however few are asked for.
        wanted = limits.top_k if self._answers is None else max(limits.top_k, self._answers.depth)
        depth = max(CANDIDATE_DEPTH, 2 * wanted)
        candidates = gather(self._index, wordings, depth, limits.filters, without=limits.without)
        if not len(candidates[0].numbers):
            return None
        found, ranking = self._first_hits(wordings, candidates, wanted)
        found, best = self._with_answer(wordings[0].text, found, limits.top_k)
        if limits.explain:
            found = [replace(hit, result=self._with_explanation(hit.result, ranking)) for hit in found]
        return RankedHits(found, best)

    def _first_hits(
        self, wordings: Sequence[Wording], candidates: Sequence[Candidates], count: int
    ) -> tuple[list[Hit], Ranking]:
        """Return the first hits without repetitions, and the ranking they come from.

        There is a second pass over all candidates if the first yields too few, because of duplicates or the document
        limit.
        """
        features = self._features(wordings[0].text, candidates[0])
        for depth in (max(_RERANK_DEPTH, 2 * count), len(candidates[0].numbers)):
            ranking = self._ranker.rank(wordings, candidates, depth)
            found = self._hits.first(features, ranking, count)
            if len(found) == count or len(candidates[0].numbers) <= depth:
                break
        return found, ranking

    def _features(self, question: str, candidates: Candidates) -> QuestionFeatures:
        return QuestionFeatures.of(question, candidates.weights, self._stop_terms, self._negations, len(self._index))

    def _with_answer(self, question: str, hits: list[Hit], top_k: int) -> tuple[list[Hit], int]:
        """Return the hits in their final order, and the index of the one with the best quote, below ``top_k``."""
        first, calibration = hits[:_QUOTE_DEPTH], self._calibration
        confident = max((hit.result.confidence or 0.0) for hit in first)
        if self._answers is None or (calibration is not None and confident < OFF_TOPIC):
            return hits, max(
                range(min(top_k, len(first))),
                key=lambda at: (first[at].evidence.sentence or first[at].evidence.coverage, -at),
            )
        read = self._answers.reordered(question, hits)
        if calibration is None:
            return read, 0
        return [
            replace(hit, result=replace(hit.result, confidence=calibration.confidence(hit.evidence, hit.read)))
            for hit in read
        ], 0

    def _with_explanation(self, result: ScoredPassage, ranking: Ranking) -> ScoredPassage:
        candidates, number = ranking.candidates, result.passage.number
        place = ranking.place_of(number)
        matched = (term for term, identity in candidates.terms.items() if self._index.words.holds(number, identity))
        explanation = Explanation(
            dense_rank=int(candidates.dense_ranks[place]) or None,
            lexical_rank=int(candidates.lexical_ranks[place]) or None,
            matched_terms=tuple(sorted(matched)),
            fused=result.score,
        )
        return replace(result, explanation=explanation)

    def document_rank(self, query: Query, passages: IntArray, before: int = 3) -> DocumentRank:
        """Return the rank of the best of some passages among all passages of the index."""
        everything = max(CANDIDATE_DEPTH, len(self._index))
        found = gather(self._index, query.wordings, everything, extra=passages)
        ranking = self._ranker.rank(query.wordings, found, everything)
        numbers = ranking.candidates.numbers
        own = set(passages.tolist())
        place = next(place for place, number in enumerate(numbers.tolist()) if number in own)
        features = self._features(query.text, found[0])
        return DocumentRank(
            passage=self._index.passage(int(numbers[place])),
            rank=place + 1,
            dense_rank=int(ranking.candidates.dense_ranks[place]),
            lexical_rank=int(ranking.candidates.lexical_ranks[place]) or None,
            score=float(ranking.fused[place]),
            scores=ranking.scores(place),
            before=tuple(self._hits.at(features, ranking, at, at + 1).result for at in range(min(place, before))),
        )
