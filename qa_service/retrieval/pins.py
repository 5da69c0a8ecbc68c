"""Recognises questions that have a pinned answer, and puts that answer first.

A question matches one of a pin's questions if they differ only in case and punctuation, or if their vectors are near
and their words agree: it has no content word that none of the pin's questions has, at most a third of the pinned
question's are missing, and numbers, negation, question words and words such as "off" are the same. Near questions about
another thing differ in such words. Figures are in decision 0026.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from cachetools import LRUCache

from qa_service.datatypes import AskOptions, Explanation, Filters, Pin, Quote, ScoredPassage, Scores
from qa_service.index import Index
from qa_service.loading.pins import question_key
from qa_service.questions.function_words import function_words_of, word_set
from qa_service.retrieval.query import Query, Wording
from qa_service.retrieval.retriever import RetrievalResult

MIN_COSINE = 0.84
_MAX_MISSING = 1 / 3
_MAX_COMPARED = 20
"""The nearest questions whose words are compared."""
_CACHED_QUESTIONS = 1_000
_SAME_PASSAGE_DEPTH = 50
_NUMBER = re.compile(r"\d+(?:[.,:/-]\d+)*")
_WORD = re.compile(r"\w+")
_NOT = re.compile(r"n['’]t\b")
_ASKING = {"which": "what", "whom": "who", "whose": "who"}
_OPPOSING = word_set("from before after off out up down until since under over above below against between only")
_PERSONAL = "i my me mine we our us you your yours s please"


@dataclass(frozen=True, slots=True)
class QuestionWords:
    """The words of a question by which it differs from others: ``content`` are terms, ``marks`` what must be equal."""

    content: frozenset[str]
    marks: tuple[frozenset[str], bool, frozenset[str]]
    asking: frozenset[str]

    def agrees(self, other: "QuestionWords") -> bool:
        """Tell whether marks are equal, and question words are not at odds."""
        return self.marks == other.marks and (not self.asking or not other.asking or bool(self.asking & other.asking))


class PinFinder:
    """The pinned answers of one index, for ``top_k`` results unless a question asks for another number."""

    def __init__(self, index: Index, top_k: int = 1, max_per_document: int = 0) -> None:
        self._index = index
        self._top_k = top_k
        self._max_per_document = max_per_document
        self._vectors = index.pins.vectors
        self._pins: list[tuple[Pin, str]] = [(pin, question) for pin in index.pins.pins for question in pin.questions]
        self._exact = {question_key(question): pin for pin, question in reversed(self._pins)}
        words = function_words_of(index.manifest.language)
        self._function_words = words
        self._stop_terms = index.words.terms(" ".join((*words.stop_words, _PERSONAL))) if self._pins else set()
        self._words: LRUCache[str, QuestionWords] = LRUCache(_CACHED_QUESTIONS)

    def find(self, question: str, query: Query, filters: Filters | None) -> Pin | None:
        """Return the pin of a question as it was typed and as it is understood, or ``None``.

        A pin whose passages the filters exclude does not count.
        """
        if not self._pins:
            return None
        pin = self._exact.get(question_key(question)) or self._exact.get(question_key(query.text))
        if pin is None and not query.parts:
            typed = query.wordings[-1:] if query.understood.corrections else ()
            pin = next(filter(None, map(self._nearest, (query.wordings[0], *typed))), None)
        if pin is None or (filters is not None and not self._passes(pin, filters)):
            return None
        return pin

    def _nearest(self, wording: Wording) -> Pin | None:
        """Return the pin of the nearest question whose words agree."""
        cosines = self._vectors @ wording.embedding.vector
        near = np.flatnonzero(cosines >= MIN_COSINE)
        asked = self._words_of(wording.text)
        for place in near[np.argsort(-cosines[near], kind="stable")][:_MAX_COMPARED].tolist():
            pin, question = self._pins[int(place)]
            pinned = self._words_of(question)
            missing = len(pinned.content - asked.content)
            if not asked.agrees(pinned) or missing > _MAX_MISSING * len(pinned.content):
                continue
            if asked.content <= pinned.content.union(*(self._words_of(one).content for one in pin.questions)):
                return pin
        return None

    def _words_of(self, question: str) -> QuestionWords:
        if question not in self._words:
            self._words[question] = self._compute_words(question)
        return self._words[question]

    def _compute_words(self, question: str) -> QuestionWords:
        words = frozenset(_WORD.findall(question.casefold()))
        negated = bool(words & self._function_words.negations) or _NOT.search(question) is not None
        return QuestionWords(
            frozenset(self._index.words.terms(question) - self._stop_terms),
            (frozenset(_NUMBER.findall(question)), negated, words & _OPPOSING),
            frozenset(_ASKING.get(word, word) for word in words & self._function_words.asking),
        )

    def _passes(self, pin: Pin, filters: Filters) -> bool:
        """Tell whether all passages of a pin pass the filters."""
        if filters.document_ids and pin.document_id not in filters.document_ids:
            return False
        own = replace(filters, document_ids=(pin.document_id,))
        for number, _ in pin.parts:
            (vector,) = self._index.vectors(np.array([number]))
            if number not in self._index.find(vector, None, _SAME_PASSAGE_DEPTH, own)[0]:
                return False
        return True

    def put_first(
        self, question: str, query: Query, options: AskOptions, retrieved: RetrievalResult
    ) -> RetrievalResult:
        """Return the results of a question, with the passages of its pin first, if it has one, and their quotes."""
        pin = self.find(question, query, options.filters)
        if pin is None:
            return retrieved
        top_k = options.top_k or self._top_k
        known = {one.passage.number: one for one in (*retrieved.results, *retrieved.further)}
        score = retrieved.results[0].score if retrieved.results else 1.0
        pinned = [
            replace(
                known.get(number) or self._scored(number, query, explain=options.explain),
                score=score,
                confidence=1.0,
                quote=place,
                spans=(),
            )
            for number, place in pin.parts[:top_k]
        ]
        numbers = {one.passage.number for one in pinned}
        others = (one for one in (*retrieved.results, *retrieved.further) if one.passage.number not in numbers)
        merged = [
            replace(one, rank=rank) for rank, one in enumerate(chain(pinned, self._allowed(pinned, others)), start=1)
        ]
        quotes = tuple(Quote(place, one.quote) for place, one in enumerate(pinned))
        results, further = tuple(merged[:top_k]), tuple(merged[top_k:])
        return replace(retrieved, results=results, quotes=quotes, confidence=1.0, further=further, pinned=True)

    def _allowed(self, pinned: list[ScoredPassage], others: Iterator[ScoredPassage]) -> Iterator[ScoredPassage]:
        """Yield other results, as many of a document as are allowed beside the pinned ones."""
        of_document = Counter(one.passage.document_id for one in pinned)
        for one in others:
            of_document[one.passage.document_id] += 1
            if not 0 < self._max_per_document < of_document[one.passage.document_id]:
                yield one

    def _scored(self, number: int, query: Query, *, explain: bool) -> ScoredPassage:
        """Return a passage that is no result of the question with the scores that can be told."""
        numbers = np.array([number])
        match = self._index.words.match(query.text)
        scores = Scores(
            dense=float(self._index.vectors(numbers)[0] @ query.wordings[0].embedding.vector),
            lexical=None if match is None else float(match.scores(numbers)[0]),
            rerank=None,
        )
        passage = self._index.passage(number)
        return ScoredPassage(
            rank=1,
            passage=passage,
            score=1.0,
            confidence=1.0,
            scores=scores,
            quote=(0, len(passage.text)),
            explanation=Explanation(None, None, (), scores.dense) if explain else None,
        )
