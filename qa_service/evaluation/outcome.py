"""The answer to a question as it is evaluated, from this process or from a service over HTTP."""

from dataclasses import dataclass

from qa_service.datatypes import Answer, AnswerVerdict, Offsets, ReasonKind
from qa_service.evaluation.gold import Span
from qa_service.schemas.ask import AskResponse

_DECIMALS = 3
"""Scores are rounded as over HTTP."""


@dataclass(frozen=True, slots=True)
class ReturnedPassage:
    """A returned passage: its place in the document, and the place of the quote in its text."""

    uri: str
    start: int
    end: int
    score: float
    confidence: float | None
    text: str
    quote: Offsets

    @property
    def span(self) -> Span:
        """The place in the document."""
        return Span(self.uri, self.start, self.end)

    def quoting(self, start: int, end: int) -> "ShownQuote":
        """Return the quote at these offsets in the text."""
        return ShownQuote(self.uri, self.start + start, self.start + end, self.text[start:end])


@dataclass(frozen=True, slots=True)
class ShownQuote:
    """A quote of an answer: its place in the document, and its text."""

    uri: str
    start: int
    end: int
    text: str

    @property
    def span(self) -> Span:
        """The place in the document."""
        return Span(self.uri, self.start, self.end)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a question, as it is evaluated.

    ``verdict`` is ``None`` without a calibration. ``quotes`` are those that are shown, the best one first; there are
    none if nothing was found. ``reason`` is the kind of the answer's reason. ``pinned`` tells whether a person
    chose the quotes. ``milliseconds`` is ``None`` if the question was not timed alone.
    """

    verdict: AnswerVerdict | None
    confidence: float | None
    quotes: tuple[ShownQuote, ...]
    results: tuple[ReturnedPassage, ...]
    index_version: str
    reason: ReasonKind | None = None
    milliseconds: float | None = None
    pinned: bool = False

    @property
    def answer(self) -> str | None:
        """The text of the best quote, or ``None`` if none is shown."""
        return self.quotes[0].text if self.quotes else None

    @property
    def best(self) -> ShownQuote | None:
        """The best quote, whether it is shown or not; ``None`` without results."""
        if self.quotes or not self.results:
            return self.quotes[0] if self.quotes else None
        return self.results[0].quoting(*self.results[0].quote)

    @property
    def is_sure(self) -> bool:
        """Whether a quote is shown as the answer, not as an uncertain one; without a calibration every quote is."""
        return bool(self.quotes) and self.verdict != "uncertain"

    @classmethod
    def of_answer(cls, answer: Answer) -> "Outcome":
        """Return the outcome of an answer in this process."""
        results = tuple(
            ReturnedPassage(
                uri=result.citation.uri,
                start=result.citation.position.start_char,
                end=result.citation.position.end_char,
                score=round(result.scored.score, _DECIMALS),
                confidence=_rounded(result.scored.confidence),
                text=result.scored.passage.text,
                quote=(result.citation.quote_start, result.citation.quote_end),
            )
            for result in answer.results
        )
        shown = answer.quotes if answer.is_shown else ()
        return cls(
            verdict=answer.verdict,
            confidence=_rounded(answer.confidence),
            quotes=tuple(results[quote.result].quoting(*quote.place) for quote in shown),
            results=results,
            index_version=answer.index_version,
            reason=None if answer.reason is None else answer.reason.kind,
            pinned=answer.pinned,
        )

    @classmethod
    def of_response(cls, answer: AskResponse, milliseconds: float) -> "Outcome":
        """Return the outcome of a response of ``POST /ask``."""
        results = tuple(
            ReturnedPassage(
                uri=result.citation.uri,
                start=result.citation.start_char,
                end=result.citation.end_char,
                score=result.score,
                confidence=result.confidence,
                text=result.text,
                quote=(result.citation.quote_start, result.citation.quote_end),
            )
            for result in answer.results
        )
        shown = () if answer.answer is None else answer.answer.quotes
        return cls(
            verdict=answer.verdict,
            confidence=answer.confidence,
            quotes=tuple(results[quote.citation_index].quoting(quote.start, quote.end) for quote in shown),
            results=results,
            index_version=answer.index_version,
            reason=None if answer.reason is None else answer.reason.kind,
            milliseconds=milliseconds,
            pinned=answer.pinned,
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, _DECIMALS)
