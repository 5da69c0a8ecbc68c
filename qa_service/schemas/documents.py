"""Bodies for documents, their passages, and the verification of citations."""

from collections.abc import Callable, Iterable

from pydantic import BaseModel, ConfigDict, Field

from qa_service.citations import CitedQuote, State, Verdict, view_path
from qa_service.datatypes import SourceDocument
from qa_service.schemas.blocks import BlockBody


class SourceBody(BaseModel):
    """A document as it was indexed."""

    document_id: str = Field(description="Id of the document.")
    title: str = Field(description="Title of the document.")
    uri: str = Field(description="Path of the document below the source folder.")
    document_sha256: str = Field(description="Hash of the document's file when it was indexed.")
    text: str = Field(description="The text that was indexed; offsets of citations refer to it.")


class StoredDocument(BaseModel):
    """A file that was stored in the source folder."""

    uri: str = Field(description="Path of the file below the source folder.")
    sha256: str = Field(description="Hash of the file's content, which is also its `ETag`.")
    size: int = Field(description="Size of the file in bytes.")
    build: str | None = Field(description="Path that shows the state of the build, if one will start.")


class ListedSource(BaseModel):
    """A document without its text."""

    document_id: str = Field(description="Id of the document.")
    title: str = Field(description="Title of the document.")
    uri: str = Field(description="Path of the document below the source folder.")
    media_type: str = Field(description="Format of the document's file.")
    document_sha256: str = Field(description="Hash of the document's file when it was indexed.")


class SourcesBody(BaseModel):
    """Documents, in order of their ids."""

    documents: list[ListedSource] = Field(description="At most `limit` documents.")

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

    start_char: int = Field(description="First character.")
    end_char: int = Field(description="The character after the last.")


class PassagesBody(BaseModel):
    """The passages of a document, in order."""

    passages: list[SpanBody] = Field(description="The span of each passage.")


class HeadingBody(BaseModel):
    """A section of a document."""

    text: str = Field(description="The heading.")
    level: int = Field(description="Depth of the section, from 1.")
    start_char: int = Field(description="First character of the text below the heading.")


class PagesBody(BaseModel):
    """Pages of a document, from 1."""

    first: int = Field(description="The first page.")
    last: int = Field(description="The last page.")


class PreviewBody(BaseModel):
    """The part of a document around a quote."""

    document_id: str = Field(description="Id of the document.")
    title: str = Field(description="Title of the document.")
    uri: str = Field(description="Path of the document below the source folder.")
    media_type: str = Field(description="Format of the document's file.")
    url: str | None = Field(description="Link to the quote where the document is published; null if it is not.")
    view: str = Field(description="Path on this server of the page that shows the quote in its document.")
    start_char: int = Field(description="Offset of the part in the document, in code points.")
    end_char: int = Field(description="Offset of the character after the part.")
    length: int = Field(description="Length of the document, in code points.")
    text: str = Field(description="The part, verbatim.")
    blocks: list[BlockBody] = Field(description="The part as a page shows it, in offsets of `text`.")
    outline: list[HeadingBody] = Field(
        description="The sections of the document, at most 2,000; for a key or link that leads to a quote only, those "
        "in the part."
    )
    pages: PagesBody | None = Field(description="Pages of the quote; null for formats without pages.")
    pictures: list[str] = Field(
        description="Paths on this server of the pictures of these pages, at most three; none unless it is a PDF."
    )


class CitedBody(BaseModel):
    """A citation as in an answer; other fields are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)

    uri: str = Field(min_length=1, max_length=4096, description="`uri` of the citation.")
    start_char: int = Field(ge=0, le=2**40, description="`start_char` of the citation.")
    quote: str = Field(min_length=1, max_length=20_000, description="`quote` of the citation.")
    quote_start: int = Field(
        0, ge=0, le=2**40, description="`quote_start` of the citation; 0 if `start_char` is that of the quote."
    )

    def cited(self) -> CitedQuote:
        """Return the quote with its position."""
        return CitedQuote(self.uri, self.start_char + self.quote_start, self.quote)


class VerifyRequest(BaseModel):
    """Citations to verify."""

    model_config = ConfigDict(extra="forbid", strict=True)

    citations: list[CitedBody] = Field(min_length=1, max_length=50, description="Citations, as in answers.")


class VerdictBody(BaseModel):
    """Whether a quote still stands."""

    state: State = Field(
        description="`exact`: verbatim where it was cited; `moved`: verbatim elsewhere; `changed`: similar text in its "
        "place; `gone`: neither."
    )
    quote: str = Field(description="The quote as it was cited.")
    now: str | None = Field(description="The text there now; null if the quote is gone.")
    document_id: str | None = Field(description="Id of the document that contains the text now.")
    uri: str | None = Field(description="Path of that document below the source folder.")
    start_char: int | None = Field(description="First character of the text there.")
    end_char: int | None = Field(description="The character after the text there.")
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

    index_version: str = Field(description="The generation of the index that was searched.")
    verdicts: list[VerdictBody] = Field(description="A verdict for each citation.")
