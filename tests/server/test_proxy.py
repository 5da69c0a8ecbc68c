"""Behind a proxy: hosts and probes, a path prefix, event streams, HEAD and conditional requests."""

import asyncio
import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from html import escape, unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from conftest import FakeEmbedder, app_for, key_for, listening, served
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from processes import PATIENCE, eventually
from proxies import PREFIX, nginx, passing, stripping
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send
from test_protocol import talk

from qa_service.client import Client
from qa_service.errors import Overloaded, SettingsError
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.admission import Admission
from qa_service.server.gate import Gate
from qa_service.server.live_index import ServableIndex
from qa_service.server.middleware.hosts import AllowedHosts
from qa_service.server.middleware.request_ids import RequestIds
from qa_service.server.routes import documents, pages
from qa_service.settings import Settings, load_settings
from qa_service.settings.values import host_of

FOREIGN = "evil.example"
ANSWER = "The cat sleeps on the warm mat."
QUESTION = {"question": "where does the cat sleep"}
FIRST_EVENT = b"data: " + b"x" * 10_000  # nginx buffers the last part of a response


@pytest.fixture
def client(kept_client: TestClient) -> TestClient:
    return kept_client


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
    """Case, port, brackets and a trailing dot make no difference; other text is not a host."""
    assert host_of(given) == host


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_answer_under_any_host_and_without_one(
    path: str, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """Like those of load balancers: HTTP/1.0 without a Host header, or with the address of the target."""
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
def test_a_refused_host_is_told_the_setting(path: str, host: str, client: TestClient) -> None:
    """In a problem document without the host, and without a redirect."""
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


def test_a_refused_host_is_logged_escaped_and_once_in_a_while(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The line has the host, escaped and truncated, and the setting that allows it."""
    client = TestClient(AllowedHosts(FastAPI(), settings, log_seconds=600))
    with caplog.at_level(logging.WARNING, AllowedHosts.__module__):
        for _ in range(50):
            client.get("/index", headers={"Host": "evil.example\x1b[2J" + "x" * 10_000})
    (line,) = [record.getMessage() for record in caplog.records]
    assert "'evil.example\\x1b[2J" in line
    assert "QA_ALLOWED_HOSTS" in line
    assert line.isprintable()
    assert len(line) < 300


def test_allowed_hosts_may_be_wildcards(answerer: QuestionAnswerer, settings: Settings) -> None:
    """`*.name` does not match the name itself. The address that is served on is always allowed."""
    below = settings.model_copy(update={"allowed_hosts": ("*.Example.org",), "host": "::1"})
    every = settings.model_copy(update={"allowed_hosts": ("*",)})
    with TestClient(app_for(answerer, below), base_url="http://docs.example.org") as client:
        assert client.get("/index").status_code == 200
        assert client.get("/index", headers={"Host": "A.B.EXAMPLE.ORG:8443"}).status_code == 200
        assert client.get("/index", headers={"Host": "[::1]:8000"}).status_code == 200
        for host in ("example.org", "evilexample.org", "localhost", ""):
            assert client.get("/index", headers={"Host": host}).status_code == 400
    with TestClient(app_for(answerer, every), base_url=f"http://{FOREIGN}") as client:
        assert client.get("/index").status_code == 200


@pytest.mark.parametrize("host", ["https://docs.example.org", "docs.example.org/qa", "*example.org", "a.*.org", "a b"])
def test_allowed_hosts_are_host_names(host: str) -> None:
    """URLs and other patterns are rejected, since they would never match."""
    with pytest.raises(SettingsError, match=r"QA_ALLOWED_HOSTS .*is not a host name"):
        load_settings(allowed_hosts=host)


# Streams of events.


def test_event_streams_have_headers_against_buffering(client: TestClient) -> None:
    """Every response of that type, and no other."""
    stream = client.post("/ask", json=QUESTION, headers={"Accept": "text/event-stream"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    assert stream.headers["cache-control"] == "no-cache"
    assert stream.headers["x-accel-buffering"] == "no"
    assert "x-accel-buffering" not in client.post("/ask", json=QUESTION).headers


@pytest.mark.needs("nginx")
def test_a_first_event_passes_nginx_before_the_last_is_made(tmp_path: Path) -> None:
    """With nginx's default buffers; the last event is made after the first was read behind nginx."""
    first_is_read = threading.Event()

    async def two_events(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        await send({"type": "http.response.body", "body": FIRST_EVENT + b"\n\n", "more_body": True})
        await asyncio.to_thread(first_is_read.wait, PATIENCE / 2)
        last = b"event: last\n\n" if first_is_read.is_set() else b"event: too late\n\n"
        await send({"type": "http.response.body", "body": last})

    with (
        listening(RequestIds(two_events)) as port,
        nginx(tmp_path, f"location / {{ proxy_pass http://127.0.0.1:{port}; }}") as address,
        httpx2.stream("GET", f"{address}/events", timeout=PATIENCE) as response,
    ):
        events = []
        for line in response.iter_lines():
            if line:
                events.append(line)
                first_is_read.set()
    assert events == [FIRST_EVENT.decode(), "event: last"]


# A path prefix.


def ask(client: httpx2.Client, prefix: str = "", **headers: str) -> Any:
    """Return the best citation for a question."""
    response = client.post(f"{prefix}/ask", json=QUESTION, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()["results"][0]["citation"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://docs.example.org", "https://docs.example.org"),
        ("https://docs.example.org/", "https://docs.example.org"),
        ("https://Docs.example.org:443/docs-qa/", "https://docs.example.org/docs-qa"),
        ("http://[::1]:8080/a/b~c", "http://[::1]:8080/a/b~c"),
    ],
)
def test_the_public_url_is_normalised(given: str, kept: str) -> None:
    """No trailing slash, no default port, the host in lower case."""
    assert load_settings(public_url=given).public_url == kept


def test_the_public_path_must_not_begin_like_a_route(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A request to `/sources/x` could mean two things."""
    for path in ("/sources", "/ask", "/widget/qa", "/v1"):
        with pytest.raises(SettingsError, match=f"QA_PUBLIC_URL has the path {path},"):
            app_for(answerer, settings.model_copy(update={"public_url": f"https://a.example{path}"}))
    app_for(answerer, settings.model_copy(update={"public_url": "https://a.example/source"}))


TRUST: list[tuple[str, tuple[str, ...], str, str]] = [
    ("127.0.0.1", (), "127.0.0.1", PREFIX),
    ("127.0.0.1", ("10.0.0.1",), "127.0.0.1", ""),
    ("0.0.0.0", (), "127.0.0.1", ""),
    ("0.0.0.0", ("10.0.0.0/8",), "10.1.2.3", PREFIX),
    ("::", ("10.0.0.0/8",), "::ffff:10.1.2.3", PREFIX),
    ("0.0.0.0", ("10.0.0.0/8",), "203.0.113.7", ""),
    ("0.0.0.0", ("*",), "203.0.113.7", PREFIX),
]


@pytest.mark.parametrize(("host", "proxies", "peer", "prefix"), TRUST)
def test_only_trusted_proxies_may_set_the_prefix(
    host: str, proxies: tuple[str, ...], peer: str, prefix: str, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """Judged by the address of the connection. On loopback without trusted proxies, every client may."""
    own = settings.model_copy(update={"host": host, "trusted_proxies": proxies, "access": "open"})
    with TestClient(app_for(answerer, own), base_url="http://localhost", client=(peer, 5)) as client:
        headers = {"X-Forwarded-Prefix": f"{PREFIX}/", "X-Forwarded-For": "127.0.0.1, 10.1.2.3"}
        assert ask(client, **headers)["permalink"].startswith(f"{prefix}/cite/")
        assert ask(client)["permalink"].startswith("/cite/")  # the answer is from the cache, its links are not


@pytest.mark.parametrize(
    ("peer", "statuses"),
    [("10.1.2.3", [200, 200, 429]), ("::ffff:10.1.2.3", [200, 200, 429]), ("203.0.113.7", [200, 429, 429])],
)
def test_only_trusted_proxies_may_set_the_client_address(
    peer: str, statuses: list[int], answerer: QuestionAnswerer, settings: Settings
) -> None:
    """Visitors behind the proxy are counted separately; a visitor who forges other addresses counts as one."""
    public = {"host": "0.0.0.0", "trusted_proxies": ("10.0.0.0/8",), "access": "open", "visitor_rate": "1/hour"}
    own = settings.model_copy(update=public)
    with TestClient(app_for(answerer, own), base_url="http://localhost", client=(peer, 5)) as client:
        visitors = ("198.51.100.1", "198.51.100.2", "198.51.100.1")
        found = [client.post("/ask", json=QUESTION, headers={"X-Forwarded-For": visitor}) for visitor in visitors]
        assert [response.status_code for response in found] == statuses


@pytest.mark.parametrize(
    "prefix",
    [
        *("docs-qa", "//evil.example", "/\\evil.example", "/a//b", "/..", "/a/../b", "/.", "/a%2fb", "/a b", "/ä"),
        *("https://evil.example", "/a?b", "/a#b", "/a;b", '/"><script>', "/a,/b", "/" + "a" * 200, "/\t"),
    ],
)
def test_an_invalid_prefix_is_ignored(prefix: str, client: TestClient) -> None:
    """Only plain segments of limited length are valid; two headers are both ignored."""
    wrong = [("X-Forwarded-Prefix", prefix.encode("latin-1"))]
    assert ask(client, **dict(wrong))["permalink"].startswith("/cite/")
    twice = [("X-Forwarded-Prefix", PREFIX), ("X-Forwarded-Prefix", PREFIX)]
    page = client.get("/", headers=[*twice, ("Accept", "text/html")]).text
    assert PREFIX not in page


def test_a_forwarded_prefix_changes_no_route(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Not even a prefix that a path begins with: the route still needs its key."""
    keyed = settings.model_copy(update={"access": "keys"})
    with TestClient(app_for(answerer, keyed), base_url="http://localhost") as client:
        for prefix in ("/", "/livez", "/widget", "/sources", "/cite", "/admin", "/docs-qa"):
            for path in (
                *("/livez", "/index", "/admin/reindex", "/widget/admin/reindex", "/sources/cite/x", "/livez/index"),
                *("/cite/x", "/docs-qa/index", "/docs-qa"),
            ):
                plain = client.get(path)
                behind = client.get(path, headers={"X-Forwarded-Prefix": prefix})
                assert behind.status_code == plain.status_code, (prefix, path)


def test_the_public_path_is_stripped_once_and_bypasses_no_key(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Each route works with and without it, and no other path becomes a route."""
    keyed = settings.model_copy(update={"access": "keys", "public_url": f"https://docs.example.org{PREFIX}"})
    key_for(keyed, "ask")
    with TestClient(app_for(answerer, keyed), base_url="https://docs.example.org") as client:
        for path in ("/livez", "/index", "/admin/reindex", "/widget/qa-chat.js", "/", "/none", "/admin/reindex%0A"):
            plain = client.get(path)
            assert client.get(PREFIX + path).status_code == plain.status_code, path
        assert client.get(PREFIX).json()["ready"] == f"{PREFIX}/readyz"
        for path in (
            f"{PREFIX}{PREFIX}/livez",
            f"{PREFIX}livez",
            f"/x{PREFIX}/livez",
            f"{PREFIX}//livez",
            "/Docs-QA/livez",
        ):
            assert client.get(path).status_code == 401, path
        assert client.get(PREFIX + "/livez", headers={"Host": FOREIGN}).status_code == 200


LINK = re.compile(r'(?<![\w/])(?:/[\w.~-]+)*/(?:cite|sources|widget|evaluate)/[^\s"<>\\]+')


def links_in(text: str) -> list[str]:
    return [unescape(link) for link in LINK.findall(text)]


@pytest.mark.needs("mcp")
@pytest.mark.parametrize("way", ["setting", "header"])
def test_every_link_has_the_prefix_and_opens(way: str, answerer: QuestionAnswerer, settings: Settings) -> None:
    """In answers, batches, streams, stores, tools, pages and descriptions; signatures hold as without a prefix."""
    public_url = f"http://localhost{PREFIX}" if way == "setting" else ""
    own = settings.model_copy(update={"access": "keys", "mcp": True, "public_url": public_url})
    named = {"zoo": ServableIndex(answerer, IndexFolder(settings.index))}
    forwarded = {} if public_url else {"X-Forwarded-Prefix": PREFIX}
    with TestClient(app_for(answerer, own, named=named), base_url="http://localhost", headers=forwarded) as client:
        client.headers.update(key_for(own, "ask"))
        eventually(lambda: client.get("/index").status_code == 200)
        call = {"name": "ask", "arguments": {"question": QUESTION["question"]}}
        rpc = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
        citation = ask(client)
        answers = {
            "collection": client.post("/collections/zoo/ask", json=QUESTION),
            "batch": client.post("/ask/batch", json={"questions": [QUESTION]}),
            "stream": client.post("/ask", json=QUESTION, headers={"Accept": "text/event-stream"}),
            "store": client.post("/v1/vector_stores/default/search", json={"query": QUESTION["question"]}),
            "tool": client.post("/mcp", json=rpc, headers={"Accept": "application/json, text/event-stream"}),
            "verify": client.post("/verify", json={"citations": [citation]}),
            "verdict": client.get("/cite/" + citation["permalink"].rpartition("/")[2].partition("?")[0]),
            "page": client.get(citation["permalink"].removeprefix(PREFIX), headers={"Accept": "text/html"}),
            "widget": client.get("/widget"),
            "playground": client.get("/", headers={"Accept": "text/html"}),
        }
        del client.headers["Authorization"]
        for name, answer in answers.items():
            assert answer.status_code == 200, (name, answer.text)
            found = links_in(answer.text)
            assert found, name
            for link in found:
                assert link.startswith(f"{PREFIX}/"), (name, link)
                path = link.partition("#")[0]
                assert client.get(path if public_url else path.removeprefix(PREFIX)).status_code == 200, (name, link)
                assert "sig=" in link or "/widget/" in link
        client.headers.update(key_for(own, "ask"))
        eventually(lambda: client.get("/openapi.json").status_code == 200)
        assert client.get("/openapi.json").json()["servers"] == [{"url": public_url or PREFIX}]


def test_questions_below_the_public_path_are_rejected_by_the_protocol_too() -> None:
    """As they are without it."""
    refusing = Admission(lambda: Overloaded("full"), Gate(load_settings()), PREFIX)
    for address, refused in (
        (b"/ask", True),
        (b"/docs-qa/ask/batch?x", True),
        (b"/docs-qaask", False),
        (b"/x/ask", False),
    ):
        assert (refusing.refuse(address, []) is not None) is refused, address


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("location", [stripping, passing])
def test_the_service_works_behind_a_path_prefix_of_nginx(
    location: Callable[[int], str], answerer: QuestionAnswerer, settings: Settings, tmp_path: Path
) -> None:
    """Links open and the playground loads, whether nginx strips the prefix or not."""
    public_url = f"https://docs.example.org{PREFIX}" if location is passing else ""
    own = settings.model_copy(update={"public_url": public_url})
    with (
        served(answerer, own) as port,
        nginx(tmp_path, location(port)) as address,
        httpx2.Client(base_url=address, timeout=PATIENCE) as client,
    ):
        citation = ask(client, PREFIX)
        view = client.get(citation["url"])
        assert (view.status_code, '<mark id="quote">' in view.text) == (200, True)
        page = client.get(citation["permalink"], headers={"Accept": "text/html"})
        (onward,) = links_in(page.text)
        assert client.get(onward).status_code == 200
        playground = client.get(f"{PREFIX}/", headers={"Accept": "text/html"})
        assert playground.headers["content-type"].startswith("text/html")
        files = set(links_in(playground.text))
        assert len(files) == 4
        for file in [*files, *(file["path"] for file in client.get(f"{PREFIX}/widget").json()["files"])]:
            assert client.get(file).status_code == 200, file
        with Client(f"{address}{PREFIX}") as service:
            cited = service.ask(QUESTION["question"]).results[0].citation
            assert (cited.url, service.ready().status) == (citation["url"], "ready")
        described = client.get(f"{PREFIX}/openapi.json").json()
        assert described["servers"] == [{"url": public_url or PREFIX}]
        assert client.get("/cite/x").status_code == 404  # of nginx: outside of the prefix there is nothing


# HEAD, entity tags and Vary.


OWN_TESTS = ("evaluat", "/page/", "/documents/", "/owner/report")
"""Parts of paths that need an evaluation, a PDF file, a record or a setting; other files have their tests."""


def readable_paths(client: TestClient) -> dict[str, str]:
    """Return the path of every route that answers GET, filled in, by its template."""
    citation = ask(client)
    filled = {
        "{document_id}": citation["document_id"],
        "{citation_id}": citation["permalink"].rpartition("/")[2],
        "{collection}": "zoo",
        "{of}": client.get("/widget").json()["version"],
        "{name}": "qa-chat.js",
        "{vector_store_id}": "default",
        "{file_id}": citation["document_id"],
        "{model:path}": client.get("/v1/models").json()["data"][0]["id"],
    }
    paths = {}
    for route in iter_route_contexts(client.app.routes):  # type: ignore[attr-defined]
        template = str(route.path)
        if "GET" in (route.methods or ()) and not any(part in template for part in OWN_TESTS):
            query = "?start_char=0&end_char=9" if template.endswith("/preview") else ""
            paths[template] = re.sub(r"\{[\w:]+\}", lambda match: filled[match[0]], template) + query
    return paths


@pytest.fixture
def every(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    """Return every readable path, with a key for all of them."""
    named = {"zoo": ServableIndex(answerer, IndexFolder(settings.index))}
    headers = key_for(settings, "ask", "feedback", "admin")
    with TestClient(app_for(answerer, settings, named=named), base_url="http://localhost", headers=headers) as client:
        eventually(lambda: client.get("/admin/reindex").status_code == 200)
        yield client


CHANGING = {"/metrics"}
OF_A_BODY_OR_REQUEST = {"content-length", "content-type", "x-request-id"}


def kept(response: httpx2.Response) -> dict[str, str]:
    """Return the headers that 304 has in common with 200."""
    return {name: value for name, value in response.headers.items() if name not in OF_A_BODY_OR_REQUEST}


def test_head_is_supported_wherever_get_is(every: TestClient) -> None:
    """With the same status and headers, without a body; other paths list their methods."""
    paths = readable_paths(every)
    assert paths.keys() >= {
        "/",
        "/livez",
        "/readyz",
        "/index",
        "/openapi.json",
        "/cite/{citation_id}",
        "/admin/reindex",
    }
    for template, path in paths.items():
        got, head = every.get(path), every.head(path)
        assert (got.status_code, head.status_code) == (200, 200), template
        assert head.content == b""
        if template not in CHANGING:
            assert dict(head.headers) == dict(got.headers) | {"x-request-id": head.headers["x-request-id"]}, template
        refused = every.put(path)
        assert refused.status_code == 405, template
        allowed = {"GET", "HEAD", "POST"} if template == "/admin/reindex" else {"GET", "HEAD"}
        assert set(refused.headers["allow"].split(", ")) == allowed, template
    for template in ("/ask", "/v1/vector_stores/default/search", "/feedback"):
        assert every.head(template).status_code == 405
        assert every.head(template).headers["allow"] == "POST"
    assert every.head("/none").status_code == 404


def test_a_matching_etag_gets_304(every: TestClient) -> None:
    """Without a body, with the headers of 200 except those of the body; for GET and HEAD only."""
    for template, path in readable_paths(every).items():
        if template in CHANGING:
            continue
        got = every.get(path)
        tag = got.headers["etag"]
        assert re.fullmatch(r'"[0-9a-f]{64}"', tag), template
        for given in (tag, f"W/{tag}", f'"other", W/"x",{tag}', "*", f'"a,b" , {tag}'):
            for method in ("GET", "HEAD"):
                again = every.request(method, path, headers={"If-None-Match": given})
                assert (again.status_code, again.content) == (304, b""), (template, given)
                assert kept(again) == kept(got), template
                assert not {"content-length", "content-type"} & set(again.headers)
        for given in ('"other"', tag.strip('"'), tag[:-1], f'"x{tag[1:]}', "", '""', "W/*"):
            assert every.get(path, headers={"If-None-Match": given}).status_code == 200, (template, given)
    described = every.get("/openapi.json").json()["paths"].values()
    assert all("304" in operations["get"]["responses"] for operations in described if "get" in operations)
    question = {"If-None-Match": "*"}
    assert every.post("/ask", json=QUESTION, headers=question).status_code == 200
    assert every.get("/none", headers=question).status_code == 404
    assert "etag" not in every.get("/none").headers


@pytest.mark.parametrize(
    ("path", "accepts"),
    [
        ("/sources/{}", ("text/plain", "application/json")),
        ("/cite/{}", ("text/html", "application/json")),
        ("/", ("text/html", "application/json")),
    ],
)
def test_each_representation_has_its_own_etag(path: str, accepts: tuple[str, str], client: TestClient) -> None:
    """`Vary` names `Accept`, and `Origin` where CORS applies."""
    citation = ask(client)
    own = citation["document_id"] if "sources" in path else citation["permalink"].rpartition("/")[2]
    first, second = (client.get(path.format(own), headers={"Accept": accept}) for accept in accepts)
    assert first.headers["content-type"] != second.headers["content-type"]
    assert first.headers["etag"] != second.headers["etag"]
    crossed = client.get(path.format(own), headers={"Accept": accepts[0], "If-None-Match": second.headers["etag"]})
    assert crossed.status_code == 200
    for response in (first, second):
        assert {part.strip() for part in response.headers["vary"].split(",")} == {"Accept", "Origin"}
        assert response.headers["cache-control"] == "no-cache"


def test_answers_vary_by_accept(client: TestClient) -> None:
    """As JSON and as a stream of events."""
    for accept in ("application/json", "text/event-stream"):
        response = client.post("/ask", json=QUESTION, headers={"Accept": accept})
        assert {part.strip() for part in response.headers["vary"].split(",")} == {"Accept", "Origin"}


def test_the_etag_of_the_playground_depends_on_the_prefix(client: TestClient) -> None:
    """Since its links have the prefix."""
    tags = {
        client.get("/", headers={"Accept": "text/html", "X-Forwarded-Prefix": prefix}).headers["etag"]
        for prefix in ("", "/a", "/b")
    }
    assert len(tags) == 3


def test_head_and_304_have_no_body_on_the_socket(answerer: QuestionAnswerer, settings: Settings) -> None:
    """The connection stays open, and the next bytes are the next response."""
    with served(answerer, settings) as port:
        line = "HTTP/1.1\r\nHost: localhost\r\n"
        answer = talk(
            port,
            f"HEAD /index {line}\r\n".encode(),
            f"GET /index {line}If-None-Match: *\r\n\r\n".encode(),
            f"GET /livez {line}Connection: close\r\n\r\n".encode(),
        )
    statuses = [part.split(b" ", 1)[0] for part in answer.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [b"200", b"304", b"200"]
    assert answer.count(b"\r\n\r\n") == 3
    assert answer.endswith(b'\r\n\r\n{"status":"alive"}')
    assert answer.count(b"{") == 1


@pytest.mark.needs("nginx")
def test_a_weak_etag_of_nginx_matches(answerer: QuestionAnswerer, settings: Settings, tmp_path: Path) -> None:
    """Nginx weakens the ETags of responses that it compresses."""
    with (
        served(answerer, settings) as port,
        nginx(tmp_path, f"gzip on; gzip_types *; gzip_proxied any; {stripping(port)}") as address,
        httpx2.Client(base_url=f"{address}{PREFIX}", timeout=PATIENCE) as client,
    ):
        got = client.get("/openapi.json")
        assert got.headers["content-encoding"] == "gzip"
        assert got.headers["etag"].startswith('W/"')
        assert client.get("/openapi.json", headers={"If-None-Match": got.headers["etag"]}).status_code == 304


# Long documents.


def test_long_documents_are_encoded_outside_the_event_loop(
    folder: Callable[[dict[str, str | bytes]], Path],
    settings: Settings,
    fake: FakeEmbedder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Pages and JSON are encoded in a thread and in pieces, whose ends make no difference."""
    text = 'Tom & "Jerry" <swim> to \u00e9\U0001f600\\.\n\n' * 20
    folder({"long.txt": text})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    on_loop: list[str] = []

    def noting(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            with suppress(RuntimeError):
                asyncio.get_running_loop()
                on_loop.append(name)
            return function(*arguments)

        return call

    monkeypatch.setattr(pages, "_PIECE_CHARACTERS", 7)
    monkeypatch.setattr(pages, "_RENDERED_CHARACTERS", 100)
    monkeypatch.setattr(pages, "escape", noting("escape", pages.escape))
    monkeypatch.setattr(documents, "orjson", SimpleNamespace(dumps=noting("dumps", documents.orjson.dumps)))
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        (listed,) = client.get("/sources").json()["documents"]
        path = f"/sources/{listed['document_id']}"
        body = client.get(path, headers={"Accept": "application/json"})
        assert body.json() == {name: listed[name] for name in ("document_id", "title", "uri", "document_sha256")} | {
            "text": text
        }
        assert client.get(path).text == text
        page = client.get(f"{path}/view", params={"start": 3, "end": 30}).text
        _, _, shown = page.partition("</h1>")
        assert f'<mark id="quote">{escape(text[3:28])}</mark>' in shown
        assert "".join(unescape(re.sub("<[^>]*>", "", shown)).split()) == "".join(f"long.txt{text}".split())
        passages = client.get(f"{path}/passages").json()["passages"]
        assert " ".join(text[one["start_char"] : one["end_char"]] for one in passages).split() == text.split()
    answerer.index.close()
    assert on_loop == []
