"""What OpenAPI says of the errors that routes answer with."""

from http import HTTPStatus
from typing import Any

from qa_service.api.problems import MEDIA_TYPE
from qa_service.schemas.asking import Problem


def problems(*statuses: int | str) -> dict[int | str, dict[str, Any]]:
    """Return the description of problem documents of some statuses."""
    content = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}
    return {status: {"description": _phrase(status), "content": content} for status in statuses}


def _phrase(status: int | str) -> str:
    return HTTPStatus(status).phrase if isinstance(status, int) else "Any other error"
