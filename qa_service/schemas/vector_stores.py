"""Bodies of the routes that follow OpenAI's vector store API."""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    model_validator,
)

from qa_service.datatypes import AttributeFilter, ComparisonFilter, CompoundFilter, Metadata
from qa_service.schemas.ask import Problem
from qa_service.schemas.questions import MAX_SHORT, Askable, Short

MAX_QUERIES = 8
_MAX_DEPTH, _MAX_COMPARISONS = 5, 50
_COMPARISONS, _COMPOUNDS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"), ("and", "or")
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
_Value = Short | float | bool
Attributes = dict[str, str | float | bool]
Item = TypeVar("Item", bound="_Identified")


class ComparisonFilterBody(BaseModel):
    """Compares an attribute with a value: a number with attributes that are numbers, everything else as text."""

    model_config = _STRICT

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"] = Field(
        description="Equal, not equal, greater, at least, less, at most, one of, none of."
    )
    key: Annotated[str, StringConstraints(min_length=1, max_length=500)] = Field(
        description="`title`, `filename` or `uri`, `file_id`, `section`, or a key of the document's front matter."
    )
    value: _Value | Annotated[list[_Value], Field(min_length=1, max_length=100)] = Field(
        description="A list for `in` and `nin`. Text is ordered too, so ISO 8601 dates can be compared."
    )

    @model_validator(mode="after")
    def _has_a_value_for_its_type(self) -> "ComparisonFilterBody":
        if isinstance(self.value, list) != (self.type in {"in", "nin"}):
            raise ValueError("`in` and `nin` need a list of values, other types one value")
        if isinstance(self.value, bool) and self.type not in {"eq", "ne"}:
            raise ValueError("true and false have no order; use `eq` or `ne`")
        return self

    def filter(self) -> ComparisonFilter:
        """Return the filter."""
        values = self.value if isinstance(self.value, list) else [self.value]
        texts = (str(value).lower() if isinstance(value, bool) else value for value in values)
        return ComparisonFilter(self.key, self.type, tuple(texts))


class CompoundFilterBody(BaseModel):
    """A conjunction (`and`) or disjunction (`or`) of filters."""

    model_config = _STRICT

    type: Literal["and", "or"] = Field(description="Whether all filters must match, or any one.")
    filters: "list[FilterBody]" = Field(
        min_length=1, max_length=_MAX_COMPARISONS, description="Comparisons, or other conjunctions and disjunctions."
    )

    def filter(self) -> CompoundFilter:
        """Return the filter."""
        return CompoundFilter(self.type, tuple(part.filter() for part in self.filters))


def _kind(given: Any) -> str | None:
    name = given.get("type") if isinstance(given, dict) else getattr(given, "type", None)
    return "comparison" if name in _COMPARISONS else "compound" if name in _COMPOUNDS else None


FilterBody = Annotated[
    Annotated[ComparisonFilterBody, Tag("comparison")] | Annotated[CompoundFilterBody, Tag("compound")],
    Discriminator(
        _kind,
        custom_error_type="filter_type",
        custom_error_message=f"a filter needs a `type`, one of {', '.join((*_COMPARISONS, *_COMPOUNDS))}",
    ),
]


def bounded_filter(given: ComparisonFilterBody | CompoundFilterBody) -> ComparisonFilterBody | CompoundFilterBody:
    """Return a filter. Raises ``ValueError`` if it has too many comparisons, or is nested too deep."""
    level: list[ComparisonFilterBody | CompoundFilterBody] = [given]
    count = 0
    for _ in range(_MAX_DEPTH):
        compounds = [one for one in level if isinstance(one, CompoundFilterBody)]
        count += len(level) - len(compounds)
        level = [part for one in compounds for part in one.filters]
    if level or count > _MAX_COMPARISONS:
        raise ValueError(f"at most {_MAX_COMPARISONS} comparisons, nested {_MAX_DEPTH} deep; search several times")
    return given


class RankingOptions(BaseModel):
    """Options of the ranking. The names of OpenAI's rankers are accepted without effect."""

    model_config = _STRICT

    ranker: Annotated[str, StringConstraints(max_length=100)] = Field(
        default="auto", description="Accepted without effect."
    )
    score_threshold: float = Field(0.0, ge=0, le=1, description="Minimum `score` of a result.")


class SearchRequest(BaseModel):
    """A search, as OpenAI's clients send it."""

    model_config = _STRICT | ConfigDict(json_schema_extra={"examples": [{"query": "Who signed the treaty?"}]})

    query: Askable | Annotated[list[Askable], Field(min_length=1, max_length=MAX_QUERIES)] = Field(
        description="A question, or several; a passage then gets its best score among them."
    )
    max_num_results: int = Field(10, ge=1, le=50, description="Number of results.")
    filters: Annotated[FilterBody, AfterValidator(bounded_filter)] | None = Field(
        None, description=f"At most {_MAX_COMPARISONS} comparisons, nested {_MAX_DEPTH} deep."
    )
    ranking_options: RankingOptions | None = Field(None, description="A minimum score.")
    rewrite_query: bool = Field(False, description="Accepted without effect: queries are never rewritten.")

    def queries(self) -> list[str]:
        """Return the queries."""
        return [self.query] if isinstance(self.query, str) else self.query

    def attribute_filter(self) -> AttributeFilter | None:
        """Return the filter."""
        return None if self.filters is None else self.filters.filter()


def document_attributes(title: str, uri: str, front_matter: Metadata) -> Attributes:
    """Return the attributes of a document: title, uri and front matter, without lists and texts too long to filter."""
    said = {key: value for key, value in front_matter.items() if isinstance(value, str) and len(value) <= MAX_SHORT}
    return {**said, "title": title, "uri": uri}


class OpenAIError(BaseModel):
    """An error in the shape of OpenAI's API."""

    message: str = Field(description="The `detail` of the problem document.")
    type: Literal["invalid_request_error", "server_error"] = Field(description="Whether the request is the cause.")
    param: str | None = Field(description="The first invalid field of the body, if there is one.")
    code: str = Field(description="The last part of the problem's `type`, such as `not-found`.")


class OpenAIProblem(Problem):
    """An error below `/v1`: a problem document that OpenAI's clients can also read."""

    error: OpenAIError = Field(description="The same error, for OpenAI's clients.")


class Content(BaseModel):
    """The text of a result or of a document."""

    type: Literal["text"] = Field(default="text", description="Always `text`.")
    text: str = Field(description="The passage, or the document's text, verbatim.")


class SearchResult(BaseModel):
    """A passage in the results."""

    file_id: str = Field(description="`document_id` of the passage's document.")
    filename: str = Field(description="Path of the document below the source folder.")
    score: float = Field(description="The `score` of `POST /ask`, kept within 0 and 1.")
    attributes: Attributes = Field(
        description="Front matter of the document, position of the passage, and its best sentence."
    )
    content: list[Content] = Field(description="One item: the passage.")


class SearchPage(BaseModel):
    """The results, best first; there is only one page."""

    object: Literal["vector_store.search_results.page"] = Field(
        default="vector_store.search_results.page", description="The type of this object."
    )
    search_query: list[str] = Field(description="The queries.")
    data: list[SearchResult] = Field(description="The results.")
    has_more: bool = Field(default=False, description="Always false.")
    next_page: str | None = Field(default=None, description="Always null.")


class _Identified(BaseModel):
    id: str = Field(description="Name of the collection (`default` for the one without), or of the model.")


class _Page(BaseModel, Generic[Item]):
    """A page of a list; the next page begins after ``last_id``."""

    object: Literal["list"] = Field(default="list", description="The type of this object.")
    data: list[Item] = Field(description="The items of this page.")
    first_id: str | None = Field(description="Id of the first item; null for an empty list.")
    last_id: str | None = Field(description="Id of the last item, for `after`; null for an empty list.")
    has_more: bool = Field(description="Whether there is another page.")

    @classmethod
    def of(cls, items: Sequence[Item], limit: int) -> Self:
        """Return the first ``limit`` items as a page."""
        data = list(items[:limit])
        ids = [item.id for item in data]
        first, last = (ids[0], ids[-1]) if ids else (None, None)
        return cls(data=data, first_id=first, last_id=last, has_more=len(items) > limit)


class FileCounts(BaseModel):
    """Number of files by state: indexed, and unreadable."""

    completed: int = Field(description="Documents in the index.")
    failed: int = Field(description="Files that could not be read.")
    in_progress: int = Field(default=0, description="Always 0.")
    cancelled: int = Field(default=0, description="Always 0.")
    total: int = Field(description="All of them.")


class VectorStoreBody(_Identified):
    """A collection, as a vector store."""

    object: Literal["vector_store"] = Field(default="vector_store", description="The type of this object.")
    name: str = Field(description="The same as `id`.")
    created_at: int = Field(description="Time of its index's build, in seconds since 1970.")
    status: Literal["completed"] = Field(default="completed", description="Always `completed`.")
    file_counts: FileCounts = Field(description="Number of files by state.")
    usage_bytes: int = Field(description="Size of its index, in bytes.")
    metadata: dict[str, str] = Field(description="`index_version`: the generation of the index.")


class VectorStorePage(_Page[VectorStoreBody]):
    """Vector stores, in order of their ids."""


class VectorStoreFile(_Identified):
    """A document, as a file of a vector store."""

    id: str = Field(description="`document_id` of citations.")
    object: Literal["vector_store.file"] = Field(default="vector_store.file", description="The type of this object.")
    vector_store_id: str = Field(description="The collection.")
    created_at: int = Field(description="Time of the index's build, in seconds since 1970.")
    status: Literal["completed"] = Field(default="completed", description="Always `completed`.")
    last_error: None = Field(default=None, description="Always null.")
    usage_bytes: int = Field(default=0, description="Always 0: not counted per file.")
    attributes: Attributes = Field(description="Title, path and front matter of the document.")


class VectorStoreFilePage(_Page[VectorStoreFile]):
    """Files, in order of their ids."""


class FileContentPage(BaseModel):
    """The text of a document; there is only one page."""

    object: Literal["vector_store.file_content.page"] = Field(
        default="vector_store.file_content.page", description="The type of this object."
    )
    data: list[Content] = Field(description="One item: the text.")
    has_more: bool = Field(default=False, description="Always false.")
    next_page: str | None = Field(default=None, description="Always null.")


class ModelBody(_Identified):
    """A collection, which answers, or the model of an index, which embeds."""

    object: Literal["model"] = Field(default="model", description="The type of this object.")
    created: int = Field(description="Time of the build that used it, in seconds since 1970.")
    owned_by: str = Field(default="qa-service", description="Always `qa-service`.")


class ModelPage(_Page[ModelBody]):
    """Models."""
