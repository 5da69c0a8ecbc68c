"""Messages and options that the shapes of chat and of responses share, as OpenAI's clients send them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StringConstraints,
)
from pydantic_core import CoreSchema, core_schema

from qa_service.datatypes import MAX_TURNS, Turn
from qa_service.errors import InvalidRequest
from qa_service.text.cleaning import check_question

WITHOUT_EFFECT = "Accepted without effect: nothing is generated."
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]
_NULL = {"type": "null"}
_TEXT_PARTS = ("text", "input_text", "output_text")
_QUOTED = re.compile("“(.*?)”", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Only:
    """Accepts ``values`` of a field, and refuses others with a reason. ``schema`` describes those but ``None``."""

    reason: str
    values: tuple[Any, ...]
    schema: dict[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the value."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, _: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe the accepted values."""
        return {"anyOf": [self.schema, _NULL]} if self.values else _NULL

    def _check(self, value: Any) -> Any:
        if not any(isinstance(value, bool) is isinstance(one, bool) and value == one for one in (None, *self.values)):
            raise ValueError(self.reason)
        return value


def nothing_but_null(reason: str) -> Only:
    """Return the condition of a field that is not supported."""
    return Only(reason, (), _NULL)


def _text_only(content: Any) -> Any:
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and isinstance(kind := part.get("type"), str) and kind not in _TEXT_PARTS:
            raise ValueError("images, audio and files can't be read; send text")
    return content


class TextPart(BaseModel):
    """A piece of a message's text."""

    model_config = ConfigDict(strict=True)

    type: Literal["text", "input_text", "output_text"] = Field(description="`text`, or its names in responses.")
    text: Text = Field(description="The text.")


class MessageBody(BaseModel):
    """A message of a conversation. Other members, such as annotations, are accepted without effect."""

    model_config = ConfigDict(strict=True)

    role: Literal["system", "developer", "user", "assistant"] = Field(
        description="Only messages of `user` are questions. Instructions of `system` and `developer` have no effect."
    )
    content: Annotated[Text | list[TextPart] | None, BeforeValidator(_text_only)] = Field(
        None, description="The text, or its pieces. Images, audio and files are refused."
    )

    @property
    def text(self) -> str:
        """The text of the message."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


_NO_LOGPROBS = "quotes have no token probabilities; leave it out"


class ModelOptions(BaseModel):
    """Options that both shapes have. Those that steer a generator are accepted without effect."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    model: ModelName = Field(description="Name of a collection, or `default`.")
    stream: bool | None = Field(None, description="Whether the answer comes as events.")
    top_logprobs: Annotated[Any, Only(_NO_LOGPROBS, (0,), {"type": "integer", "minimum": 0, "maximum": 0})] = Field(
        None, description="Refused if it is over 0."
    )
    metadata: Any = Field(None, description=WITHOUT_EFFECT)
    parallel_tool_calls: Any = Field(None, description=WITHOUT_EFFECT)
    prompt_cache_key: Any = Field(None, description=WITHOUT_EFFECT)
    prompt_cache_options: Any = Field(None, description=WITHOUT_EFFECT)
    prompt_cache_retention: Any = Field(None, description=WITHOUT_EFFECT)
    safety_identifier: Any = Field(None, description=WITHOUT_EFFECT)
    service_tier: Any = Field(None, description=WITHOUT_EFFECT)
    store: Any = Field(None, description="Accepted without effect: nothing is stored.")
    temperature: Any = Field(None, description=WITHOUT_EFFECT)
    top_p: Any = Field(None, description=WITHOUT_EFFECT)
    user: Any = Field(None, description=WITHOUT_EFFECT)


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="forbid", strict=True)

    include_usage: bool | None = Field(None, description="Whether a last chunk of a chat has the usage.")
    include_obfuscation: Any = Field(None, description=WITHOUT_EFFECT)


def question_and_history(messages: Sequence[MessageBody]) -> tuple[str, tuple[Turn, ...]]:
    """Return the last message, which must be a question, and the questions before it with their quotes.

    Raises :class:`InvalidRequest`.
    """
    spoken = [message for message in messages if message.role in {"user", "assistant"}]
    if not spoken or spoken[-1].role != "user":
        raise InvalidRequest("messages: the last one must be a question, with the role `user`")
    turns: list[Turn] = []
    for message in spoken[:-1]:
        if message.role == "user":
            turns.append(Turn(message.text))
        elif turns:
            turns[-1] = Turn(turns[-1].question, " ".join(_QUOTED.findall(message.text)))
    check_question(spoken[-1].text)
    return spoken[-1].text, tuple(turn for turn in turns if _is_askable(turn.question))[-MAX_TURNS:]


def _is_askable(question: str) -> bool:
    """Return whether an earlier message was a question; another was refused when it was asked."""
    try:
        check_question(question)
    except InvalidRequest:
        return False
    return True
