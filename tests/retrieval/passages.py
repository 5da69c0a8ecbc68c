"""Passages, hits and a reader of words, for the tests of quotes and answers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from qa_service.datatypes import Passage, Position, ScoredPassage, Scores
from qa_service.reading import Reading, Window
from qa_service.retrieval.evidence import Evidence
from qa_service.retrieval.hits import Hit
from qa_service.retrieval.quotes import quotable


def passage(*sentences: str, between: str = " ", number: int = 0, document: str = "a", context: str = "") -> Passage:
    """Return a passage of some sentences."""
    text, places = between.join(sentences), []
    at = 0
    for sentence in sentences:
        places.append((at, at + len(sentence)))
        at += len(sentence) + len(between)
    position = Position(0, len(text), 0, len(text), 0, len(text.encode()), 1, 1)
    return Passage(number, document, text, (), context, position, tuple(places))


def hit(
    found: Passage, score: float, *, sentence: int = 0, similar: float = 0.5, confidence: float | None = None
) -> Hit:
    """Return a passage as a result, with the mean cosine of its best sentence as evidence."""
    result = ScoredPassage(
        rank=1,
        passage=found,
        score=score,
        confidence=confidence,
        scores=Scores(0.5, 1.0, 0.6),
        quote=found.sentences[sentence],
        explanation=None,
    )
    evidence = Evidence(0.5, similar, 0.1, 0.5, 0.1, 1.0, 1.0, 0.0)
    return Hit(result, evidence, np.array([found.number], np.int32), sentence, quotable(found), 0.6, 0.1)


@dataclass
class FakeReader:
    """Gives a window the sum of the logits of the words in it; the answer is the first figure, else the first word."""

    logits: Mapping[str, float] = field(default_factory=dict)
    seen: list[Window] = field(default_factory=list)
    deep: list[bool] = field(default_factory=list)
    loaded: bool = False

    def load(self) -> None:
        self.loaded = True

    def read(self, question: str, window: Window, *, deep: bool = False) -> Reading:
        self.seen.append(window)
        self.deep.append(deep)
        found = re.search(r"\d[\d,]*", window.text) or re.search(r"\w+", window.text)
        logit = sum(value for word, value in self.logits.items() if word in window.text)
        return Reading(logit, found.span() if found else (0, 0), 0.9 / (1 + len(window.text)))
