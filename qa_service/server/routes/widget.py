"""The chat widget's files and the playground, from memory: each has an address that never changes and one that follows.

``/widget/NAME`` is the file as it is now; ``/widget/VERSION/NAME`` is the same file for good, where
``VERSION`` is made of the contents of all. Nothing else is read from disk, so no path can lead elsewhere.
"""

import base64
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from qa_service import __version__
from qa_service.errors import NotFound
from qa_service.schemas.service import WidgetBody, WidgetFile
from qa_service.server.gate import PUBLIC
from qa_service.server.links import PATH_PREFIX
from qa_service.server.routes.guarded import guarded
from qa_service.server.routes.responses import BY_ACCEPT

_TYPES = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
_ELEMENT_FILES = ("qa-chat-define.js", "qa-chat.js", "client.js", "strings.js", "styles.js", "view.js")
"""What a page loads, first that which it names; ``qa-chat-loader.js`` loads them for it."""
_PLAYGROUND_FILES = ("playground.js", "playground.css", "icon.svg")
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"
_CONTENT_SECURITY_POLICY = "; ".join(
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
    integrity: str


def _file(name: str) -> _File:
    content = files("qa_service.server.widget").joinpath(name).read_bytes()
    media_type = _TYPES.get(name[name.rindex(".") :], "text/html; charset=utf-8")
    return _File(content, media_type, f"sha384-{base64.b64encode(hashlib.sha384(content).digest()).decode()}")


@cache
def _files() -> tuple[str, dict[str, _File]]:
    """Return the version and the files by name."""
    found = {name: _file(name) for name in (*_ELEMENT_FILES, "qa-chat-loader.js", *_PLAYGROUND_FILES)}
    version = hashlib.sha256("".join(file.integrity for file in found.values()).encode()).hexdigest()[:12]
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
                if name not in _PLAYGROUND_FILES
            ],
        )

    @router.get("/widget/{name}", operation_id="widget_file", include_in_schema=False)
    async def current(name: str) -> Response:
        """Return a file as it is now."""
        return _file_response(found.get(name), _REVALIDATE)

    @router.get("/widget/{of}/{name}", operation_id="widget_file_of_version", include_in_schema=False)
    async def of_version(of: str, name: str) -> Response:
        """Return a file of this version; another one's are gone with the release that had it."""
        return _file_response(found.get(name) if of == version else None, _IMMUTABLE)

    @router.get("/", operation_id="root", summary="What is here?", include_in_schema=False, response_model=None)
    async def root(request: Request) -> Response:
        """Show the playground to people, and name the ways in to programs."""
        prefix = _prefix(request)
        if "text/html" in request.headers.get("accept", ""):
            policy = {"Content-Security-Policy": _CONTENT_SECURITY_POLICY}
            return Response(_with_prefix(prefix, page.content), media_type=page.media_type, headers=policy | BY_ACCEPT)
        ways_in = {
            "service": f"qa_service {__version__}",
            "ask": f'POST {prefix}/ask {{"question": "…"}}',
            "description": f"{prefix}/openapi.json",
            "ready": f"{prefix}/readyz",
        }
        return JSONResponse(ways_in, headers=BY_ACCEPT)

    return router


def _prefix(request: Request) -> str:
    return str(request.scope.get(PATH_PREFIX, ""))


def _with_prefix(prefix: str, page: bytes) -> bytes:
    """Return a page with its links below a prefix; without one they are relative to the page."""
    return page.replace(b'="widget/', f'="{prefix}/widget/'.encode()) if prefix else page


def _file_response(file: _File | None, caching: str) -> Response:
    if file is None:
        raise NotFound("no such file of the widget; GET /widget names them")
    headers = {
        "Cache-Control": caching,
        "Access-Control-Allow-Origin": "*",  # modules of other origins need it; there is nothing secret in them
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return Response(file.content, media_type=file.media_type, headers=headers)
