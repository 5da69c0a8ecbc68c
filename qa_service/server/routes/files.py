"""Routes that read, write and delete the files of a source folder, for keys with the scope `admin`."""

import asyncio
from fnmatch import fnmatchcase
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response

from qa_service.errors import Forbidden, InvalidRequest, NotFound, UnreadableRequest, UnsupportedMediaType
from qa_service.loading.formats import FORMATS
from qa_service.schemas.documents import StoredDocument
from qa_service.server.builds import Builder
from qa_service.server.collections import Collections
from qa_service.server.document_paths import names_of
from qa_service.server.gate import ADMIN
from qa_service.server.links import Links
from qa_service.server.middleware.observing import note
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import problems
from qa_service.server.source_files import Condition, SourceFiles, too_large
from qa_service.settings import Settings

_BUILD = "/admin/reindex"
_PATH = Path(description="Path of a file below the source folder, such as `reports/2026.pdf`.")
_BUILDS = Query(description="Whether a build starts once no file has changed for two seconds.")
_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_MAX_DIGITS = 20


def _condition(
    if_match: Annotated[
        str | None, Header(max_length=1000, description="Change the file only if this is its `ETag`; `*` if it exists.")
    ] = None,
    if_none_match: Annotated[
        str | None, Header(max_length=1000, description="`*` stores the file only if there is none at this path.")
    ] = None,
) -> Condition:
    return Condition(if_match, if_none_match)


class _Folders:
    """The source folders of the collections."""

    def __init__(self, collections: Collections, settings: Settings) -> None:
        self._allowed = settings.documents_write
        self._include = settings.include
        self._collections = collections
        self._default = SourceFiles(settings)
        self._named = {name: SourceFiles(own) for name, own in settings.by_collection().items()}

    def file(self, request: Request, path: str) -> tuple[SourceFiles, tuple[str, ...]]:
        """Return the folder of a request's collection and the names on a path, and log the path."""
        if not self._allowed:
            raise Forbidden("files are not served over HTTP here; QA_DOCUMENTS_WRITE=true allows it")
        self._collections.of(request)
        name = request.path_params.get("collection")
        files = self._default if name is None else self._named.get(name)
        if files is None:
            raise NotFound("this collection has no source folder; QA_COLLECTIONS names those that have")
        names = names_of(path, FORMATS)
        if self._include and not any(fnmatchcase(path, pattern) for pattern in self._include):
            raise InvalidRequest("the path matches no pattern of QA_INCLUDE, so the file would not be indexed")
        note(request.scope, document="/".join(names))
        return files, names


def document_file_routes(collections: Collections, builder: Builder, settings: Settings) -> APIRouter:
    """Return the routes below ``/documents``. Bodies are streamed, since files may be large."""
    router = APIRouter(route_class=guarded(ADMIN, reads_body=False), tags=["documents"])
    folders = _Folders(collections, settings)

    async def started(request: Request, response: Response, *, build: bool) -> str | None:
        """Ask for a build, and name it in the response."""
        if not build:
            return None
        await asyncio.to_thread(builder.want)
        address = Links.of(request.scope).path_prefix + _BUILD
        response.headers["Link"] = f'<{address}>; rel="monitor"'
        return address

    @router.put(
        "/documents/{path:path}",
        summary="Store a file",
        responses={
            201: {"model": StoredDocument, "description": "A file that is new was stored."},
            **problems(400, 404, 412, 413, 415, 422, 503, 507, "default"),
        },
        openapi_extra={"requestBody": {"required": True, "description": "The content of the file.", "content": _FILE}},
    )
    async def put_document(
        request: Request,
        response: Response,
        path: Annotated[str, _PATH],
        condition: Annotated[Condition, Depends(_condition)],
        build: Annotated[bool, _BUILDS] = True,  # noqa: FBT002 - a query parameter
    ) -> StoredDocument:
        """Store the body as a file of the source folder, in place of the one at this path.

        It appears once it is complete and on disk. Several changes in a row start one build, after the last.
        """
        files, names = folders.file(request, path)
        _check_headers(request, settings)
        stored = await files.write(names, request.stream(), condition)
        note(request.scope, bytes=stored.size, sha256=stored.sha256)
        response.status_code = HTTPStatus.CREATED if stored.created else HTTPStatus.OK
        response.headers["ETag"] = f'"{stored.sha256}"'
        job = await started(request, response, build=build)
        return StoredDocument(uri="/".join(names), sha256=stored.sha256, size=stored.size, build=job)

    @router.get(
        "/documents/{path:path}",
        summary="Read a file",
        response_description="The content of the file.",
        responses={200: {"content": _FILE}, **problems(404, 422, 503, "default")},
        response_class=Response,
    )
    async def get_document(request: Request, path: Annotated[str, _PATH]) -> Response:
        """Return a file of the source folder as it is now, which may differ from what was indexed."""
        files, names = folders.file(request, path)
        content = await asyncio.to_thread(files.read, names)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(names[-1], safe='')}",
            "X-Content-Type-Options": "nosniff",
        }
        return Response(content, media_type="application/octet-stream", headers=headers)

    @router.delete(
        "/documents/{path:path}",
        summary="Delete a file",
        status_code=204,
        response_description="The file is deleted.",
        responses=problems(404, 412, 422, 503, "default"),
    )
    async def delete_document(
        request: Request,
        path: Annotated[str, _PATH],
        condition: Annotated[Condition, Depends(_condition)],
        build: Annotated[bool, _BUILDS] = True,  # noqa: FBT002 - a query parameter
    ) -> Response:
        """Delete a file of the source folder. It is cited until a build is done."""
        files, names = folders.file(request, path)
        await asyncio.to_thread(files.delete, names, condition)
        response = Response(status_code=HTTPStatus.NO_CONTENT)
        await started(request, response, build=build)
        return response

    return router


def _check_headers(request: Request, settings: Settings) -> None:
    """Raise an error for a body that is not a complete, uncompressed file, or is declared to be too large."""
    if "content-range" in request.headers:
        raise UnreadableRequest("parts of files are not stored; send the file without Content-Range")
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("compressed bodies are not supported; send the file uncompressed")
    declared: Any = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared[:_MAX_DIGITS]) > settings.max_file_mb * 1_000_000:
        raise too_large(settings.max_file_mb * 1_000_000)
