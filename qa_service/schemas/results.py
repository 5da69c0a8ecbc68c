"""Bodies of the results of an answer: passages with their scores and citations."""

from collections.abc import Callable
from dataclasses import asdict, fields
from operator import attrgetter
from typing import Any

from pydantic import BaseModel, Field

from qa_service.citations import preview_path
from qa_service.datatypes import Citation, CitedPassage, Offsets, Position
from qa_service.schemas.blocks import BlockBody, block_bodies
from qa_service.schemas.page_boxes import PageBoxBody, box_bodies

_UNITS = tuple(field.name for field in fields(Position))
_offsets = attrgetter(*_UNITS)


class ScoresBody(BaseModel):
    """The signals behind the rank; null for a signal that was not used."""

    dense: float = Field(description="Cosine similarity of question and passage, -1 to 1.")
    lexical: float | None = Field(
        description="BM25 score, from 0; null if the question shares no word with any passage."
    )
    rerank: float | None = Field(description="MaxSim of the token vectors, -1 to 1, or the score of a cross-encoder.")
    reading: float | None = Field(
        description="The reader's logit that the quote answers the question, above 0 if it rather does; null if the "
        "reader did not read it."
    )


class ExplanationBody(BaseModel):
    """Why a passage has its rank."""

    dense_rank: int | None = Field(description="Rank by cosine similarity alone; null if not among the best by it.")
    lexical_rank: int | None = Field(description="Rank by BM25 alone; null if not among the best by it.")
    matched_terms: list[str] = Field(description="The question's terms that occur in the passage, as stems.")
    fused: float = Field(description="The `score` before rounding.")


class CitationBody(BaseModel):
    """The position of the passage. Ends are exclusive, except `end_line`, which is the last line."""

    document_id: str = Field(description="Id of the document, for `/sources/{document_id}`.")
    title: str = Field(description="Title of the document.")
    uri: str = Field(description="Path of the document below the source folder.")
    section_path: list[str] = Field(description="Headings above the passage, outermost first.")
    page: int | None = Field(description="Page on which the quote begins, from 1; null for formats without pages.")
    start_char: int = Field(description="Offset in the document, in Unicode code points.")
    end_char: int = Field(description="Offset of the character after the passage, in code points.")
    start_utf16: int = Field(description="The same offset in UTF-16 code units, as in JavaScript.")
    end_utf16: int = Field(description="Offset after the passage, in UTF-16 code units.")
    start_byte: int = Field(description="The same offset in bytes of UTF-8.")
    end_byte: int = Field(description="Offset after the passage, in bytes of UTF-8.")
    start_line: int = Field(description="First line, from 1.")
    end_line: int = Field(description="Last line, inclusive.")
    quote: str = Field(description="The passage's sentence that answers the question best, or several.")
    quote_start: int = Field(description="Offset of the quote in the result's `text`, in code points.")
    quote_end: int = Field(description="Offset of the character after the quote in `text`.")
    url: str = Field(description="Link to the quote: a published page, or a path on this server.")
    permalink: str = Field(description="Path on this server that says, now and later, whether the quote still stands.")
    preview: str = Field("", description="Path on this server of the text around the quote, for `GET …/preview`.")
    document_sha256: str = Field(description="Hash of the document's file when it was indexed.")
    passage_sha256: str = Field(description="Hash of the passage's text in UTF-8.")
    boxes: list[PageBoxBody] = Field([], description="Where the quote stands on the pages of a PDF, a box a line.")
    ocr: bool = Field(
        False,
        description="Whether the quote was read from a picture of a scanned page (OCR), where letters can be mistaken.",
    )


class ResultBody(BaseModel):
    """A passage, verbatim, with its citation."""

    rank: int = Field(description="Place among the results, from 1.")
    score: float = Field(
        description="Fused score, 0 to 1 among the candidates of this question, and a share of `scores.reading`; "
        "results are ordered by it."
    )
    confidence: float | None = Field(
        description="Probability, 0 to 1, that the passage contains the answer; null if the model has no calibration."
    )
    text: str = Field(description="The passage, verbatim.")
    scores: ScoresBody = Field(description="The signals behind the rank.")
    citation: CitationBody = Field(description="Where the passage stands, and its quote.")
    explanation: ExplanationBody | None = Field(None, description="Only with `?explain=true`.")
    blocks: list[BlockBody] | None = Field(
        None, description="The passage as a page shows it, in offsets of `text`. Only with `?blocks=true`."
    )


def result_body(result: CitedPassage, own: Callable[[str], str]) -> dict[str, Any]:
    """Return a result in the shape of :class:`ResultBody`; ``own`` completes links to this service."""
    scored, citation = result.scored, result.citation
    return {
        "rank": scored.rank,
        "score": round(scored.score, 3),
        "confidence": rounded(scored.confidence),
        "text": scored.passage.text,
        "scores": {
            "dense": round(scored.scores.dense, 3),
            "lexical": rounded(scored.scores.lexical),
            "rerank": rounded(scored.scores.rerank),
            "reading": rounded(scored.scores.reading),
        },
        "citation": {
            "document_id": citation.document_id,
            "title": citation.title,
            "uri": citation.uri,
            "section_path": list(citation.section_path),
            "page": citation.page,
            **dict(zip(_UNITS, _offsets(citation.position), strict=True)),
            "quote": citation.quote,
            "quote_start": citation.quote_start,
            "quote_end": citation.quote_end,
            "url": own(citation.url),
            "permalink": own(f"/cite/{citation.permalink}"),
            "preview": own(preview_path(citation.document_id, _place(citation))),
            "document_sha256": citation.document_sha256,
            "passage_sha256": citation.passage_sha256,
            "boxes": box_bodies(citation.boxes),
            "ocr": citation.ocr,
        },
        "explanation": None if scored.explanation is None else asdict(scored.explanation),
        **({} if result.blocks is None else {"blocks": block_bodies(result.blocks)}),
    }


def rounded(value: float | None) -> float | None:
    """Return a score or probability with three decimals."""
    return None if value is None else round(value, 3)


def _place(citation: Citation) -> Offsets:
    """Return the offsets of the quote in its document."""
    start = citation.position.start_char
    return start + citation.quote_start, start + citation.quote_end
