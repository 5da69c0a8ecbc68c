"""Rejects requests that the gate does not allow."""

from collections.abc import Mapping

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_service.errors import RequestError
from qa_service.server.gate import Gate
from qa_service.server.middleware.problems import error_response


class Access:
    """Rejects requests that the gate does not allow."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 401, 403 or 429 at once, or pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            told = await self._gate.pass_through(scope)
        except RequestError as error:
            await error_response(scope["qa_request_id"], error)(scope, receive, send)
            return
        await self.app(scope, receive, _with_headers(send, told) if told else send)


def _with_headers(send: Send, told: Mapping[str, str]) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(told)
        await send(message)

    return send_with_headers
