"""Documents as resources: their URIs, and pages of their list."""

import re
from collections.abc import Sequence
from typing import Any

from mcp_types import (
    ListResourcesResult,
    ListResourceTemplatesResult,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    TextResourceContents,
)

from qa_service.datatypes import SourceDocument
from qa_service.errors import InvalidRequest, NotFound
from qa_service.server.live_index import LiveIndex

_SCHEME = "qa-service://"
_MEDIA_TYPE = "text/plain"
_URI = re.compile(rf"{_SCHEME}(?:/collections/([^/]+))?/sources/([^/]+)")
_PAGE = 100

_TITLES = {"": "A document", "/collections/{collection}": "A document of a collection"}
TEMPLATES = ListResourceTemplatesResult(
    resource_templates=[
        ResourceTemplate(
            name=f"document{'-of-collection' if path else ''}",
            title=title,
            uri_template=f"{_SCHEME}{path}/sources/{{document_id}}",
            description="The text of a document as it was indexed; offsets of citations refer to it.",
            mime_type=_MEDIA_TYPE,
        )
        for path, title in _TITLES.items()
    ]
)


def uri_of(live: LiveIndex, document_id: str) -> str:
    """Return the URI of a document."""
    return f"{_SCHEME}{live.path}/sources/{document_id}"


def place_of(uri: str) -> tuple[str, str]:
    """Return the collection and the document's id in a URI. Raises :class:`NotFound`."""
    match = _URI.fullmatch(uri)
    if match is None:
        wanted = " or ".join(template.uri_template for template in TEMPLATES.resource_templates)
        raise NotFound(f"no resource has this URI; use {wanted}")
    return match[1] or "", match[2]


def text_of(uri: str, document: SourceDocument) -> ReadResourceResult:
    """Return the text of a document."""
    contents: list[Any] = [TextResourceContents(uri=uri, mime_type=_MEDIA_TYPE, text=document.text)]
    return ReadResourceResult(contents=contents)


def start_of_page(cursor: str | None, collections: Sequence[str]) -> tuple[str, str]:
    """Return the collection of a page, and the id before its first. Raises :class:`InvalidRequest`."""
    if cursor is None:
        return collections[0], ""
    collection, slash, after = cursor.rpartition("/")
    if not slash or collection not in collections:
        raise InvalidRequest("the cursor is not one of this list; list from the start, without a cursor")
    return collection, after


async def page_of(live: LiveIndex, collection: str, after: str, following: Sequence[str]) -> ListResourcesResult:
    """Return a page of the documents of a collection; the last one leads to the ``following`` collections."""
    with live.lease() as answerer:
        found = await live.worker.run(lambda: answerer.index.list_documents(after, _PAGE))
    resources = [
        Resource(uri=uri_of(live, one.id), name=one.uri, title=one.title, mime_type=_MEDIA_TYPE) for one in found
    ]
    cursor = f"{collection}/{found[-1].id}" if len(found) == _PAGE else f"{following[0]}/" if following else None
    return ListResourcesResult(resources=resources, next_cursor=cursor)
