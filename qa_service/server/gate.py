"""Authentication, scopes, origins and rate limits, checked for the matched route before a body is read."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from starlette.datastructures import Headers
from starlette.types import Scope as Connection

from qa_service.errors import Forbidden, InvalidRequest, QAServiceError, TooManyRequests, Unauthorized
from qa_service.server.addresses import visitor_of
from qa_service.server.keys import KEY_PREFIXES, Grant, Key, KeyFile, Scope, is_loopback, keys_needed
from qa_service.server.middleware.problems import OPENAI_PATHS
from qa_service.server.rates import Limit, Rates, headers
from qa_service.settings import Settings

_logger = logging.getLogger(__name__)
SIGNATURE = "sig"  # telemetry redacts parameters of this name
KEY_COLLECTIONS = "qa_key_collections"
"""In the scope of a request: the collections of its key; none if it is for all."""
GRANT = "qa_grant"
"""In the scope of a request: the :class:`Grant` under which links in its response are signed."""
QUOTE_ONLY = "qa_quote_only"
"""In the scope of a request: whether its key, or that of its signed link, reads documents around quotes only."""
RATE_HEADERS = "qa_rate_headers"
"""In the scope of a request: the rate-limit headers of its response."""
_RATE_LIMITS = "qa_limits"


@dataclass(frozen=True, slots=True)
class Access:
    """The conditions of access to a route. Each route has them; see ``routes/guarded.py``.

    ``scope``: the scope that the key needs, ``any`` if every key is enough, ``None`` if the route is public.
    ``by_link``: a signed link replaces the key. ``open_locally``: if no keys are needed, requests from this machine
    pass. ``own_pages_only``: an ``Origin`` must be allowed, with a key or without. ``collection_parameter``: the path
    parameter that names the collection; empty if the handler compares the collection with those of the key.
    ``around_quotes``: a publishable key without the scope ``documents`` needs the signed link of a quote too; without
    ``by_link``, it can't use the route.
    ``counts_as_one``: the rate limits count a request as one question; otherwise the handler calls :meth:`Gate.count`.
    """

    scope: Scope | Literal["any"] | None
    by_link: bool = False
    open_locally: bool = False
    own_pages_only: bool = False
    collection_parameter: str = "collection"
    around_quotes: bool = False
    counts_as_one: bool = True


PUBLIC = Access(None)
ASK = Access("ask")
FEEDBACK = Access("feedback")
ADMIN = Access("admin")
AROUND_QUOTES = Access("ask", by_link=True, around_quotes=True)
WHOLE_DOCUMENTS = Access("ask", around_quotes=True)


class Gate:
    """Admits or rejects a request to a route."""

    def __init__(self, settings: Settings) -> None:
        self.keys = KeyFile(settings.data)
        self.keys_needed = keys_needed(settings)
        self.rates = Rates(settings.rate_storage)
        self._settings = settings
        self._others_can_ask = not is_loopback(settings.host)

    def is_origin(self, origin: str) -> bool:
        """Return whether pages of an origin may read answers."""
        open_to_pages = () if self.keys_needed else self._settings.origins
        return self.keys.is_origin(origin) or origin in open_to_pages or open_to_pages == ("*",)

    async def watch_keys(self, seconds: float) -> None:
        """Poll the key file for changes."""
        while True:
            await asyncio.sleep(seconds)
            try:
                await asyncio.to_thread(self.keys.reload_if_changed)
            except QAServiceError as error:
                _logger.error("the current keys are kept: %s", error)  # noqa: TRY400 - the traceback adds nothing

    async def admit(self, connection: Connection, access: Access) -> None:
        """Check that a request may use a route, and count it.

        ``connection`` is routed: its ``path_params`` name the collection. Stores the key's id in ``qa_key`` and the
        headers for the response in :data:`RATE_HEADERS`.
        Raises :class:`Unauthorized`, :class:`Forbidden` or :class:`TooManyRequests`.
        """
        if access.scope is None:
            return
        given = Headers(scope=connection)
        origin = given.get("origin")
        if access.own_pages_only and origin is not None and not self.is_origin(origin):
            raise refused_origin()
        key = self._key(given, connection["path"])
        quotes_only = key is not None and key.publishable and not _reads_documents(key)
        needs_link = key is None or (access.around_quotes and quotes_only)
        grant = self._grant_of_link(connection) if needs_link and access.by_link else None
        connection[QUOTE_ONLY] = quotes_only if grant is None else not _reads_documents(grant.key)
        if key is not None:
            _expect(key, access.scope, origin)
            self._expect_collection(key, connection, access)
            if needs_link and grant is None:
                raise reads_quotes_only()
            grant = self.keys.grant(key, self._settings.link_days)
        elif grant is not None:
            _expect_scope(grant.key, access.scope)
            self._expect_collection(grant.key, connection, access)
        elif not self.is_open_to_all(access):
            raise _missing() if self.keys.keys else Forbidden("no key has the scope that this needs; create one first")
        connection["qa_key"] = "" if key is None else key.id
        connection[KEY_COLLECTIONS] = () if key is None else key.collections
        connection[GRANT] = grant
        connection[_RATE_LIMITS] = limits = self._limits(key, connection)
        count = self.rates.count if access.counts_as_one else self.rates.check
        connection[RATE_HEADERS] = headers(await count(limits)) if limits else {}

    async def count(self, connection: Connection, questions: int) -> None:
        """Count the questions of a request to a route without ``counts_as_one``.

        Raises :class:`InvalidRequest` if no limit ever allows so many, :class:`TooManyRequests` if they are too many
        now.
        """
        limits = connection.pop(_RATE_LIMITS, [])
        if not limits:
            return
        connection[RATE_HEADERS] = {}
        largest = min(limit.rate.amount for limit in limits)
        if questions > largest:
            raise InvalidRequest(f"{questions} questions are over the rate limit; the largest batch here is {largest}")
        connection[RATE_HEADERS] = headers(await self.rates.count(limits, questions))

    async def settle(self, connection: Connection) -> None:
        """Count a request as one question if its handler did not run, as with an invalid body."""
        with suppress(InvalidRequest, TooManyRequests):
            await self.count(connection, 1)

    def _key(self, given: Headers, path: str) -> Key | None:
        """Return the key in a request's headers, or ``None``. Raises :class:`Unauthorized` if it is not a valid key.

        OpenAI's clients always send a key. If none is needed, one that can't be of this service is ignored there.
        """
        shown = given.getlist("authorization")
        if not shown:
            return None
        scheme, _, token = shown[0].partition(" ")
        is_bearer = len(shown) == 1 and scheme.lower() == "bearer"
        key = self.keys.find_key(token) if is_bearer else None
        is_placeholder = is_bearer and path.startswith(OPENAI_PATHS) and not token.startswith(KEY_PREFIXES)
        if key is None and (self.keys_needed or not is_placeholder):
            raise _missing()
        return key

    def is_open_to_all(self, access: Access) -> bool:
        """Return whether a route is open without a key."""
        locally = access.open_locally and not self._others_can_ask
        return not self.keys_needed and (locally or access.scope != "admin")

    def _grant_of_link(self, connection: Connection) -> Grant | None:
        """Return the grant of a signed link. The signature is the last parameter and covers all before it."""
        if connection["method"] not in {"GET", "HEAD"}:
            return None
        address = f"{connection['path']}?{connection['query_string'].decode('latin-1')}"
        signed, separator, signature = address.rpartition(f"{SIGNATURE}=")
        if not separator or signed[-1] not in "?&":
            return None
        return self.keys.verified_grant(signed[:-1], signature)

    def _expect_collection(self, key: Key, connection: Connection, access: Access) -> None:
        parameter = access.collection_parameter
        if parameter and key.collections and connection.get("path_params", {}).get(parameter) not in key.collections:
            raise Forbidden("this key is not for this collection")

    def _limits(self, key: Key | None, connection: Connection) -> list[Limit]:
        limits = []
        if key is not None and (rate := key.rate or self._settings.rate):
            limits.append(Limit.of("key", key.id, rate))
        counted = key.publishable if key is not None else self._others_can_ask
        if counted and self._settings.visitor_rate:
            client = connection.get("client")
            who = f"{'' if key is None else key.id} {visitor_of(client[0]) if client else ''}"
            limits.append(Limit.of("visitor", who, self._settings.visitor_rate))
        return limits


def refused_origin() -> Forbidden:
    """Return the error for a page of an origin that the settings do not allow."""
    return Forbidden("pages of this origin may not use this service")


def reads_quotes_only() -> Forbidden:
    """Return the error for a publishable key without the scope ``documents`` that asks for a whole document."""
    return Forbidden(
        "this key reads documents around quotes only; use the links of answers, or a key with the scope documents"
    )


def _missing() -> Unauthorized:
    return Unauthorized("a valid key is needed; send it as Authorization: Bearer …")


def _reads_documents(key: Key) -> bool:
    return "documents" in key.scopes


def _expect(key: Key, needed: Scope | Literal["any"], origin: str | None) -> None:
    if key.origins and (key.publishable or origin is not None) and origin not in key.origins:
        raise Forbidden("this key is not for pages of this origin")
    _expect_scope(key, needed)


def _expect_scope(key: Key, needed: Scope | Literal["any"]) -> None:
    if needed != "any" and needed not in key.scopes:
        raise Forbidden(f"this key does not have the scope {needed}")
