"""The tools: their arguments, their results, and how a document is read a part at a time.

``search`` and ``fetch`` have the shape that the connectors of assistants ask for.
"""

from collections.abc import Iterable
from typing import Self

from mcp_types import CallToolRequestParams, ListToolsResult, Tool, ToolAnnotations
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from qa_service.citations import CitationId
from qa_service.datatypes import MAX_TURNS, AnswerVerdict, Citation, SourceDocument
from qa_service.errors import InvalidRequest, NotFound
from qa_service.pipeline import QuestionAnswerer
from qa_service.schemas.ask import AskResponse
from qa_service.schemas.questions import Askable
from qa_service.text.cleaning import MAX_QUESTION_CHARACTERS

_MAX_CHARACTERS = 20_000
_BEFORE_CHARACTERS = 5_000
"""How much of a long document is fetched, and how much of that stands before the passage."""

_FORBID = ConfigDict(extra="forbid")
_COLLECTION = Field("", description="Name of a collection; empty for the default collection.")


class AskArguments(BaseModel):
    """Find the passages of the documents that answer a question best, with citations."""

    model_config = _FORBID

    question: Askable = Field(
        description=f"A question in natural language, up to {MAX_QUESTION_CHARACTERS:,} characters."
    )
    top_k: int = Field(5, ge=1, le=50, description="Number of passages.")
    history: list[Askable] = Field(
        [],
        max_length=MAX_TURNS,
        description=f"Earlier questions of the conversation, oldest first, up to {MAX_TURNS}. They complete a question "
        "such as `And in 2018?`.",
    )
    collection: str = _COLLECTION


class SourceArguments(BaseModel):
    """Read a document, up to 20,000 characters at a time."""

    model_config = _FORBID

    document_id: str = Field(description="`document_id` of a citation.")
    start_char: int = Field(0, ge=0, description="First character to return.")
    collection: str = _COLLECTION


class SearchArguments(BaseModel):
    """Search the documents: the documents with the best passages for a query, best first."""

    model_config = _FORBID

    query: Askable = Field(description=f"A question or words, up to {MAX_QUESTION_CHARACTERS:,} characters.")
    collection: str = Field(
        "",
        description="Name of a collection; empty for the default collection, or the first one that the key may read.",
    )


class FetchArguments(BaseModel):
    """Read a document that was found: whole, or the 20,000 characters around the passage if it is longer."""

    model_config = _FORBID

    id: str = Field(description="`id` of a result of `search`.")


class SourceText(BaseModel):
    """A part of a document."""

    document_id: str
    title: str
    uri: str
    start_char: int
    end_char: int
    characters: int = Field(description="Length of the document.")
    text: str

    @classmethod
    def of(cls, document: SourceDocument, start: int) -> Self:
        """Return the part of a document from a character on. Raises :class:`InvalidRequest` beyond its end."""
        characters = len(document.text)
        if start > characters:
            raise InvalidRequest(f"start_char is {start:,}, but the document has {characters:,} characters")
        text = document.text[start : start + _MAX_CHARACTERS]
        return cls(
            document_id=document.id,
            title=document.title,
            uri=document.uri,
            start_char=start,
            end_char=start + len(text),
            characters=characters,
            text=text,
        )


class FoundDocument(BaseModel):
    """A document with a passage that was found."""

    id: str = Field(description="Id for `fetch`.")
    title: str = Field(description="Title of the document.")
    url: str = Field(description="Link to the passage in its document.")


class SearchResult(BaseModel):
    """Documents, best first."""

    results: list[FoundDocument] = Field(description="Each document once.")
    verdict: AnswerVerdict | None = Field(
        description="`not_found` if the documents are unlikely to answer the query; as in `ask`."
    )


class FetchedMetadata(BaseModel):
    """Facts about a fetched text."""

    document_id: str
    uri: str = Field(description="Path of the document below the source folder.")
    media_type: str
    document_sha256: str
    start_char: int = Field(description="Offset of `text` in the document.")
    end_char: int
    characters: int = Field(description="Length of the document; `text` is a part if it is shorter.")


class FetchResult(BaseModel):
    """The text of a document, verbatim."""

    id: str
    title: str
    text: str
    url: str = Field(description="Link to cite.")
    metadata: FetchedMetadata


Arguments = AskArguments | SourceArguments | SearchArguments | FetchArguments
_TOOLS: dict[str, tuple[str, type[Arguments], type[BaseModel]]] = {
    "ask": ("Ask the documents", AskArguments, AskResponse),
    "read_source": ("Read a document", SourceArguments, SourceText),
    "search": ("Search the documents", SearchArguments, SearchResult),
    "fetch": ("Fetch a search result", FetchArguments, FetchResult),
}
TOOL_LIST = ListToolsResult(
    tools=[
        Tool(
            name=name,
            title=title,
            description=arguments.__doc__,
            input_schema=arguments.model_json_schema(),
            output_schema=result.model_json_schema(),
            annotations=ToolAnnotations(read_only_hint=True, open_world_hint=False),
        )
        for name, (title, arguments, result) in _TOOLS.items()
    ]
)


def arguments_of(params: CallToolRequestParams) -> Arguments:
    """Return the validated arguments of a call. Raises :class:`NotFound` or :class:`InvalidRequest`."""
    if params.name not in _TOOLS:
        raise NotFound(f"no tool has this name; use one of: {', '.join(_TOOLS)}")
    model = _TOOLS[params.name][1]
    try:
        return model.model_validate(params.arguments or {})
    except ValidationError as error:
        names = ", ".join(model.model_fields)
        problems = [
            f"an argument is unknown; use only: {names}"
            if entry["type"] == "extra_forbidden"
            else f"{entry['loc'][0]}: {entry['msg'].removeprefix('Value error, ')}"
            for entry in error.errors(include_url=False, include_input=False)[:5]
        ]
        raise InvalidRequest("; ".join(problems)) from None


def best_of_each_document(citations: Iterable[Citation]) -> list[Citation]:
    """Return the first citation of each document, in order."""
    first: dict[str, Citation] = {}
    for citation in citations:
        first.setdefault(citation.document_id, citation)
    return list(first.values())


def cited_document(answerer: QuestionAnswerer, identifier: str) -> tuple[SourceDocument, tuple[int, int]]:
    """Return the document of a permalink's id, and the place of the quote; or a document by its own id.

    Raises :class:`NotFound`.
    """
    wanted = CitationId.parse(identifier)
    if wanted is None:
        return answerer.document(identifier), (0, 0)
    found = answerer.index.cited_passage(wanted.passage_id)
    document = None if found is None else answerer.index.document_by_uri(found[0])
    if found is None or document is None:
        raise NotFound("no document has this id now; search again, and use the `id` of a result")
    return document, (found[1] + wanted.start, found[1] + wanted.end)


def around(text: str, position: int) -> tuple[int, int]:
    """Return the span of a text to read for a place in it: everything, or a part with more after the place."""
    if len(text) <= _MAX_CHARACTERS:
        return 0, len(text)
    start = max(0, min(position - _BEFORE_CHARACTERS, len(text) - _MAX_CHARACTERS))
    return start, start + _MAX_CHARACTERS
