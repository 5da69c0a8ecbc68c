"""At the gate: who asks, whether that may be, from which page, how often. Before anything of a body is read."""

import asyncio
import logging
import re
from ipaddress import ip_address, ip_network
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import Scope as Connection

from qa_service.errors import Forbidden, QAServiceError, Unauthorized
from qa_service.server.keys import Key, KeyFile, Scope, is_loopback, keys_needed
from qa_service.server.rates import Limit, Rates, headers
from qa_service.settings import Settings

_logger = logging.getLogger(__name__)
_PUBLIC = re.compile(r"/|/livez|/readyz|/widget(/.*)?")
_ADMIN = re.compile(r"/(admin|evaluate)(/.*)?")
_OPERATIONS = re.compile(r"/metrics")
_FEEDBACK = re.compile(r"(/collections/[^/]+)?/feedback")
_COLLECTION = re.compile(r"/collections/([^/]+)/")
LINKED = re.compile(r"(/collections/[^/]+)?/(sources/[^/]+/view|cite/[^/]+)|/evaluate/[^/]+/report")
"""Paths that links in answers lead to; a signature in the link opens them to who was given it."""
SIGNATURE = "sig"  # a name that telemetry knows to leave out
_PREFIX_OF_ONE = 64
"""An IPv6 network of this length is somebody's own, and counts as one address."""
KEY_COLLECTIONS = "qa_key_collections"
"""In the scope of a request: the collections that its key is for, none if it is for all."""
_BY_NAME = re.compile(r"/v1/vector_stores/.*|/mcp")
"""Paths whose routes look at the collection themselves."""


class Gate:
    """Decides who may pass."""

    def __init__(self, settings: Settings) -> None:
        self.keys = KeyFile(settings.data)
        self.keys_needed = keys_needed(settings)
        self.rates = Rates(settings.rate_storage)
        self._settings = settings
        self._others_can_ask = not is_loopback(settings.host)

    def is_origin(self, origin: str) -> bool:
        """Tell whether pages of an origin may read answers."""
        open_to_pages = () if self.keys_needed else self._settings.origins
        return self.keys.is_origin(origin) or origin in open_to_pages or open_to_pages == ("*",)

    async def follow(self, seconds: float) -> None:
        """Look every so often whether the keys changed."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.keys.look)
            except QAServiceError as error:
                _logger.error("the keys stay as they were: %s", error)  # noqa: TRY400 - the message says it all

    async def pass_through(self, connection: Connection) -> dict[str, str]:
        """Return headers for the answer of a request that may pass.

        Raises :class:`Unauthorized`, :class:`Forbidden` or :class:`TooManyRequests`. Which key was shown is told in
        ``qa_key``, and what else may count towards the same limits in ``qa_limits``.
        """
        path, given = connection["path"], Headers(scope=connection)
        if _PUBLIC.fullmatch(path):
            return {}
        origin = given.get("origin")
        if path == "/mcp" and origin is not None and not self.is_origin(origin):
            raise Forbidden("pages of this origin may not ask here")  # as the protocol demands
        key = self._key(given)
        needed = _needed(path)
        if key is not None:
            _expect(key, needed, given.get("origin"))
            if not _BY_NAME.fullmatch(path):
                _expect_collection(key, _COLLECTION.match(path))
        elif (self.keys_needed or needed == "admin") and not self._is_linked(connection):
            if _OPERATIONS.fullmatch(path) and not self.keys_needed and not self._others_can_ask:
                return {}
            raise _missing() if self.keys.keys else Forbidden("no key has the scope for this here; create one first")
        limits = self._limits(key, connection)
        connection["qa_key"] = "" if key is None else key.id
        connection[KEY_COLLECTIONS] = () if key is None else key.collections
        connection["qa_limits"] = limits
        return headers(await self.rates.count(limits)) if limits else {}

    async def count_more(self, connection: Connection, cost: int) -> None:
        """Count what a request asks for beyond one question. Raises :class:`TooManyRequests`."""
        limits = connection.get("qa_limits", [])
        if limits and cost > 0:
            await self.rates.count(limits, cost)

    def _key(self, given: Headers) -> Key | None:
        """Return the key that a request shows, ``None`` if it shows none."""
        shown = given.getlist("authorization")
        if not shown:
            return None
        scheme, _, token = shown[0].partition(" ")
        key = self.keys.key_of(token) if len(shown) == 1 and scheme.lower() == "bearer" else None
        if key is None:
            raise _missing()
        return key

    def _is_linked(self, connection: Connection) -> bool:
        if connection["method"] not in {"GET", "HEAD"} or not LINKED.fullmatch(connection["path"]):
            return False
        signatures = parse_qs(connection["query_string"].decode("ascii", "replace")).get(SIGNATURE, [])
        return len(signatures) == 1 and self.keys.is_signature(connection["path"], signatures[0])

    def _limits(self, key: Key | None, connection: Connection) -> list[Limit]:
        limits = []
        if key is not None and (rate := key.rate or self._settings.rate):
            limits.append(Limit.of("key", key.id, rate))
        counted = key.publishable if key is not None else self._others_can_ask
        if counted and self._settings.visitor_rate:
            who = f"{'' if key is None else key.id} {_address(connection)}"
            limits.append(Limit.of("visitor", who, self._settings.visitor_rate))
        return limits


def _needed(path: str) -> Scope:
    if _ADMIN.fullmatch(path) or _OPERATIONS.fullmatch(path):
        return "admin"
    return "feedback" if _FEEDBACK.fullmatch(path) else "ask"


def _missing() -> Unauthorized:
    return Unauthorized("a key is needed that this service knows: send it as Authorization: Bearer …")


def _expect(key: Key, needed: Scope, origin: str | None) -> None:
    if key.origins and (key.publishable or origin is not None) and origin not in key.origins:
        raise Forbidden("this key is not for pages of this origin")
    if needed not in key.scopes:
        raise Forbidden(f"this key does not have the scope {needed}")


def _expect_collection(key: Key, match: re.Match[str] | None) -> None:
    """Raise :class:`Forbidden` where a key is not for the collection that a path begins with."""
    if key.collections and (match is None or match[1] not in key.collections):
        raise Forbidden("this key is not for this collection")


def _address(connection: Connection) -> str:
    host = connection["client"][0] if connection.get("client") else ""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ip_network((address, _PREFIX_OF_ONE), strict=False))  # noqa: PLR2004 - IPv4
