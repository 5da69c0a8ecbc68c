"""uvicorn's HTTP protocol with deadlines and limits, for a server that is open to the internet.

A client that sends its request too slowly gets 408; one that does not read its response is disconnected. Malformed and
ambiguous requests are rejected before the application sees them, and so are questions while the queue is full.
"""

import asyncio
import logging
import math
import re
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from qa_service.errors import AddressTooLong, HeadersTooLarge, Overloaded, RequestError, TooSlow, UnreadableRequest
from qa_service.server.admission import Admission
from qa_service.server.connections import Connections, PipelineFlow, State, connection_limits
from qa_service.server.middleware.request_ids import CLIENT_GONE, REFUSED, encoded_error, random_id
from qa_service.server.refusals import Refusals

READ_SECONDS = 10.0
"""Time for a client to send the headers, and each 64 KiB of the body."""
WRITE_SECONDS = 30.0
"""Time for a client to read the part of a response that the system's buffers do not hold."""
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32_768
MAX_ADDRESS_BYTES = 8_192
_BYTES_PER_DEADLINE = 65_536
_REQUEST_TARGET = re.compile(rb"/[!-\"$-~]*")
"""A path and a query in visible ASCII, without a fragment."""
_logger = logging.getLogger("uvicorn.error.requests")
_logger.setLevel(logging.ERROR)  # no warning for each request that can't be parsed or asks for an upgrade


class _RefusedError(Exception):
    """Stops the parser at a request that is refused."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.logger = _logger
        self.url = b""
        self._read_timer: asyncio.TimerHandle | None = None
        self._read_deadline = math.inf
        """The time by which more of the request must arrive. ``_read_timer`` runs then, or earlier."""
        self._write_timer: asyncio.TimerHandle | None = None
        self._refusal: RequestError | None = None
        self._task: asyncio.Task[None] | None = None
        self._running_scope: dict[str, Any] = {}
        self._receiving = self._in_headers = self._ignores_body = self._began = False
        self._header_bytes = self._unparsed_bytes = self._body_bytes = 0
        if Connections.KEY not in self.app_state:
            proxies = ProxyHeadersMiddleware(self.app, self.config.forwarded_allow_ips).trusted_hosts
            self.app_state[Connections.KEY] = Connections(connection_limits().connections, proxies.__contains__)
        self._refusals: Refusals = self.app_state.setdefault(Refusals.KEY, Refusals())
        self._open_connections: Connections = self.app_state[Connections.KEY]
        self.visitor: str | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request, if the limit of connections allows it."""
        super().connection_made(transport)
        self.flow = PipelineFlow(transport, self.pipeline)
        self.visitor = self._open_connections.visitor(self.client[0] if self.client else "")
        if not self._open_connections.add(self):
            self._refuse(Overloaded("all connections are in use; try again in a second"))
        self._extend_read_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timers and the running request: the client is gone."""
        self._open_connections.discard(self)
        self._stop_timers()
        super().connection_lost(exc)
        if self._task is not None and not self._task.done():
            self._running_scope[CLIENT_GONE] = True
            self._task.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse the data, within the limits."""
        if self._read_deadline == math.inf and (self.cycle is None or self.cycle.response_complete):
            self._extend_read_deadline()
        self._began = False
        super().data_received(data)
        if self._in_headers and not self._began and not self.transport.is_closing():
            # All of it belongs to an incomplete header, which the parser has not reported yet.
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > MAX_HEADER_BYTES + MAX_ADDRESS_BYTES:
                self._refuse(HeadersTooLarge("the headers are too long; send fewer"))

    def send_400_response(self, msg: str) -> None:
        """Answer a request that is refused, or is not HTTP, with a problem document."""
        del msg
        self._refuse(self._refusal or UnreadableRequest("the request is not valid HTTP; send an HTTP/1.1 request"))

    def on_message_begin(self) -> None:
        """Start a request."""
        super().on_message_begin()
        self._open_connections.entered_state(self)
        self._receiving = self._in_headers = self._began = True
        self._ignores_body = False
        self._header_bytes = self._unparsed_bytes = self._body_bytes = 0
        self._extend_read_deadline()

    def on_url(self, url: bytes) -> None:
        """Add a part of the URL."""
        super().on_url(url)
        if len(self.url) > MAX_ADDRESS_BYTES:
            self._abort_parsing(AddressTooLong(f"the URL exceeds {MAX_ADDRESS_BYTES} bytes; send a shorter one"))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        super().on_header(name, value)
        self._header_bytes += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._header_bytes > MAX_HEADER_BYTES:
            self._abort_parsing(
                HeadersTooLarge(f"the headers exceed {MAX_HEADERS} lines or {MAX_HEADER_BYTES} bytes; send fewer")
            )

    def on_headers_complete(self) -> None:
        """Refuse an ambiguous request, or pass it to the application."""
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        if (
            version not in {"1.0", "1.1"}
            or hosts > 1
            or (version == "1.1" and not hosts)
            or not _REQUEST_TARGET.fullmatch(self.url)
        ):
            self._abort_parsing(UnreadableRequest("the request must be HTTP/1.1 with one Host header and a path"))
        self._in_headers = False
        self._extend_read_deadline()
        self._unset_keepalive_if_required()  # set if the previous request was rejected
        if (answer := self._overload_response()) is None:
            super().on_headers_complete()
            return
        self._ignores_body = True
        self._write(*answer)
        self.on_response_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:
        before = set(self.tasks)
        super()._start_asgi_task(cycle, app)
        self._running_scope = cycle.scope
        self._task = next(iter(self.tasks - before))
        self._task.add_done_callback(_retrieve_exception)

    def on_body(self, body: bytes) -> None:
        """Add a part of the body."""
        before = self._body_bytes // _BYTES_PER_DEADLINE
        self._body_bytes += len(body)
        if self._body_bytes // _BYTES_PER_DEADLINE > before:
            self._extend_read_deadline()
        if not self._ignores_body:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        self._receiving = False
        self._read_deadline = math.inf
        if not self._ignores_body:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, or answer a pipelined one."""
        self._open_connections.entered_state(self)
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to read its response."""
        super().pause_writing()
        self._start_write_timer()

    def resume_writing(self) -> None:
        """Write again. On a closing connection the deadline stays, for the rest of the response."""
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    @property
    def state(self) -> State:
        """The state of the connection, for the limit of connections."""
        if self.flow.write_paused or self.transport.get_write_buffer_size():
            return State.STALLED
        if self.idle:
            return State.UNFINISHED if self._receiving else State.IDLE
        return State.UNFINISHED if self._is_body_missing() and not self.pipeline else State.ANSWERING

    def make_room(self) -> None:
        """Close the connection, so that another one can be accepted."""
        if self.state is State.STALLED:
            self.transport.abort()
        elif self._in_headers or self._is_body_missing():
            self._refuse(Overloaded("all connections are in use, and this request was incomplete; send it again"))
        else:
            self.transport.close()

    def _start_write_timer(self) -> None:
        if self._write_timer is None:
            self._write_timer = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def _extend_read_deadline(self) -> None:
        self._read_deadline = self.loop.time() + READ_SECONDS
        if self._read_timer is None:
            self._read_timer = self.loop.call_at(self._read_deadline, self._check_deadline)

    def _check_deadline(self) -> None:
        """Time out if the deadline has passed, else check again later; cheaper than a new timer for each request."""
        now = self.loop.time()
        if self.transport.is_closing():
            self._read_deadline = math.inf
            self._start_write_timer()
        elif now >= self._read_deadline:
            self._time_out()
        self._read_timer = self.loop.call_at(min(self._read_deadline, now + READ_SECONDS), self._check_deadline)

    def _stop_timers(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def _time_out(self) -> None:
        self._read_deadline = math.inf
        if self.transport.is_closing():
            return
        if self.flow.read_paused or (self._in_headers and not self.idle):
            self._extend_read_deadline()  # the server keeps the client waiting, not the reverse
        elif self._in_headers or self._is_body_missing():
            self._refuse(TooSlow(f"the request did not arrive within {READ_SECONDS:g} s; send it again"))
        else:
            self.transport.close()

    def _is_body_missing(self) -> bool:
        return self.cycle is not None and self.cycle.more_body and not self.cycle.response_started

    def _overload_response(self) -> tuple[int, bytes] | None:
        """Return the response to a rejected question, if the connection can go on as if the body had been read."""
        admission: Admission | None = self.app_state.get(Admission.KEY)
        if admission is None or self.parser.get_method() != b"POST":
            return None
        if self.expect_100_continue or not self.idle or not self.parser.should_keep_alive():
            return None
        return admission.refuse(self.url, self.headers)

    def _abort_parsing(self, refusal: RequestError) -> None:
        self._refusal = refusal
        raise _RefusedError

    def _refuse(self, refusal: RequestError) -> None:
        """Answer with a problem document and close the connection, after the responses to earlier requests."""
        if self.transport.is_closing():
            return
        if not self.idle and (self._in_headers or not self.cycle.more_body):
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self.idle or not self.cycle.response_started:
            self._write_refusal(refusal)
        if not self.idle:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()

    def _write_refusal(self, refusal: RequestError) -> None:
        """Send a problem document; the application counts and logs it if it has the request, else it is done here."""
        scope: Any = None if self.idle else self.cycle.scope
        is_running = scope is self._running_scope
        request_id = (is_running and scope.get("qa_request_id")) or random_id()
        admission: Admission | None = self.app_state.get(Admission.KEY)
        address = self.url if admission is None else admission.own_path(self.url)
        status, answer = encoded_error(request_id, refusal, {"Connection": "close"}, address.decode("latin-1"))
        self._write(status, answer)
        if is_running:
            scope[REFUSED] = status
        else:
            self._refusals.note(request_id, status)

    def _write(self, status: int, answer: bytes) -> None:
        """Send a response, given as its status and its encoded headers and body."""
        headers = [name + b": " + value + b"\r\n" for name, value in self.server_state.default_headers]
        self.transport.write(b"".join([STATUS_LINE[status], *headers, answer]))


def _retrieve_exception(task: asyncio.Task[None]) -> None:
    """Retrieve the task's exception, so that asyncio does not log it as never retrieved.

    Errors of the application are logged already; the remaining ones are writes to a closed connection.
    """
    if not task.cancelled():
        task.exception()
