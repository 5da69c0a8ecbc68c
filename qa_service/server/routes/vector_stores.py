"""Search below ``/v1`` in the shape of OpenAI's API, for its clients.

A collection is a vector store (the default one is ``default``), and a passage is a result with one text.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request

from qa_service.datatypes import AskOptions, CitedPassage, Filters, Metadata
from qa_service.errors import NotFound
from qa_service.pipeline import QuestionAnswerer
from qa_service.schemas.vector_stores import (
    Attributes,
    Content,
    SearchPage,
    SearchRequest,
    SearchResult,
    document_attributes,
)
from qa_service.server.collections import Collections
from qa_service.server.gate import Access, Gate
from qa_service.server.links import Links
from qa_service.server.live_index import LiveIndex, Question, TimedQuery
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems

BY_ID = Access("ask", collection_parameter="vector_store_id", counts_as_one=False)
DEFAULT = "default"
STORE_ID = Annotated[str, Path(description="Name of a collection, or `default`.")]


def vector_store_routes(collections: Collections, gate: Gate) -> APIRouter:
    """Return the search route."""
    router = APIRouter(route_class=guarded(BY_ID), prefix="/v1", tags=["questions"])

    @router.post(
        "/vector_stores/{vector_store_id}/search",
        operation_id="search_vector_store",
        summary="Search a vector store",
        responses=problems(400, 403, 404, 413, 415, 422, 503, 504, "default"),
    )
    async def search(
        vector_store_id: STORE_ID,
        body: SearchRequest,
        request: Request,
    ) -> SearchPage:
        """Return the passages that answer one or several queries best."""
        live = store_of(collections, vector_store_id)
        live.expect_ready()
        queries = body.queries()
        await gate.count(request.scope, len(queries))
        own = Links.of(request.scope, live.path).own
        wanted = body.attribute_filter()
        options = AskOptions(top_k=body.max_num_results, filters=None if wanted is None else Filters(attributes=wanted))
        found: list[SearchResult] = []
        with live.lease() as answerer:
            for query in queries:
                asked = (query, options)
                found += await live.answer(partial(_search, answerer, asked, body, own), asked)
        return SearchPage(search_query=queries, data=_merged(found)[: body.max_num_results])

    return router


def store_of(collections: Collections, name: str) -> LiveIndex:
    """Return the live index of a vector store. Raises :class:`NotFound`."""
    live = collections.default if name == DEFAULT else collections.named.get(name)
    if live is None:
        raise NotFound("no vector store has this id; use `default` or the name of a collection")
    return live


def _search(
    answerer: QuestionAnswerer,
    asked: Question,
    body: SearchRequest,
    own: Callable[[str], str],
    prepared: TimedQuery,
) -> list[SearchResult]:
    least = 0.0 if body.ranking_options is None else body.ranking_options.score_threshold
    answer = answerer.ask(*asked, query=prepared.query)
    results = [result for result in answer.results if _score(result) >= least]
    front_matter = answerer.index.front_matter({result.citation.document_id for result in results})
    return [_result(result, front_matter[result.citation.document_id], own) for result in results]


def _score(result: CitedPassage) -> float:
    """Return the score, kept within 0 and 1 as OpenAI's clients expect: the reader's part can lead out of them."""
    return min(1.0, max(0.0, result.scored.score))


def _result(result: CitedPassage, front_matter: Metadata, own: Callable[[str], str]) -> SearchResult:
    citation = result.citation
    place = citation.position
    attributes: Attributes = {
        **document_attributes(citation.title, citation.uri, front_matter),
        **({"section": citation.section_path[-1]} if citation.section_path else {}),
        "quote": citation.quote,
        "url": own(citation.url),
        "start_char": place.start_char,
        "end_char": place.end_char,
        **({} if result.scored.confidence is None else {"confidence": round(result.scored.confidence, 3)}),
    }
    return SearchResult(
        file_id=citation.document_id,
        filename=citation.uri,
        score=round(_score(result), 3),
        attributes=attributes,
        content=[Content(text=result.scored.passage.text)],
    )


def _merged(results: Sequence[SearchResult]) -> list[SearchResult]:
    """Return each passage once with its best score, best first."""
    best: dict[tuple[str, object], SearchResult] = {}
    for result in sorted(results, key=lambda result: -result.score):
        best.setdefault((result.file_id, result.attributes["start_char"]), result)
    return list(best.values())
