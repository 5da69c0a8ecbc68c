"""OpenAPI descriptions of error responses, and headers that several routes send."""

from collections.abc import Iterator
from typing import Any

from qa_service.errors import QAServiceError, RequestError
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
    return {status: {"description": _meaning(status), "content": problem_content(Problem)} for status in statuses}


def _meaning(status: int | str) -> str:
    """Return the meaning of a status: that of each kind of error which has it."""
    if isinstance(status, str):
        return "Any other error."
    kinds = (error for error in _kinds(QAServiceError) if error.http_status == status and error is not RequestError)
    return " Or: ".join((error.__doc__ or "").splitlines()[0] for error in kinds).replace("``", "`")


def _kinds(error: type[QAServiceError]) -> Iterator[type[QAServiceError]]:
    """Yield the errors that name a type of problem documents."""
    if "slug" in vars(error):
        yield error
    for child in error.__subclasses__():
        yield from _kinds(child)
