"""CORS: tells browsers which pages may read responses."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from qa_service.errors import MethodNotAllowed, RequestError
from qa_service.server.gate import Gate, refused_origin
from qa_service.server.middleware.problems import error_response

EXPOSED_HEADERS = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy", "ETag")
METHODS = ("GET", "HEAD", "POST", "OPTIONS")


def cors_headers(gate: Gate, origin: str) -> dict[str, str]:
    """Return the headers that :class:`Cors` adds to a response to a page of ``origin``."""
    if not gate.is_origin(origin):
        return {}
    exposed = ", ".join(EXPOSED_HEADERS)
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": exposed, "Vary": "Origin"}


class Cors(CORSMiddleware):
    """Lets pages of allowed origins send any header and read responses; decision 0012 has the reasons.

    A key allows its origins; the settings do where no key is needed.
    """

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        super().__init__(
            app, allow_methods=METHODS, allow_headers=("*",), allow_private_network=True, expose_headers=EXPOSED_HEADERS
        )
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer preflight requests, and add headers to other responses."""
        if scope["type"] == "http" and scope["path"].startswith("/widget/"):
            await self.app(scope, receive, send)  # any page may load these files; they have CORS headers of their own
            return
        if (
            scope["type"] == "http"
            and scope["method"] == "OPTIONS"
            and (problem := self._problem(Headers(scope=scope)))
        ):
            await error_response(scope, problem)(scope, receive, send)
            return
        await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Tell whether pages of an origin may read responses."""
        return self._gate.is_origin(origin)

    def _problem(self, given: Headers) -> RequestError | None:
        """Return the error of a preflight that is refused."""
        origin, method = given.get("origin"), given.get("access-control-request-method")
        if origin is None or method is None:
            return None
        if not self.is_allowed_origin(origin):
            return refused_origin()
        if method not in METHODS:
            allowed = ", ".join(METHODS)
            return MethodNotAllowed(f"pages may send {allowed}", headers={"Allow": allowed})
        return None
