"""The service itself: its state, what is indexed, and what people say of answers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Health(BaseModel):
    """State of the service."""

    status: str


class Readiness(Health):
    """State of the service and of what it serves."""

    index_version: str
    degraded: bool = Field(description="Whether an older index is served since the current one is damaged.")
    runtime: str = Field(description="What runs the model, and in which precision.")
    collections: dict[str, str] = Field(description="The index version of each collection that has a name.")


class CollectionBody(BaseModel):
    """A collection that has a name."""

    name: str
    index_version: str
    documents: int
    passages: int


class CollectionsBody(BaseModel):
    """The collections that have names."""

    collections: list[CollectionBody]


class SkippedBody(BaseModel):
    """A file that is not indexed."""

    uri: str
    reason: str
    failed: bool = Field(description="Whether somebody should look at it.")


class IndexBody(BaseModel):
    """The generation of the index that answers."""

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
    """Which files came, changed and went with the index that answers, by their paths."""

    index_version: str
    previous: str | None = Field(description="The generation before; null if there is none on disk.")
    added: list[str]
    changed: list[str]
    removed: list[str]


class FeedbackRequest(BaseModel):
    """What somebody says of an answer."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        json_schema_extra={
            "examples": [{"answer_id": "d63ab447-1c18-4708-ba50-e74d7064717e", "useful": True, "note": "Thanks."}]
        },
    )

    answer_id: str = Field(min_length=1, max_length=100, description="`id` of an answer given lately.")
    useful: bool = Field(description="Of an answer that nothing was found: whether that is so.")
    right_passage: Annotated[str, StringConstraints(min_length=1, max_length=300)] | None = Field(
        None, description="`permalink` of the citation that would have been the right answer."
    )
    note: str = Field("", max_length=2000)


class FeedbackResponse(BaseModel):
    """What was kept."""

    answer_id: str
    useful: bool
    right_passage: str | None


class WidgetFile(BaseModel):
    """A file of the chat widget."""

    path: str = Field(description="Where it stands for as long as its content does not change.")
    integrity: str = Field(description="Its hash, as the attribute `integrity` takes it.")


class WidgetBody(BaseModel):
    """The chat widget in this version."""

    version: str
    files: list[WidgetFile]
