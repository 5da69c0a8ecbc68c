"""Rate limits: requests counted in sliding windows, reported in the IETF's RateLimit headers.

draft-ietf-httpapi-ratelimit-headers: ``RateLimit-Policy: "key";q=600;w=60`` gives the quota and its window in seconds,
``RateLimit: "key";r=599;t=42`` the remaining quota and the seconds until it is restored.
"""

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.storage import storage_from_string

from qa_service.errors import SettingsError, TooManyRequests

_logger = logging.getLogger(__name__)
_REDIS_TIMEOUT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit that a request counts towards: its name in the headers, the client it counts, and the allowed rate."""

    name: str
    client: str
    rate: RateLimitItem

    @classmethod
    def of(cls, name: str, client: str, rate: str) -> "Limit":
        """Return a limit with a rate such as ``60/minute``."""
        return cls(name, client, parse(rate))


@dataclass(frozen=True, slots=True)
class RemainingQuota:
    """The remaining quota of a limit, and the seconds until it is restored."""

    limit: Limit
    remaining: int
    seconds: int


class Rates:
    """Counts requests, in memory or in Redis, which several processes share.

    If Redis does not answer, requests pass: its outage must not become one of this service.
    """

    def __init__(self, storage: str) -> None:
        self._pool: Any = None
        options: dict[str, Any] = {}
        if storage.startswith("redis"):
            self._pool = _redis_pool(storage)
            options = {"implementation": "redispy", "connection_pool": self._pool}
        opened = storage_from_string(f"async+{storage}", **options)
        if not isinstance(opened, Storage):
            raise SettingsError("QA_RATE_STORAGE must be memory:// or redis://HOST:PORT")
        self._limiter = SlidingWindowCounterRateLimiter(opened)

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def count(self, limits: Sequence[Limit], cost: int = 1) -> list[RemainingQuota]:
        """Count a request towards all limits or, if one of them rejects it, towards none; return the remaining quotas.

        Raises :class:`TooManyRequests`.
        """
        return await self._apply(limits, cost, hit=True)

    async def check(self, limits: Sequence[Limit]) -> list[RemainingQuota]:
        """Return the remaining quotas without counting. Raises :class:`TooManyRequests` if one more is too many."""
        return await self._apply(limits, 1, hit=False)

    async def _apply(self, limits: Sequence[Limit], cost: int, *, hit: bool) -> list[RemainingQuota]:
        try:
            refusing = [
                one for one in limits if not await self._limiter.test(one.rate, one.name, one.client, cost=cost)
            ]
            if hit and not refusing:
                # The last limit is the visitor's: in a race it rejects first, not the key's limit, which others share.
                for limit in reversed(limits):
                    if not await self._limiter.hit(limit.rate, limit.name, limit.client, cost=cost):
                        refusing.append(limit)
                        break
            left = [await self._left(limit) for limit in limits]
        except Exception as error:  # noqa: BLE001 - requests pass
            _logger.error("requests are not counted: %s", type(error).__name__)  # noqa: TRY400 - one line
            return []
        if refusing:
            seconds = max(one.seconds for one in left if one.limit in refusing)
            raise TooManyRequests(
                f"too many requests; ask again in {seconds} s", headers=headers(left) | {"Retry-After": str(seconds)}
            )
        return left

    async def _left(self, limit: Limit) -> RemainingQuota:
        reset, remaining = await self._limiter.get_window_stats(limit.rate, limit.name, limit.client)
        return RemainingQuota(limit, remaining, max(1, math.ceil(reset - time.time())))


def _redis_pool(address: str) -> Any:
    try:
        from redis.asyncio import ConnectionPool  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise SettingsError(
            "QA_RATE_STORAGE needs a package that is missing: pip install 'qa-service[redis]'"
        ) from error
    try:
        return ConnectionPool.from_url(
            address, socket_timeout=_REDIS_TIMEOUT_SECONDS, socket_connect_timeout=_REDIS_TIMEOUT_SECONDS
        )
    except ValueError as error:
        raise SettingsError("QA_RATE_STORAGE must be an address such as redis://HOST:PORT") from error


def headers(left: Sequence[RemainingQuota]) -> dict[str, str]:
    """Return the response headers with the quotas and what remains of them."""
    if not left:
        return {}
    policies = (f'"{one.limit.name}";q={one.limit.rate.amount};w={one.limit.rate.get_expiry()}' for one in left)
    states = (f'"{one.limit.name}";r={one.remaining};t={one.seconds}' for one in left)
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(states)}
