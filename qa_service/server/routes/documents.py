"""Routes of documents and citations: indexed texts, pages with a marked quote, and checks of citations."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

import orjson
from fastapi import APIRouter, Header, Path, Query, Request, Response
from starlette.responses import JSONResponse, PlainTextResponse

from qa_service.citations import CitationId
from qa_service.datatypes import SourceDocument
from qa_service.pipeline import QuestionAnswerer
from qa_service.rendering import Section
from qa_service.schemas.documents import (
    PassagesBody,
    SourceBody,
    SourcesBody,
    VerdictBody,
    VerifyRequest,
    VerifyResponse,
)
from qa_service.server.collections import Collections
from qa_service.server.gate import AROUND_QUOTES, ASK, QUOTE_ONLY, WHOLE_DOCUMENTS, Access
from qa_service.server.links import Links
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.pages import citation_page, pieces, source_page
from qa_service.server.routes.responses import BY_ACCEPT, problems

_NO_SECTIONS: Sequence[Section] = ()
_BY_LINK = Access("ask", by_link=True)
_PAGE = {"text/html": {"schema": {"type": "string"}}}
_DOCUMENT_ID = Path(description="`document_id` of a citation.")
_ACCEPT = Header(description="`application/json` for JSON, else plain text or a page.")


def listing_routes(collections: Collections) -> APIRouter:
    """Return the route that lists documents."""
    router = APIRouter(route_class=guarded(ASK), tags=["documents"])

    @router.get("/sources", summary="List documents", responses=problems(422, 503, 504, "default"))
    async def sources(
        request: Request,
        uri: Annotated[str | None, Query(description="Only the document at this path.", max_length=4096)] = None,
        after: Annotated[str, Query(description="Only ids after this one: the last id of the previous page.")] = "",
        limit: Annotated[int, Query(ge=1, le=1000, description="Documents on a page.")] = 100,
    ) -> SourcesBody:
        """List documents without their texts, ordered by id, a page at a time."""
        live = collections.of(request)
        with live.lease() as answerer:
            index = answerer.index
            if uri is None:
                return SourcesBody.of(await live.worker.run(lambda: index.list_documents(after, limit)))
            found = await live.worker.run(lambda: index.document_by_uri(uri))
        return SourcesBody.of([] if found is None else [found])

    return router


def passage_routes(collections: Collections) -> APIRouter:
    """Return the route that lists the passages of a document."""
    router = APIRouter(route_class=guarded(WHOLE_DOCUMENTS), tags=["documents"])

    @router.get(
        "/sources/{document_id}/passages",
        summary="List the passages of a document",
        responses={200: {"model": PassagesBody}, **problems(404, 503, 504, "default")},
        response_model=None,
    )
    async def passages(request: Request, document_id: Annotated[str, _DOCUMENT_ID]) -> Response:
        """Return the start and end character of every passage, in order. Passages may overlap.

        A publishable key needs the scope `documents`.
        """
        live = collections.of(request)
        with live.lease() as answerer:

            def spans() -> list[tuple[int, int]]:
                answerer.document(document_id)
                return answerer.index.spans(document_id)

            found = await live.worker.run(spans)
        return await asyncio.to_thread(_passages_response, found)

    return router


def _passages_response(spans: Sequence[tuple[int, int]]) -> Response:
    passages = [{"start_char": start, "end_char": end} for start, end in spans]
    return Response(orjson.dumps({"passages": passages}), media_type="application/json")


def _source_response(document: SourceDocument, *, as_json: bool) -> Response:
    """Return a document as plain text or as a :class:`SourceBody`. Texts may be long: call this in a thread."""
    if not as_json:
        return PlainTextResponse(document.text, headers=BY_ACCEPT)
    about = {
        "document_id": document.id,
        "title": document.title,
        "uri": document.uri,
        "document_sha256": document.sha256,
    }
    parts = (orjson.dumps(piece)[1:-1] for piece in pieces(document.text))
    content = b"".join([orjson.dumps(about)[:-1], b',"text":"', *parts, b'"}'])
    return Response(content, media_type="application/json", headers=BY_ACCEPT)


def document_routes(collections: Collections) -> APIRouter:
    """Return the route that reads a document."""
    router = APIRouter(route_class=guarded(WHOLE_DOCUMENTS), tags=["documents"])

    @router.get(
        "/sources/{document_id}",
        summary="Read a document",
        responses={
            200: {"model": SourceBody, "content": {"text/plain": {"schema": {"type": "string"}}}},
            **problems(404, 503, 504, "default"),
        },
        response_model=None,
    )
    async def read_source(
        request: Request, document_id: Annotated[str, _DOCUMENT_ID], accept: Annotated[str, _ACCEPT] = ""
    ) -> Response:
        """Return the text of a document as it was indexed. All character offsets refer to this text.

        A publishable key needs the scope `documents`.
        """
        live = collections.of(request)
        with live.lease() as answerer:
            document = await live.worker.run(lambda: answerer.document(document_id))
        return await asyncio.to_thread(_source_response, document, as_json="application/json" in accept)

    return router


def verify_routes(collections: Collections) -> APIRouter:
    """Return the route that checks citations."""
    router = APIRouter(route_class=guarded(ASK), tags=["documents"])

    @router.post("/verify", summary="Check citations", responses=problems(400, 413, 415, 422, 503, 504))
    async def verify(body: VerifyRequest, request: Request) -> VerifyResponse:
        """Check whether the quote of each citation is still in the documents."""
        live = collections.of(request)
        live.expect_ready()
        own = Links.of(request.scope, live.path).own
        cited = [citation.cited() for citation in body.citations]
        with live.lease() as answerer:
            verdicts = await live.worker.run(lambda: [answerer.verify(one) for one in cited])
        return VerifyResponse(
            index_version=answerer.index.generation,
            verdicts=[VerdictBody.of(verdict, own) for verdict in verdicts],
        )

    return router


def _with_sections(answerer: QuestionAnswerer, document_id: str) -> tuple[SourceDocument, Sequence[Section]]:
    return answerer.document(document_id), answerer.index.sections(document_id)


def view_routes(collections: Collections) -> APIRouter:
    """Return the route of a document's page, which the links of answers open; a signed link needs no key."""
    router = APIRouter(route_class=guarded(AROUND_QUOTES), tags=["documents"])

    @router.get(
        "/sources/{document_id}/view",
        summary="View a quote in its document",
        response_description="The document as a page.",
        responses={200: {"content": _PAGE}, **problems(404, 422, 503, 504)},
        response_class=Response,
    )
    async def view_source(
        request: Request,
        document_id: Annotated[str, _DOCUMENT_ID],
        start: Annotated[int, Query(ge=0, description="First character of the quote.")] = 0,
        end: Annotated[int, Query(ge=0, description="The character after the quote.")] = 0,
    ) -> Response:
        """Return the document as a page with the quote marked; `#quote` scrolls to it.

        A signed link shows the quote and the text around it, or everything if its key has the scope `documents`. A
        publishable key without that scope needs a signed link.
        """
        live = collections.of(request)
        with live.lease() as answerer:
            document, sections = await live.worker.run(lambda: _with_sections(answerer, document_id))
        whole = not request.scope.get(QUOTE_ONLY, False)
        return await asyncio.to_thread(source_page, document, start, end, whole=whole, sections=sections)

    return router


def citation_routes(collections: Collections) -> APIRouter:
    """Return the route of permalinks; a signed link needs no key."""
    router = APIRouter(route_class=guarded(_BY_LINK), tags=["documents"])
    both = {"application/json": {}, **_PAGE}

    @router.get(
        "/cite/{citation_id}",
        summary="Check a citation",
        responses={200: {"model": VerdictBody, "content": both}, **problems(404, 503, 504, "default")},
        response_model=None,
    )
    async def cite(
        request: Request,
        citation_id: Annotated[str, Path(description="From a `permalink`.")],
        accept: Annotated[str, _ACCEPT] = "",
    ) -> Response:
        """Return whether the quote is still in the documents: exact, moved, changed (with the text now) or gone."""
        live = collections.of(request)
        identifier = CitationId.parse(citation_id)
        own = Links.of(request.scope, live.path).own
        as_page = "text/html" in accept and identifier is not None
        with live.lease() as answerer:
            verdict = await live.worker.run(lambda: answerer.citation(citation_id))
            place, document, sections = verdict.document_id, None, _NO_SECTIONS
            if as_page and place is not None:
                document, sections = await live.worker.run(lambda: _with_sections(answerer, place))
        response: Response = JSONResponse(VerdictBody.of(verdict, own).model_dump())
        if as_page and identifier is not None:
            response = await asyncio.to_thread(citation_page, identifier, verdict, document, own, sections)
        response.headers.update(BY_ACCEPT)
        return response

    return router
