"""The ranking, from a question to results: candidates, first order, rerank, fuse, collapse, quote, judge."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from cachetools import LRUCache

from qa_service.datatypes import Explanation, Filters, FloatArray, Int32Array, IntArray, Passage, ScoredPassage, Scores
from qa_service.embedding import QuestionEmbedding
from qa_service.index import Index
from qa_service.index.tokens import Similarities
from qa_service.retrieval.candidates import DEPTH, Candidates, gather
from qa_service.retrieval.confidence import Calibration
from qa_service.retrieval.evidence import AskedQuestion, Evidence, evidence, stop_words
from qa_service.retrieval.fusion import LEXICAL, fuse
from qa_service.retrieval.reranking import DEPTH as RERANKER_DEPTH
from qa_service.retrieval.reranking import Reranker

_RERANKED = 32
_NEAR_DUPLICATE = 0.97
_JUDGED = 3
_REMEMBERED = 2_000
"""Passages whose terms stay in memory once they were a result."""


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Results in order. ``best`` is the place of the one whose sentence answers best, and ``evidence`` its evidence."""

    results: tuple[ScoredPassage, ...]
    best: int
    evidence: Evidence | None
    confidence: float | None


@dataclass(frozen=True, slots=True)
class DocumentRank:
    """Where a document's best passage stands among all, and what stands before it. Ranks count from 1."""

    passage: Passage
    rank: int
    dense_rank: int
    lexical_rank: int | None
    score: float
    scores: Scores
    before: tuple[ScoredPassage, ...]


@dataclass(frozen=True, slots=True)
class _Ranking:
    """Candidates in their final order, with the similarities of their tokens if there are any.

    ``places`` says where each candidate stands in ``similarities``.
    """

    candidates: Candidates
    fused: FloatArray
    rerank: FloatArray | None
    similarities: Similarities | None
    places: IntArray


@dataclass(frozen=True, slots=True)
class _PassageTerms:
    """The ids of a passage's terms: of each sentence, as they stand there, and of all, sorted."""

    sentences: Sequence[Int32Array]
    all: Int32Array


@dataclass(frozen=True, slots=True)
class _ResultWithEvidence:
    """A result, its evidence, and the ids of its terms, sorted, title and headings left out."""

    result: ScoredPassage
    evidence: Evidence
    terms: Int32Array


class Retriever:
    """Ranks the passages of one index.

    ``late_interaction`` says whether MaxSim reranks where the index has token vectors; ``reranker`` is a
    second model that does it instead. Of one document no more than ``max_per_document`` passages are results,
    if that is not 0.
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
        self._terms: LRUCache[int, _PassageTerms] = LRUCache(_REMEMBERED)

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
        """Return up to ``top_k`` results that pass the filters, exactly as many if so many match.

        The passages of ``without`` are left out. ``explain`` adds to each result why it has its rank.
        """
        candidates = gather(self._index, question, embedding.vector, max(DEPTH, 2 * top_k), filters, without=without)
        if not len(candidates.numbers):
            return RetrievalResult((), 0, None, None if self._calibration is None else 0.0)
        asked = AskedQuestion.of(question, candidates.weights, self._stop_terms, len(self._index))
        # Where too many are duplicates, or of one document, all candidates are looked at.
        for depth in (max(_RERANKED, 2 * top_k), len(candidates.numbers)):
            ranking = self._rank(question, embedding, candidates, depth)
            judged = self._results(asked, ranking, top_k)
            if len(judged) == top_k or len(candidates.numbers) <= depth:
                break
        first = [one.evidence for one in judged[:_JUDGED]]
        best = max(range(len(first)), key=lambda place: (first[place].sentence or first[place].coverage, -place))
        results = (self._explained(one.result, ranking.candidates) if explain else one.result for one in judged)
        return RetrievalResult(tuple(results), best, first[best], judged[best].result.confidence)

    def _explained(self, result: ScoredPassage, candidates: Candidates) -> ScoredPassage:
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
        """Return where the best of some passages stands, every passage of the index considered."""
        everything = max(DEPTH, len(self._index))
        candidates = gather(self._index, question, embedding.vector, everything, extra=passages)
        ranking = self._rank(question, embedding, candidates, everything)
        numbers = ranking.candidates.numbers
        place = int(np.flatnonzero(np.isin(numbers, passages))[0])
        asked = AskedQuestion.of(question, candidates.weights, self._stop_terms, len(self._index))
        passage = self._index.passage(int(numbers[place]))
        return DocumentRank(
            passage=passage,
            rank=place + 1,
            dense_rank=int(ranking.candidates.dense_ranks[place]),
            lexical_rank=int(ranking.candidates.lexical_ranks[place]) or None,
            score=float(ranking.fused[place]),
            scores=_scores(ranking, place),
            before=tuple(self._result(asked, ranking, at, at + 1).result for at in range(min(place, before))),
        )

    def _rank(self, question: str, embedding: QuestionEmbedding, candidates: Candidates, depth: int) -> _Ranking:
        first = fuse(candidates.dense, candidates.lexical, lexical_weight=self._lexical_weight)
        candidates = candidates.take(np.lexsort((candidates.numbers, -first))[:depth])
        asked = embedding.tokens
        similarities = None
        if self._index.has_tokens and asked is not None and len(asked.ids):
            similarities = self._index.similarities(asked, candidates.numbers)
        second = None
        if self._reranker is not None:
            second = self._second_opinion(self._reranker, question, candidates)
        elif similarities is not None and self._late_interaction:
            second = similarities.maxsim()
        fused = fuse(candidates.dense, candidates.lexical, second, self._lexical_weight)
        order = np.lexsort((candidates.numbers, -fused))
        return _Ranking(
            candidates.take(order),
            fused[order],
            None if second is None else second[order],
            similarities,
            order,
        )

    def _second_opinion(self, reranker: Reranker, question: str, candidates: Candidates) -> FloatArray:
        """Return the reranker's scores of the first candidates; the rest get its lowest."""
        numbers = candidates.numbers[:RERANKER_DEPTH].tolist()
        scores = reranker.score(question, [self._index.passage(number).text for number in numbers])
        return np.concatenate([scores, np.full(len(candidates.numbers) - len(scores), scores.min(), np.float32)])

    def _results(self, asked: AskedQuestion, ranking: _Ranking, top_k: int) -> list[_ResultWithEvidence]:
        """Return the first results, each with something of its own.

        A near-duplicate of a result before it is left out, and so is a passage whose best sentence was
        already quoted by the one that it overlaps with.
        """
        results: list[_ResultWithEvidence] = []
        quoted: set[tuple[str, int]] = set()
        of_document: Counter[str] = Counter()
        for place in range(len(ranking.fused)):
            if len(results) == top_k:
                break
            judged = self._result(asked, ranking, place, len(results) + 1)
            passage = judged.result.passage
            if of_document[passage.document_id] == self._max_per_document > 0:
                continue
            quote = (passage.document_id, passage.position.start_char + judged.result.quote[0])
            if quote not in quoted and not any(_alike(judged.terms, other.terms) for other in results):
                results.append(judged)
                quoted.add(quote)
                of_document[passage.document_id] += 1
        return results

    def _result(self, asked: AskedQuestion, ranking: _Ranking, place: int, rank: int) -> _ResultWithEvidence:
        candidates = ranking.candidates
        number = int(candidates.numbers[place])
        passage = self._index.passage(number)
        terms = self._terms_of(number)
        chosen, cosines = self._best_sentence(asked, ranking, place, terms.sentences)
        quote = passage.sentences[chosen]
        sentence = passage.text[slice(*quote)]
        quoted = _quoted_terms(candidates, terms.sentences[chosen])
        item = evidence(asked, passage.text, sentence, quoted, float(candidates.dense[place]), cosines)
        result = ScoredPassage(
            rank=rank,
            passage=passage,
            score=float(ranking.fused[place]),
            confidence=None if self._calibration is None else self._calibration.confidence(item),
            scores=_scores(ranking, place),
            quote=quote,
            explanation=None,
        )
        return _ResultWithEvidence(result, item, terms.all)

    def _terms_of(self, number: int) -> _PassageTerms:
        known = self._terms.get(number)
        if known is None:
            sentences = self._index.sentence_terms(number)
            known = self._terms[number] = _PassageTerms(sentences, np.unique(np.concatenate(sentences)))
        return known

    def _best_sentence(
        self, asked: AskedQuestion, ranking: _Ranking, place: int, terms: Sequence[Int32Array]
    ) -> tuple[int, FloatArray | None]:
        """Return the number of the best sentence: by its tokens, or by its words where there are no tokens."""
        candidates = ranking.candidates
        if ranking.similarities is not None:
            rows = self._index.token_rows(int(candidates.numbers[place]))
            return ranking.similarities.sentence(int(ranking.places[place]), rows)
        shares = [sum(asked.weights[term] for term in _quoted_terms(candidates, own)) for own in terms]
        return int(np.argmax(shares)), None


def _quoted_terms(candidates: Candidates, sentence: Int32Array) -> set[str]:
    """Return the question's terms that stand in a sentence, given by its terms."""
    own = set(sentence.tolist())
    return {term for term, identifier in candidates.terms.items() if identifier in own}


def _scores(ranking: _Ranking, place: int) -> Scores:
    lexical = ranking.candidates.lexical
    return Scores(
        dense=float(ranking.candidates.dense[place]),
        lexical=None if lexical is None else float(lexical[place]),
        rerank=None if ranking.rerank is None else float(ranking.rerank[place]),
    )


def _alike(one: Int32Array, other: Int32Array) -> bool:
    """Tell whether two sorted sets of terms are as good as equal; sizes that differ rule it out."""
    smaller, larger = sorted((len(one), len(other)))
    if not larger or smaller < _NEAR_DUPLICATE * larger:
        return False
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common >= _NEAR_DUPLICATE * (smaller + larger - common)
