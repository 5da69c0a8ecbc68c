"""The route of pictures of PDF pages."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from qa_service.datatypes import PageBox, SourceDocument
from qa_service.server.collections import Collections
from qa_service.server.gate import AROUND_QUOTES, QUOTE_ONLY
from qa_service.server.page_pictures import PagePictures
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems
from qa_service.text.page_lines import boxes_in


def picture_routes(collections: Collections, pictures: PagePictures) -> APIRouter:
    """Return the route that draws a page of a document."""
    router = APIRouter(route_class=guarded(AROUND_QUOTES), tags=["documents"])

    @router.get(
        "/sources/{document_id}/page/{page}.png",
        summary="View a page of a PDF",
        response_description="The page as a picture.",
        responses={200: {"content": {"image/png": {}}}, **problems(404, 410, 422, 503, 504)},
        response_class=Response,
    )
    async def page_picture(
        request: Request,
        document_id: Annotated[str, Path(description="`document_id` of a citation.")],
        page: Annotated[int, Path(ge=1, le=1_000_000, description="The page, from 1.")],
        start: Annotated[int, Query(ge=0, description="First character of the quote.")] = 0,
        end: Annotated[int, Query(ge=0, description="The character after the quote.")] = 0,
    ) -> Response:
        """Return a page of a PDF as a PNG, with the quote marked. The file must be the one that was indexed.

        A signed link shows the part of the page around the quote, or the page if its key has the scope `documents`. A
        publishable key without that scope needs a signed link: those in `pictures` of a preview.
        """
        live = collections.of(request)
        with live.lease() as answerer:

            def find() -> tuple[SourceDocument, list[PageBox]]:
                document = answerer.document(document_id)
                lines = answerer.index.page_lines([(document.id, page)])
                return document, [box for own in lines.values() for box in boxes_in(own, page, start, end)]

            document, boxes = await live.worker.run(find)
        name = request.path_params.get("collection", "")
        whole = not request.scope.get(QUOTE_ONLY, False)
        drawn = await asyncio.to_thread(pictures.draw, name, document, page, boxes, whole=whole)
        return Response(drawn, media_type="image/png")

    return router
