"""OpenAPI descriptions of error responses, and headers that several routes send."""

from http import HTTPStatus
from typing import Any

from qa_service.schemas.ask import Problem
from qa_service.server.middleware.problems import MEDIA_TYPE

BY_ACCEPT = {"Vary": "Accept"}
"""Headers of responses whose media type depends on ``Accept``."""
COMPONENT = "#/components/schemas/{model}"
"""Reference to the schema of a model in the description."""


def problem_content(model: type[Problem]) -> dict[str, Any]:
    """Return the content of a response that is a problem document."""
    return {MEDIA_TYPE: {"schema": {"$ref": COMPONENT.format(model=model.__name__)}}}


def problems(*statuses: int | str) -> dict[int | str, dict[str, Any]]:
    """Return the descriptions of problem documents with the given statuses."""
    return {status: {"description": _phrase(status), "content": problem_content(Problem)} for status in statuses}


def _phrase(status: int | str) -> str:
    return HTTPStatus(status).phrase if isinstance(status, int) else "Any other error"
