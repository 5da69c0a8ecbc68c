"""The HTTP protocol on the socket: slow clients, garbage, ambiguous and huge requests, too many connections.

Row numbers refer to the project's table of bad inputs.
"""

import asyncio
import gc
import json
import logging
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from conftest import ROOT, FakeEmbedder, HeldEmbedder, Run, app_for, listening, served
from processes import PATIENCE, eventually

from qa_service.embedding import QuestionEmbedding
from qa_service.errors import Overloaded
from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.server import connections, process, protocol
from qa_service.server.logs import start_logging
from qa_service.server.metrics import exposition
from qa_service.server.worker import Worker
from qa_service.settings import Settings

ASK = json.dumps({"question": "where does the cat sleep"}).encode()


@pytest.fixture
def port(answerer: QuestionAnswerer, settings: Settings) -> Iterator[int]:
    with served(answerer, settings) as number:
        yield number


@pytest.fixture(scope="module")
def kept_port(kept: tuple[QuestionAnswerer, Settings]) -> Iterator[int]:
    """Return the port of a server that tests share; to start one takes longer than most of them."""
    with served(*kept) as number:
        yield number


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the read deadline to half a second."""
    monkeypatch.setattr(protocol, "READ_SECONDS", 0.5)


def talk(port: int, *parts: bytes, pause: float = 0.0, half_close: bool = False) -> bytes:
    """Send parts and return everything until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        with suppress(ConnectionError):
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            if half_close:
                connection.shutdown(socket.SHUT_WR)
        received = b""
        with suppress(ConnectionError):
            while block := connection.recv(65536):
                received += block
        return received


def trickle(connection: socket.socket, more: bytes) -> bytes:
    """Send ``more`` ten times a second until the server closes the connection; return what it sent."""
    received = b""
    deadline = time.monotonic() + PATIENCE
    connection.settimeout(0.1)
    with suppress(ConnectionError):
        while time.monotonic() < deadline:
            try:
                if not (block := connection.recv(65536)):
                    return received
            except TimeoutError:
                connection.sendall(more)
            else:
                received += block
        raise AssertionError("the connection is open")
    return received


def request(
    method: str = "POST", target: str = "/ask", headers: str = "", body: bytes = ASK, host: str = "Host: localhost\r\n"
) -> bytes:
    length = "" if "ength:" in headers or "chunked" in headers else f"Content-Length: {len(body)}\r\n"
    kind = "Content-Type: application/json\r\n"
    return f"{method} {target} HTTP/1.1\r\n{host}{kind}{length}{headers}Connection: close\r\n\r\n".encode() + body


def status_of(answer: bytes) -> int:
    """Return the status of a response; an error must be exactly one problem document."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status >= 400:
        assert b"content-type: application/problem+json" in head.lower(), answer
        problem = json.loads(body)
        assert problem["status"] == status
        assert f"x-request-id: {problem['request_id']}".encode() in head.lower()
        assert b"content-security-policy: default-src 'none'; frame-ancestors 'none'" in head.lower()
        assert len(body) <= 2048
    return status


REQUESTS: list[tuple[int, str, bytes, set[int]]] = [
    (42, "length too short", request(headers="Content-Length: 5\r\n"), {400}),
    (43, "negative length", request(headers="Content-Length: -5\r\n"), {400}),
    (43, "two lengths", request(headers="Content-Length: 40\r\nContent-Length: 41\r\n"), {400}),
    (43, "two lengths in one", request(headers="Content-Length: 17, 18\r\n"), {400}),
    (44, "length and encoding", request(headers="Content-Length: 40\r\nTransfer-Encoding: chunked\r\n"), {400}),
    (45, "bad chunk", request(headers="Transfer-Encoding: chunked\r\n", body=b"zz\r\nabc\r\n0\r\n\r\n"), {400}),
    (45, "encoding gzip", request(headers="Content-Length: 3\r\nTransfer-Encoding: gzip\r\n"), {400}),
    (50, "no host", request(host=""), {400}),
    (50, "two hosts", request(host="Host: localhost\r\nHost: localhost\r\n"), {400}),
    (51, "foreign host", request(host="Host: evil.com\r\n"), {400}),
    (51, "a path as host", request(host="Host: a/../x?y#z\r\n"), {400}),
    (52, "a header of 100 KB", request(headers=f"X-Long: {'a' * 100_000}\r\n"), {431}),
    (52, "10,000 headers", request(headers="X: y\r\n" * 10_000), {431}),
    (52, "200 headers", request(headers="X: y\r\n" * 200), {431}),
    (53, "an address of 100 KB", request(target="/ask?" + "a" * 100_000), {414}),
    (54, "no path", request(target="@evil.com"), {400}),
    (54, "absolute form", request(target="http://evil.com/ask"), {400}),
    (54, "star", request(method="OPTIONS", target="*"), {400}),
    (54, "a fragment", request(method="GET", target="/livez#/ask", body=b""), {400}),
    (54, "a fragment in the query", request(method="GET", target="/livez?a#b", body=b""), {400}),
    (55, "folded header", request(headers="X-A: b\r\n c\r\n"), {400}),
    (55, "bare line feeds", request().replace(b"\r\n", b"\n"), {400}),
    (55, "method in lower case", request(method="post"), {400}),
    (56, "HTTP/0.9", b"GET /livez\r\n\r\n", {400}),
    (56, "HTTP/9.9", request().replace(b"HTTP/1.1", b"HTTP/9.9"), {400}),
    (56, "TLS", bytes.fromhex("16030100c8010000c40303") + os.urandom(190), {400}),
    (57, "TRACE", request(method="TRACE", body=b""), {405}),
    (58, "NUL in the path", request(target="/ask%00"), {404}),
    (58, "encoded traversal", request(method="GET", target="/static/..%2f..%2fetc/passwd", body=b""), {404}),
    (58, "backslashes", request(method="GET", target="/static/..\\..\\x", body=b""), {400, 404}),
    (
        59,
        "10,000 ranges",
        request(method="GET", target="/livez", headers="Range: bytes=" + "0-1," * 7000 + "\r\n", body=b""),
        {200},
    ),
    (62, "a key of 1 MB", request(headers=f"Authorization: Bearer {'k' * 1_000_000}\r\n"), {431}),
    (62, "a key that is not ASCII", request(headers="Authorization: Bearer ключ\r\n"), {401}),
    (62, "two keys", request(headers="Authorization: Bearer a\r\nAuthorization: Bearer b\r\n"), {401}),
    (64, "a request id with line ends", request(headers="X-Request-ID: a\r\nInjected: yes\r\n"), {200}),
    (68, "100-continue", request(headers="Expect: 100-continue\r\nContent-Length: 10000000\r\n", body=b""), {413}),
    (0, "as it should be", request(), {200}),
    (0, "HTTP/1.0 without host", b"GET /livez HTTP/1.0\r\n\r\n", {200, 400}),
]


@pytest.mark.parametrize(("row", "name", "sent", "expected"), REQUESTS, ids=[f"{r[0]}-{r[1]}" for r in REQUESTS])
def test_malformed_requests_get_their_status_as_problem_documents(
    row: int, name: str, sent: bytes, expected: set[int], kept_port: int
) -> None:
    """The server keeps serving afterwards."""
    answer = talk(kept_port, sent)
    assert status_of(answer) in expected, answer[:300]
    assert b"100 Continue" not in answer
    assert status_of(talk(kept_port, request())) == 200


@pytest.mark.parametrize("place", ["/li%svez", "/livez%s", "/livez?a%sb", "%s/livez"])
def test_a_request_target_that_is_not_visible_ascii_is_refused(place: str, kept_port: int) -> None:
    """Control characters, spaces, line ends and bytes beyond ASCII; spaces around the target do not belong to it."""
    before, after = request(method="GET", target=place, body=b"").split(b"%s")
    spaces = set() if before[-1:] + after[:1] in {b"iv", b"ab"} else {0x20}
    for byte in {*range(0x21), *range(0x7F, 0x100)} - spaces:
        answer = talk(kept_port, before + bytes([byte]) + after)
        assert status_of(answer) == 400, (byte, answer)


@pytest.mark.parametrize(
    ("row", "sent", "more", "answered"),
    [
        (46, request(headers="Content-Length: 100\r\n", body=b'{"question"'), b"", True),
        (47, b"POST /ask HTTP/1.1\r\nHost: loc", b"", True),
        (47, b"POST /ask HTTP/1.1\r\n", b"X", True),
        (46, request(headers="Content-Length: 10000\r\n", body=b""), b" ", True),
        (48, b"", b"", False),
        (48, b"\r\n", b"", False),
        (0, request(headers="Transfer-Encoding: chunked\r\n", body=b"4\r\nabcd\r\n"), b"", True),
    ],
)
def test_slow_clients_are_disconnected(
    row: int, sent: bytes, more: bytes, answered: bool, port: int, hasty: None
) -> None:
    """Whether headers, a body or everything is missing, though bytes trickle in; with 408 if a request had begun."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        answer = trickle(connection, more)
    if answered:
        assert status_of(answer) == 408
    else:
        assert answer == b""
    eventually(lambda: status_of(talk(port, request())) == 200)


def test_line_ends_do_not_keep_a_connection_open(port: int, hasty: None) -> None:
    """Nor does the beginning of another request."""
    keep = request().replace(b"Connection: close\r\n", b"")
    for first, more in ((b"\r\n", b"\r\n"), (b"POST /as", b"k")):
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(keep)
            assert b"200 OK" in connection.recv(65536)
            connection.sendall(first)
            trickle(connection, more)


def test_pipelined_requests_are_answered_in_order(port: int) -> None:
    """A thousand on one connection, with others served meanwhile; garbage ends it after the earlier responses."""
    keep = request(method="GET", target="/livez", body=b"").replace(b"Connection: close\r\n", b"")
    with ThreadPoolExecutor(1) as thread:
        others = thread.submit(lambda: [status_of(talk(port, request())) for _ in range(5)])
        answer = talk(port, keep * 999 + request(method="GET", target="/livez", body=b""))
        assert others.result() == [200] * 5
    assert answer.count(b"HTTP/1.1 200 OK") == 1000
    answer = talk(port, keep * 3 + b"\x00garbage\r\n\r\n", half_close=True)
    assert 1 <= answer.count(b"HTTP/1.1 200 OK") <= 3


def test_a_client_queues_no_more_requests_than_one_read_holds(port: int) -> None:
    """Five thousand pipelined requests, 1.2 MB, are all answered, and few of them are in memory at a time."""
    keep = request(method="GET", target="/livez", headers=f"X: {'x' * 150}\r\n", body=b"")
    sent = keep.replace(b"Connection: close\r\n", b"") * 4999 + keep
    received, queued = b"", []
    connections: list[protocol.GuardedProtocol] = []
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
        ThreadPoolExecutor(1) as thread,
    ):
        sending = thread.submit(connection.sendall, sent)
        while block := connection.recv(65536):
            received += block
            connections = connections or [one for one in gc.get_objects() if type(one) is protocol.GuardedProtocol]
            queued += [len(connection.pipeline) for connection in connections]
        sending.result()
    assert received.count(b"HTTP/1.1 200 OK") == 5000
    assert 0 < max(queued) < 2000


def exchange(connection: socket.socket, *parts: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Send parts and return status, headers and body of as many responses, without an interim 100."""
    connection.sendall(b"".join(parts))
    received, found = b"", []
    while len(found) < len(parts):
        received = received.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        head, ended, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        fields = dict(line.lower().split(b": ", 1) for line in lines) if ended else {}
        length = int(fields.get(b"content-length", 0))
        if ended and len(rest) >= length:
            found.append((int(first.split(b" ", 2)[1]), fields, rest[:length]))
            received = rest[length:]
        else:
            block = connection.recv(65536)
            assert block, received
            received += block
    return found


def test_questions_are_rejected_unread_while_the_queue_is_full(
    answerer: QuestionAnswerer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Like the application does, on a connection that stays open; other and ambiguous requests pass."""
    refusals: list[Overloaded | None] = [None]
    monkeypatch.setattr(Worker, "refusal", lambda _: refusals[-1])
    origin = "https://www.example.org"
    settings = settings.model_copy(update={"origins": (origin,)})

    def kept(**parts: Any) -> bytes:
        return request(**{"headers": f"Origin: {origin}\r\n"} | parts).replace(b"Connection: close\r\n", b"")

    huge = b" " * (2 * settings.max_body_bytes)
    with (
        served(answerer, settings) as port,
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection,
    ):
        assert exchange(connection, kept(body=b'{"question": "an owl, then"}'))[0][0] == 200
        refusals.append(Overloaded("too many wait"))
        ((status, unread, body),) = exchange(connection, kept())
        assert status == 503
        assert unread[b"access-control-allow-origin"] == origin.encode()
        assert json.loads(body)["request_id"].encode() == unread[b"x-request-id"]
        assert json.loads(body)["detail"] == "too many wait"
        for target in ("/ask", "/ask/batch", "/ask?explain=true", "/collections/x/ask"):
            assert exchange(connection, kept(target=target, body=huge))[0][0] == 503
        ((status, read, _),) = exchange(connection, kept(headers=f"Origin: {origin}\r\nExpect: 100-continue\r\n"))
        assert (status, read.keys()) == (503, unread.keys())
        same = unread.keys() - {b"date", b"x-request-id", b"content-length"}
        assert {name: unread[name] for name in same} == {name: read[name] for name in same}
        pipelined = exchange(connection, kept(method="GET", target="/livez", body=b""), kept(), kept(method="PUT"))
        assert [status for status, _, _ in pipelined] == [200, 503, 405]
        assert [found[0] for found in exchange(connection, kept(), kept())] == [503, 503]
        assert exchange(connection, kept(target="/verify", body=b"{"))[0][0] == 400
        ((_, foreign, _),) = exchange(connection, kept(headers="Origin: https://other.example\r\n"))
        assert b"access-control-allow-origin" not in foreign
        others = exchange(connection, *[kept(headers="")] * 3)
        assert len({found[b"x-request-id"] for _, found, _ in others}) == 3
        for _, found, said in others:
            assert found.keys() == foreign.keys()
            assert json.loads(said)["request_id"].encode() == found[b"x-request-id"]
            assert json.loads(said)["instance"].encode() == b"urn:uuid:" + found[b"x-request-id"]
            assert len(said) == int(found[b"content-length"])
        refusals.append(None)
        assert exchange(connection, kept())[0][0] == 200


@pytest.mark.parametrize("prefix", ["", "/docs-qa"])
def test_refusals_below_v1_have_the_error_of_openais_api(
    prefix: str, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """Even behind a path prefix, stripped or not; refusals elsewhere have none."""
    public_url = f"https://docs.example.org{prefix}"
    with served(answerer, settings.model_copy(update={"public_url": public_url})) as port:
        for path, has_error in (("/v1/models", True), (f"{prefix}/v1/models", True), (f"{prefix}/ask", False)):
            answer = talk(port, request(target=path, host=""))
            assert status_of(answer) == 400
            assert ("error" in json.loads(answer.partition(b"\r\n\r\n")[2])) == has_error, path


UPGRADE = request(method="GET", target="/livez", headers="Connection: upgrade\r\nUpgrade: websocket\r\n", body=b"")


def test_refusals_are_counted_and_logged_once_a_second(
    answerer: QuestionAnswerer,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Without a route, for every reason; a line has the number since the last one. Nothing else is logged."""
    refused = [
        (400, (b"\x00garbage\r\n\r\n",)),
        (400, (request(host=""),)),
        (414, (request(target="/ask?" + "a" * 10_000),)),
        (431, (request(headers="X: y\r\n" * 200),)),
    ]

    def counted() -> Counter[str]:
        found = re.findall(
            r'qa_requests_total\{method="",route="unmatched",status="(\d+)"\} ([\d.]+)', exposition().decode()
        )
        return Counter({status: int(float(value)) for status, value in found})

    before = counted()
    stop = start_logging(settings.model_copy(update={"log_format": "json"}))
    try:
        with served(answerer, settings) as port:
            capfd.readouterr()
            for _ in range(5):
                assert b"200 OK" in talk(port, UPGRADE)
            for _ in range(3):
                answers = [talk(port, *parts) for _, parts in refused]
                assert [status_of(answer) for answer in answers] == [status for status, _ in refused]
            monkeypatch.setattr(protocol, "READ_SECONDS", 0.5)
            for _ in range(3):
                answers.append(talk(port, b"POST /ask HTTP/1.1\r\nHost: loc"))
                assert status_of(answers[-1]) == 408
    finally:
        stop()
    assert counted() - before == Counter({"400": 6, "408": 3, "414": 3, "431": 3})
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert {(line["event"], line["route"]) for line in lines} == {("request", "unmatched")}
    assert lines[0]["turned_away"] == 1
    assert sum(line["turned_away"] for line in lines) <= 15
    ids = {answer.lower().partition(b"x-request-id: ")[2][:36].decode() for answer in answers}
    assert len(ids) == 7


def test_refusing_a_request_that_the_application_has_counts_it_once_under_its_route(
    answerer: QuestionAnswerer, settings: Settings, hasty: None, caplog: pytest.LogCaptureFixture
) -> None:
    """With the status and the request id that the client got, and no traceback."""
    caplog.set_level(logging.INFO, "qa_service.requests")
    with served(answerer, settings) as port:
        answer = talk(port, request(headers="Content-Length: 100\r\n", body=b'{"question"'))
        assert status_of(answer) == 408
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    (line,) = [vars(record) for record in caplog.records if record.name == "qa_service.requests"]
    assert (line["route"], line["status"]) == ("/ask", 408)
    assert line["request_id"] == json.loads(answer.partition(b"\r\n\r\n")[2])["request_id"]


def test_a_failed_response_is_not_logged_as_never_retrieved(caplog: pytest.LogCaptureFixture) -> None:
    """Asyncio logs the exception of a collected task unless it was retrieved."""

    async def fails() -> None:
        raise RuntimeError("the handler is closed")

    async def ended() -> None:
        task = asyncio.get_running_loop().create_task(fails())
        task.add_done_callback(protocol._retrieve_exception)
        await asyncio.wait([task])

    asyncio.run(ended())
    gc.collect()
    assert "never retrieved" not in caplog.text


def disconnected() -> float:
    """Return how many clients disconnected before their response."""
    return _metric("qa_client_gone_total")


def queued() -> float:
    """Return how many calls the worker has, the current one included."""
    return _metric("qa_waiting")


def _metric(name: str) -> float:
    found = re.search(rf"^{name} ([\d.]+)", exposition().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


def test_clients_that_disconnect_leave_nothing_open(port: int) -> None:
    """Closed after sending, half-closed or reset."""
    for number in range(60):
        connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        connection.sendall(request()[: None if number % 3 else 60])
        if number % 3 == 1:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        connection.close()
    assert talk(port, request(), half_close=True)[:12] in {
        b"",
        b"HTTP/1.1 200",
    }  # a half-closed connection counts as closed
    assert status_of(talk(port, request())) == 200


def test_questions_of_disconnected_clients_are_not_answered(settings: Settings, answerer: QuestionAnswerer) -> None:
    """Queued questions are dropped when their clients disconnect, without a line in the log."""
    asked: list[str] = []
    gate = threading.Event()

    class Noting(FakeEmbedder):
        def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
            asked.extend(questions)
            gate.wait(PATIENCE)
            return super().embed_questions(questions)

    slow = open_answerer(settings, Noting())[0]
    gate.set()
    with served(slow, settings) as port:
        gate.clear()
        asked.clear()
        with ThreadPoolExecutor(1) as thread:
            first = thread.submit(talk, port, request(body=b'{"question": "first"}'))
            eventually(lambda: asked)
            gone, busy = disconnected(), queued()
            for number in range(5):
                connection = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
                connection.sendall(request(body=b'{"question": "gone %d"}' % number))
                eventually(lambda: queued() == busy + 1)
                connection.close()
                eventually(lambda: queued() == busy)
            eventually(lambda: disconnected() == gone + 5)
            gate.set()
            assert status_of(first.result()) == 200
        assert status_of(talk(port, request(body=b'{"question": "last"}'))) == 200
        assert asked == ["first?", "last?"]


def test_a_client_that_does_not_read_is_disconnected(
    answerer: QuestionAnswerer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the write deadline; its buffered responses are dropped."""
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.5)
    monkeypatch.setattr(protocol, "READ_SECONDS", 10 * PATIENCE)
    with served(answerer, settings) as port:
        keep = request(method="GET", target="/openapi.json", body=b"").replace(b"Connection: close\r\n", b"")
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(keep * 100)  # responses that exceed all buffers of the system

            def is_disconnected() -> bool:
                try:
                    connection.sendall(b"\r\n")
                except ConnectionError:
                    return True
                return False

            eventually(is_disconnected)
        assert status_of(talk(port, request())) == 200


HALF = request(headers="Expect: 100-continue\r\nContent-Length: 1000\r\n", body=b"")
KEPT = request(method="GET", target="/livez", body=b"").replace(b"Connection: close\r\n", b"")
LIVE = request(method="GET", target="/livez", body=b"")


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit connections to forty, ten an address; none is closed for being slow."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 40)
    monkeypatch.setattr(protocol, "READ_SECONDS", 10 * PATIENCE)


class Crowd:
    """Open connections from any loopback address."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._opened: list[socket.socket] = []

    def open(self, count: int, sent: bytes = b"", source: str = "127.0.0.1") -> list[socket.socket]:
        """Return new connections after sending ``sent``, which the server has read if it responds to it."""
        opened = []
        for _ in range(count):
            one = socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE, source_address=(source, 0))
            self._opened.append(one)
            opened.append(one)
            if sent == KEPT:
                assert exchange(one, KEPT)[0][0] == 200
            elif sent:
                one.sendall(sent)
                assert sent != HALF or one.recv(65536).startswith(b"HTTP/1.1 100 Continue")
        return opened

    def is_live(self, source: str = "127.0.0.1") -> bool:
        """Tell whether the server answers on a new connection."""
        (one,) = self.open(1, source=source)
        one.sendall(LIVE)
        return status_of(rest_of(one)) == 200

    def close(self) -> None:
        for one in self._opened:
            one.close()


def rest_of(connection: socket.socket) -> bytes:
    """Return everything until the server closes the connection."""
    received = b""
    while block := connection.recv(65536):
        received += block
    return received


def is_open(connection: socket.socket) -> bool:
    """Tell whether the server keeps a connection open, without a response."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return True
    except ConnectionError:
        pass
    finally:
        connection.settimeout(PATIENCE)
    return False


@pytest.fixture
def crowd(port: int) -> Iterator[Crowd]:
    gathered = Crowd(port)
    yield gathered
    gathered.close()


def test_the_oldest_idle_connection_makes_room(few: None, crowd: Crowd) -> None:
    """Row 49: with more than the limit, the oldest is closed and the newest is served."""
    idle = crowd.open(200)
    assert crowd.is_live()
    assert idle[0].recv(1) == b""
    assert exchange(idle[-1], KEPT)[0][0] == 200


@pytest.mark.parametrize("sent", [HALF, HALF[:60], KEPT, b""], ids=["body", "headers", "kept", "silent"])
def test_one_address_has_a_share_of_the_connections(sent: bytes, few: None, crowd: Crowd) -> None:
    """Its oldest connection makes room for its newest; connections of other addresses stay."""
    (other,) = crowd.open(1, HALF, "127.0.0.2")
    many = crowd.open(60, sent)
    assert crowd.is_live()
    assert crowd.is_live("127.0.0.2")
    assert is_open(other)
    assert sum(map(is_open, many)) == 9
    assert not any(map(is_open, many[:40]))


def test_an_incomplete_request_makes_room_before_an_idle_connection(few: None, crowd: Crowd) -> None:
    """The oldest first, with 503; trickled bytes do not make it younger."""
    idle = crowd.open(5, KEPT)
    unfinished = crowd.open(5, HALF)
    unfinished[0].sendall(b" ")
    assert crowd.is_live()
    assert [is_open(one) for one in unfinished] == [False, True, True, True, True]
    told = unfinished[0].recv(65536)
    assert status_of(told) == 503
    assert b"retry-after: 1" in told.lower()
    assert all(crowd.is_live() for _ in range(20))
    assert [is_open(one) for one in unfinished] == [False, True, True, True, True]
    crowd.open(4, HALF)
    assert crowd.is_live()
    assert not any(is_open(one) for one in unfinished)
    assert all(exchange(one, KEPT)[0][0] == 200 for one in idle)


def test_the_address_with_the_most_connections_makes_room(few: None, crowd: Crowd) -> None:
    """A client with few connections keeps its incomplete request, however old."""
    (slow,) = crowd.open(1, HALF, "127.0.0.9")
    crowds = [crowd.open(10, KEPT, f"127.0.0.{host}") for host in range(2, 6)]
    assert [is_open(one) for one in crowds[0]] == [False] + [True] * 9
    for host in range(10, 20):
        assert crowd.is_live(f"127.0.0.{host}")
    newest = [crowd.open(1, b"", f"127.0.0.{host}")[0] for host in range(10, 20)]
    assert all(crowd.is_live(f"127.0.0.{host}") for host in range(20, 30))
    assert is_open(slow)
    assert all(map(is_open, newest))
    assert {sum(map(is_open, many)) for many in crowds} <= {6, 7, 8}


def test_a_trusted_proxy_has_no_share(
    few: None, answerer: QuestionAnswerer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may use all connections; a direct client may use its share."""
    with listening(app_for(answerer, settings), ["127.0.0.1", "10.0.0.0/8"]) as port:
        crowd = Crowd(port)
        proxied = crowd.open(28, KEPT)
        direct = crowd.open(20, KEPT, "127.0.0.2")
        assert all(map(is_open, proxied))
        assert sum(map(is_open, direct)) == 10
        proxied += crowd.open(2, KEPT) + crowd.open(5, KEPT)
        assert all(map(is_open, proxied))
        assert sum(map(is_open, direct)) == 5
        crowd.close()


def test_a_connection_is_not_closed_while_its_request_is_answered(
    settings: Settings, answerer: QuestionAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If every connection is being answered, a new one gets 503."""
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 16)
    held = HeldEmbedder()
    with served(open_answerer(settings, held)[0], settings) as port:
        held.go.clear()
        crowd = Crowd(port)
        asking = crowd.open(4)
        for number, one in enumerate(asking):
            one.sendall(request(body=b'{"question": "cat %d"}' % number))
        assert crowd.is_live("127.0.0.2")  # after the questions were read
        refused = talk(port, LIVE)
        assert status_of(refused) == 503
        assert json.loads(refused.partition(b"\r\n\r\n")[2])["title"] == "Server full"
        assert crowd.is_live("127.0.0.2")
        held.go.set()
        assert [status_of(rest_of(one)) for one in asking] == [200] * 4
        crowd.close()


@pytest.fixture
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limit the socket buffers to a few KiB, so that the rest of a response stays in the server."""
    bind = process.bound_socket

    def with_small_buffers(host: str, number: int) -> socket.socket:
        listener = bind(host, number)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        return listener

    monkeypatch.setattr(process, "bound_socket", with_small_buffers)


def unread(port: int, sent: bytes) -> socket.socket:
    """Return a connection whose response has begun and is not read."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(PATIENCE)
    connection.connect(("127.0.0.1", port))
    connection.sendall(sent)
    assert connection.recv(1) == b"H"
    return connection


def test_a_response_that_is_not_read_makes_room(
    few: None, small_buffers: None, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """If there is no incomplete request and no idle connection."""
    page = KEPT.replace(b"/livez", b"/openapi.json")
    with served(answerer, settings) as port:
        stalled = [unread(port, page * number) for number in (1, 3) for _ in range(5)]
        for _ in range(10):
            assert status_of(talk(port, LIVE)) == 200
        for connection in stalled:
            connection.close()


@pytest.mark.needs("/proc")
def test_the_unread_end_of_a_response_keeps_no_connection_open(
    monkeypatch: pytest.MonkeyPatch, hasty: None, small_buffers: None
) -> None:
    """Although the server has closed it, and the rest is too small to pause the transport."""
    monkeypatch.setattr(protocol, "WRITE_SECONDS", 0.5)

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"60000")]})
        await send({"type": "http.response.body", "body": b"x" * 60_000})

    with listening(answer) as port:
        before = descriptors()
        with unread(port, LIVE):
            eventually(lambda: descriptors() <= before + 1)


def test_the_connections_fit_the_limit_of_open_files() -> None:
    """The limit is raised as far as allowed; if it is too low, fewer connections are allowed, with a warning."""
    code = """
import logging, resource, sys
from qa_service.server.connections import connection_limits, raise_file_limit
logging.basicConfig(format="%(message)s")
for hard in (20000, 4000, 1024, 100):
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(64, hard), hard))
    raise_file_limit()
    print(resource.getrlimit(resource.RLIMIT_NOFILE)[0], *connection_limits())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["8192 1000 2048", "4000 1000 1248", "1024 512 256", "100 17 8"]
    assert done.stderr.splitlines() == [
        "limiting connections to 512 instead of 1000: at most 1024 files may be open; raise that limit (ulimit -n)",
        "limiting connections to 17 instead of 1000: at most 100 files may be open; raise that limit (ulimit -n)",
    ]


def garbage(generator: random.Random) -> list[bytes]:
    """Return the parts that a hostile client sends: random bytes or a damaged request."""
    whole = request(
        headers="".join(f"X-{n}: {'v' * generator.randrange(200)}\r\n" for n in range(generator.randrange(30)))
    )
    kind = generator.randrange(6)
    if kind == 0:
        sent = generator.randbytes(generator.randrange(1, 3000))
    elif kind == 1:
        damaged = bytearray(whole)
        for _ in range(generator.randrange(1, 20)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        sent = bytes(damaged)
    elif kind == 2:
        sent = whole[: generator.randrange(1, len(whole))]
    elif kind == 3:
        sent = whole.replace(b"Connection: close\r\n", b"") * generator.randrange(1, 20)
    elif kind == 4:
        sent = request(
            headers="Transfer-Encoding: chunked\r\n", body=b"%x\r\n" % generator.randrange(2**40) + b"x" * 50
        )
    else:
        sent = request(headers="X: " + "a" * generator.randrange(60_000) + "\r\n")
    cuts = sorted(generator.randrange(len(sent) + 1) for _ in range(generator.randrange(4)))
    return [sent[start:end] for start, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


async def attack(port: int, clients: int, seed: int) -> Counter[str]:
    """Connect hostile clients, twenty at a time; count the statuses that they get."""
    generator = random.Random(seed)
    seen: Counter[str] = Counter()
    places = asyncio.Semaphore(20)

    async def one(parts: list[bytes], *, leaves: bool, ends: bool) -> None:
        async with places:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(OSError):  # the server may have closed it
                for part in parts:
                    writer.write(part)
                    await writer.drain()
                if not leaves:
                    if ends:
                        writer.write_eof()
                    answer = await asyncio.wait_for(reader.read(65536), PATIENCE)
                    seen[answer.split(b" ", 2)[1].decode() if answer.startswith(b"HTTP/1.1 ") else "closed"] += 1
            writer.close()

    await asyncio.gather(
        *(
            one(garbage(generator), leaves=generator.random() < 0.2, ends=generator.random() < 0.2)
            for _ in range(clients)
        )
    )
    return seen


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.needs("/proc")
def test_raw_bytes_crash_nothing_and_leak_nothing(port: int, hasty: None) -> None:
    """Three hundred hostile clients: no 500, other clients are served, no descriptor leaks."""
    status_of(talk(port, request()))
    before = descriptors()
    seen = asyncio.run(attack(port, 300, 20261124))
    assert not {status for status in seen if status.startswith("5")}, seen
    eventually(lambda: status_of(talk(port, request())) == 200)
    eventually(lambda: descriptors() <= before + 2)


@pytest.fixture
def command(here: list[str], run: Run) -> list[str]:
    """Return the command that serves two documents on a free port."""
    assert run("index", *here)[0] == 0
    return [sys.executable, "-m", "qa_service", "serve", *here, "--port", "0"]


def test_stopping_answers_all_requests_until_a_second_signal(command: list[str]) -> None:
    """After SIGTERM, /readyz fails at once, running and new requests are answered; a second signal ends it early."""
    environment = {**os.environ, "QA_DRAIN_SECONDS": "600"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as server:
        assert server.stderr is not None
        url = re.search(r"http://[\d.]+:\d+", server.stderr.readline())
        assert url is not None
        with httpx2.Client(base_url=url.group(), timeout=PATIENCE) as client, ThreadPoolExecutor(24) as threads:
            eventually(lambda: client.get("/readyz").status_code == 200)
            asked = [threads.submit(client.post, "/ask", json={"question": f"cat {n}"}) for n in range(20)]
            server.send_signal(signal.SIGTERM)
            eventually(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/readyz").json()["detail"] == "the service is shutting down"
            assert client.get("/livez").status_code == 200
            assert client.post("/ask", json={"question": "whale"}).status_code == 200
            assert [future.result().status_code for future in asked] == [200] * 20
        server.send_signal(signal.SIGTERM)
        assert server.wait(PATIENCE) in {0, 143, -signal.SIGTERM}


@pytest.mark.proof
def test_proof_raw_bytes(port: int, hasty: None, record_property: Callable[[str, object], None]) -> None:
    """Ten thousand hostile clients."""
    status_of(talk(port, request()))
    before = descriptors()
    seen: Counter[str] = Counter()
    for seed in range(10):
        seen += asyncio.run(attack(port, 1000, 20261124 + seed))
        assert status_of(talk(port, request())) == 200
    assert not {status for status in seen if status.startswith("5")}, seen
    eventually(lambda: descriptors() <= before + 2)
    counted = ", ".join(f"{status}: {count}" for status, count in sorted(seen.items()))
    record_property("figure", f"10000 hostile connections ({counted}), no 5xx, no descriptor left, others served")


STREAM = request(headers="Accept: text/event-stream\r\n").replace(b"Connection: close\r\n", b"")


@pytest.mark.proof
def test_proof_probes_are_answered_beside_a_thousand_connections(
    command: list[str], record_property: Callable[[str, object], None]
) -> None:
    """From one address or from eight, which use all connections: idle, half-sent, trickling or streaming."""
    figures = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stderr is not None
        url = re.search(r"http://[\d.]+:(\d+)", server.stderr.readline())
        assert url is not None
        port = int(url[1])
        for name, sent, trickled in (
            ("idle", b"", b""),
            ("half-sent bodies", HALF, b""),
            ("trickling headers", HALF[:60], b"x"),
            ("trickling bodies", HALF, b" "),
            ("event streams", STREAM, b""),
        ):
            for sources in (["127.0.0.1"], [f"127.0.0.{host}" for host in range(2, 10)]):
                crowd = Crowd(port)
                opened = [one for source in sources for one in crowd.open(1000 // len(sources), sent, source)]
                assert status_of(talk(port, LIVE)) == 200  # after all of them were accepted
                seconds = []
                for _ in range(50):
                    for one in opened[:: 7 if trickled else 1000]:
                        with suppress(ConnectionError):
                            one.sendall(trickled)
                    for path in (b"/livez", b"/readyz"):
                        started = time.monotonic()
                        assert status_of(talk(port, LIVE.replace(b"/livez", path))) == 200
                        seconds.append(time.monotonic() - started)
                crowd.close()
                figures.append(f"{name}, {len(sources)}: {max(seconds) * 1000:.0f}")
        server.terminate()
    record_property("figure", f"slowest of 100 probes in ms, by kind and number of addresses: {'; '.join(figures)}")
