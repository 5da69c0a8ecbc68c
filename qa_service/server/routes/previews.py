"""The route of previews: the text around a quote, for pages that show it in its document."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Path, Query, Request, Response

from qa_service.citations import view_path
from qa_service.datatypes import SourceDocument
from qa_service.rendering.text import Section
from qa_service.schemas.blocks import block_bodies
from qa_service.schemas.documents import PreviewBody
from qa_service.server.collections import Collections
from qa_service.server.gate import AROUND_QUOTES, QUOTE_ONLY
from qa_service.server.links import Links
from qa_service.server.page_pictures import PDF
from qa_service.server.previews import Preview, preview_of
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems

_MAX_PICTURES = 3


def preview_routes(collections: Collections) -> APIRouter:
    """Return the route of previews."""
    router = APIRouter(route_class=guarded(AROUND_QUOTES), tags=["documents"])

    @router.get(
        "/sources/{document_id}/preview",
        summary="Read the text around a quote",
        responses={200: {"model": PreviewBody}, **problems(404, 422, 503, 504)},
        response_model=None,
    )
    async def preview(
        request: Request,
        document_id: Annotated[str, Path(description="`document_id` of a citation.")],
        start_char: Annotated[int, Query(ge=0, description="First character of the quote.")],
        end_char: Annotated[int, Query(ge=0, description="The character after the quote.")],
    ) -> Response:
        """Return the part of a document around a span, and the document's sections.

        The part ends with a block that ends within 4,000 characters of the span. A signed link, such as `preview` in a
        citation, shows 600 characters on each side and their sections, unless its key has the scope `documents`. A
        publishable key without that scope needs a signed link.
        """
        live = collections.of(request)
        with live.lease() as answerer:

            def find() -> tuple[SourceDocument, list[Section], str | None]:
                document = answerer.document(document_id)
                url = answerer.published_link(document, (start_char, end_char))
                return document, answerer.index.sections(document_id), url

            document, sections, url = await live.worker.run(find)
        whole = not request.scope.get(QUOTE_ONLY, False)
        own = Links.of(request.scope, live.path).own

        def respond() -> Response:
            found = preview_of(document, sections, (start_char, end_char), whole=whole)
            return Response(orjson.dumps(_body(found, url, own)), media_type="application/json")

        return await asyncio.to_thread(respond)

    return router


def _body(preview: Preview, url: str | None, own: Callable[[str], str]) -> dict[str, Any]:
    """Return the content of a :class:`PreviewBody`; ``own`` completes links to this service."""
    document, (start, end), pages = preview.document, preview.window, preview.pages
    about = ("title", "uri", "media_type")
    return {
        "document_id": document.id,
        **{name: getattr(document, name) for name in about},
        "url": url,
        "view": own(view_path(document.id, preview.span)),
        "start_char": start,
        "end_char": end,
        "length": len(document.text),
        "text": document.text[start:end],
        "blocks": block_bodies(preview.blocks),
        "outline": [
            {"text": heading.text, "level": heading.level, "start_char": heading.start} for heading in preview.outline
        ],
        "pages": None if pages is None else {"first": pages[0], "last": pages[1]},
        "pictures": [own(path) for path in _pictures(preview)],
    }


def _pictures(preview: Preview) -> list[str]:
    if preview.pages is None or preview.document.media_type != PDF:
        return []
    first, last = preview.pages
    start, end = preview.span
    path = f"/sources/{preview.document.id}/page"
    return [
        f"{path}/{page}.png?start={start}&end={end}" for page in range(first, min(last, first + _MAX_PICTURES - 1) + 1)
    ]
