"""Bodies of the requests of ``POST /ask`` and ``POST /ask/batch``."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, StringConstraints

from qa_service.datatypes import MAX_TURNS, AskOptions, Filters, Turn
from qa_service.errors import InvalidRequest
from qa_service.text.cleaning import MAX_QUESTION_CHARACTERS, check_question

MAX_SHORT = 500
Short = Annotated[str, StringConstraints(max_length=MAX_SHORT)]
OneOrMore = Short | Annotated[list[Short], Field(min_length=1, max_length=100)]
_NO_QUOTES: Mapping[str, str] = MappingProxyType({})
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


class TurnBody(BaseModel):
    """An earlier question of the conversation."""

    model_config = ConfigDict(strict=True, extra="forbid")

    question: Askable = Field(description="The question as it was asked.")
    answer_id: Short | None = Field(
        None, description="`id` of its answer, whose quote helps to understand the next question. Ignored if unknown."
    )


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
        description="Confidence from which the verdict is `answered`. Default: the server's setting.",
    )
    min_uncertain: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Confidence from which the verdict is at least `uncertain`. Default: the server's setting.",
    )
    filters: FiltersBody | None = Field(None, description="Which passages may be results. Default: all.")

    history: list[Askable | TurnBody] = Field(
        [],
        max_length=MAX_TURNS,
        description=f"The questions before this one in a conversation, oldest first, up to {MAX_TURNS}: texts, or "
        "objects with the id of the answer. They complete a question such as `And in 2018?`.",
    )
    as_typed: bool = Field(
        default=False,
        description="Whether the question's words stay as they are: no spelling correction, no synonyms, and `history` "
        "is ignored. Undoes what `understood` says.",
    )

    @property
    def turns(self) -> list[TurnBody]:
        """The history as objects."""
        return [TurnBody(question=turn, answer_id=None) if isinstance(turn, str) else turn for turn in self.history]

    @property
    def answer_ids(self) -> list[str]:
        """The ids of earlier answers."""
        return [turn.answer_id for turn in self.turns if turn.answer_id is not None]

    def options(
        self, quotes: Mapping[str, str] = _NO_QUOTES, *, explain: bool = False, blocks: bool = False
    ) -> AskOptions:
        """Return the options of the request. ``quotes`` holds the quotes of earlier answers, by answer id."""
        filters = None if self.filters is None else self.filters.filters()
        history = tuple(Turn(turn.question, quotes.get(turn.answer_id or "", "")) for turn in self.turns)
        return AskOptions(
            top_k=self.top_k,
            min_confidence=self.min_confidence,
            min_uncertain=self.min_uncertain,
            filters=filters,
            explain=explain,
            blocks=blocks,
            history=history,
            as_typed=self.as_typed,
        )


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
