"""Which pages may read answers, as browsers ask it: CORS."""

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from qa_service.errors import Forbidden
from qa_service.server.gate import Gate
from qa_service.server.middleware.problems import error_response

EXPOSED = ("X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy")


def headers_for_pages(gate: Gate, origin: str) -> dict[str, str]:
    """Return what :class:`Cors` adds to an answer to a page of an origin."""
    if not gate.is_origin(origin):
        return {}
    exposed = ", ".join(EXPOSED)
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": exposed, "Vary": "Origin"}


class Cors(CORSMiddleware):
    """Tells browsers which pages may read answers: those of the keys' origins, or those that the settings name."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        super().__init__(
            app,
            allow_methods=("GET", "POST"),
            allow_headers=("Authorization", "Content-Type"),
            expose_headers=EXPOSED,
        )
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a browser's preflight; add headers to other answers."""
        if scope["type"] == "http" and scope["path"].startswith("/widget/"):
            await self.app(scope, receive, send)  # for every page, as its own headers say
            return
        if scope["type"] == "http" and scope["method"] == "OPTIONS":
            given = Headers(scope=scope)
            origin = given.get("origin")
            if origin is not None and "access-control-request-method" in given and not self._gate.is_origin(origin):
                problem = Forbidden("pages of this origin may not ask here")
                await error_response(scope["qa_request_id"], problem)(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Tell whether pages of an origin may read answers."""
        return self._gate.is_origin(origin)
