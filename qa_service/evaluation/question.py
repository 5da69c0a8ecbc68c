"""A question with its gold, whatever the format of its file."""

from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches

from pydantic import BaseModel, ConfigDict, Field, model_validator

from qa_service.text.cleaning import check_question

_LEAST_LIKENESS = 0.8


class Reference(BaseModel):
    """A span of a document that answers the question, or a whole document.

    Without a ``document``, all documents are searched for the content. Offsets are code points of the document or, if
    given, of the text ``within``; without offsets, every occurrence of ``content`` counts.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    document: str | None = Field(None, min_length=1)
    content: str | None = Field(None, min_length=1)
    start_index: int | None = Field(None, ge=0)
    end_index: int | None = Field(None, ge=1)
    within: str | None = Field(None, min_length=1)
    whole: bool = False
    relevance: int = Field(1, ge=1, le=1000)
    """The relevance grade for nDCG; 1 if the gold has no grades."""

    @model_validator(mode="after")
    def _placed(self) -> "Reference":
        if self.whole:
            if self.document is None:
                raise ValueError("a whole document must be named by document")
            return self
        if (self.start_index is None) != (self.end_index is None):
            raise ValueError("start_index and end_index must be given together")
        if self.start_index is None and self.content is None:
            raise ValueError("a reference needs content, or start_index and end_index, or whole")
        if self.start_index is not None and self.end_index is not None and self.start_index >= self.end_index:
            raise ValueError("end_index must be larger than start_index")
        if self.document is None and self.within is None and self.start_index is not None:
            raise ValueError("offsets need a document")
        return self


class Question(BaseModel):
    """One question."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")

    line: int
    """Its line in the file, from 1; its number, in files without lines."""
    id: str
    question: str
    answerable: bool
    references: tuple[Reference, ...] = ()
    answers: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Question":
        if len({reference.whole for reference in self.references}) > 1:
            raise ValueError("references must be all spans or all whole documents")
        return self


@dataclass(frozen=True, slots=True)
class LineProblem:
    """An unusable line of a question file, and the reason."""

    line: int
    reason: str


def check_names(names: Collection[str], known: Collection[str]) -> None:
    """Raise ``ValueError`` for a field that is not known, but is like a known one that is missing.

    Other unknown fields are ignored: files carry notes of their own.
    """
    missing = [name for name in known if name not in names]
    for name in names:
        if name not in known and (near := get_close_matches(name, missing, n=1, cutoff=_LEAST_LIKENESS)):
            raise ValueError(f"unknown field `{name}`; did you mean `{near[0]}`?")


def question_of(line: int, fields: dict[str, object]) -> Question:
    """Return the question with the given fields; ``answerable`` defaults to whether there are references or answers.

    Raises ``pydantic.ValidationError``, ``ValueError`` or :class:`InvalidRequest` for invalid fields.
    """
    identifier = fields.get("id", line)
    if isinstance(identifier, bool) or not isinstance(identifier, str | int):
        raise ValueError("id must be text or an integer")  # noqa: TRY004 - one kind of error for a bad line
    answerable = fields.get("answerable")
    if answerable is None:
        answerable = bool(fields.get("references") or fields.get("answers"))
    listed = ("references", "answers", "tags")
    lists = {name: tuple(value) for name in listed if isinstance(value := fields.get(name), list)}
    absent = {name for name in listed if name in fields and fields[name] is None}
    question = Question.model_validate(
        {
            **{key: value for key, value in fields.items() if key not in absent},
            **lists,
            "line": line,
            "id": str(identifier),
            "answerable": answerable,
        }
    )
    check_question(question.question)
    return question
