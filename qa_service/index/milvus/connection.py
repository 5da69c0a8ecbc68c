"""Calls to a Milvus server, each with a deadline and few retries, and a circuit breaker while it is unavailable."""

import functools
import logging
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa_service.errors import SettingsError, StoreRefused, StoreUnavailable

WRITING = 30.0
"""The patience of calls that write: this many times the time limit of a question."""
_ATTEMPTS = 3
_FIRST_WAIT_SECONDS, _MAX_WAIT_SECONDS = 0.05, 0.5
_MAX_FAILURES = 3  # consecutive failed calls, after which the circuit breaker opens
_OPEN_SECONDS = 5.0
_NO_SUCH_COLLECTION, _INVALID, _NO_SUCH_ALIAS = 100, 1100, 1600
_UNEXPECTED = 65535  # the reply of old servers to an expression that they can't parse
_CLIENT_ERRORS = frozenset((4, 5, 6, _NO_SUCH_COLLECTION, _INVALID, _NO_SUCH_ALIAS, _UNEXPECTED))
"""Codes of invalid requests, which are not retried."""
_TIMEOUT_SIGNS = ("DEADLINE_EXCEEDED", "Deadline Exceeded", "Retry timeout")
_CONNECTION_SIGNS = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "Retry timeout", "connect")


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a Milvus server, its token and its certificate authority. ``https://`` uses TLS."""

    uri: str
    token: str = ""
    authority: Path | None = None
    timeout: float = 2.0
    """Seconds a call, retries included."""


class Connection:
    """A lazy, thread-safe connection to a server.

    ``patience`` is the minimum for every call; publishing has more of it than answering.
    """

    def __init__(self, address: Address, *, patience: float = 1.0) -> None:
        try:
            import pybreaker  # noqa: PLC0415 - an extra, as is the client
            import pymilvus  # noqa: F401, PLC0415
        except ModuleNotFoundError as error:
            raise SettingsError("QA_STORE=milvus needs the Milvus client: pip install 'qa-service[milvus]'") from error
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)  # it also raises what it logs
        self.address = address
        self._patience = patience
        self._client: Any = None
        self._opening = threading.Lock()
        self._broken = pybreaker.CircuitBreakerError
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=_MAX_FAILURES, reset_timeout=_OPEN_SECONDS, exclude=[StoreRefused], name=address.uri
        )

    def call(self, method: str, *arguments: Any, patience: float = 1.0, **named: Any) -> Any:
        """Call a method of the client and return its result. ``patience`` multiplies the time limit.

        Raises :class:`StoreUnavailable` if the server is unavailable or too slow, or recently was;
        :class:`StoreRefused` if it refuses the request.
        """
        seconds = self.seconds(patience)
        try:
            return self._breaker.call(functools.partial(self._retrying, method, arguments, named, seconds))
        except self._broken as error:
            raise StoreUnavailable("the vector store recently did not answer; try again in a few seconds") from error

    def seconds(self, patience: float = 1.0) -> float:
        """Return the time limit of a call."""
        return self.address.timeout * max(patience, self._patience)

    def probe(self) -> None:
        """Ask the server for its version, past the circuit breaker, and close the breaker if it answers."""
        self._attempt("get_server_version", (), {}, self.address.timeout)
        if self._breaker.current_state != "closed":
            self._breaker.close()

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _retrying(self, method: str, arguments: tuple[Any, ...], named: dict[str, Any], seconds: float) -> Any:
        import tenacity  # noqa: PLC0415 - an index on disk does not need it

        ends = time.monotonic() + seconds

        def attempt() -> Any:
            return self._attempt(method, arguments, named, max(0.05, min(seconds / 2, ends - time.monotonic())))

        return tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_random_exponential(multiplier=_FIRST_WAIT_SECONDS, max=_MAX_WAIT_SECONDS),
            stop=tenacity.stop_any(
                tenacity.stop_after_attempt(_ATTEMPTS), tenacity.stop_before_delay(seconds - _FIRST_WAIT_SECONDS)
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
            if error.code in _CLIENT_ERRORS and not any(sign in text for sign in _CONNECTION_SIGNS):
                raise StoreRefused(
                    "the vector store refused the request", f"{method}: {text[:300]}", error.code
                ) from error
            raise self._unavailable(text) from error
        except (grpc.RpcError, grpc.FutureTimeoutError, OSError, ValueError) as error:
            if isinstance(error, ValueError) and "closed channel" not in str(error):
                raise
            raise self._unavailable(str(error) or type(error).__name__) from error

    def _unavailable(self, reason: str) -> StoreUnavailable:
        """Close the connection, so that the next attempt opens another, and return the error.

        After a timeout the connection is kept: other threads may be waiting for their replies.
        """
        if not any(sign in reason for sign in _TIMEOUT_SIGNS):
            self.close()
        first = reason.strip().splitlines()[0][:200] if reason.strip() else "no reply"
        return StoreUnavailable("the vector store does not answer; try again", f"{self.address.uri}: {first}")

    def _arguments(self) -> dict[str, Any]:
        address = self.address
        return {
            "uri": address.uri,
            "token": address.token,
            "dedicated": True,
            **({} if address.authority is None else {"server_pem_path": str(address.authority), "secure": True}),
        }


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, StoreUnavailable) and not isinstance(error, StoreRefused)


def missing(error: StoreRefused) -> bool:
    """Tell whether the reason of a refusal is a missing collection or alias."""
    return error.code in {_NO_SUCH_COLLECTION, _NO_SUCH_ALIAS} or "not found" in error.reason
