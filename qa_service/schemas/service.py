"""Bodies for the state of the service, the index, feedback and the widget."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Health(BaseModel):
    """State of the service."""

    status: str


class Readiness(Health):
    """State of the service and of its indexes."""

    index_version: str
    degraded: bool = Field(description="Whether an older index is served because the current one is damaged.")
    runtime: str = Field(description="Runtime and precision of the embedding model.")
    collections: dict[str, str] = Field(description="The index version of each named collection.")


class CollectionBody(BaseModel):
    """A named collection."""

    name: str
    index_version: str
    documents: int
    passages: int


class CollectionsBody(BaseModel):
    """The named collections."""

    collections: list[CollectionBody]


class SkippedBody(BaseModel):
    """A file that was not indexed."""

    uri: str
    reason: str
    failed: bool = Field(description="Whether the file needs attention.")


class IndexBody(BaseModel):
    """The generation that is served."""

    index_version: str
    built_at: str
    files: int
    documents: int
    passages: int
    model: str
    vector_index: str
    degraded: bool
    skipped: list[SkippedBody]
    warnings: list[str]


class DiffBody(BaseModel):
    """Files added, changed and removed by the generation that is served, by path."""

    index_version: str
    previous: str | None = Field(description="The previous generation; null if there is none on disk.")
    added: list[str]
    changed: list[str]
    removed: list[str]


class FeedbackRequest(BaseModel):
    """Feedback on an answer."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"answer_id": "d63ab447-1c18-4708-ba50-e74d7064717e", "useful": True, "note": "Thanks."}]
        },
    )

    answer_id: str = Field(min_length=1, max_length=100, description="`id` of a recent answer.")
    useful: bool = Field(
        description="Whether the answer was right. If it found nothing: whether there really is nothing."
    )
    right_passage: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = Field(
        None, description="`permalink` of the citation that is the right answer."
    )
    note: str = Field("", max_length=2000)


class FeedbackResponse(BaseModel):
    """The feedback that was recorded."""

    answer_id: str
    useful: bool
    right_passage: str | None


class WidgetFile(BaseModel):
    """A file of the chat widget."""

    path: str = Field(description="Its path; a file with other content has another path.")
    integrity: str = Field(description="Its hash, for the `integrity` attribute of HTML.")


class WidgetBody(BaseModel):
    """The chat widget in this version."""

    version: str
    files: list[WidgetFile]
