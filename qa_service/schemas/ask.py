"""Bodies of the response of ``POST /ask``, and of errors."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from qa_service.datatypes import (
    Answer,
    AnswerVerdict,
    Citation,
    Quote,
    ReasonKind,
    UnderstoodQuestion,
)
from qa_service.schemas.results import ResultBody, result_body, rounded

_OF_THE_BEST = ("text", "citation_index", "spans")


class SpanBody(BaseModel):
    """The exact words within a quote that answer the question."""

    start: int = Field(description="Offset in the result's `text`, in code points.")
    end: int = Field(description="Offset of the character after the words in `text`.")
    text: str = Field(description="The words.")


class QuoteBody(BaseModel):
    """Sentences of a result that answer the question, or a part of it."""

    text: str = Field(description="The quote, word for word.")
    citation_index: int = Field(description="Index in `results` of the passage with the quote, from 0.")
    start: int = Field(description="Offset of the quote in the result's `text`, in code points.")
    end: int = Field(description="Offset of the character after the quote in `text`.")
    spans: list[SpanBody] = Field(description="The exact words that answer; empty if the reader names none.")


class AnswerBody(BaseModel):
    """The best quote, and the index in `results` of its passage."""

    text: str = Field(description="The quote that answers best, word for word.")
    citation_index: int = Field(description="Index in `results` of the passage with the quote, from 0.")
    spans: list[SpanBody] = Field(description="The exact words in the quote; empty if the reader names none.")
    quotes: list[QuoteBody] = Field(
        description="All quotes, best first. The first is the answer itself. Others answer the other part of a "
        "question of two parts, or contradict the first."
    )


class ReasonBody(BaseModel):
    """Why the question is not answered, or not with certainty."""

    kind: ReasonKind = Field(
        description="`missing_term`: no document mentions a word of the question. `missing_number`: no result "
        "mentions a number of the question. `conflict`: two documents answer with different figures. `follow_up`: the "
        "question does not name its subject. `other_language`: the question is in a language that the documents "
        "don't have."
    )
    message: str = Field(description="The reason as an English sentence, for people.")
    subject: str = Field(description="The word, number, language or question that it is about; empty for a conflict.")
    results: list[int] = Field(description="Indices in `results` of the passages in conflict, from 0; else empty.")


class CorrectionBody(BaseModel):
    """A word that no document holds, and the word that was probably meant."""

    model_config = ConfigDict(populate_by_name=True)

    original: str = Field(alias="from", description="The word as it was typed.")
    corrected: str = Field(alias="to", description="The word of the documents.")


class ExpansionBody(BaseModel):
    """A phrase of the question that the documents also name in other words."""

    phrase: str = Field(description="The phrase.")
    synonyms: list[str] = Field(description="The words that were looked for too.")


class UnderstoodBody(BaseModel):
    """The question as it was asked of the documents."""

    text: str = Field(description="Its main wording.")
    corrections: list[CorrectionBody] = Field(description="Spelling corrections; both spellings were asked.")
    expansions: list[ExpansionBody] = Field(description="Acronyms and synonyms that were looked for too.")
    follow_up_of: str | None = Field(description="The earlier question that completes it; null if it stands alone.")
    parts: list[str] = Field(description="The questions that it consists of; empty if it is one.")
    language: str | None = Field(description="Its language, if that can be told and the documents are in another.")


class HeadingBody(BaseModel):
    """A section of a document that is near a question."""

    document_id: str = Field(description="Id of the document, for `/sources/{document_id}`.")
    title: str = Field(description="Title of the document.")
    uri: str = Field(description="Path of the document below the source folder.")
    section_path: list[str] = Field(description="Headings of the section, outermost first; empty without headings.")
    url: str = Field(description="Link to the nearest passage of the section.")


class AskResponse(BaseModel):
    """The best passages for a question, best first, and whether they are likely to answer it."""

    id: str = Field(description="Id of the answer, for `POST /feedback`.")
    question: str = Field(description="The question.")
    understood: UnderstoodBody | None = Field(
        description="How the question was understood; null if it was asked as it is. Never null with `?explain=true`."
    )
    verdict: AnswerVerdict | None = Field(
        description="`answered`: the best quote is likely to answer. `uncertain`: it may answer. `not_found`: the "
        "documents are unlikely to contain the answer. null if the model has no calibration."
    )
    answerable: bool | None = Field(description="True if the verdict is `answered`; null without a verdict.")
    confidence: float | None = Field(
        description="Probability, 0 to 1, that the results contain the answer; null if the model has no calibration."
    )
    answer: AnswerBody | None = Field(
        description="The best quote; null if the verdict is `not_found`. Show it as uncertain if the verdict says so."
    )
    pinned: bool = Field(
        False,
        description="Whether a person chose the quote for this question, in `answers.jsonl` of the documents. Then the "
        "verdict is `answered` and the confidence 1.",
    )
    reason: ReasonBody | None = Field(
        description="Why the verdict is `uncertain` or `not_found`; null if it is `answered` or no reason is known."
    )
    nearest_headings: list[HeadingBody] = Field(
        description="The nearest sections, up to three, if the verdict is `uncertain` or `not_found`. They are a place "
        "to look, not an answer. Empty if the question is off topic."
    )
    related: list[str] = Field(
        description="Up to three questions near this one, each with another answer that the service has proved to "
        "have. Empty with filters."
    )
    results: list[ResultBody] = Field(description="The passages, best first.")
    took_ms: float = Field(description="Time to answer, in milliseconds.")
    index_version: str = Field(description="The generation of the index that answered.")


class Problem(BaseModel):
    """An error, as a problem document (RFC 9457)."""

    type: str = Field(description="`urn:qa-service:problem:` and the name of the error in docs/errors.md.")
    title: str = Field(description="The error in a few words, the same for every error of its type.")
    status: int = Field(description="The status of the response.")
    detail: str = Field(description="The cause, and a remedy.")
    instance: str = Field(description="The id of the request, as a URN.")
    request_id: str = Field(description="The id in the `X-Request-ID` header and in the server's log.")


def ask_body(
    request_id: str,
    answer: Answer,
    took_ms: float,
    own: Callable[[str], str] = lambda address: address,
    *,
    related: Sequence[str] = (),
) -> dict[str, Any]:
    """Return an answer in the shape of :class:`AskResponse`, ready for JSON. Scores have three decimals.

    ``own`` turns a path of this service into a URL.
    """
    quotes = [_quote(quote, answer) for quote in answer.quotes] if answer.is_shown else []
    explained = any(result.scored.explanation for result in answer.results)
    return {
        "id": request_id,
        "question": answer.question,
        "understood": _understood(answer.understood, always=explained),
        "verdict": answer.verdict,
        "answerable": answer.answerable,
        "confidence": rounded(answer.confidence),
        "answer": {name: quotes[0][name] for name in _OF_THE_BEST} | {"quotes": quotes} if quotes else None,
        "pinned": answer.pinned,
        "reason": None if answer.reason is None else asdict(answer.reason),
        "nearest_headings": [_heading(citation, own) for citation in answer.nearest_headings],
        "related": list(related),
        "results": [result_body(result, own) for result in answer.results],
        "took_ms": round(took_ms, 2),
        "index_version": answer.index_version,
    }


def _understood(understood: UnderstoodQuestion | None, *, always: bool) -> dict[str, Any] | None:
    """Return a question in the shape of :class:`UnderstoodBody`; ``None`` if there is nothing to say about it."""
    if understood is None:
        return None
    if not (always or understood.corrections or understood.follow_up_of or understood.parts or understood.language):
        return None
    return {
        "text": understood.text,
        "corrections": [{"from": one.original, "to": one.corrected} for one in understood.corrections],
        "expansions": [{"phrase": one.phrase, "synonyms": list(one.synonyms)} for one in understood.expansions],
        "follow_up_of": understood.follow_up_of,
        "parts": list(understood.parts),
        "language": understood.language,
    }


def _quote(quote: Quote, answer: Answer) -> dict[str, Any]:
    """Return a quote in the shape of :class:`QuoteBody`."""
    text, (start, end) = answer.results[quote.result].scored.passage.text, quote.place
    return {
        "text": text[start:end],
        "citation_index": quote.result,
        "start": start,
        "end": end,
        "spans": [{"start": low, "end": high, "text": text[low:high]} for low, high in quote.spans],
    }


def _heading(citation: Citation, own: Callable[[str], str]) -> dict[str, Any]:
    return {
        "document_id": citation.document_id,
        "title": citation.title,
        "uri": citation.uri,
        "section_path": list(citation.section_path),
        "url": own(citation.url),
    }
