"""Ranks passages for a question: candidates, fusion, reranking, duplicates, quotes, confidence.

The order of steps stands in :meth:`Retriever.retrieve`.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from cachetools import LRUCache

from qa_service.datatypes import Explanation, Filters, FloatArray, Int32Array, IntArray, Passage, ScoredPassage, Scores
from qa_service.embedding import QuestionEmbedding
from qa_service.index import Index
from qa_service.index.tokens import Similarities
from qa_service.retrieval.candidates import CANDIDATE_DEPTH, Candidates, gather
from qa_service.retrieval.confidence import Calibration
from qa_service.retrieval.evidence import Evidence, QuestionFeatures, collect_evidence, stop_words
from qa_service.retrieval.fusion import LEXICAL, fuse
from qa_service.retrieval.reranking import RERANKER_DEPTH, Reranker

_RERANK_DEPTH = 32
"""The least number of candidates that MaxSim reranks."""
_QUOTE_DEPTH = 3
"""The best quote is chosen among so many first results."""
_NEAR_DUPLICATE_JACCARD = 0.97
_TERM_CACHE_PASSAGES = 2_000


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Results in order; ``best`` is the index of the one with the best quote, and ``evidence`` its evidence."""

    results: tuple[ScoredPassage, ...]
    best: int
    evidence: Evidence | None
    confidence: float | None


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
class _Ranking:
    """Candidates in their final order, with the similarities of their tokens if the index has tokens.

    ``places`` are the candidates' indices in ``similarities``.
    """

    candidates: Candidates
    fused: FloatArray
    rerank: FloatArray | None
    similarities: Similarities | None
    places: IntArray


@dataclass(frozen=True, slots=True)
class _PassageTerms:
    """Term ids of a passage: of each sentence, in order of occurrence, and ``all``, unique and sorted."""

    sentences: Sequence[Int32Array]
    all: Int32Array


@dataclass(frozen=True, slots=True)
class _ResultWithEvidence:
    """A result, its evidence, and its unique term ids, sorted, without those of title and headings."""

    result: ScoredPassage
    evidence: Evidence
    terms: Int32Array


class Retriever:
    """Ranks the passages of one index.

    ``late_interaction`` lets MaxSim rerank if the index has token vectors; a ``reranker``, a second model, takes its
    place. At most ``max_per_document`` results come from one document; 0 means no limit.
    """

    def __init__(
        self,
        index: Index,
        calibration: Calibration | None,
        *,
        late_interaction: bool = True,
        reranker: Reranker | None = None,
        max_per_document: int = 0,
        lexical_weight: float = LEXICAL,
    ) -> None:
        self._index = index
        self._calibration = calibration
        self._late_interaction = late_interaction
        self._reranker = reranker
        self._max_per_document = max_per_document
        self._lexical_weight = lexical_weight
        self._stop_terms = frozenset(index.words.terms(stop_words()))
        self._terms: LRUCache[int, _PassageTerms] = LRUCache(_TERM_CACHE_PASSAGES)

    def retrieve(
        self,
        question: str,
        embedding: QuestionEmbedding,
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
        depth = max(CANDIDATE_DEPTH, 2 * top_k)
        candidates = gather(self._index, question, embedding.vector, depth, filters, without=without)
        if not len(candidates.numbers):
            return RetrievalResult((), 0, None, None if self._calibration is None else 0.0)
        features = QuestionFeatures.of(question, candidates.weights, self._stop_terms, len(self._index))
        # A second pass over all candidates if the first yields too few, because of duplicates or the document limit.
        for depth in (max(_RERANK_DEPTH, 2 * top_k), len(candidates.numbers)):
            ranking = self._rank(question, embedding, candidates, depth)
            found = self._results(features, ranking, top_k)
            if len(found) == top_k or len(candidates.numbers) <= depth:
                break
        first = [one.evidence for one in found[:_QUOTE_DEPTH]]
        best = max(range(len(first)), key=lambda place: (first[place].sentence or first[place].coverage, -place))
        results = (self._with_explanation(one.result, ranking.candidates) if explain else one.result for one in found)
        return RetrievalResult(tuple(results), best, first[best], found[best].result.confidence)

    def _with_explanation(self, result: ScoredPassage, candidates: Candidates) -> ScoredPassage:
        number = result.passage.number
        place = int(np.flatnonzero(candidates.numbers == number)[0])
        matched = (term for term, identity in candidates.terms.items() if self._index.words.holds(number, identity))
        explanation = Explanation(
            dense_rank=int(candidates.dense_ranks[place]) or None,
            lexical_rank=int(candidates.lexical_ranks[place]) or None,
            matched_terms=tuple(sorted(matched)),
            fused=result.score,
        )
        return replace(result, explanation=explanation)

    def document_rank(
        self, question: str, embedding: QuestionEmbedding, passages: IntArray, before: int = 3
    ) -> DocumentRank:
        """Return the rank of the best of some passages among all passages of the index."""
        everything = max(CANDIDATE_DEPTH, len(self._index))
        candidates = gather(self._index, question, embedding.vector, everything, extra=passages)
        ranking = self._rank(question, embedding, candidates, everything)
        numbers = ranking.candidates.numbers
        place = int(np.flatnonzero(np.isin(numbers, passages))[0])
        features = QuestionFeatures.of(question, candidates.weights, self._stop_terms, len(self._index))
        passage = self._index.passage(int(numbers[place]))
        return DocumentRank(
            passage=passage,
            rank=place + 1,
            dense_rank=int(ranking.candidates.dense_ranks[place]),
            lexical_rank=int(ranking.candidates.lexical_ranks[place]) or None,
            score=float(ranking.fused[place]),
            scores=_scores(ranking, place),
            before=tuple(self._result(features, ranking, at, at + 1).result for at in range(min(place, before))),
        )

    def _rank(self, question: str, embedding: QuestionEmbedding, candidates: Candidates, depth: int) -> _Ranking:
        first = fuse(candidates.dense, candidates.lexical, lexical_weight=self._lexical_weight)
        candidates = candidates.take(np.lexsort((candidates.numbers, -first))[:depth])
        tokens = embedding.tokens
        similarities = None
        if self._index.has_tokens and tokens is not None and len(tokens.ids):
            similarities = self._index.similarities(tokens, candidates.numbers)
        rerank = None
        if self._reranker is not None:
            rerank = self._reranker_scores(self._reranker, question, candidates)
        elif similarities is not None and self._late_interaction:
            rerank = similarities.maxsim()
        fused = fuse(candidates.dense, candidates.lexical, rerank, self._lexical_weight)
        order = np.lexsort((candidates.numbers, -fused))
        return _Ranking(
            candidates.take(order),
            fused[order],
            None if rerank is None else rerank[order],
            similarities,
            order,
        )

    def _reranker_scores(self, reranker: Reranker, question: str, candidates: Candidates) -> FloatArray:
        """Return the reranker's scores of the first candidates; all others get the lowest of them."""
        numbers = candidates.numbers[:RERANKER_DEPTH].tolist()
        scores = reranker.score(question, [self._index.passage(number).text for number in numbers])
        return np.concatenate([scores, np.full(len(candidates.numbers) - len(scores), scores.min(), np.float32)])

    def _results(self, features: QuestionFeatures, ranking: _Ranking, top_k: int) -> list[_ResultWithEvidence]:
        """Return the first results without repetitions.

        A passage is skipped if it is a near-duplicate of a result before it, or if its quote was already quoted by
        a result that overlaps with it.
        """
        results: list[_ResultWithEvidence] = []
        quoted: set[tuple[str, int]] = set()
        of_document: Counter[str] = Counter()
        for place in range(len(ranking.fused)):
            if len(results) == top_k:
                break
            found = self._result(features, ranking, place, len(results) + 1)
            passage = found.result.passage
            if of_document[passage.document_id] == self._max_per_document > 0:
                continue
            quote = (passage.document_id, passage.position.start_char + found.result.quote[0])
            if quote not in quoted and not any(_are_near_duplicates(found.terms, other.terms) for other in results):
                results.append(found)
                quoted.add(quote)
                of_document[passage.document_id] += 1
        return results

    def _result(self, features: QuestionFeatures, ranking: _Ranking, place: int, rank: int) -> _ResultWithEvidence:
        candidates = ranking.candidates
        number = int(candidates.numbers[place])
        passage = self._index.passage(number)
        terms = self._terms_of(number)
        chosen, cosines = self._best_sentence(features, ranking, place, terms.sentences)
        quote = passage.sentences[chosen]
        sentence = passage.text[slice(*quote)]
        quoted = _quoted_terms(candidates, terms.sentences[chosen])
        evidence = collect_evidence(features, passage.text, sentence, quoted, float(candidates.dense[place]), cosines)
        result = ScoredPassage(
            rank=rank,
            passage=passage,
            score=float(ranking.fused[place]),
            confidence=None if self._calibration is None else self._calibration.confidence(evidence),
            scores=_scores(ranking, place),
            quote=quote,
            explanation=None,
        )
        return _ResultWithEvidence(result, evidence, terms.all)

    def _terms_of(self, number: int) -> _PassageTerms:
        known = self._terms.get(number)
        if known is None:
            sentences = self._index.sentence_terms(number)
            known = self._terms[number] = _PassageTerms(sentences, np.unique(np.concatenate(sentences)))
        return known

    def _best_sentence(
        self, features: QuestionFeatures, ranking: _Ranking, place: int, terms: Sequence[Int32Array]
    ) -> tuple[int, FloatArray | None]:
        """Return the index of the best sentence, by its tokens if there are any, else by its words.

        The second value is, for each token of the question, its best cosine in that sentence.
        """
        candidates = ranking.candidates
        if ranking.similarities is not None:
            rows = self._index.token_rows(int(candidates.numbers[place]))
            return ranking.similarities.sentence(int(ranking.places[place]), rows)
        shares = [sum(features.weights[term] for term in _quoted_terms(candidates, own)) for own in terms]
        return int(np.argmax(shares)), None


def _quoted_terms(candidates: Candidates, sentence: Int32Array) -> set[str]:
    """Return the question's terms that occur in a sentence, given by its term ids."""
    own = set(sentence.tolist())
    return {term for term, identifier in candidates.terms.items() if identifier in own}


def _scores(ranking: _Ranking, place: int) -> Scores:
    lexical = ranking.candidates.lexical
    return Scores(
        dense=float(ranking.candidates.dense[place]),
        lexical=None if lexical is None else float(lexical[place]),
        rerank=None if ranking.rerank is None else float(ranking.rerank[place]),
    )


def _are_near_duplicates(one: Int32Array, other: Int32Array) -> bool:
    """Whether two sorted sets of terms have a Jaccard index of at least 0.97; sizes are compared first."""
    smaller, larger = sorted((len(one), len(other)))
    if not larger or smaller < _NEAR_DUPLICATE_JACCARD * larger:
        return False
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common >= _NEAR_DUPLICATE_JACCARD * (smaller + larger - common)
