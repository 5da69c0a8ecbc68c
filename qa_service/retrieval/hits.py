"""A result with all that is known of it, and the choice of results that say different things."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from cachetools import LRUCache

from qa_service.datatypes import FloatArray, Int32Array, Passage, ScoredPassage
from qa_service.index import Index
from qa_service.retrieval.candidates import Candidates
from qa_service.retrieval.confidence import Calibration
from qa_service.retrieval.evidence import Evidence, QuestionFeatures, ReadEvidence, collect_evidence, compounds_of
from qa_service.retrieval.quotes import is_row, quotable
from qa_service.retrieval.ranking import Ranking

_NEAR_DUPLICATE_JACCARD = 0.97
_TERM_CACHE_PASSAGES = 2_000


@dataclass(frozen=True, slots=True)
class PassageTerms:
    """Term ids of a passage: of each sentence, in order of occurrence, and ``all``, unique and sorted.

    ``quotable`` are the numbers of the sentences that can be quoted, ``rows`` of those the rows of tables, and
    ``headers`` the term ids of their header rows.
    """

    sentences: Sequence[Int32Array]
    all: Int32Array
    quotable: Sequence[int]
    rows: Sequence[int]
    headers: Int32Array


@dataclass(frozen=True, slots=True)
class Hit:
    """A result, its evidence, the terms of its passage, and the number of its best sentence.

    ``terms`` are unique ids, sorted, without those of title and headings. ``quotable`` are the numbers of the
    sentences that can be quoted. ``maxsim`` is ``None`` without token
    vectors; ``margin`` is the cosine less the median of the candidates. ``read`` is ``None`` if it was not read.
    """

    result: ScoredPassage
    evidence: Evidence
    terms: Int32Array
    sentence: int
    quotable: Sequence[int]
    maxsim: float | None
    margin: float
    read: ReadEvidence | None = None


class HitFinder:
    """Makes hits of ranked candidates. At most ``max_per_document`` come from one document; 0 means no limit."""

    def __init__(self, index: Index, calibration: Calibration | None, max_per_document: int = 0) -> None:
        self._index = index
        self._calibration = calibration
        self._max_per_document = max_per_document
        self._terms: LRUCache[int, PassageTerms] = LRUCache(_TERM_CACHE_PASSAGES)

    def first(self, features: QuestionFeatures, ranking: Ranking, count: int) -> list[Hit]:
        """Return the first ``count`` hits without repetitions."""
        hits = (self.at(features, ranking, place, place + 1) for place in range(len(ranking)))
        return list(islice(self.distinct(hits), count))

    def distinct(self, hits: Iterable[Hit]) -> Iterator[Hit]:
        """Yield hits without repetitions, in order.

        A passage is skipped if it is a near-duplicate of a hit before it, or if its quote was already quoted by a hit
        that overlaps with it, or if its document has as many hits as are allowed.
        """
        kept: list[Hit] = []
        quoted: set[tuple[str, int]] = set()
        of_document: Counter[str] = Counter()
        for hit in hits:
            passage = hit.result.passage
            if of_document[passage.document_id] == self._max_per_document > 0:
                continue
            quote = (passage.document_id, passage.position.start_char + hit.result.quote[0])
            if quote not in quoted and not any(are_near_duplicates(hit.terms, other.terms) for other in kept):
                kept.append(hit)
                quoted.add(quote)
                of_document[passage.document_id] += 1
                yield hit

    def at(self, features: QuestionFeatures, ranking: Ranking, place: int, rank: int) -> Hit:
        """Return the candidate at a place of the ranking as a hit with a rank."""
        candidates = ranking.candidates
        passage = self._index.passage(int(candidates.numbers[place]))
        terms = self.terms_of(passage)
        chosen, cosines = self._best_sentence(features, ranking, place, passage)
        quote = passage.sentences[chosen]
        sentence = passage.text[slice(*quote)]
        quoted = _quoted_terms(candidates, terms.sentences[chosen])
        evidence = collect_evidence(features, passage.text, sentence, quoted, float(candidates.dense[place]), cosines)
        result = ScoredPassage(
            rank=rank,
            passage=passage,
            score=float(ranking.fused[place]),
            confidence=None if self._calibration is None else self._calibration.confidence(evidence),
            scores=ranking.scores(place),
            quote=quote,
            explanation=None,
        )
        maxsim = None if ranking.maxsim is None else float(ranking.maxsim[place])
        margin = result.scores.dense - ranking.median
        return Hit(result, evidence, terms.all, chosen, terms.quotable, maxsim, margin)

    def terms_of(self, passage: Passage) -> PassageTerms:
        """Return the terms of a passage, those asked recently from a cache."""
        known = self._terms.get(passage.number)
        if known is None:
            known = _terms_of(passage, self._index.sentence_terms(passage.number))
            self._terms[passage.number] = known
        return known

    def _best_sentence(
        self, features: QuestionFeatures, ranking: Ranking, place: int, passage: Passage
    ) -> tuple[int, FloatArray | None]:
        """Return the index of the best sentence that can be quoted, by its tokens if there are any, else by its words.

        The second value is, for each token of the question, its best cosine in that sentence.
        """
        candidates, terms = ranking.candidates, self.terms_of(passage)
        allowed = terms.quotable
        if ranking.similarities is None or terms.rows:
            shares = [_share(features, candidates, passage, terms, sentence) for sentence in allowed]
            best = [sentence for sentence, share in zip(allowed, shares, strict=True) if share == max(shares)]
            # Rows are alike but for their words: the right one has those of the question.
            allowed = best if ranking.similarities is None else [row for row in best if row in terms.rows] or allowed
        if ranking.similarities is None:
            return allowed[0], None
        rows = self._index.token_rows(int(candidates.numbers[place]))
        return ranking.similarities.sentence(int(ranking.places[place]), rows, allowed)


def _terms_of(passage: Passage, sentences: Sequence[Int32Array]) -> PassageTerms:
    fit = quotable(passage)
    all_rows = [number for number, place in enumerate(passage.sentences) if is_row(passage.text[slice(*place)])]
    headers = [sentences[number] for number in all_rows if number not in fit]
    return PassageTerms(
        sentences,
        np.unique(np.concatenate(sentences)),
        fit,
        [number for number in all_rows if number in fit],
        np.concatenate(headers) if headers else np.empty(0, np.int32),
    )


def _share(
    features: QuestionFeatures, candidates: Candidates, passage: Passage, terms: PassageTerms, sentence: int
) -> float:
    """Return the weight of the question's words in a sentence; of a passage with rows, of those that are no stop words.

    A version, time or date counts as a whole too: its numbers also stand in others.
    """
    said = _quoted_terms(candidates, _own_terms(terms, sentence))
    if not terms.rows:
        return sum(features.weights[term] for term in said)
    whole = features.compounds.intersection(compounds_of(passage.text[slice(*passage.sentences[sentence])]))
    return sum(features.weights[term] for term in said & features.content) + features.largest_weight * len(whole)


def _own_terms(terms: PassageTerms, sentence: int) -> Int32Array:
    """Return the terms of a sentence; of a row, those of its header too."""
    own = terms.sentences[sentence]
    return np.concatenate([own, terms.headers]) if sentence in terms.rows else own


def _quoted_terms(candidates: Candidates, sentence: Int32Array) -> set[str]:
    """Return the question's terms that occur in a sentence, given by its term ids."""
    own = set(sentence.tolist())
    return {term for term, identifier in candidates.terms.items() if identifier in own}


def are_near_duplicates(one: Int32Array, other: Int32Array) -> bool:
    """Tell whether two sorted sets of terms have a Jaccard index of at least 0.97; sizes are compared first."""
    smaller, larger = sorted((len(one), len(other)))
    if not larger or smaller < _NEAR_DUPLICATE_JACCARD * larger:
        return False
    common = len(np.intersect1d(one, other, assume_unique=True))
    return common >= _NEAR_DUPLICATE_JACCARD * (smaller + larger - common)
