"""Limits the connections of a server process, and the share of one client address.

At the limit, a new connection replaces one of the visitor with the most connections: first one with an incomplete
request, then an idle one, then one whose client does not read its response. A connection is never closed while its
request is being answered.
"""

import logging
import sys
from asyncio import Transport
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

if sys.platform != "win32":
    import resource

from uvicorn.protocols.http.flow_control import FlowControl

from qa_service.server.addresses import unmapped, visitor_of

MAX_CONNECTIONS = 1000
MAX_SHARE_OF_ONE_VISITOR = 0.25
_MAX_BACKLOG = 2048
_RESERVED_FILES = 256
"""Open files that the server needs for its index, vector stores, child processes and uploads."""
_DESIRED_FILES = 8192
_logger = logging.getLogger(__name__)


class State(IntEnum):
    """States of a connection, in the order in which connections are closed to make room."""

    UNFINISHED = 0
    """The headers or the body are incomplete."""
    IDLE = 1
    STALLED = 2
    """The client has not read its whole response."""
    ANSWERING = 3


class Connection(Protocol):
    """A connection, as the limit sees it."""

    visitor: str | None
    """The client's visitor; ``None`` for a trusted proxy, which serves many clients."""

    @property
    def state(self) -> State:
        """The current state."""

    def make_room(self) -> None:
        """Close the connection."""


class PipelineFlow(FlowControl):
    """Flow control that reads nothing more while requests of the connection are queued.

    Otherwise each response would admit another block of requests, and one client could fill the memory.
    """

    def __init__(self, transport: Transport, pipeline: deque[Any]) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read again, if no request is queued."""
        if not self._pipeline:
            super().resume_reading()


class Connections:
    """The open connections of a server process."""

    KEY = "qa_connections"
    """Its key in the state of the application's lifespan."""

    def __init__(self, limit: int, is_proxy: Callable[[str], bool] = lambda _: False) -> None:
        self._limit = limit
        self._is_proxy = is_proxy
        self._share = max(1, int(limit * MAX_SHARE_OF_ONE_VISITOR))
        self._count = 0
        self._by_visitor: defaultdict[str | None, OrderedDict[Connection, None]] = defaultdict(OrderedDict)
        """Connections by visitor, those longest in their state first."""

    def visitor(self, host: str) -> str | None:
        """Return the visitor of an address, or ``None`` for a trusted proxy or an unknown address."""
        return None if not host or self._is_proxy(unmapped(host)) else visitor_of(host)

    def add(self, connection: Connection) -> bool:
        """Add a connection, in place of another one at the limit; return ``False`` if no other one can be closed."""
        visitor = connection.visitor
        if visitor is not None and len(self._by_visitor.get(visitor, ())) >= self._share:
            has_room = self._make_room(visitor)
        else:
            has_room = self._count < self._limit or any(map(self._make_room, self._largest_first()))
        if has_room:
            self._count += 1
            self._by_visitor[visitor][connection] = None
        return has_room

    def entered_state(self, connection: Connection) -> None:
        """Record that a connection has just entered another state."""
        own = self._by_visitor.get(connection.visitor)
        if own is not None and connection in own:
            own.move_to_end(connection)

    def discard(self, connection: Connection) -> None:
        """Remove a connection."""
        own = self._by_visitor.get(connection.visitor)
        if own is not None and connection in own:
            self._count -= 1
            del own[connection]
            if not own:
                del self._by_visitor[connection.visitor]

    def _largest_first(self) -> list[str | None]:
        return sorted(self._by_visitor, key=lambda visitor: -len(self._by_visitor[visitor]) * (visitor is not None))

    def _make_room(self, visitor: str | None) -> bool:
        own = self._by_visitor[visitor]
        for state in (State.UNFINISHED, State.IDLE, State.STALLED):
            for connection in own:
                if connection.state is state:
                    self.discard(connection)
                    connection.make_room()
                    return True
        return False


class ConnectionLimits(NamedTuple):
    """Limits of the open connections, and of the backlog that the system holds until they are accepted."""

    connections: int
    backlog: int


def connection_limits() -> ConnectionLimits:
    """Return limits that fit the limit of open files, since a full backlog may be accepted before any one is closed."""
    if sys.platform == "win32":  # no limit of open files there
        return ConnectionLimits(MAX_CONNECTIONS, _MAX_BACKLOG)
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _DESIRED_FILES if files == resource.RLIM_INFINITY else files
    available = max(files - _RESERVED_FILES, files // 4)
    backlog = min(_MAX_BACKLOG, max(1, available // 3))
    return ConnectionLimits(min(MAX_CONNECTIONS, max(1, available - backlog)), backlog)


def raise_file_limit() -> None:
    """Raise the limit of open files as far as the system allows; log a warning if connections have to be limited."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESIRED_FILES if hard == resource.RLIM_INFINITY else min(_DESIRED_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    limits = connection_limits()
    if limits.connections < MAX_CONNECTIONS:
        _logger.warning(
            "limiting connections to %d instead of %d: at most %d files may be open; raise that limit (ulimit -n)",
            limits.connections,
            MAX_CONNECTIONS,
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        )
