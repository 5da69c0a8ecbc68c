"""Applies what a reverse proxy reports of a request: client address, scheme and path prefix."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from qa_service.server.addresses import unmapped
from qa_service.server.keys import is_loopback
from qa_service.server.links import PATH_PREFIX
from qa_service.settings import Settings
from qa_service.settings.server_fields import UNIX
from qa_service.settings.values import path_prefix


class ProxyHeaders:
    """Applies ``QA_PUBLIC_URL`` and the headers of trusted proxies to the scope of a request.

    ``path`` becomes the path of the route, whether the proxy strips the prefix or not. Only the setting changes it; a
    prefix in a header is only added to links. ``root_path`` stays empty, since the router would strip it from any path
    that begins with it.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        trusted = [*settings.trusted_proxies, *([UNIX] if settings.on_socket else [])]
        forwarded = ProxyHeadersMiddleware(app, trusted)  # type: ignore[arg-type]
        self.app: ASGIApp = forwarded if trusted else app  # type: ignore[assignment]
        self._on_socket = settings.on_socket
        self._proxies = forwarded.trusted_hosts
        self._local_clients_only = not settings.trusted_proxies and is_loopback(settings.host)
        self._public_path = settings.public_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set the prefix, the client's address and the scheme, then pass the request on."""
        if scope["type"] == "http":
            if self._on_socket:
                scope["client"] = (UNIX, 0)
            elif scope.get("client"):
                host, port = scope["client"]
                scope["client"] = (unmapped(host), port)
            if self._public_path:
                scope[PATH_PREFIX] = self._public_path
                scope["path"] = _without_prefix(self._public_path, scope["path"])
            else:
                scope[PATH_PREFIX] = self._forwarded_prefix(scope)
        await self.app(scope, receive, send)

    def _forwarded_prefix(self, scope: Scope) -> str:
        given = Headers(scope=scope).getlist("x-forwarded-prefix")
        if len(given) != 1 or not self._is_trusted(scope):
            return ""
        try:
            return path_prefix(given[0])
        except ValueError:
            return ""

    def _is_trusted(self, scope: Scope) -> bool:
        peer = scope["client"][0] if scope.get("client") else ""
        return self._local_clients_only or peer in self._proxies


def _without_prefix(prefix: str, path: str) -> str:
    if path == prefix:
        return "/"
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path
