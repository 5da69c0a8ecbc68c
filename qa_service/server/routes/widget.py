"""The chat widget's files and the playground, from memory: each has an address that never changes and one that follows.

``/widget/NAME`` is the file as it is now, with an ETag; ``/widget/VERSION/NAME`` is the same file for good, where
``VERSION`` is made of the contents of all. Nothing else is read from disk, so no path can lead elsewhere.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response

from qa_service import __version__
from qa_service.errors import NotFound
from qa_service.schemas.service import WidgetBody, WidgetFile
from qa_service.server.gate import PUBLIC
from qa_service.server.links import PATH_PREFIX
from qa_service.server.routes.guarded import guarded

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_ELEMENT = ("qa-chat-define.js", "qa-chat.js", "client.js", "strings.js", "styles.js", "view.js")
"""What a page loads, first that which it names; ``qa-chat-loader.js`` loads them for it."""
_PLAYGROUND = ("playground.js", "playground.css", "icon.svg")
_FOR_GOOD = "public, max-age=31536000, immutable"
_ASK_AGAIN = "no-cache"
_POLICY = "; ".join(
    (
        *(
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "connect-src 'self'",
            "img-src 'self'",
            "base-uri 'none'",
        ),
        *("form-action 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"),
    )
)


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str
    integrity: str

    @classmethod
    def of(cls, content: bytes, media_type: str) -> "_File":
        digest = hashlib.sha384(content).digest()
        return cls(content, media_type, f'"{digest.hex()[:32]}"', f"sha384-{base64.b64encode(digest).decode()}")


def _file(name: str) -> _File:
    content = files("qa_service.server.widget").joinpath(name).read_bytes()
    return _File.of(content, _TYPES.get(name[name.rindex(".") :], "text/html; charset=utf-8"))


@cache
def _files() -> tuple[str, dict[str, _File]]:
    """Return the version and the files by name."""
    found = {name: _file(name) for name in (*_ELEMENT, "qa-chat-loader.js", *_PLAYGROUND)}
    version = hashlib.sha256("".join(file.etag for file in found.values()).encode()).hexdigest()[:12]
    return version, found


def widget_routes() -> APIRouter:
    """Return the routes of the widget and of the playground. They are public: they hold nothing of the documents."""
    router = APIRouter(route_class=guarded(PUBLIC), tags=["widget"])
    version, found = _files()
    page = _file("playground.html")

    @router.get("/widget", operation_id="widget", summary="Which version of the chat widget is this?")
    async def widget(request: Request) -> WidgetBody:
        """Name the widget's files by addresses that never change, with the hashes that a page can ask for."""
        return WidgetBody(
            version=version,
            files=[
                WidgetFile(path=f"{_prefix(request)}/widget/{version}/{name}", integrity=file.integrity)
                for name, file in found.items()
                if name not in _PLAYGROUND
            ],
        )

    @router.get("/widget/{name}", operation_id="widget_file", include_in_schema=False)
    async def current(name: str, request: Request) -> Response:
        """Return a file as it is now."""
        return _sent(request, found.get(name), _ASK_AGAIN)

    @router.get("/widget/{of}/{name}", operation_id="widget_file_of_version", include_in_schema=False)
    async def of_version(of: str, name: str, request: Request) -> Response:
        """Return a file of this version; another one's are gone with the release that had it."""
        return _sent(request, found.get(name) if of == version else None, _FOR_GOOD)

    @router.get("/", operation_id="root", summary="What is here?", include_in_schema=False, response_model=None)
    async def root(request: Request) -> Response | dict[str, str]:
        """Show the playground to people, and name the ways in to programs."""
        if "text/html" in request.headers.get("accept", ""):
            response = _sent(request, _below(_prefix(request), page), _ASK_AGAIN)
            response.headers["Content-Security-Policy"] = _POLICY
            response.headers["Vary"] = "Accept"
            return response
        return {
            "service": f"qa_service {__version__}",
            "ask": f'POST {_prefix(request)}/ask {{"question": "…"}}',
            "description": f"{_prefix(request)}/openapi.json",
            "ready": f"{_prefix(request)}/readyz",
        }

    return router


def _prefix(request: Request) -> str:
    return str(request.scope.get(PATH_PREFIX, ""))


def _below(prefix: str, page: _File) -> _File:
    """Return a page with its links below a prefix; without one they are relative to the page."""
    return (
        _File.of(page.content.replace(b'="widget/', f'="{prefix}/widget/'.encode()), page.media_type)
        if prefix
        else page
    )


def _sent(request: Request, file: _File | None, caching: str) -> Response:
    if file is None:
        raise NotFound("no such file of the widget; GET /widget names them")
    headers = {
        "ETag": file.etag,
        "Cache-Control": caching,
        "Access-Control-Allow-Origin": "*",  # modules of other origins need it; there is nothing secret in them
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    if file.etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)
