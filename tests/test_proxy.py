"""Behind a proxy: hosts and probes, a path prefix, event streams, HEAD and conditional requests."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from conftest import listening, served
from proxies import needs_nginx, nginx
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from test_protocol import talk

from qa_service.errors import SettingsError
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.app import create_app
from qa_service.server.middleware import hosts
from qa_service.server.middleware.request_ids import RequestIds
from qa_service.settings import Settings, load_settings
from qa_service.values import host_of

FOREIGN = "evil.example"
FIRST_EVENT = b"data: " + b"x" * 10_000  # nginx holds back the end of what does not fill its buffers


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(create_app(answerer, settings), base_url="http://localhost") as connected:
        yield connected


# Hosts and probes.


@pytest.mark.parametrize(
    ("given", "host"),
    [
        ("localhost", "localhost"),
        ("LocalHost:8000", "localhost"),
        ("docs.example.org.", "docs.example.org"),
        ("docs.example.org.:443", "docs.example.org"),
        ("docs.example.org:", "docs.example.org"),
        ("10.0.0.7:8000", "10.0.0.7"),
        ("[::1]", "::1"),
        ("[::1]:8000", "::1"),
        ("[0:0:0:0:0:0:0:1]:8000", "::1"),
        *[
            (text, "")
            for text in ("", ".", ":80", "::1", "[::1", "[localhost]", "a b", "a,b", "a/b", "a@b", "a:b", "a..")
        ],
        *[(text, "") for text in ("localhost\n", "localhost:80\n", "localhost:999999", "a:80:80", "ä.example")],
    ],
)
def test_a_host_header_is_read_strictly(given: str, host: str) -> None:
    """Case, port, brackets and a trailing dot make no difference; text that is not a host is no host."""
    assert host_of(given) == host


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_answer_under_any_host_and_without_one(
    path: str, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """As load balancers ask: HTTP/1.0 without a Host header, or with the address of the target."""
    with served(answerer, settings) as port:
        for rest in (
            " HTTP/1.0\r\n\r\n",
            " HTTP/1.0\r\nHost:\r\n\r\n",
            " HTTP/1.1\r\nHost: 10.0.0.7:8000\r\nConnection: close\r\n\r\n",
            f" HTTP/1.1\r\nHost: {FOREIGN}\r\nConnection: close\r\n\r\n",
            "?verbose HTTP/1.1\r\nHost: [fd00::7]:8000\r\nConnection: close\r\n\r\n",
        ):
            assert b" 200 " in talk(port, f"GET {path}{rest}".encode()).splitlines()[0]
        assert b" 400 " in talk(port, f"GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n".encode()).splitlines()[0]


@pytest.mark.parametrize(
    "path", ["/", "/index", "/metrics", "/widget", "/openapi.json", "/livez/", "/livez%0A", "/mcp"]
)
@pytest.mark.parametrize("host", [FOREIGN, "", "localhost.evil.example", "10.0.0.7:8000", "a b"])
def test_other_paths_are_refused_in_words_that_name_the_setting(path: str, host: str, client: TestClient) -> None:
    """A problem document, without the host in it and without a redirect."""
    response = client.get(path, headers={"Host": host}, follow_redirects=False)
    assert response.status_code == 400
    problem = response.json()
    assert problem["type"] == "urn:qa-service:problem:host-not-allowed"
    assert "QA_ALLOWED_HOSTS" in problem["detail"]
    assert "location" not in response.headers
    assert not host or host not in response.text + str(response.headers)


@pytest.mark.parametrize("host", ["127.0.0.1.", "LOCALHOST:8000", "[0:0::1]:1"])
def test_other_spellings_of_an_allowed_host_are_allowed(host: str, client: TestClient) -> None:
    """Case, a trailing dot, a port and leading zeros make no difference."""
    assert client.get("/index", headers={"Host": host}).status_code == 200


def test_a_refused_host_is_in_the_log_now_and_then_and_harmless(
    client: TestClient, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line with the host, escaped and cut, and the setting that allows it; no second one soon after."""
    monkeypatch.setattr(hosts, "_LOG_SECONDS", 600.0)
    with caplog.at_level(logging.WARNING, hosts.__name__):
        for _ in range(50):
            client.get("/index", headers={"Host": "evil.example\x1b[2J" + "x" * 10_000})
    (line,) = [record.getMessage() for record in caplog.records]
    assert "'evil.example\\x1b[2J" in line
    assert "QA_ALLOWED_HOSTS" in line
    assert line.isprintable()
    assert len(line) < 300


def test_hosts_may_be_all_below_a_name_or_all(answerer: QuestionAnswerer, settings: Settings) -> None:
    """The name itself is not below itself. The address that is served on is always allowed."""
    below = settings.model_copy(update={"allowed_hosts": ("*.Example.org",), "host": "::1"})
    every = settings.model_copy(update={"allowed_hosts": ("*",)})
    with TestClient(create_app(answerer, below), base_url="http://docs.example.org") as client:
        assert client.get("/index").status_code == 200
        assert client.get("/index", headers={"Host": "A.B.EXAMPLE.ORG:8443"}).status_code == 200
        assert client.get("/index", headers={"Host": "[::1]:8000"}).status_code == 200
        for host in ("example.org", "evilexample.org", "localhost", ""):
            assert client.get("/index", headers={"Host": host}).status_code == 400
    with TestClient(create_app(answerer, every), base_url=f"http://{FOREIGN}") as client:
        assert client.get("/index").status_code == 200


@pytest.mark.parametrize("host", ["https://docs.example.org", "docs.example.org/qa", "*example.org", "a.*.org", "a b"])
def test_allowed_hosts_are_host_names(host: str) -> None:
    """An address or another pattern would never match."""
    with pytest.raises(SettingsError, match=r"QA_ALLOWED_HOSTS .*is not a host name"):
        load_settings(allowed_hosts=host)


# Streams of events.


def test_event_streams_ask_proxies_not_to_buffer(client: TestClient) -> None:
    """Every answer of that type, and no other."""
    question = {"question": "where does the cat sleep"}
    stream = client.post("/ask", json=question, headers={"Accept": "text/event-stream"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "x-accel-buffering" not in client.post("/ask", json=question).headers


@needs_nginx
def test_a_first_event_passes_nginx_before_the_last_is_made(tmp_path: Path) -> None:
    """With nginx's default buffers; the last event is made only once the first was read behind nginx."""
    first_is_read = threading.Event()

    async def two_events(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": FIRST_EVENT + b"\n\n", "more_body": True})
        await asyncio.to_thread(first_is_read.wait, 60)
        last = b"event: last\n\n" if first_is_read.is_set() else b"event: too late\n\n"
        await send({"type": "http.response.body", "body": last})

    with (
        listening(RequestIds(two_events)) as port,
        nginx(tmp_path, f"location / {{ proxy_pass http://127.0.0.1:{port}; }}") as address,
        httpx2.stream("GET", f"{address}/events", timeout=90) as response,
    ):
        events = []
        for line in response.iter_lines():
            if line:
                events.append(line)
                first_is_read.set()
    assert events == [FIRST_EVENT.decode(), "event: last"]
