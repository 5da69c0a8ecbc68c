"""Admission: a question that can't be taken is turned away before anything is spent on it.

The protocol asks here as soon as it has a request's headers. What is refused then costs .1 ms, where an outer layer of
the application took .16, and under load that time is the time of those that are answered.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Iterable

from starlette.responses import Response

from qa_service.api.access import Gate, headers_for_pages
from qa_service.api.collections import PREFIX
from qa_service.api.limits import SECURITY_HEADERS, random_id
from qa_service.api.metrics import REQUESTS
from qa_service.api.problems import error_response
from qa_service.errors import Overloaded

_logger = logging.getLogger("qa_service.requests")
_QUESTION = re.compile(rb"(/collections/[^/?]+)?(/ask(?:/batch)?)(?:\?.*)?")
_TOLD_EVERY = 1.0


class Admission:
    """Refuses questions while as many wait as may, and has the log tell of it once a second, with their number."""

    STATE = "qa_admission"
    """Where in the state of the application's lifespan the protocol finds it."""

    def __init__(self, refusal: Callable[[], Overloaded | None], gate: Gate) -> None:
        self._refusal = refusal
        self._gate = gate
        self._turned_away = 0
        self._told = -math.inf

    def refuse(self, address: bytes, headers: Iterable[tuple[bytes, bytes]]) -> Response | None:
        """Return the answer to what is posted to an address, if it is a question and can't be taken now."""
        match = _QUESTION.fullmatch(address)
        if match is None or (refusal := self._refusal()) is None:
            return None
        identifier = random_id()
        own = {"X-Request-ID": identifier, **SECURITY_HEADERS}
        for name, value in headers:
            if name == b"origin":
                own |= headers_for_pages(self._gate, value.decode("latin-1"))
        response = error_response(identifier, refusal, own)
        self._note(identifier, ("" if match[1] is None else PREFIX) + match[2].decode(), response.status_code)
        return response

    def _note(self, identifier: str, route: str, status: int) -> None:
        REQUESTS.labels("POST", route, status).inc()
        self._turned_away += 1
        now = time.monotonic()
        if now - self._told < _TOLD_EVERY:
            return
        line = {"request_id": identifier, "method": "POST", "route": route, "status": status}
        _logger.info("request", extra={**line, "turned_away": self._turned_away})
        self._turned_away, self._told = 0, now
