"""Documents, their passages, and citations that are checked."""

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
    """Documents, by id."""

    documents: list[ListedSource]

    @classmethod
    def of(cls, documents: Iterable[SourceDocument]) -> "SourcesBody":
        """Return documents as they are listed."""
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
    """Characters of a document's text; the end is exclusive."""

    start_char: int
    end_char: int


class PassagesBody(BaseModel):
    """The passages of a document, in order."""

    passages: list[SpanBody]


class CitedBody(BaseModel):
    """A citation as an answer gave it; only these fields are looked at."""

    model_config = ConfigDict(extra="ignore", strict=True)

    uri: str = Field(min_length=1, max_length=4096)
    start_char: int = Field(ge=0, le=2**40)
    quote: str = Field(min_length=1, max_length=20_000)
    quote_start: int = Field(0, ge=0, le=2**40)

    def cited(self) -> CitedQuote:
        """Return where the quote stood."""
        return CitedQuote(self.uri, self.start_char + self.quote_start, self.quote)


class VerifyRequest(BaseModel):
    """Citations to be checked."""

    model_config = ConfigDict(extra="forbid", strict=True)

    citations: list[CitedBody] = Field(min_length=1, max_length=50)


class VerdictBody(BaseModel):
    """What became of a quote."""

    state: State = Field(
        description="`exact`: where it was cited; `moved`: elsewhere, word for word; `changed`: something like it."
    )
    quote: str
    now: str | None = Field(description="The text that stands there now; null if it is gone.")
    document_id: str | None
    uri: str | None
    start_char: int | None
    end_char: int | None
    url: str | None = Field(description="Path on this server that shows it in its document.")

    @classmethod
    def of(cls, verdict: Verdict, own: Callable[[str], str]) -> "VerdictBody":
        """Return a verdict's shape in JSON; ``own`` completes addresses of this service."""
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
    """A verdict of each citation, in their order."""

    index_version: str
    verdicts: list[VerdictBody]
