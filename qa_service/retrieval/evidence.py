"""Evidence that a result contains the answer: features of its best sentence, which ``confidence`` is computed from."""

import math
import re
from dataclasses import dataclass, fields
from operator import attrgetter

from qa_service.datatypes import FloatArray
from qa_service.index.words import idf

_NUMBER = re.compile(r"\d+")
_WORD = re.compile(r"\w+(?:n['’]t)?")
# English only; questions in other languages leave both features at rest.
_NEGATIONS = frozenset(
    (
        "not",
        "no",
        "never",
        "without",
        "except",
        "neither",
        "nor",
        "nobody",
        "nothing",
        "none",
        "least",
        "fewest",
        "lack",
    )
)
_STOP_WORDS = frozenset(
    (
        *("what", "which", "who", "whom", "whose", "when", "where", "why", "how", "is", "are", "was", "were", "be"),
        *("been", "do", "does", "did", "has", "have", "had", "can", "could", "would", "should", "will", "the", "a"),
        *("an", "of", "in", "on", "for", "to", "by", "with", "from", "as", "at", "and", "or", "that", "this", "it"),
        *("its", "their", "there", "they", "he", "she", "his", "her", "than", "then", "into", "about", "much", "many"),
    )
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a result holding the answer.

    ``dense``: cosine of question and passage. ``sentence``: mean over the question's tokens of their best
    cosine in the best sentence, ``weakest`` the least of them; both 0 without token vectors. ``coverage``:
    idf-weighted share of the question's terms in that sentence. ``missing``: idf of the rarest term that is
    not in it, as a share of the largest idf possible. ``numbers``: share of the question's numbers in the
    passage. ``length``: natural logarithm of the question's number of terms. ``negation``: 1 if the question
    negates and the sentence does not.
    """

    dense: float
    sentence: float
    weakest: float
    coverage: float
    missing: float
    numbers: float
    length: float
    negation: float


EVIDENCE_NAMES = tuple(field.name for field in fields(Evidence))
_IN_ORDER = attrgetter(*EVIDENCE_NAMES)


@dataclass(frozen=True, slots=True)
class QuestionFeatures:
    """What the evidence needs of a question, worked out once."""

    numbers: frozenset[str]
    negates: bool
    weights: dict[str, float]
    """Each term's idf."""
    content: frozenset[str]
    """The terms that are no stop words."""
    largest_weight: float

    @classmethod
    def of(cls, text: str, weights: dict[str, float], stop_terms: frozenset[str], passages: int) -> "QuestionFeatures":
        """Collect it; ``stop_terms`` are the stop words as terms."""
        numbers, largest = frozenset(_NUMBER.findall(text)), float(idf(passages, 0))
        return cls(numbers, _negates(text), weights, frozenset(weights) - stop_terms, largest)


def stop_words() -> str:
    """Return the stop words as a text, to be turned into terms."""
    return " ".join(_STOP_WORDS)


def collect_evidence(
    question: QuestionFeatures,
    passage: str,
    sentence: str,
    sentence_terms: set[str],
    dense: float,
    cosines: FloatArray | None,
) -> Evidence:
    """Return what speaks for a passage and its best sentence; ``cosines`` are the question's tokens' best in it."""
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
        negation=float(question.negates and not _negates(sentence)),
    )


def _negates(text: str) -> bool:
    return any(word in _NEGATIONS or word.endswith(("n't", "n’t")) for word in _WORD.findall(text.casefold()))


def evidence_row(item: Evidence) -> list[float]:
    """Return the numbers in the order of ``EVIDENCE_NAMES``."""
    return list(_IN_ORDER(item))
