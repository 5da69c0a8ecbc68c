"""Evidence that a result contains the answer: the features that its confidence is computed from.

There are two kinds. Without a reader, words and cosines have to tell (:class:`Evidence`). If the reader has read the
result, few features besides its logit are used (:class:`ReadEvidence`): those that mean the same in documents of any
kind. How many of a question's words stand in the text does not: people who ask before they read use other words.
"""

import math
import re
from dataclasses import dataclass, fields
from operator import attrgetter

from qa_service.datatypes import FloatArray
from qa_service.index.words import idf

_NUMBER = re.compile(r"\d+")
_COMPOUND = re.compile(r"\b\w*\d(?:\w|[.,:/-](?=\w))*")
_WORD = re.compile(r"[\w\u0591-\u05c7\u064b-\u065f\u0900-\u0dff]+(?:n['’]t)?")
"""A word with the marks of its letters, which belong to it in Hebrew, Arabic and Indic scripts."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """Features of a question, a passage and its best sentence."""

    dense: float
    """Cosine of question and passage."""
    sentence: float
    """Mean, over the question's tokens, of the best cosine in the sentence; 0 without token vectors."""
    weakest: float
    """Minimum of these cosines; 0 without token vectors."""
    coverage: float
    """Share of the question's terms that occur in the sentence, weighted by idf."""
    missing: float
    """Idf of the question's rarest content term that the sentence lacks, as a share of the largest possible idf."""
    numbers: float
    """Share of the question's numbers that occur in the passage; 1 if it has none."""
    length: float
    """Natural logarithm of the question's number of terms."""
    negation: float
    """1 if the question has a negation and the sentence has none, else 0."""


@dataclass(frozen=True, slots=True)
class ReadEvidence:
    """Features of a result that was read. ``dense`` and ``maxsim`` tell on topic from off topic, up to their caps."""

    dense: float
    """Cosine of question and passage, at most ``DENSE_CAP``."""
    maxsim: float
    """MaxSim of question and passage, at most ``MAXSIM_CAP``; 0 without token vectors."""
    margin: float
    """Cosine of question and passage less the median cosine of the candidates."""
    logit: float
    """The reader's logit that the window answers the question."""


DENSE_CAP, MAXSIM_CAP = 0.35, 0.45
EVIDENCE_NAMES = tuple(field.name for field in fields(Evidence))
READ_NAMES = tuple(field.name for field in fields(ReadEvidence))
_IN_ORDER = attrgetter(*EVIDENCE_NAMES)
_READ_IN_ORDER = attrgetter(*READ_NAMES)


@dataclass(frozen=True, slots=True)
class QuestionFeatures:
    """The part of the evidence that depends on the question alone."""

    numbers: frozenset[str]
    negations: frozenset[str]
    """The words that negate, in the language of the index."""
    negates: bool
    weights: dict[str, float]
    """Idf of each term."""
    content: frozenset[str]
    """The terms without stop words."""
    largest_weight: float
    """Idf of a term that occurs in no passage."""
    compounds: frozenset[str] = frozenset()
    """Versions, times, dates and others that are more than one number."""

    @classmethod
    def of(
        cls, text: str, weights: dict[str, float], stop_terms: frozenset[str], negations: frozenset[str], passages: int
    ) -> "QuestionFeatures":
        """Return the features of a question; ``stop_terms`` are the stop words as terms of the index."""
        numbers, largest = frozenset(_NUMBER.findall(text)), float(idf(passages, 0))
        content = frozenset(weights) - stop_terms
        return cls(
            numbers, negations, _negates(text, negations), weights, content, largest, frozenset(compounds_of(text))
        )


def compounds_of(text: str) -> list[str]:
    """Return numbers with signs inside, such as 5.2, 08:15 or A-3."""
    return [found for found in _COMPOUND.findall(text.casefold()) if not found.isalnum()]


def collect_evidence(
    question: QuestionFeatures,
    passage: str,
    sentence: str,
    sentence_terms: set[str],
    dense: float,
    cosines: FloatArray | None,
) -> Evidence:
    """Return the evidence of a passage and its best sentence.

    ``dense`` is the cosine of question and passage; ``cosines`` holds, for each token of the question, its best
    cosine in the sentence, or is ``None`` without token vectors.
    """
    total = sum(question.weights.values())
    covered = sum(weight for term, weight in question.weights.items() if term in sentence_terms)
    absent = [question.weights[term] for term in question.content if term not in sentence_terms]
    numbers = question.numbers
    return Evidence(
        dense=dense,
        sentence=0.0 if cosines is None else float(cosines.sum()) / len(cosines),
        weakest=0.0 if cosines is None else float(cosines.min()),
        coverage=covered / total if total else 0.0,
        missing=max(absent, default=0.0) / question.largest_weight,
        numbers=len(numbers.intersection(_NUMBER.findall(passage))) / len(numbers) if numbers else 1.0,
        length=math.log(max(1, len(question.weights))),
        negation=float(question.negates and not _negates(sentence, question.negations)),
    )


def _negates(text: str, negations: frozenset[str]) -> bool:
    return any(word in negations or word.endswith(("n't", "n’t")) for word in _WORD.findall(text.casefold()))


def evidence_row(item: Evidence | ReadEvidence) -> list[float]:
    """Return the features in the order of ``EVIDENCE_NAMES`` or ``READ_NAMES``."""
    return list((_IN_ORDER if isinstance(item, Evidence) else _READ_IN_ORDER)(item))
