"""Request log, request metrics, event-loop lag, and the stages of an answer as metrics and spans."""

import asyncio
import logging
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from opentelemetry import trace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from qa_service.datatypes import Stage
from qa_service.errors import SettingsError
from qa_service.server.metrics import CLIENTS_GONE, LOOP_LAG_SECONDS, REQUEST_SECONDS, REQUESTS, STAGE_SECONDS
from qa_service.server.middleware.request_ids import CLIENT_GONE, REFUSED
from qa_service.server.refusals import UNMATCHED
from qa_service.settings import Settings

_logger = logging.getLogger("qa_service.requests")
_tracer = trace.get_tracer("qa_service")
_LAG_SAMPLE_SECONDS = 0.1
_PROBE_ROUTES = {"/livez", "/readyz", "/metrics"}
"""Requested by machines every few seconds; logged only if they fail."""
LOG_FIELDS = "qa_noted"
"""Key in the scope of a request: additional fields of its log line."""


def check_traces(settings: Settings) -> None:
    """Raise :class:`SettingsError` if traces are enabled, but the exporter is not installed."""
    if settings.traces and not (find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter.otlp.proto.http")):
        raise SettingsError("QA_TRACES needs the extra otel: pip install 'qa-service[otel]'")


class RequestObserver:
    """Counts, times and logs every request."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, then record its status and duration."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0

        async def send_noting_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope[LOG_FIELDS] = {}
        try:
            await self.app(scope, receive, send_noting_status)
        finally:
            self._note(scope, scope.get(REFUSED, status), time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", None) or UNMATCHED
        if CLIENT_GONE in scope:
            CLIENTS_GONE.inc()
        REQUESTS.labels(scope["method"] if route != UNMATCHED else "", route, status).inc()
        REQUEST_SECONDS.labels(route).observe(seconds)
        if route in _PROBE_ROUTES and status < 400:  # noqa: PLR2004 - errors begin there
            return
        line = {
            "request_id": scope.get("qa_request_id", ""),
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": round(seconds * 1000, 2),
            **({"key": scope["qa_key"]} if scope.get("qa_key") else {}),
            **({"gone": True} if CLIENT_GONE in scope else {}),
            **scope[LOG_FIELDS],
        }
        _logger.info("request", extra=line)


def note(scope: Scope, **fields: Any) -> None:
    """Add fields to the log line of a request."""
    scope.setdefault(LOG_FIELDS, {}).update(fields)


def note_stages(stages: Sequence[Stage], asked: float) -> None:
    """Record stage durations and queueing time (since ``asked``), as metrics and as spans."""
    if not stages:
        return
    parts = [Stage("wait", asked, stages[0].start), *stages]
    for part in parts:
        STAGE_SECONDS.labels(part.name).observe(part.end - part.start)
    if trace.get_current_span().is_recording():
        offset = time.time() - time.perf_counter()
        for part in parts:
            start, end = (int((moment + offset) * 1e9) for moment in (part.start, part.end))
            _tracer.start_span(part.name, start_time=start).end(end)


async def measure_loop_lag() -> None:
    """Sample how late the event loop runs a scheduled callback, until cancelled."""
    while True:
        due = time.perf_counter() + _LAG_SAMPLE_SECONDS
        await asyncio.sleep(_LAG_SAMPLE_SECONDS)
        LOOP_LAG_SECONDS.observe(max(0.0, time.perf_counter() - due))
