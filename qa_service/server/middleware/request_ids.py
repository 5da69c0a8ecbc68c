"""Request ids, and headers that every response or every event stream has."""

import asyncio
import os
import uuid
from collections.abc import Iterator, Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_service.errors import QAServiceError
from qa_service.server.middleware.problems import error_response

EVENT_STREAM = "text/event-stream"
_UUID_BYTES, _IDS_PER_DRAW = 16, 256
CLIENT_GONE = "qa_client_gone"
"""Key in the scope of a request that was cancelled, since its client disconnected."""
REFUSED = "qa_refused"
"""Key in the scope of a request that the protocol refused while the application handled it: the status sent."""
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_EVENT_STREAM_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""Keep caches and proxies from buffering events; nginx reads the second."""


_random: Iterator[bytes] = iter(())


def random_id() -> str:
    """Return a random UUID. Random bytes are drawn for many ids at once, since each system call is expensive."""
    global _random  # noqa: PLW0603 - one per process
    drawn = next(_random, None)
    if drawn is None:
        block = os.urandom(_UUID_BYTES * _IDS_PER_DRAW)
        _random = (block[start : start + _UUID_BYTES] for start in range(0, len(block), _UUID_BYTES))
        drawn = next(_random)
    return str(uuid.UUID(bytes=drawn, version=4))


def encoded_error(
    request_id: str, error: QAServiceError, headers: Mapping[str, str], path: str = ""
) -> tuple[int, bytes]:
    """Encode an error as raw HTTP (status; headers and body), for the protocol below the ASGI app.

    It has the headers of every response and the given ones. ``path`` is empty if it is unknown.
    """
    scope = {"qa_request_id": request_id, "path": path}
    response = error_response(scope, error, {"X-Request-ID": request_id, **_SECURITY_HEADERS, **headers})
    lines = [name + b": " + value for name, value in response.raw_headers]
    return response.status_code, b"\r\n".join([*lines, b"", bytes(response.body)])


class RequestIds:
    """Gives each request a random id, and each response that id and the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set ``scope["qa_request_id"]`` and the headers of the response."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope["qa_request_id"] = random_id()

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = scope["qa_request_id"]
                for name, value in _SECURITY_HEADERS.items():
                    headers.setdefault(name, value)
                if headers.get("content-type", "").startswith(EVENT_STREAM):
                    for name, value in _EVENT_STREAM_HEADERS.items():
                        headers.setdefault(name, value)
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            if CLIENT_GONE not in scope:
                raise
