"""``POST /v1/vector_stores/{id}/search`` in the shape of OpenAI's API, so that what speaks that can search here.

A collection is a vector store, the default one is called ``default``; a passage is a result with one piece of text.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from qa_service.datatypes import Answer, CitedPassage, Filters
from qa_service.errors import InvalidRequest, NotFound
from qa_service.schemas.asking import Askable
from qa_service.server.collections import Collections
from qa_service.server.gate import Access
from qa_service.server.links import Links
from qa_service.server.live_index import Serving
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems

BY_ID = Access("ask", collection_parameter="vector_store_id")
DEFAULT = "default"
_KEYS = {"uri": "path_prefixes", "file_id": "document_ids", "section": "sections"}
_Value = Annotated[str, StringConstraints(max_length=500)]


class Comparison(BaseModel):
    """A filter on one attribute. Only equality can be told here."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["eq", "in"]
    key: Annotated[str, StringConstraints(min_length=1, max_length=100)]
    value: _Value | list[_Value]


class Compound(BaseModel):
    """Filters that must all hold."""

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["and"]
    filters: list[Comparison] = Field(min_length=1, max_length=20)


class RankingOptions(BaseModel):
    """How results are ranked; the names of OpenAI's rankers are taken and change nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    ranker: Annotated[str, StringConstraints(max_length=100)] = "auto"
    score_threshold: float = Field(0.0, ge=0, le=1, allow_inf_nan=False, description="Least `score` of a result.")


class SearchRequest(BaseModel):
    """A search, as OpenAI's clients send it."""

    model_config = ConfigDict(
        extra="forbid", strict=True, json_schema_extra={"examples": [{"query": "Who signed the treaty?"}]}
    )

    query: Askable | Annotated[list[Askable], Field(min_length=1, max_length=1)]
    max_num_results: int = Field(10, ge=1, le=50)
    filters: Comparison | Compound | None = Field(
        None, description="On `uri`, `file_id`, `section`, or a key of the documents' front matter."
    )
    ranking_options: RankingOptions | None = None
    rewrite_query: bool = Field(False, description="Taken, and not done: what is asked is what is searched for.")


class Content(BaseModel):
    """A piece of a result's text."""

    type: Literal["text"] = "text"
    text: str


class SearchResult(BaseModel):
    """A passage that was found."""

    file_id: str = Field(description="`document_id` of the passage's document.")
    filename: str
    score: float = Field(description="0 to 1 among the results of one question.")
    attributes: dict[str, str | float | bool]
    content: list[Content]


class SearchPage(BaseModel):
    """What was found, best first; all of it is on this page."""

    object: Literal["vector_store.search_results.page"] = "vector_store.search_results.page"
    search_query: list[str]
    data: list[SearchResult]
    has_more: bool = False
    next_page: str | None = None


def vector_store_routes(collections: Collections) -> APIRouter:
    """Return the route."""
    router = APIRouter(route_class=guarded(BY_ID), prefix="/v1", tags=["questions"])

    @router.post(
        "/vector_stores/{vector_store_id}/search",
        operation_id="search_vector_store",
        summary="Search as OpenAI's clients do",
        responses=problems(400, 403, 404, 413, 415, 422, 503, 504, "default"),
    )
    async def search(
        vector_store_id: Annotated[str, Path(description="Name of a collection, or `default`.")],
        body: SearchRequest,
        request: Request,
    ) -> SearchPage:
        """Return the passages that answer a query best."""
        serving = _serving(collections, vector_store_id)
        serving.expect_ready()
        query = body.query if isinstance(body.query, str) else body.query[0]
        filters = _filters(body.filters)
        with serving.lease() as answerer:
            answer = await serving.answer(
                lambda embedded: answerer.ask(query, body.max_num_results, None, filters, embedding=embedded.embedding),
                query,
            )
        least = 0.0 if body.ranking_options is None else body.ranking_options.score_threshold
        return SearchPage(search_query=[query], data=_results(answer, least, Links.of(request.scope, serving.path).own))

    return router


def _serving(collections: Collections, name: str) -> Serving:
    serving = collections.default if name == DEFAULT else collections.named.get(name)
    if serving is None:
        raise NotFound("no vector store of that id: a collection's name is one, and `default`")
    return serving


def _filters(given: Comparison | Compound | None) -> Filters | None:
    if given is None:
        return None
    fields: dict[str, Any] = {"metadata": {}}
    for one in given.filters if isinstance(given, Compound) else [given]:
        values = (one.value,) if isinstance(one.value, str) else tuple(one.value)
        if (one.type == "in") != isinstance(one.value, list) or not values:
            raise InvalidRequest("filters: `eq` takes one value, `in` a list of them")
        place = fields if one.key in _KEYS else fields["metadata"]
        name = _KEYS.get(one.key, one.key)
        if name in place:
            raise InvalidRequest("filters: a key is compared twice; use `in`")
        place[name] = values
    return Filters(**fields)


def _results(answer: Answer, least: float, own: Callable[[str], str]) -> list[SearchResult]:
    return [_result(result, own) for result in answer.results if result.scored.score >= least]


def _result(result: CitedPassage, own: Callable[[str], str]) -> SearchResult:
    citation = result.citation
    place = citation.position
    attributes: dict[str, str | float | bool] = {
        "title": citation.title,
        "quote": citation.quote,
        "url": own(citation.url),
        "start_char": place.start_char,
        "end_char": place.end_char,
        **({} if result.scored.confidence is None else {"confidence": round(result.scored.confidence, 3)}),
    }
    return SearchResult(
        file_id=citation.document_id,
        filename=citation.uri,
        score=round(result.scored.score, 3),
        attributes=attributes,
        content=[Content(text=result.scored.passage.text)],
    )
