"""Checks the host name of requests, as a defence against DNS rebinding."""

import logging
import math
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from qa_service.errors import HostNotAllowed
from qa_service.server.middleware.problems import error_response
from qa_service.settings import Settings
from qa_service.settings.values import host_of

PROBES = frozenset({"/livez", "/readyz"})
"""Paths for load balancers, whose Host header is the target's address, or missing."""
_ANY_ADDRESS = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
_LOG_CHARACTERS = 100
_logger = logging.getLogger(__name__)


class AllowedHosts:
    """Rejects requests whose host the settings do not allow; probes may have any host, or none.

    At most one rejection in ``log_seconds`` is logged.
    """

    def __init__(self, app: ASGIApp, settings: Settings, *, log_seconds: float = 1.0) -> None:
        self.app = app
        self._log_seconds = log_seconds
        own = set() if settings.on_socket else {settings.host} - _ANY_ADDRESS
        allowed = {*settings.allowed_hosts, *own, urlsplit(settings.public_url).netloc}
        self._any = "*" in allowed
        self._hosts = {host_of(host) or host_of(f"[{host}]") for host in allowed}
        self._suffixes = tuple(host[1:].lower() for host in allowed if host.startswith("*."))
        self._logged = -math.inf

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 400 if the host is not allowed, or pass the request on."""
        if self._any or scope["type"] != "http" or scope["path"] in PROBES:
            await self.app(scope, receive, send)
            return
        given = Headers(scope=scope).get("host", "")
        host = host_of(given)
        if host and (host in self._hosts or host.endswith(self._suffixes)):
            await self.app(scope, receive, send)
            return
        self._log(given)
        problem = HostNotAllowed(
            "the request's host name is not allowed; the operator of this service can add it to QA_ALLOWED_HOSTS"
        )
        await error_response(scope, problem)(scope, receive, send)

    def _log(self, host: str) -> None:
        now = time.monotonic()
        if now - self._logged >= self._log_seconds:
            self._logged = now
            _logger.warning(
                "refused a request to host %a; to allow it, add it to QA_ALLOWED_HOSTS", host[:_LOG_CHARACTERS]
            )
