"""Calls of a Milvus server that end: each has a deadline, few retries, and none at all while the server is away."""

import functools
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_service.errors import SettingsError, StoreRefused, StoreUnavailable

WRITING = 30.0
"""Times the seconds of a question that writing may take."""
_ATTEMPTS = 3
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 0.5  # seconds
_FAILURES = 3
"""So many calls that fail in a row, and no more is tried for some time."""
_AWAY_SECONDS = 5.0
_NO_SUCH_COLLECTION, _INVALID, _NO_SUCH_ALIAS = 100, 1100, 1600
_UNEXPECTED = 65535  # what old servers answer to an expression that they can't read
_OURS = frozenset((4, 5, 6, _NO_SUCH_COLLECTION, _INVALID, _NO_SUCH_ALIAS, _UNEXPECTED))
"""Codes by which a server refuses what was asked; it would refuse it again."""
_LATE = ("DEADLINE_EXCEEDED", "Deadline Exceeded", "Retry timeout")
_LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "Retry timeout", "connect")


@dataclass(frozen=True, slots=True)
class Address:
    """Where a Milvus server is, and how to show it who asks. An ``https://`` address is by TLS."""

    uri: str
    token: str = ""
    authority: Path | None = None
    timeout: float = 2.0
    """Seconds that one call may take, retries included."""


class Connection:
    """A server by its address. Threads may share it. Nothing is sent before a method is called.

    ``patience`` is the least that each call has: who publishes can wait longer than who asks.
    """

    def __init__(self, address: Address, *, patience: float = 1.0) -> None:
        try:
            import pybreaker  # noqa: PLC0415 - an extra, as is the client
            import pymilvus  # noqa: F401, PLC0415
        except ModuleNotFoundError as error:
            raise SettingsError("QA_STORE=milvus needs the Milvus client: pip install 'qa-service[milvus]'") from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # what it logs is raised too
        self.address = address
        self._patience = patience
        self._client: Any = None
        self._opening = threading.Lock()
        self._broken = pybreaker.CircuitBreakerError
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=_FAILURES, reset_timeout=_AWAY_SECONDS, exclude=[StoreRefused], name=address.uri
        )

    def call(self, method: str, *arguments: Any, patience: float = 1.0, **named: Any) -> Any:
        """Return what a method of the client returns. ``patience`` multiplies the time that it may take.

        Raises :class:`StoreUnavailable` if the server is away, too slow, or was so lately; :class:`StoreRefused` if
        it can't do what is asked.
        """
        seconds = self.seconds(patience)
        try:
            return self._breaker.call(functools.partial(self._retrying, method, arguments, named, seconds))
        except self._broken as error:
            raise StoreUnavailable("the vector store did not answer lately; ask again in a few seconds") from error

    def seconds(self, patience: float = 1.0) -> float:
        """Return how long a call of some patience may take."""
        return self.address.timeout * max(patience, self._patience)

    def probe(self) -> None:
        """Ask the server for its version, whatever was before, so that one that is back is used again at once."""
        self._attempt("get_server_version", (), {}, self.address.timeout)
        if self._breaker.current_state != "closed":
            self._breaker.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _retrying(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any], seconds: float) -> Any:
        import tenacity  # noqa: PLC0415 - not for who asks an index in a folder

        ends = time.monotonic() + seconds

        def attempt() -> Any:
            return self._attempt(method, arguments, named, max(0.05, min(seconds / 2, ends - time.monotonic())))

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_may_pass),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT, max=_LONGEST_WAIT),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(_ATTEMPTS), tenacity.stop_before_delay(seconds - _FIRST_WAIT)
            ),
            reraise=True,
        )(attempt)

    def _attempt(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any], seconds: float) -> Any:
        import grpc  # noqa: PLC0415 - comes with the client
        from pymilvus import MilvusClient, MilvusException  # noqa: PLC0415

        try:
            with self._opening:
                if self._client is None:
                    self._client = MilvusClient(**self._arguments(), timeout=seconds)
                client = self._client
            return getattr(client, method)(*arguments, **named, timeout=seconds)
        except MilvusException as error:
            text = str(error.message)
            if error.code in _OURS and not any(sign in text for sign in _LOST):
                raise StoreRefused(
                    "the vector store refuses what it was asked", f"{method}: {text[:300]}", error.code
                ) from error
            raise self._lost(text) from error
        except (grpc.RpcError, grpc.FutureTimeoutError, OSError, ValueError) as error:
            if isinstance(error, ValueError) and "closed channel" not in str(error):
                raise
            raise self._lost(str(error) or type(error).__name__) from error

    def _lost(self, reason: str) -> StoreUnavailable:
        """Give the connection up, so that the next attempt opens one, without waiting as a broken one does.

        One on which an answer is only late is kept: other threads wait for theirs.
        """
        if not any(sign in reason for sign in _LATE):
            self.close()
        first = reason.strip().splitlines()[0][:200] if reason.strip() else "no answer"
        return StoreUnavailable("the vector store does not answer; ask again", f"{self.address.uri}: {first}")

    def _arguments(self) -> dict[str, Any]:
        address = self.address
        return {
            "uri": address.uri,
            "token": address.token,
            "dedicated": True,
            **({} if address.authority is None else {"server_pem_path": str(address.authority), "secure": True}),
        }


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, StoreUnavailable) and not isinstance(error, StoreRefused)


def missing(error: StoreRefused) -> bool:
    """Tell whether a store refused because there is no collection, or alias, of a name."""
    return error.code in {_NO_SUCH_COLLECTION, _NO_SUCH_ALIAS} or "not found" in error.reason
