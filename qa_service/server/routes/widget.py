"""Routes of the chat widget and of the playground, whose files are served from memory.

``/widget/NAME`` is the current file; ``/widget/VERSION/NAME`` never changes, since ``VERSION`` is a hash of all files.
No request reads from disk, so no path can leave the folder.
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
_ELEMENT_FILES = (
    "qa-chat-define.js",
    "qa-chat.js",
    "client.js",
    "conversation.js",
    "panel.js",
    "reveal.js",
    "strings.js",
    "styles.js",
    "theme.js",
    "view.js",
)
"""The modules of the element, the entry point first; ``qa-chat-loader.js`` loads them too."""
_LAZY_FILES = (
    *("back.js", "blocks.js", "card.js", "card-styles.js", "launcher.js"),
    *("diagnose.js", "overlay.js", "overlay-styles.js", "share-link.js", "shortcuts.js", "sidebar.js"),
    *("preview.js", "preview-parts.js", "preview-strings.js", "preview-styles.js"),
    *(f"strings-{code}.js" for code in ("ar", "de", "es", "fr", "it", "ja", "ko", "nl", "pt", "zh")),
)
"""The modules that the element imports when it needs them."""
_PLAYGROUND_FILES = (
    *("playground.js", "playground-colours.js", "playground-documents.js", "playground-embed.js"),
    *("playground-evaluation.js", "playground-filters.js", "playground-ranking.js", "playground-service.js"),
    *("playground.css", "icon.svg"),
)
_IMMUTABLE = "public, max-age=31536000, immutable"
_REVALIDATE = "no-cache"
PAGE_POLICY = "; ".join(
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
    """Return the version, and the files by name."""
    found = {name: _file(name) for name in (*_ELEMENT_FILES, "qa-chat-loader.js", *_LAZY_FILES, *_PLAYGROUND_FILES)}
    version = hashlib.sha256("".join(file.integrity for file in found.values()).encode()).hexdigest()[:12]
    return version, found


def widget_routes() -> APIRouter:
    """Return the routes of the widget and the playground. They are public, since they contain no documents."""
    router = APIRouter(route_class=guarded(PUBLIC), tags=["widget"])
    version, found = _files()
    page = _file("playground.html")

    @router.get("/widget", operation_id="widget", summary="Read the version of the chat widget")
    async def widget(request: Request) -> WidgetBody:
        """List the widget's files under paths that never change, with their subresource integrity hashes."""
        return WidgetBody(
            version=version,
            files=[
                WidgetFile(
                    path=f"{_prefix(request)}/widget/{version}/{name}",
                    integrity=file.integrity,
                    lazy=name in _LAZY_FILES,
                )
                for name, file in found.items()
                if name not in _PLAYGROUND_FILES
            ],
        )

    @router.get("/widget/{name}", operation_id="widget_file", include_in_schema=False)
    async def current(name: str) -> Response:
        """Return the current file."""
        return _file_response(found.get(name), _REVALIDATE)

    @router.get("/widget/{of}/{name}", operation_id="widget_file_of_version", include_in_schema=False)
    async def of_version(of: str, name: str) -> Response:
        """Return a file of this version; files of other versions are not available."""
        return _file_response(found.get(name) if of == version else None, _IMMUTABLE)

    @router.get("/", operation_id="root", summary="Playground", include_in_schema=False, response_model=None)
    async def root(request: Request) -> Response:
        """Return the playground to browsers, and the main routes as JSON to programs."""
        prefix = _prefix(request)
        if "text/html" in request.headers.get("accept", ""):
            policy = {"Content-Security-Policy": PAGE_POLICY}
            return Response(_with_prefix(prefix, page.content), media_type=page.media_type, headers=policy | BY_ACCEPT)
        return JSONResponse(_main_routes(prefix), headers=BY_ACCEPT)

    return router


def _main_routes(prefix: str) -> dict[str, str]:
    return {
        "service": f"qa_service {__version__}",
        "ask": f'POST {prefix}/ask {{"question": "…"}}',
        "description": f"{prefix}/openapi.json",
        "ready": f"{prefix}/readyz",
    }


def _prefix(request: Request) -> str:
    return str(request.scope.get(PATH_PREFIX, ""))


def _with_prefix(prefix: str, page: bytes) -> bytes:
    """Return a page with its links below a prefix; without a prefix they stay relative."""
    return page.replace(b'="widget/', f'="{prefix}/widget/'.encode()) if prefix else page


def _file_response(file: _File | None, caching: str) -> Response:
    if file is None:
        raise NotFound("the widget has no such file; GET /widget lists all files")
    headers = {
        "Cache-Control": caching,
        "Access-Control-Allow-Origin": "*",  # pages of other origins load these modules, which contain no secrets
        "Cross-Origin-Resource-Policy": "cross-origin",
    }
    return Response(file.content, media_type=file.media_type, headers=headers)
