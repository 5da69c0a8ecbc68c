"""Bodies for documents, their passages, and the verification of citations."""

from collections.abc import Callable, Iterable

from pydantic import BaseModel, ConfigDict, Field

from qa_service.citations import CitedQuote, State, Verdict, view_path
from qa_service.datatypes import SourceDocument


class SourceBody(BaseModel):
    """A document as it was indexed."""

    document_id: str
    title: str
    uri: str
    document_sha256: str
    text: str


class ListedSource(BaseModel):
    """A document without its text."""

    document_id: str
    title: str
    uri: str
    media_type: str
    document_sha256: str


class SourcesBody(BaseModel):
    """Documents, in order of their ids."""

    documents: list[ListedSource]

    @classmethod
    def of(cls, documents: Iterable[SourceDocument]) -> "SourcesBody":
        """Return the body that lists these documents."""
        return cls(
            documents=[
                ListedSource(
                    document_id=document.id,
                    title=document.title,
                    uri=document.uri,
                    media_type=document.media_type,
                    document_sha256=document.sha256,
                )
                for document in documents
            ]
        )


class SpanBody(BaseModel):
    """A span of a document's text in code points; the end is exclusive."""

    start_char: int
    end_char: int


class PassagesBody(BaseModel):
    """The passages of a document, in order."""

    passages: list[SpanBody]


class CitedBody(BaseModel):
    """A citation as in an answer; other fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    uri: str = Field(min_length=1, max_length=4096)
    start_char: int = Field(ge=0, le=2**40)
    quote: str = Field(min_length=1, max_length=20_000)
    quote_start: int = Field(0, ge=0, le=2**40)

    def cited(self) -> CitedQuote:
        """Return the quote with its position."""
        return CitedQuote(self.uri, self.start_char + self.quote_start, self.quote)


class VerifyRequest(BaseModel):
    """Citations to verify."""

    model_config = ConfigDict(extra="forbid", strict=True)

    citations: list[CitedBody] = Field(min_length=1, max_length=50)


class VerdictBody(BaseModel):
    """Whether a quote still stands."""

    state: State = Field(
        description="`exact`: verbatim where it was cited; `moved`: verbatim elsewhere; `changed`: similar text in its "
        "place; `gone`: neither."
    )
    quote: str
    now: str | None = Field(description="The text there now; null if the quote is gone.")
    document_id: str | None
    uri: str | None
    start_char: int | None
    end_char: int | None
    url: str | None = Field(description="Path on this server that shows the text in its document.")

    @classmethod
    def of(cls, verdict: Verdict, own: Callable[[str], str]) -> "VerdictBody":
        """Return the body of a verdict; ``own`` turns a path of this service into a URL."""
        start, end = verdict.place or (None, None)
        return cls(
            state=verdict.state,
            quote=verdict.quote,
            now=verdict.now,
            document_id=verdict.document_id,
            uri=verdict.uri,
            start_char=start,
            end_char=end,
            url=None if verdict.place is None else own(view_path(verdict.document_id or "", verdict.place)),
        )


class VerifyResponse(BaseModel):
    """The verdict on each citation, in order."""

    index_version: str
    verdicts: list[VerdictBody]
