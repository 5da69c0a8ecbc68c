"""Bodies for the state of the service, the index, starters, feedback and the widget."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints


class Health(BaseModel):
    """State of the service."""

    status: str = Field(description="`alive` from `/livez`, `ready` from `/readyz`.")


class Readiness(Health):
    """State of the service and of its indexes."""

    index_version: str = Field(description="The generation of the index that is served.")
    degraded: bool = Field(description="Whether an older index is served because the current one is damaged.")
    runtime: str = Field(description="Runtime and precision of the embedding model.")
    reader: str | None = Field(
        None, description="How the reader reads, `quick` or `careful`; null if verdicts come from words and cosines."
    )
    collections: dict[str, str] = Field(description="The index version of each named collection.")


class CollectionBody(BaseModel):
    """A named collection."""

    name: str = Field(description="Its name, as in `/collections/{name}/ask`.")
    index_version: str = Field(description="The generation of the index that is served.")
    documents: int = Field(description="Number of documents.")
    passages: int = Field(description="Number of passages.")


class CollectionsBody(BaseModel):
    """The named collections."""

    collections: list[CollectionBody] = Field(description="One entry for each name in `QA_COLLECTIONS`.")


class SkippedBody(BaseModel):
    """A file that was not indexed."""

    uri: str = Field(description="Path of the file below the source folder.")
    reason: str = Field(description="Why it was skipped.")
    failed: bool = Field(description="Whether the file needs attention.")


class IndexBody(BaseModel):
    """The generation that is served."""

    index_version: str = Field(description="The generation of the index that is served.")
    built_at: str = Field(description="When it was built, in ISO 8601.")
    files: int = Field(description="Files in the source folder, skipped ones included.")
    documents: int = Field(description="Number of documents.")
    passages: int = Field(description="Number of passages.")
    model: str = Field(description="The embedding model.")
    vector_index: str = Field(description="How vectors are searched: exactly or by codes.")
    degraded: bool = Field(description="Whether an older index is served because the current one is damaged.")
    skipped: list[SkippedBody] = Field(description="Files that were not indexed.")
    warnings: list[str] = Field(description="Warnings of the build about documents.")


class DiffBody(BaseModel):
    """Files added, changed and removed by the generation that is served, by path."""

    index_version: str = Field(description="The generation of the index that is served.")
    previous: str | None = Field(description="The previous generation; null if it is not on disk.")
    added: list[str] = Field(description="Files that the previous generation did not have.")
    changed: list[str] = Field(description="Files with other bytes than before.")
    removed: list[str] = Field(description="Files that only the previous generation had.")


class StartersBody(BaseModel):
    """Questions to start with, each proved: the index that is served answers it."""

    index_version: str = Field(description="The generation of the index that is served.")
    questions: list[str] = Field(description="The questions, in the order of their file, then those of feedback.")
    complete: bool = Field(description="Whether all questions were asked; if not, there may be more later.")


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
    note: str = Field("", max_length=2000, description="A comment for the operator of the service.")


class FeedbackResponse(BaseModel):
    """The feedback that was recorded."""

    answer_id: str = Field(description="`id` of the answer.")
    useful: bool = Field(description="As it was sent.")
    right_passage: str | None = Field(description="As it was sent; null without one.")


class WidgetFile(BaseModel):
    """A file of the chat widget."""

    path: str = Field(description="Its path; a file with other content has another path.")
    integrity: str = Field(description="Its hash, for the `integrity` attribute of HTML.")
    lazy: bool = Field(description="Whether the element loads it only when it is needed, such as a language.")


class WidgetBody(BaseModel):
    """The chat widget in this version."""

    version: str = Field(description="A hash of all files, part of their paths.")
    files: list[WidgetFile] = Field(description="The modules of the element, the entry point first.")
