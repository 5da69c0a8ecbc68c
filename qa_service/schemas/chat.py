"""Bodies of ``POST /v1/chat/completions``, in the shape of OpenAI's API."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qa_service.datatypes import AnswerVerdict, ReasonKind
from qa_service.schemas.conversation import (
    WITHOUT_EFFECT,
    MessageBody,
    ModelOptions,
    Only,
    StreamOptions,
    nothing_but_null,
)

_NO_TOOLS = "this model calls no tools; leave them out"
_TEXT_FORMAT = {
    "type": "object",
    "properties": {"type": {"type": "string", "enum": ["text"]}},
    "required": ["type"],
    "additionalProperties": False,
}
_NO_ITEMS = {"type": "array", "items": {}, "maxItems": 0}
_NO_CALL = {"type": "string", "enum": ["none", "auto"]}


class ChatRequest(ModelOptions):
    """A conversation whose last message is a question. Options that would change the answer's kind are refused."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "default",
                    "messages": [{"role": "user", "content": "When was the Mutual Defense Treaty signed?"}],
                }
            ]
        }
    )

    messages: list[MessageBody] = Field(
        min_length=1, description="The messages, oldest first. Earlier questions complete one that leans on them."
    )
    stream_options: StreamOptions | None = Field(None, description="Options of a stream.")
    n: Annotated[
        Any,
        Only("a question has one answer; leave n out", (1,), {"type": "integer", "minimum": 1, "maximum": 1}),
    ] = Field(None, description="Number of answers: 1.")
    tools: Annotated[Any, Only(_NO_TOOLS, ([],), _NO_ITEMS)] = Field(None, description="Refused unless empty.")
    tool_choice: Annotated[Any, Only(_NO_TOOLS, ("none", "auto"), _NO_CALL)] = Field(
        None, description="Refused if a tool must be called."
    )
    functions: Annotated[Any, Only(_NO_TOOLS, ([],), _NO_ITEMS)] = Field(None, description="Refused unless empty.")
    function_call: Annotated[Any, Only(_NO_TOOLS, ("none", "auto"), _NO_CALL)] = Field(
        None, description="Refused if a function must be called."
    )
    response_format: Annotated[
        Any,
        Only("the answer is text, never JSON; leave response_format out", ({"type": "text"},), _TEXT_FORMAT),
    ] = Field(None, description="Refused unless it is text.")
    modalities: Annotated[
        Any,
        Only(
            "the answer is text, never audio; leave it out",
            (["text"],),
            {"type": "array", "items": {"type": "string", "enum": ["text"]}, "minItems": 1, "maxItems": 1},
        ),
    ] = Field(None, description="Refused unless it is text.")
    audio: Annotated[Any, nothing_but_null("the answer is text, never audio; leave it out")] = Field(
        None, description="Refused."
    )
    web_search_options: Annotated[Any, nothing_but_null("only the documents are searched; leave it out")] = Field(
        None, description="Refused."
    )
    logprobs: Annotated[
        Any, Only("quotes have no token probabilities; leave it out", (False,), {"type": "boolean", "enum": [False]})
    ] = Field(None, description="Refused if true.")
    frequency_penalty: Any = Field(None, description=WITHOUT_EFFECT)
    logit_bias: Any = Field(None, description=WITHOUT_EFFECT)
    max_completion_tokens: Any = Field(None, description="Accepted without effect: quotes are never cut.")
    max_tokens: Any = Field(None, description="Accepted without effect: quotes are never cut.")
    prediction: Any = Field(None, description=WITHOUT_EFFECT)
    presence_penalty: Any = Field(None, description=WITHOUT_EFFECT)
    reasoning_effort: Any = Field(None, description=WITHOUT_EFFECT)
    seed: Any = Field(None, description="Accepted without effect: the same question has the same answer.")
    stop: Any = Field(None, description="Accepted without effect: quotes are never cut.")
    verbosity: Any = Field(None, description=WITHOUT_EFFECT)


class ServiceVerdict(BaseModel):
    """The service's own view of the answer, beside OpenAI's shape."""

    answer_id: str = Field(description="Id of the answer, for `POST /feedback`.")
    verdict: AnswerVerdict | None = Field(description="`verdict` of `POST /ask`.")
    confidence: float | None = Field(description="`confidence` of `POST /ask`.")
    reason: ReasonKind | None = Field(description="`reason.kind` of `POST /ask`.")
    index_version: str = Field(description="The generation of the index that answered.")


class UrlCitation(BaseModel):
    """The document of a quote. Offsets are code points of the message."""

    start_index: int = Field(description="Offset of the quote's first character.")
    end_index: int = Field(description="Offset of the character after the quote.")
    title: str = Field(description="Title of the document, headings and page.")
    url: str = Field(description="Link to the quote.")


class ChatAnnotation(BaseModel):
    """A citation."""

    type: Literal["url_citation"] = Field(default="url_citation", description="Always `url_citation`.")
    url_citation: UrlCitation = Field(description="The document of a quote.")


class ChatAnswer(BaseModel):
    """The quotes with numbers, and the documents in which they stand."""

    role: Literal["assistant"] = Field(default="assistant", description="Always `assistant`.")
    content: str = Field(description="Quotes, titles, links and fixed sentences of the service; nothing else.")
    refusal: None = Field(default=None, description="Always null.")
    annotations: list[ChatAnnotation] = Field(description="A citation for each quote, in order.")


class ChatChoice(BaseModel):
    """The only answer."""

    index: Literal[0] = Field(default=0, description="Always 0.")
    message: ChatAnswer = Field(description="The answer.")
    logprobs: None = Field(default=None, description="Always null.")
    finish_reason: Literal["stop"] = Field(default="stop", description="Always `stop`.")


class ChatUsage(BaseModel):
    """Tokens of the index's model; nothing is charged for them."""

    prompt_tokens: int = Field(description="Tokens of the question.")
    completion_tokens: int = Field(description="Tokens of the message.")
    total_tokens: int = Field(description="Their sum.")


class ChatCompletion(BaseModel):
    """An answer as a chat completion."""

    id: str = Field(description="`chatcmpl-` and the id of the request.")
    object: Literal["chat.completion"] = Field(default="chat.completion", description="The type of this object.")
    created: int = Field(description="Time of the answer, in seconds since 1970.")
    model: str = Field(description="The collection.")
    choices: list[ChatChoice] = Field(description="One answer.")
    usage: ChatUsage = Field(description="Numbers of tokens.")
    qa_service: ServiceVerdict = Field(description="Verdict and confidence.")
