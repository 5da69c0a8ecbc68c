"""Bodies of ``POST /v1/responses``, in the shape of OpenAI's API."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from qa_service.datatypes import AttributeFilter
from qa_service.schemas.chat import ServiceVerdict
from qa_service.schemas.conversation import (
    WITHOUT_EFFECT,
    MessageBody,
    ModelName,
    ModelOptions,
    Only,
    StreamOptions,
    Text,
    nothing_but_null,
)
from qa_service.schemas.vector_stores import FilterBody, bounded_filter

_NO_STATE = "responses are not stored; send the earlier messages in input"


class FileSearchTool(BaseModel):
    """The search that every answer makes, with filters."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    type: Literal["file_search"] = Field(description="Always `file_search`: there are no other tools.")
    vector_store_ids: list[ModelName] = Field(
        min_length=1, max_length=1, description="One vector store: the collection that `model` names."
    )
    filters: Annotated[FilterBody, AfterValidator(bounded_filter)] | None = Field(
        None, description="As for the search of a vector store."
    )
    max_num_results: int = Field(10, ge=1, le=50, description="Number of passages to choose quotes from.")
    ranking_options: Any = Field(None, description="Accepted without effect.")


class TextConfig(BaseModel):
    """The format of the answer."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: Annotated[
        Any,
        Only(
            "the answer is text, never JSON; leave the format out",
            ({"type": "text"},),
            {
                "type": "object",
                "properties": {"type": {"type": "string", "enum": ["text"]}},
                "required": ["type"],
                "additionalProperties": False,
            },
        ),
    ] = Field(None, description="Refused unless it is text.")
    verbosity: Any = Field(None, description=WITHOUT_EFFECT)


class ResponseRequest(ModelOptions):
    """A question, or a conversation whose last message is one."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"model": "default", "input": "When was the Mutual Defense Treaty signed?"}]}
    )

    input: Text | Annotated[list[MessageBody], Field(min_length=1)] = Field(
        description="A question, or messages, oldest first."
    )
    tools: list[FileSearchTool] | None = Field(None, max_length=1, description="Filters of the search.")
    text: TextConfig | None = Field(None, description="The format of the answer.")
    stream_options: StreamOptions | None = Field(None, description=WITHOUT_EFFECT)
    background: Annotated[
        Any, Only("answers don't wait in the background; leave it out", (False,), {"type": "boolean", "enum": [False]})
    ] = Field(None, description="Refused if true.")
    conversation: Annotated[Any, nothing_but_null(_NO_STATE)] = Field(None, description="Refused.")
    previous_response_id: Annotated[Any, nothing_but_null(_NO_STATE)] = Field(None, description="Refused.")
    prompt: Annotated[Any, nothing_but_null("prompt templates are not stored; leave it out")] = Field(
        None, description="Refused."
    )
    context_management: Any = Field(None, description=WITHOUT_EFFECT)
    include: Any = Field(None, description=WITHOUT_EFFECT)
    instructions: Any = Field(None, description=WITHOUT_EFFECT)
    max_output_tokens: Any = Field(None, description="Accepted without effect: quotes are never cut.")
    max_tool_calls: Any = Field(None, description=WITHOUT_EFFECT)
    reasoning: Any = Field(None, description=WITHOUT_EFFECT)
    tool_choice: Any = Field(None, description="Accepted without effect: every answer searches.")
    truncation: Any = Field(None, description=WITHOUT_EFFECT)

    def messages(self) -> list[MessageBody]:
        """Return the input as messages."""
        return [MessageBody(role="user", content=self.input)] if isinstance(self.input, str) else self.input

    def attribute_filter(self) -> AttributeFilter | None:
        """Return the filter of the search."""
        filters = self.tools[0].filters if self.tools else None
        return None if filters is None else filters.filter()


class FileCitation(BaseModel):
    """The document of a quote, at the quote's number in the text."""

    type: Literal["file_citation"] = Field(description="Always `file_citation`.")
    file_id: str = Field(description="`document_id` of the citation.")
    filename: str = Field(description="Path of the document below the source folder.")
    index: int = Field(description="Offset of the quote's number, in code points of the text.")


class ResponseUrlCitation(BaseModel):
    """The link to a quote."""

    type: Literal["url_citation"] = Field(description="Always `url_citation`.")
    start_index: int = Field(description="Offset of the quote's first character, in code points of the text.")
    end_index: int = Field(description="Offset of the character after the quote.")
    title: str = Field(description="Title of the document, headings and page.")
    url: str = Field(description="Link to the quote.")


class OutputText(BaseModel):
    """The quotes with numbers, and the documents in which they stand."""

    type: Literal["output_text"] = Field(description="Always `output_text`.")
    text: str = Field(description="Quotes, titles, links and fixed sentences of the service; nothing else.")
    annotations: list[FileCitation | ResponseUrlCitation] = Field(description="Two for each quote: file and link.")
    logprobs: list[Any] = Field(description="Always empty.")


class OutputMessage(BaseModel):
    """The answer."""

    id: str = Field(description="`msg_` and the id of the request.")
    type: Literal["message"] = Field(description="Always `message`.")
    role: Literal["assistant"] = Field(description="Always `assistant`.")
    status: Literal["completed"] = Field(description="Always `completed`.")
    content: list[OutputText] = Field(description="One text.")


class ResponseUsage(BaseModel):
    """Tokens of the index's model; nothing is charged for them."""

    input_tokens: int = Field(description="Tokens of the question.")
    input_tokens_details: dict[str, int] = Field(description="All 0.")
    output_tokens: int = Field(description="Tokens of the message.")
    output_tokens_details: dict[str, int] = Field(description="All 0.")
    total_tokens: int = Field(description="Their sum.")


class ResponseBody(BaseModel):
    """An answer as a response."""

    id: str = Field(description="`resp_` and the id of the request.")
    object: Literal["response"] = Field(description="The type of this object.")
    created_at: int = Field(description="Time of the answer, in seconds since 1970.")
    status: Literal["completed"] = Field(description="`completed`; `in_progress` in the first events of a stream.")
    model: str = Field(description="The collection.")
    output: list[OutputMessage] = Field(description="One message.")
    usage: ResponseUsage = Field(description="Numbers of tokens.")
    error: None = Field(description="Always null.")
    incomplete_details: None = Field(description="Always null.")
    instructions: None = Field(description="Always null.")
    metadata: dict[str, str] = Field(description="Always empty.")
    parallel_tool_calls: bool = Field(description="Always false.")
    temperature: None = Field(description="Always null.")
    tool_choice: Literal["auto"] = Field(description="Always `auto`.")
    tools: list[Any] = Field(description="Always empty.")
    top_p: None = Field(description="Always null.")
    store: bool = Field(description="Always false.")
    qa_service: ServiceVerdict = Field(description="Verdict and confidence.")
