"""Bodies of ``POST /ask`` and ``POST /ask/batch``."""

from collections.abc import Callable
from dataclasses import asdict, fields
from operator import attrgetter
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from qa_service.datatypes import Answer, AskOptions, CitedPassage, Filters, Position
from qa_service.errors import InvalidRequest
from qa_service.text.cleaning import MAX_QUESTION_CHARACTERS, check_question

MAX_SHORT = 500
Short = Annotated[str, StringConstraints(max_length=MAX_SHORT)]
OneOrMore = Short | Annotated[list[Short], Field(min_length=1, max_length=100)]
_UNITS = tuple(field.name for field in fields(Position))
_offsets = attrgetter(*_UNITS)
_EXAMPLE_QUESTION = "When was the Mutual Defense Treaty signed?"


def _askable(question: str) -> str:
    try:
        check_question(question)
    except InvalidRequest as error:
        raise ValueError(str(error)) from None
    return question


Askable = Annotated[
    str,
    AfterValidator(_askable),
    Field(json_schema_extra={"minLength": 1, "maxLength": MAX_QUESTION_CHARACTERS, "pattern": "^[^\\u0000]*$"}),
]


class FiltersBody(BaseModel):
    """Restricts the passages that may be results. All given filters must match; in a list, any one value."""

    model_config = ConfigDict(strict=True, extra="forbid")

    document_id: OneOrMore | None = Field(None, description="`document_id` of a citation.")
    path_prefix: OneOrMore | None = Field(None, description="Prefix of `uri`.")
    section: OneOrMore | None = Field(None, description="Heading anywhere in `section_path`.")
    metadata: dict[Short, OneOrMore] | None = Field(
        None, description="Keys and values of the document's front matter, compared as text.", max_length=20
    )

    def filters(self) -> Filters:
        """Return the filters."""
        return Filters(
            document_ids=_several(self.document_id),
            path_prefixes=_several(self.path_prefix),
            sections=_several(self.section),
            metadata={key: _several(values) for key, values in (self.metadata or {}).items()},
        )


def _several(value: str | list[str] | None) -> tuple[str, ...]:
    return () if value is None else (value,) if isinstance(value, str) else tuple(value)


class AskRequest(BaseModel):
    """A question. ``query`` is accepted as another name of ``question``."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"examples": [{"question": _EXAMPLE_QUESTION, "top_k": 3}]},
    )

    question: Askable = Field(
        validation_alias=AliasChoices("question", "query"),
        description="1 to 2,000 characters (code points), not blank.",
    )
    top_k: int | None = Field(None, ge=1, le=50, description="Number of results. Default: the server's setting.")
    min_confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Confidence from which the question counts as answerable. Default: the server's setting.",
    )
    filters: FiltersBody | None = Field(None, description="Which passages may be results. Default: all.")

    def options(self, *, explain: bool = False) -> AskOptions:
        """Return the options of the request."""
        filters = None if self.filters is None else self.filters.filters()
        return AskOptions(self.top_k, self.min_confidence, filters, explain)


class ScoresBody(BaseModel):
    """The signals behind the rank; null for a signal that was not used."""

    dense: float = Field(description="Cosine similarity of question and passage, -1 to 1.")
    lexical: float | None = Field(
        description="BM25 score, from 0; null if the question shares no word with any passage."
    )
    rerank: float | None = Field(description="MaxSim of the token vectors, -1 to 1, or the score of a cross-encoder.")


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
    quote: str = Field(description="The passage's sentence that answers the question best.")
    quote_start: int = Field(description="Offset of the quote in the result's `text`, in code points.")
    quote_end: int = Field(description="Offset of the character after the quote in `text`.")
    url: str = Field(description="Link to the quote: a published page, or a path on this server.")
    permalink: str = Field(description="Path on this server that says, now and later, whether the quote still stands.")
    document_sha256: str = Field(description="Hash of the document's file when it was indexed.")
    passage_sha256: str = Field(description="Hash of the passage's text in UTF-8.")


class ResultBody(BaseModel):
    """A passage, verbatim, with its citation."""

    rank: int = Field(description="Place among the results, from 1.")
    score: float = Field(
        description="Fused score, 0 to 1 among the candidates of this question; results are ordered by it."
    )
    confidence: float | None = Field(
        description="Probability, 0 to 1, that the passage contains the answer; null if the model has no calibration."
    )
    text: str = Field(description="The passage, verbatim.")
    scores: ScoresBody = Field(description="The signals behind the rank.")
    citation: CitationBody = Field(description="Where the passage stands, and its quote.")
    explanation: ExplanationBody | None = Field(None, description="Only with `?explain=true`.")


class AnswerBody(BaseModel):
    """The best quote, and the index in `results` of its passage."""

    text: str = Field(description="The quote that answers best, word for word.")
    citation_index: int = Field(description="Index in `results` of the passage with the quote, from 0.")


class AskResponse(BaseModel):
    """The best passages for a question, best first, and whether they are likely to answer it."""

    id: str = Field(description="Id of the answer, for `POST /feedback`.")
    question: str = Field(description="The question.")
    answerable: bool | None = Field(
        description="Whether the confidence reaches the threshold; null if the model has no calibration."
    )
    confidence: float | None = Field(
        description="Probability, 0 to 1, that the results contain the answer; null if the model has no calibration."
    )
    answer: AnswerBody | None = Field(description="null if the documents are unlikely to contain the answer.")
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


class BatchRequest(BaseModel):
    """Many questions, each as text or as the body of ``POST /ask``."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        json_schema_extra={"examples": [{"questions": [{"question": _EXAMPLE_QUESTION, "top_k": 1}]}]},
    )

    questions: list[Any] = Field(
        min_length=1,
        description="Texts, or objects as for `POST /ask`, up to the server's limit. Each invalid one gets an error.",
    )


class BatchItem(BaseModel):
    """An answer or a problem."""

    status: int = Field(description="The status that ``POST /ask`` would have had.")
    answer: AskResponse | None = Field(description="The answer; null if there is a problem.")
    problem: Problem | None = Field(description="The problem; null if there is an answer.")


class BatchResponse(BaseModel):
    """The result of each question, in order."""

    results: list[BatchItem] = Field(description="An answer or a problem for each question.")
    took_ms: float = Field(description="Time to answer all questions, in milliseconds.")


def ask_body(
    request_id: str, answer: Answer, took_ms: float, own: Callable[[str], str] = lambda address: address
) -> dict[str, Any]:
    """Return an answer in the shape of :class:`AskResponse`, ready for JSON. Scores have three decimals.

    ``own`` turns a path of this service into a URL.
    """
    quote = answer.results[answer.best].citation.quote if answer.is_shown else ""
    return {
        "id": request_id,
        "question": answer.question,
        "answerable": answer.answerable,
        "confidence": _rounded(answer.confidence),
        "answer": {"text": quote, "citation_index": answer.best} if answer.is_shown else None,
        "results": [_result(result, own) for result in answer.results],
        "took_ms": round(took_ms, 2),
        "index_version": answer.index_version,
    }


def _result(result: CitedPassage, own: Callable[[str], str]) -> dict[str, Any]:
    scored, citation = result.scored, result.citation
    return {
        "rank": scored.rank,
        "score": round(scored.score, 3),
        "confidence": _rounded(scored.confidence),
        "text": scored.passage.text,
        "scores": {
            "dense": round(scored.scores.dense, 3),
            "lexical": _rounded(scored.scores.lexical),
            "rerank": _rounded(scored.scores.rerank),
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
            "document_sha256": citation.document_sha256,
            "passage_sha256": citation.passage_sha256,
        },
        "explanation": None if scored.explanation is None else asdict(scored.explanation),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
