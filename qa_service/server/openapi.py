"""The OpenAPI description: FastAPI's, plus the keys that operations need and one schema of all errors."""

import threading
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from pydantic.json_schema import models_json_schema

from qa_service.schemas.ask import Problem
from qa_service.schemas.vector_stores import OpenAIProblem
from qa_service.server.gate import ASK, Access, Gate
from qa_service.server.middleware.problems import MEDIA_TYPE, OPENAI_PATHS
from qa_service.server.routes.guarded import GuardedRoute
from qa_service.server.routes.responses import COMPONENT, problem_content

_KEY = "key"
_KEY_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A key of `qa-service keys create`, as `Authorization: Bearer …`. An operation names its scope.",
}
_NOT_MODIFIED = "The response is the one that the client has already (`If-None-Match`)."
_WITHOUT_DESCRIPTION = "Successful Response"  # by FastAPI
_lock = threading.Lock()


class DescribedAPI(FastAPI):
    """An application whose description has the scope of each operation and the schemas of errors."""

    def openapi(self) -> dict[str, Any]:
        """Return the description; it is built once."""
        with _lock:
            if self.openapi_schema is None:
                self._complete(super().openapi())
            return super().openapi()

    def _complete(self, description: dict[str, Any]) -> None:
        _, definitions = models_json_schema(
            [(Problem, "serialization"), (OpenAIProblem, "serialization")], ref_template=COMPONENT
        )
        description["components"]["schemas"] |= definitions["$defs"]
        description["components"]["securitySchemes"] = {_KEY: _KEY_SCHEME}
        gate = self.state.gate
        description["security"] = _security(gate, ASK)
        accesses = {
            context.unique_id: context.original_route.access
            for context in iter_route_contexts(self.routes)
            if isinstance(context.original_route, GuardedRoute)
        }
        for path, operations in description["paths"].items():
            for method, operation in operations.items():
                if method == "get":
                    operation["responses"].setdefault("304", {"description": _NOT_MODIFIED})
                _describe_success(operation["responses"], description["components"]["schemas"])
                operation["security"] = _security(gate, accesses[operation["operationId"]])
                if path.startswith(OPENAI_PATHS):
                    _use_openai_problem(operation["responses"])


def _security(gate: Gate, access: Access) -> list[dict[str, list[str]]]:
    """Return the security requirements of an operation; an empty one means that no key is needed."""
    if access.scope is None:
        return []
    needed: list[dict[str, list[str]]] = [{_KEY: [access.scope]}]
    return [*needed, {}] if gate.is_open_to_all(access) else needed


def _describe_success(responses: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Describe a response that has no description by the description of its schema."""
    for response in responses.values():
        if response["description"] == _WITHOUT_DESCRIPTION:
            name = response["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            response["description"] = schemas[name]["description"]


def _use_openai_problem(responses: dict[str, Any]) -> None:
    for response in responses.values():
        if MEDIA_TYPE in response.get("content", {}):
            response["content"] = problem_content(OpenAIProblem)
