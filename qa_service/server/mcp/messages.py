"""Bodies of requests that are no message of the protocol are rejected before the library reads them."""

from typing import Any

import orjson
from mcp_types import INVALID_REQUEST, PARSE_ERROR, jsonrpc_message_adapter
from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_service.io import strict_json
from qa_service.server.routes.bodies import whole_body


class ValidMessages:
    """Rejects bodies that are not one JSON-RPC message, without quoting them as the library does."""

    def __init__(self, app: ASGIApp, max_body_bytes: int) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 with a JSON-RPC error, or pass the request on with its body as one message."""
        receive_body = await whole_body(scope, receive, self._max_body_bytes)
        message = await receive_body()
        if message["type"] == "http.request" and (error := _message_error(message["body"])) is not None:
            content = {"jsonrpc": "2.0", "id": None, "error": error}
            await Response(orjson.dumps(content), 400, media_type="application/json")(scope, receive, send)
            return
        messages = iter((message,))

        async def receive_again() -> Message:
            return next(messages, None) or await receive()

        await self._app(scope, receive_again, send)


def _message_error(body: bytes) -> dict[str, Any] | None:
    """Return the JSON-RPC error of a body that is not one message."""
    try:
        content = strict_json.loads(body)
    except ValueError as error:
        return {"code": PARSE_ERROR, "message": f"the body can't be read: {error}; send JSON in UTF-8"}
    if not isinstance(content, dict):
        return {"code": INVALID_REQUEST, "message": "the body must be one JSON object; send no batch"}
    try:
        jsonrpc_message_adapter.validate_python(content, by_name=False)
    except ValidationError:
        return {"code": INVALID_REQUEST, "message": "the body must be a JSON-RPC 2.0 request or notification"}
    return None
