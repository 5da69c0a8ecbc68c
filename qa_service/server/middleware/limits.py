"""The limit of a request's body."""

from collections.abc import Collection

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_service.errors import BodyTooLarge
from qa_service.server.middleware.problems import error_response


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
