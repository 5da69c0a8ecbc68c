"""Error responses as OpenAPI describes them, and headers that several routes send."""

from http import HTTPStatus
from typing import Any

from qa_service.schemas.asking import Problem
from qa_service.server.middleware.problems import MEDIA_TYPE

BY_ACCEPT = {"Vary": "Accept"}
"""Headers of responses whose form the ``Accept`` header decides."""
_CONTENT = {MEDIA_TYPE: {"schema": Problem.model_json_schema()}}


def problems(*statuses: int | str) -> dict[int | str, dict[str, Any]]:
    """Return the description of problem documents of some statuses."""
    return {status: {"description": _phrase(status), "content": _CONTENT} for status in statuses}


def _phrase(status: int | str) -> str:
    return HTTPStatus(status).phrase if isinstance(status, int) else "Any other error"
