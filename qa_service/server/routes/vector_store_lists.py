"""Lists below ``/v1`` in the shape of OpenAI's API: vector stores, their files and the files' texts."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request

from qa_service.datatypes import SourceDocument
from qa_service.index import Index, Manifest
from qa_service.schemas.vector_stores import (
    Content,
    FileContentPage,
    FileCounts,
    VectorStoreBody,
    VectorStoreFile,
    VectorStoreFilePage,
    VectorStorePage,
    document_attributes,
)
from qa_service.server.collections import Collections
from qa_service.server.gate import Access
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.models import BY_KEY, own_collections
from qa_service.server.routes.responses import problems
from qa_service.server.routes.vector_stores import STORE_ID, store_of

_BY_ID = Access("ask", collection_parameter="vector_store_id")
_TEXT_BY_ID = Access("ask", collection_parameter="vector_store_id", around_quotes=True)
_STORE = "/v1/vector_stores/{vector_store_id}"
_After = Annotated[str, Query(description="Only ids after this one: `last_id` of the previous page.")]
_FileId = Annotated[str, Path(description="`document_id` of a citation.")]
_Limit = Annotated[int, Query(ge=1, le=100, description="Items on a page.")]
_Status = Annotated[
    Literal["completed", "in_progress", "cancelled", "failed"],
    Query(alias="filter", description="All files are `completed`; other values list none."),
]


def store_list_routes(collections: Collections) -> APIRouter:
    """Return the route that lists the vector stores of the key's collections."""
    router = APIRouter(route_class=guarded(BY_KEY), prefix="/v1", tags=["documents"])

    @router.get(
        "/vector_stores",
        operation_id="vector_stores",
        summary="List vector stores",
        responses=problems(422, "default"),
    )
    async def vector_stores(request: Request, after: _After = "", limit: _Limit = 20) -> VectorStorePage:
        """List the collections as vector stores, ordered by name."""
        own = own_collections(collections, request.scope)
        stores = [_store(name, live.manifest) for name, live in own.items() if name > after]
        return VectorStorePage.of(stores, limit)

    return router


def store_routes(collections: Collections) -> APIRouter:
    """Return the route of one vector store."""
    router = APIRouter(route_class=guarded(_BY_ID), prefix=_STORE, tags=["documents"])

    @router.get("", operation_id="vector_store", summary="Read a vector store", responses=problems(404, "default"))
    async def vector_store(vector_store_id: STORE_ID) -> VectorStoreBody:
        """Return a collection as a vector store."""
        return _store(vector_store_id, store_of(collections, vector_store_id).manifest)

    return router


def file_routes(collections: Collections) -> APIRouter:
    """Return the routes of the files of a vector store."""
    router = APIRouter(route_class=guarded(_BY_ID), prefix=_STORE, tags=["documents"])

    @router.get(
        "/files",
        operation_id="vector_store_files",
        summary="List the files of a vector store",
        responses=problems(404, 422, 503, 504, "default"),
    )
    async def files(
        vector_store_id: STORE_ID,
        after: _After = "",
        limit: _Limit = 20,
        status: _Status = "completed",
    ) -> VectorStoreFilePage:
        """List the documents as files, ordered by id, a page at a time."""
        live = store_of(collections, vector_store_id)
        if status != "completed":
            return VectorStoreFilePage.of([], limit)
        with live.lease() as answerer:
            index = answerer.index
            listed = partial(_files, vector_store_id, index, lambda: index.list_documents(after, limit + 1))
            return VectorStoreFilePage.of(await live.worker.run(listed), limit)

    @router.get(
        "/files/{file_id}",
        operation_id="vector_store_file",
        summary="Read a file of a vector store",
        responses=problems(404, 503, 504, "default"),
    )
    async def file(vector_store_id: STORE_ID, file_id: _FileId) -> VectorStoreFile:
        """Return a document as a file."""
        live = store_of(collections, vector_store_id)
        with live.lease() as answerer:
            found = partial(_files, vector_store_id, answerer.index, lambda: [answerer.document(file_id)])
            return (await live.worker.run(found))[0]

    return router


def file_content_routes(collections: Collections) -> APIRouter:
    """Return the route of a file's text. A publishable key needs the scope ``documents`` to read it."""
    router = APIRouter(route_class=guarded(_TEXT_BY_ID), prefix=_STORE, tags=["documents"])

    @router.get(
        "/files/{file_id}/content",
        operation_id="vector_store_file_content",
        summary="Read the text of a file of a vector store",
        responses=problems(404, 503, 504, "default"),
    )
    async def content(vector_store_id: STORE_ID, file_id: _FileId) -> FileContentPage:
        """Return the text of a document as it was indexed."""
        live = store_of(collections, vector_store_id)
        with live.lease() as answerer:
            document = await live.worker.run(lambda: answerer.document(file_id))
        return FileContentPage(data=[Content(text=document.text)])

    return router


def _store(name: str, manifest: Manifest) -> VectorStoreBody:
    failed = sum(file.failed for file in manifest.skipped)
    return VectorStoreBody(
        id=name,
        name=name,
        created_at=_seconds(manifest),
        file_counts=FileCounts(completed=manifest.documents, failed=failed, total=manifest.documents + failed),
        usage_bytes=sum(file.bytes for file in manifest.files.values()),
        metadata={"index_version": manifest.generation},
    )


def _files(store: str, index: Index, find: Callable[[], Sequence[SourceDocument]]) -> list[VectorStoreFile]:
    documents = find()
    front_matter = index.front_matter(document.id for document in documents)
    return [
        VectorStoreFile(
            id=document.id,
            vector_store_id=store,
            created_at=_seconds(index.manifest),
            attributes=document_attributes(document.title, document.uri, front_matter[document.id]),
        )
        for document in documents
    ]


def _seconds(manifest: Manifest) -> int:
    return int(datetime.fromisoformat(manifest.created_at).timestamp())
