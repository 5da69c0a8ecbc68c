"""Routes that carry their own access conditions, so that the gate and the router can't disagree on a path.

The router matches a route once. The matched route asks the gate, then reads the body, then calls its handler.
An application with a route without conditions does not start (:func:`check_routes`).
"""

import re
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.datastructures import MutableHeaders
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Message, Receive, Scope, Send

from qa_service.errors import MethodNotAllowed, NotFound
from qa_service.server.gate import RATE_HEADERS, Access, Gate
from qa_service.server.routes.bodies import StrictRequest, whole_body
from qa_service.server.routes.conditional import conditional

_CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")

_ANY_KEY = Access("any", collection_parameter="")


class Guarded(BaseRoute):
    """Handles a request if the gate admits it under this route's conditions."""

    access: Access
    methods: set[str] | None
    reads_body: bool = True
    """Whether the whole body is read, up to ``QA_MAX_BODY_BYTES``, before the handler is called."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match a path and a method; HEAD as GET."""
        return super().matches(_as_get(scope))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask the gate, check path and method, read the body, then handle the request.

        HEAD is handled as GET; the server omits the body.
        """
        state = scope["app"].state
        await state.gate.admit(scope, self.access)
        try:
            if _has_control_character(scope["path"]):  # the router ignores a newline at the end of a path
                raise _unknown_path()
            routed = _as_get(scope)
            if routed["method"] not in (self.methods or ()):
                raise _method_not_allowed(scope)
            if self.reads_body:
                receive = await whole_body(scope, receive, state.max_body_bytes)
            if RATE_HEADERS in scope:
                send = _with_rate_headers(scope, send)
            await super().handle(routed, receive, conditional(scope, send) if routed["method"] == "GET" else send)
        finally:
            if not self.access.counts_as_one:
                await state.gate.settle(scope)


class GuardedRoute(Guarded, APIRoute):
    """A guarded FastAPI route. Its body is strict JSON: an unreadable body gives 400, another media type 415."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return FastAPI's handler with strict reading of JSON."""
        handle = super().get_route_handler()

        async def handle_strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            if self.body_field is not None:
                await strict.json()
            return await handle(strict)

        return handle_strictly


class GuardedASGIRoute(Guarded, Route):
    """A guarded route to an ASGI application that reads the body itself."""

    reads_body = False

    def __init__(self, access: Access, path: str, endpoint: Callable[..., Any], methods: list[str]) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.access = access


@cache
def guarded(access: Access, *, reads_body: bool = True) -> type[GuardedRoute]:
    """Return the class of routes with these conditions, for ``APIRouter(route_class=…)``."""
    return type("GuardedRoute", (GuardedRoute,), {"access": access, "reads_body": reads_body})


def guard(app: FastAPI, gate: Gate, max_body_bytes: int) -> None:
    """Set the gate of an application's routes. If keys are needed, unknown paths need one too."""
    app.state.gate = gate
    app.state.max_body_bytes = max_body_bytes
    app.router.default = _reject_unknown_path


def check_routes(app: FastAPI) -> None:
    """Raise :class:`TypeError` if a route of an application is not guarded."""
    for context in iter_route_contexts(app.routes):
        if not isinstance(context.original_route, Guarded):
            raise TypeError(f"the route {context.path} has no access conditions; use the class that guarded() returns")


async def _reject_unknown_path(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001 - the error is the answer
    await scope["app"].state.gate.admit(scope, _ANY_KEY)
    raise _unknown_path()


def _has_control_character(path: str) -> bool:
    return _CONTROL_CHARACTER.search(path) is not None


def _as_get(scope: Scope) -> Scope:
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _method_not_allowed(scope: Scope) -> MethodNotAllowed:
    routes = [route for route in iter_route_contexts(scope["app"].routes) if route.path_regex.match(scope["path"])]
    methods = {method for route in routes for method in route.methods or ()}
    allowed = methods | ({"HEAD"} if "GET" in methods else set())
    problem = "this path does not allow the method; see the Allow header"
    return MethodNotAllowed(problem, headers={"Allow": ", ".join(sorted(allowed))})


def _unknown_path() -> NotFound:
    return NotFound("the path does not exist; /openapi.json lists all paths")


def _with_rate_headers(scope: Scope, send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(scope[RATE_HEADERS])
        await send(message)

    return send_with_headers
