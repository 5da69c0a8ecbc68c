"""A route whose body is strict JSON."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from qa_service import strict_json
from qa_service.errors import UnreadableRequest, UnsupportedMediaType


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
