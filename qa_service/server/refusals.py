"""Counts and logs requests that are refused before they reach the application."""

import logging
import math
import time

from qa_service.server.metrics import REQUESTS

UNMATCHED = "unmatched"
"""The route, in metrics and in the log, of a request that matches none."""
_logger = logging.getLogger("qa_service.requests")


class Refusals:
    """Counts refused requests and logs at most one in ``log_seconds``, with the number since the last line."""

    KEY = "qa_refusals"
    """Its key in the state of the application's lifespan."""

    def __init__(self, log_seconds: float = 1.0) -> None:
        self.log_seconds = log_seconds
        self._unlogged = 0
        self._logged_at = -math.inf

    def note(self, request_id: str, status: int, method: str = "", route: str = UNMATCHED) -> None:
        """Count a refusal, and log it if none was logged recently."""
        REQUESTS.labels(method, route, status).inc()
        self._unlogged += 1
        now = time.monotonic()
        if now - self._logged_at < self.log_seconds:
            return
        line = {"request_id": request_id, "method": method, "route": route, "status": status}
        _logger.info("request", extra={**line, "turned_away": self._unlogged})
        self._unlogged, self._logged_at = 0, now
