"""Clients: ours, OpenAI's, the Model Context Protocol's, LangChain, LlamaIndex; event streams."""

import asyncio
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import pytest
from busy_service import Busy
from conftest import ROOT, TWO_DOCUMENTS, HeldEmbedder, Run, app_for, key_for, listening, published
from needs import EXTRAS, missing
from processes import PATIENCE
from starlette.testclient import TestClient

from qa_service.client import AsyncClient, Client, ServiceError
from qa_service.errors import SettingsError
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

QUESTION = "where does the cat sleep"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"access": "keys", "mcp": not missing("mcp")})


@pytest.fixture
def token(settings: Settings) -> str:
    return key_for(settings, "ask", "feedback")["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def url(token: str, answerer: QuestionAnswerer, settings: Settings) -> Iterator[str]:
    """Serve on a free port, with a collection that has a name."""
    app = app_for(answerer, settings, named={"zoo": ServableIndex(answerer, IndexFolder(settings.index))})
    with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_client_covers_every_route(url: str, token: str) -> None:
    """Every method, typed, for the default collection and a named one."""
    for collection, prefix in (("", ""), ("zoo", "/collections/zoo")):
        with Client(url, key=token, collection=collection) as service:
            assert service.ready().status == "ready"
            answer = service.ask(QUESTION, top_k=2, explain=True, min_confidence=0.1, min_uncertain=0.01)
            assert answer.results[0].text.startswith("The cat sleeps")
            assert answer.results[0].explanation is not None
            citation = answer.results[0].citation
            assert citation.permalink.startswith(f"{prefix}/cite/")
            assert service.ask(QUESTION, filters={"path_prefix": "sea"}).results[0].citation.uri == "sea.txt"
            assert service.ask("When does it wake?", history=[answer], as_typed=True).understood is None
            follow_up = service.ask("When does it wake?", history=[*["Why?"] * 10, "What is a dog?", answer])
            assert follow_up.understood is not None
            assert follow_up.understood.follow_up_of == QUESTION
            batch = service.ask_batch([QUESTION, {"question": "", "top_k": 1}])
            assert [item.status for item in batch.results] == [200, 422]
            listed = list(service.sources())
            assert {document.uri for document in listed} == set(TWO_DOCUMENTS)
            found = service.source_at("sea.txt")
            assert found is not None
            assert service.source_at("none") is None
            text = service.source(found.document_id).text
            assert text == TWO_DOCUMENTS["sea.txt"]
            assert service.passages(found.document_id).passages[0].start_char == 0
            assert service.cite(citation.permalink).state == "exact"
            assert service.verify([citation.model_dump()]).verdicts[0].state == "exact"
            assert service.index().documents == 2
            assert [one.name for one in service.collections().collections] == ["zoo"]
            given = service.feedback(answer.id, useful=True, right_passage=citation.permalink, note="thanks")
            assert given.useful


def test_the_async_client_has_the_same_methods(url: str, token: str) -> None:
    """One by one, and concurrently."""

    async def scenario() -> None:
        async with AsyncClient(url, key=token) as service:
            assert (await service.ready()).status == "ready"
            answers = await asyncio.gather(*(service.ask(QUESTION, top_k=1) for _ in range(5)))
            assert {answer.results[0].text for answer in answers} == {answers[0].results[0].text}
            citation = answers[0].results[0].citation
            assert len((await service.ask_batch([QUESTION])).results) == 1
            assert {document.uri async for document in service.sources()} == set(TWO_DOCUMENTS)
            found = await service.source_at("sea.txt")
            assert found is not None
            assert (await service.source(found.document_id)).uri == "sea.txt"
            assert (await service.passages(found.document_id)).passages
            assert (await service.cite(citation.permalink)).state == "exact"
            assert (await service.verify([citation.model_dump()])).verdicts[0].state == "exact"
            assert (await service.index()).documents == 2
            assert (await service.collections()).collections
            assert (await service.feedback(answers[0].id, useful=False)).useful is False

    asyncio.run(scenario())
    sync = {name for name in vars(Client) if not name.startswith("_")}
    assert sync == {name for name in vars(AsyncClient) if not name.startswith("_")}


def test_client_errors_contain_the_problem_document(url: str) -> None:
    """They are raised at once, since a retry can't help."""
    with Client(url, patience=10 * PATIENCE) as service, pytest.raises(ServiceError) as caught:
        service.ask(QUESTION)
    assert caught.value.status == 401
    assert caught.value.problem is not None
    assert caught.value.problem.type == "urn:qa-service:problem:unauthorized"


@pytest.fixture
def busy() -> Iterator[str]:
    Busy.asked.clear()
    with published(Busy) as address:
        yield address


READY = {"status": "ready", "index_version": "v", "degraded": False, "runtime": "r", "collections": {}, "new": 1}


def test_the_client_retries_a_busy_service_after_retry_after(busy: str) -> None:
    """Not earlier, for any content of the header; unknown fields of the response are ignored."""
    Busy.answers = [
        (503, {"Retry-After": "1"}, b"full"),
        (429, {"Retry-After": "soon"}, b"{}"),
        (504, {}, b""),
        (200, {}, json.dumps(READY).encode()),
    ]
    with Client(busy) as service:
        assert service.ready().index_version == "v"
    assert len(Busy.asked) == 4
    assert Busy.asked[1] - Busy.asked[0] >= 1


def test_the_client_gives_up_after_its_patience(busy: str) -> None:
    """With the last error, in both clients; a response of another service is an error too."""
    Busy.answers = [(503, {"Retry-After": "0"}, b"full")]
    with Client(busy, patience=1) as service, pytest.raises(ServiceError, match="answered 503"):
        service.ready()
    assert len(Busy.asked) > 1

    async def scenario() -> None:
        async with AsyncClient(busy, patience=0.5) as waiting:
            await waiting.ready()

    with pytest.raises(ServiceError):
        asyncio.run(scenario())
    Busy.answers = [(200, {}, b"<html>")]
    with Client(busy) as service, pytest.raises(ServiceError, match="does not respond like a qa_service"):
        service.ready()
    with Client("http://127.0.0.1:1", patience=0.3) as nowhere, pytest.raises(ServiceError, match="can't be reached"):
        nowhere.ready()


def test_the_client_loads_no_model_and_no_server() -> None:
    """Importing it loads HTTP and types only."""
    code = "import sys, qa_service.client; print(' '.join(sys.modules))"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"numpy", "faiss", "torch", "onnxruntime", "fastapi", "uvicorn", "sqlite3"}


async def search_and_read(client: Any, citation: dict[str, Any]) -> None:
    """Search and fetch as the connectors of assistants do, and read the resource."""
    text = str(TWO_DOCUMENTS[citation["uri"]])
    found = (await client.call_tool("search", {"query": QUESTION})).structured_content["results"]
    assert len({one["id"] for one in found}) == len(found)
    assert re.match(rf"(http|qa-service)://.*/sources/{citation['document_id']}", found[0]["url"])
    fetched = (await client.call_tool("fetch", {"id": found[0]["id"]})).structured_content
    assert (fetched["id"], fetched["title"], fetched["text"]) == (found[0]["id"], citation["title"], text)
    assert fetched["metadata"]["uri"] == citation["uri"]
    assert fetched["url"].partition(":")[0] == found[0]["url"].partition(":")[0]
    listed = {one.name: one.uri for one in (await client.list_resources()).resources}
    assert set(listed) == set(TWO_DOCUMENTS)
    (contents,) = (await client.read_resource(listed[citation["uri"]])).contents
    assert (contents.text, contents.mime_type) == (text, "text/plain")
    templates = (await client.list_resource_templates()).resource_templates
    filled = templates[0].uri_template.replace("{document_id}", citation["document_id"])
    assert filled == listed[citation["uri"]]


async def use_tools(client: Any) -> None:
    """Ask and read through the official client."""
    tools = {tool.name: tool for tool in (await client.list_tools()).tools}
    assert set(tools) == {"ask", "read_source", "search", "fetch"}
    assert all(tool.annotations.read_only_hint and tool.output_schema for tool in tools.values())
    result = await client.call_tool("ask", {"question": QUESTION, "top_k": 1})
    assert not result.is_error
    answer = result.structured_content
    assert answer is not None
    assert str(uuid.UUID(answer["id"])) == answer["id"]
    citation = answer["results"][0]["citation"]
    assert "cat sleeps" in answer["results"][0]["text"]
    follow_up = await client.call_tool("ask", {"question": "When does it wake?", "history": ["Why?", QUESTION]})
    assert follow_up.structured_content["understood"]["follow_up_of"] == QUESTION
    read = await client.call_tool("read_source", {"document_id": citation["document_id"], "start_char": 5})
    assert read.structured_content is not None
    text = read.structured_content["text"]
    assert text == str(TWO_DOCUMENTS[citation["uri"]])[5:]
    assert read.structured_content["characters"] == len(text) + 5
    await search_and_read(client, citation)
    for name, arguments in (
        ("ask", {"question": ""}),
        ("ask", {"question": QUESTION, "collection": "none"}),
        ("ask", {"question": QUESTION, "top_k": 0}),
        ("ask", {"question": QUESTION, "history": ["Why?"] * 11}),
        ("ask", {"question": QUESTION, "history": [""]}),
        ("read_source", {"document_id": "none"}),
    ):
        failed = await client.call_tool(name, arguments)
        assert failed.is_error, arguments
        assert "Traceback" not in str(failed.content)


@pytest.mark.needs("mcp")
def test_an_mcp_client_uses_the_tools_over_http(url: str, token: str) -> None:
    """With a key; without one, or from a web page, it is refused."""
    from mcp import Client as MCPClient
    from mcp.client.streamable_http import streamable_http_client

    async def scenario() -> None:
        async with (
            httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=PATIENCE) as http,
            MCPClient(streamable_http_client(f"{url}/mcp", http_client=http)) as client,
        ):
            await use_tools(client)
            zoo = await client.call_tool("ask", {"question": QUESTION, "collection": "zoo"})
            assert not zoo.is_error

    asyncio.run(scenario())
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    accepts = {"Accept": "application/json, text/event-stream"}
    assert httpx2.post(f"{url}/mcp", json=call, headers=accepts, timeout=PATIENCE).status_code == 401
    page = accepts | {"Authorization": f"Bearer {token}", "Origin": "https://evil.example"}
    assert httpx2.post(f"{url}/mcp", json=call, headers=page, timeout=PATIENCE).status_code == 403


@pytest.mark.needs("mcp")
def test_a_key_for_a_collection_gives_tools_and_vector_stores_no_other(
    answerer: QuestionAnswerer, settings: Settings
) -> None:
    """Routes with the collection in the body or path check it."""
    token = KeyFile(settings.data).create("hr", collections=("hr",))
    named = {name: ServableIndex(answerer, IndexFolder(settings.index)) for name in ("hr", "legal")}
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json, text/event-stream"}
    with TestClient(app_for(answerer, settings, named=named), base_url="http://localhost") as client:
        found = {
            name: client.post(f"/v1/vector_stores/{name}/search", json={"query": "cat"}, headers=headers).status_code
            for name in ("hr", "legal", "default")
        }
        assert found == {"hr": 200, "legal": 403, "default": 403}
        for name, refused in (("hr", False), ("legal", True), ("", True)):
            call = {"name": "ask", "arguments": {"question": "cat", "collection": name}}
            body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
            result = client.post("/mcp", json=body, headers=headers).json()["result"]
            assert result.get("isError", False) is refused, result


PAGE = "https://www.example.org"
SENT_BY_CLIENTS = (
    *("accept", "authorization", "baggage", "cache-control", "content-type", "idempotency-key", "if-none-match"),
    *("last-event-id", "mcp-method", "mcp-name", "mcp-protocol-version", "mcp-session-id", "openai-organization"),
    *("openai-project", "traceparent", "tracestate", "x-request-id", "x-stainless-lang", "x-stainless-retry-count"),
)


@pytest.fixture(scope="module")
def preflight(
    kept: tuple[QuestionAnswerer, Settings], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., httpx2.Response]]:
    """Return a function that sends a preflight, as a browser does for a page."""
    answerer, settings = kept
    own = settings.model_copy(update={"data": tmp_path_factory.mktemp("data")})
    KeyFile(own.data).create("page", publishable=True, origins=(PAGE,))
    with TestClient(app_for(answerer, own), base_url="http://localhost") as client:

        def ask(path: str, method: str, headers: str, origin: str = PAGE, **more: str) -> httpx2.Response:
            own = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers, **more}
            return client.options(path, headers={"Origin": origin, **own})

        yield ask


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("path", ["/ask", "/mcp", "/v1/vector_stores/default/search", "/collections/hr/ask"])
def test_a_preflight_allows_every_header_that_clients_send(
    path: str, method: str, preflight: Callable[..., httpx2.Response]
) -> None:
    """Each alone and all together; the response says how long it may be cached and which headers it depends on."""
    for headers in (*SENT_BY_CLIENTS, ",".join(SENT_BY_CLIENTS), "x-own-header"):
        answer = preflight(path, method, headers)
        assert answer.status_code == 200, (headers, answer.text)
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-headers"] == headers
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        assert int(answer.headers["access-control-max-age"]) > 0
        assert {"Origin", "Access-Control-Request-Headers"} <= set(answer.headers["vary"].split(", "))
        assert "access-control-allow-credentials" not in answer.headers


def test_a_preflight_is_refused_to_other_origins_and_for_other_methods(
    preflight: Callable[..., httpx2.Response],
) -> None:
    """With a problem document and no header that allows anything, a private network included."""
    private = {"Access-Control-Request-Private-Network": "true"}
    for origin, method, status in (("https://evil.example", "POST", 403), (PAGE, "DELETE", 405)):
        answer = preflight("/ask", method, "authorization", origin, **private)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
        assert not any(name.startswith("access-control-allow-") for name in answer.headers)
    allowed = preflight("/ask", "POST", "authorization", **private)
    assert (allowed.status_code, allowed.headers["access-control-allow-private-network"]) == (200, "true")
    assert "access-control-allow-private-network" not in preflight("/ask", "POST", "authorization").headers


@pytest.mark.needs("mcp")
def test_an_mcp_client_uses_the_tools_over_stdio(here: list[str], run: Run) -> None:
    """`qa-service mcp` as a separate process, with the real model."""
    from mcp import Client as MCPClient
    from mcp import StdioServerParameters

    assert run("index", *here)[0] == 0

    async def scenario() -> None:
        server = StdioServerParameters(command=sys.executable, args=["-m", "qa_service", "mcp", *here], cwd=ROOT)
        async with MCPClient(server) as client:
            await use_tools(client)

    asyncio.run(scenario())


def test_without_the_mcp_extra_the_error_names_it(
    answerer: QuestionAnswerer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And without QA_MCP there is no such path."""
    monkeypatch.setitem(sys.modules, "qa_service.server.mcp", None)
    with pytest.raises(SettingsError, match=r"qa-service\[mcp\]"):
        app_for(answerer, settings.model_copy(update={"mcp": True}))
    off = settings.model_copy(update={"mcp": False, "access": "open"})
    with TestClient(app_for(answerer, off), base_url="http://localhost") as client:
        response = client.post("/mcp", json={})
        assert (response.status_code, response.headers["content-type"]) == (404, "application/problem+json")


EXAMPLES = [
    pytest.param(
        code,
        marks=pytest.mark.needs(*(set(re.findall(r"^(?:from|import) (\w+)", code, re.MULTILINE)) & EXTRAS.keys())),
        id=code.split("\n")[0],
    )
    for code in re.findall(
        r"```python\n(.*?)```", (ROOT / "docs/integrations.md").read_text(encoding="utf-8"), re.DOTALL
    )
]


@pytest.mark.parametrize("code", EXAMPLES)
def test_the_examples_of_the_documentation_work(
    code: str, url: str, token: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Against a real server with documents."""
    names: dict[str, Any] = {}
    exec(compile(code.replace("http://127.0.0.1:8000", url).replace("sk_…", token), "example", "exec"), names)  # noqa: S102
    for value in (getattr(value, "service", value) for value in names.values()):
        if isinstance(value, Client) or type(value).__name__ == "OpenAI":
            value.close()
    printed = capsys.readouterr().out
    found = [str(part) for part in (*names.get("documents", ()), *names.get("nodes", ()))]
    assert "The cat sleeps on the warm mat" in "\n".join([printed, *found])


def events_of(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a stream, by name."""
    blocks = [block for block in text.split("\n\n") if block.strip()]
    parsed = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(block["event"], json.loads(block["data"])) for block in parsed]


def test_a_stream_contains_the_answer_as_one_event(answerer: QuestionAnswerer, settings: Settings) -> None:
    """It is the JSON that a request without a stream gets."""
    local = settings.model_copy(update={"access": "open", "mcp": False})
    with TestClient(app_for(answerer, local), base_url="http://localhost") as client:
        body = {"question": "Who swims in the ocean?", "top_k": 3}
        plain = client.post("/ask", json=body).json()
        response = client.post("/ask", json=body, headers={"Accept": "text/event-stream"})
        assert response.headers["content-type"].startswith("text/event-stream")
        ((name, answer),) = events_of(response.text)
        assert name == "answer"
        varying = {"id", "took_ms"}
        assert {k: v for k, v in answer.items() if k not in varying} == {
            k: v for k, v in plain.items() if k not in varying
        }
        bad = client.post("/ask", json={"question": ""}, headers={"Accept": "text/event-stream"})
        assert (bad.status_code, bad.headers["content-type"]) == (422, "application/problem+json")


def test_an_error_in_a_stream_is_an_event(answerer: QuestionAnswerer, settings: Settings) -> None:
    """It carries the problem document."""
    local = settings.model_copy(update={"access": "open", "mcp": False, "deadline_seconds": 0.2})
    stuck = HeldEmbedder()
    slow, _ = open_answerer(local, stuck)
    with TestClient(app_for(slow, local), base_url="http://localhost") as client:
        stuck.go.clear()
        response = client.post("/ask", json={"question": "stuck"}, headers={"Accept": "text/event-stream"})
        stuck.go.set()
        assert [(name, problem["status"]) for name, problem in events_of(response.text)] == [("error", 504)]
