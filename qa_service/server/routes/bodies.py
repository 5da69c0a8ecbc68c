"""Reads request bodies: a bounded size, strict JSON."""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope

from qa_service.errors import BodyTooLarge, UnreadableRequest, UnsupportedMediaType
from qa_service.io import strict_json

_MAX_DIGITS = 20


async def whole_body(scope: Scope, receive: Receive, max_bytes: int) -> Receive:
    """Read a body of at most ``max_bytes`` and return a ``receive`` that gives it as one message.

    Counts bytes as they arrive, since a chunked body has no declared length, and joins them, since one-byte chunks
    would cost hundreds of times the body's size. If the client disconnects, the message says so.
    Raises :class:`BodyTooLarge`, which closes the connection.
    """
    declared = Headers(scope=scope).get("content-length", "0")
    if declared.isdecimal() and int(declared[:_MAX_DIGITS]) > max_bytes:
        raise _too_large(max_bytes)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return _then(message, receive)
        body += message.get("body", b"")
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        more = message.get("more_body", False)
    return _then({"type": "http.request", "body": bytes(body), "more_body": False}, receive)


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(
        f"the body is longer than the limit of {max_bytes} bytes; send a smaller one", headers={"Connection": "close"}
    )


def _then(first: Message, receive: Receive) -> Callable[[], Awaitable[Message]]:
    messages = iter((first,))

    async def receive_first() -> Message:
        message = next(messages, None)
        return await receive() if message is None else message

    return receive_first


class StrictRequest(Request):
    """A request whose JSON must be UTF-8 without duplicate keys."""

    async def json(self) -> Any:
        """Return the JSON of the body. Raises :class:`UnreadableRequest` or :class:`UnsupportedMediaType`.

        FastAPI's own parser accepts too much.
        """
        if not hasattr(self, "_strict"):
            body = await self.body()
            if not body:
                raise UnreadableRequest("the body is empty; send a JSON object")
            self._check_headers()
            try:
                # The schema rejects NaN, so that the error names the value, not the body.
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
            raise UnsupportedMediaType("compressed bodies are not supported; send the body uncompressed")
