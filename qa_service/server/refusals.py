"""Refusals of requests that never reach the application: each is counted, and the log has one line a second."""

import logging
import math
import time

from qa_service.server.metrics import REQUESTS

UNMATCHED = "unmatched"
"""The route of a request that no route was found for."""
LOG_SECONDS = 1.0
_logger = logging.getLogger("qa_service.requests")


class Refusals:
    """Counts refused requests. Logs at most one in ``LOG_SECONDS``, with the number refused since the last line."""

    KEY = "qa_refusals"
    """Its key in the state of the application's lifespan."""

    def __init__(self) -> None:
        self._unlogged = 0
        self._logged_at = -math.inf

    def note(self, request_id: str, status: int, method: str = "", route: str = UNMATCHED) -> None:
        """Count a refusal, and log it if none was logged in the last second."""
        REQUESTS.labels(method, route, status).inc()
        self._unlogged += 1
        now = time.monotonic()
        if now - self._logged_at < LOG_SECONDS:
            return
        line = {"request_id": request_id, "method": method, "route": route, "status": status}
        _logger.info("request", extra={**line, "turned_away": self._unlogged})
        self._unlogged, self._logged_at = 0, now
