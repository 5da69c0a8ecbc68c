"""What is checked before a request reaches a handler: its id, its size, its type, its JSON."""

import asyncio
import os
import uuid
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_service import strict_json
from qa_service.api.problems import error_response
from qa_service.errors import BodyTooLarge, QAServiceError, UnreadableRequest, UnsupportedMediaType

_UUID_BYTES, _DRAWN = 16, 256
CLIENT_GONE = "qa_client_gone"
"""In the scope of a request whose client has left: it was cancelled, and nobody waits for an answer."""
_SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


_random: Iterator[bytes] = iter(())


def random_id() -> str:
    """Return a random UUID; the system is asked for many at once, since one call takes as long as much else here."""
    global _random  # noqa: PLW0603 - of this process
    drawn = next(_random, None)
    if drawn is None:
        block = os.urandom(_UUID_BYTES * _DRAWN)
        _random = (block[start : start + _UUID_BYTES] for start in range(0, len(block), _UUID_BYTES))
        drawn = next(_random)
    return str(uuid.UUID(bytes=drawn, version=4))


def encoded_refusal(request_id: str, error: QAServiceError, headers: Mapping[str, str]) -> tuple[int, bytes]:
    """Return status, headers and body of an error as they go over HTTP, for who answers beneath the application.

    It has the headers that every answer has, and more ``headers``.
    """
    response = error_response(request_id, error, {"X-Request-ID": request_id, **_SECURITY_HEADERS, **headers})
    lines = [name + b": " + value for name, value in response.raw_headers]
    return response.status_code, b"\r\n".join([*lines, b"", bytes(response.body)])


class RequestIds:
    """Give each request an id of our own, and each answer that id and the security headers."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Set ``scope["qa_request_id"]`` and the headers of the answer."""
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
            await send(message)

        try:
            await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:
            if CLIENT_GONE not in scope:
                raise


class BodyLimit:
    """Read a request's body before the application does, and no more of it than is allowed.

    Bytes are counted as they come, since a chunked body announces no length, and joined into one
    message, since a body of one-byte chunks costs hundreds of times its size otherwise.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, unread: Collection[str] = ()) -> None:
        self.app = app
        self._max_bytes = max_bytes
        self._unread = frozenset(unread)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 413 and close the connection, or pass on the whole body; paths ``unread`` count for themselves."""
        if scope["type"] != "http" or scope["path"] in self._unread:
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        too_large = announced.isdecimal() and int(announced[:20]) > self._max_bytes
        body = bytearray()
        while not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            too_large = len(body) > self._max_bytes
            if not message.get("more_body", False):
                break
        if too_large:
            problem = BodyTooLarge(f"the body passes the limit of {self._max_bytes} bytes; send a shorter one")
            response = error_response(scope["qa_request_id"], problem, {"Connection": "close"})
            await response(scope, receive, send)
            return
        given = False

        async def receive_whole() -> Message:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": bytes(body), "more_body": False}

        await self.app(scope, receive_whole, send)


class _StrictRequest(Request):
    async def json(self) -> Any:
        """Return the body's JSON, or raise one of our errors; the framework's parser takes too much."""
        if not hasattr(self, "_strict"):
            body = await self.body()
            if not body:
                raise UnreadableRequest("the body is empty; send a JSON object")
            self._check_headers()
            try:
                # NaN is left to the schema, which answers that the value, not the body, is wrong.
                self._strict = strict_json.loads(body, allow_constants=True)
            except ValueError as error:
                raise UnreadableRequest(f"the body can't be read: {error}; send JSON in UTF-8") from None
        return self._strict

    def _check_headers(self) -> None:
        media_type, _, parameters = self.headers.get("content-type", "").partition(";")
        charset = parameters.strip().lower().removeprefix("charset=").strip('"')
        if media_type.strip().lower() != "application/json" or charset not in {"", "utf-8"}:
            raise UnsupportedMediaType("the body must be application/json in UTF-8; set Content-Type")
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            raise UnsupportedMediaType("compressed bodies are not read; send it as it is")


class StrictJSONRoute(APIRoute):
    """A route whose body is strict JSON: unreadable is 400, another type 415, before any schema."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Wrap the framework's handler."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            strict = _StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                await strict.json()
            return await handle(strict)

        return handle_strictly
