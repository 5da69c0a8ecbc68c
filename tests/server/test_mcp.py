"""The Model Context Protocol: one response a request, feedback on answers, errors that a model can act on."""

import logging
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
import pytest
from conftest import FakeEmbedder, app_for, listening, write_files
from needs import require
from processes import PATIENCE
from starlette.testclient import TestClient

from qa_service.embedding import QuestionEmbedding
from qa_service.errors import NotReady, Overloaded
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.feedback import FeedbackFile
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import LiveIndex, ServableIndex
from qa_service.server.worker import Worker
from qa_service.settings import Settings

require("mcp")

from qa_service.server.mcp import resources

QUESTION = "where does the cat sleep"
ACCEPT = {"Accept": "application/json, text/event-stream"}
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"access": "open", "mcp": True})


def called(client: TestClient, name: str, arguments: dict[str, Any], **headers: str) -> dict[str, Any]:
    """Return the result of a tool."""
    params = {"name": name, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    result = client.post("/mcp", json=body, headers=ACCEPT | headers).json()["result"]
    assert isinstance(result, dict)
    return result


def told(result: dict[str, Any]) -> str:
    """Return the message of a failed call."""
    assert result["isError"], result
    (content,) = result["content"]
    return str(content["text"])


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    named = {name: ServableIndex(answerer, IndexFolder(settings.index)) for name in ("hr", "legal")}
    with TestClient(app_for(answerer, settings, named=named), base_url="http://localhost") as client:
        yield client


def test_mcp_opens_no_stream(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Only POST is served, and no request opens a stream."""
    with listening(app_for(answerer, settings)) as port, httpx2.Client(timeout=PATIENCE) as client:
        url = f"http://127.0.0.1:{port}/mcp"
        for method in ("GET", "HEAD", "DELETE", "PUT"):
            answer = client.request(method, url, headers={"Accept": "text/event-stream"})
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), method
            assert answer.headers["content-type"] == "application/problem+json"
        version = "2026-07-28"
        meta = {"io.modelcontextprotocol/protocolVersion": version, "io.modelcontextprotocol/clientCapabilities": {}}
        params = {"notifications": {"toolsListChanged": True}, "_meta": meta}
        listen = {"jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": params}
        headers = {**ACCEPT, "MCP-Protocol-Version": version, "MCP-Method": "subscriptions/listen"}
        assert client.post(url, json=listen, headers=headers).json()["error"]["message"] == "Method not found"


def test_an_answer_over_mcp_takes_feedback(client: TestClient, settings: Settings) -> None:
    """By its id, in its collection; each answer has an id of its own."""
    ids = set()
    for collection, prefix in (("", ""), ("", ""), ("hr", "/collections/hr")):
        answer = called(client, "ask", {"question": QUESTION, "collection": collection})["structuredContent"]
        ids.add(uuid.UUID(answer["id"]))
        assert answer["took_ms"] > 0
        assert answer["results"][0]["citation"]["permalink"].startswith(f"{prefix}/cite/")
        given = client.post(f"{prefix}/feedback", json={"answer_id": answer["id"], "useful": True})
        assert given.status_code == 201, given.text
    assert len(ids) == 3
    with FeedbackFile(settings.data) as file:
        for path in ("", "/collections/hr"):
            assert [line["question"] for line in file.export(path)[0]] == [QUESTION]


CANARY = "s3cret-canary"


@pytest.mark.parametrize("version", ["", "2026-07-28"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ('[{"jsonrpc": "2.0", "id": 1, "method": "CANARY"}]', -32600),
        ('"CANARY"', -32600),
        ("5", -32600),
        ("null", -32600),
        ('{"CANARY": "CANARY"}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "result": "CANARY"}', -32600),
        ('{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ["CANARY"]}', -32600),
        ('{"jsonrpc": CANARY', -32700),
        ('{"CANARY": 1, "CANARY": 2}', -32700),
        ("\udcff", -32700),
        ("[" * 50_000, -32700),
        ("", -32700),
    ],
)
def test_a_body_that_is_not_one_message_is_refused_unquoted(
    body: str, code: int, version: str, client: TestClient
) -> None:
    """It gets a JSON-RPC error of this service, in every version of the protocol."""
    content = body.replace("CANARY", CANARY).encode(errors="surrogateescape")
    headers = ACCEPT | {"Content-Type": "application/json"} | ({"MCP-Protocol-Version": version} if version else {})
    answer = client.post("/mcp", content=content, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    error = answer.json().pop("error")
    assert answer.json() == {"jsonrpc": "2.0", "id": None, "error": error}
    assert error["code"] == code
    assert error["message"].startswith("the body ")
    assert not re.search(f"{CANARY}|http|pydantic", answer.text)


def test_a_body_over_the_limit_is_refused(client: TestClient, settings: Settings) -> None:
    """With a problem document, as on every route."""
    answer = client.post("/mcp", content=b" " * (settings.max_body_bytes + 1), headers=ACCEPT)
    assert (answer.status_code, answer.headers["content-type"]) == (413, "application/problem+json")


@pytest.mark.parametrize(
    ("name", "arguments", "reason"),
    [
        (
            "ask",
            {"question": "x" * 2431},
            "question: the question has 2431 characters, the maximum is 2000; shorten it",
        ),
        ("ask", {"question": " "}, "question: the question is empty; write one"),
        ("ask", {}, "question: Field required"),
        ("ask", {"question": "x", "top_k": 51}, "top_k: Input should be less than or equal to 50"),
        ("ask", {"question": "x", "top_k": 0}, "top_k: Input should be greater than or equal to 1"),
        ("ask", {"question": "x", "k": 3}, "an argument is unknown; use only: question, top_k, history, collection"),
        ("ask", {"question": "x", "collection": "it"}, "no collection has this name; use one of: hr, legal"),
        ("find", {"question": "x"}, "no tool has this name; use one of: ask, read_source, search, fetch"),
        ("search", {"question": "x"}, "query: Field required; an argument is unknown; use only: query, collection"),
        ("fetch", {"id": "none"}, "no document has this id; use the `document_id` of a citation"),
        ("fetch", {"id": f"{'0' * 16}.0-4"}, "no document has this id now; search again, and use the `id` of a result"),
        ("fetch", {"id": "it/none"}, "no collection has this name; use one of: hr, legal"),
        (
            "read_source",
            {"document_id": "none"},
            "no document has this id; use the `document_id` of a citation",
        ),
        (
            "read_source",
            {"document_id": "x", "start_char": -1},
            "start_char: Input should be greater than or equal to 0",
        ),
    ],
)
def test_an_invalid_call_tells_the_model_what_to_change(
    name: str, arguments: dict[str, Any], reason: str, client: TestClient
) -> None:
    """By a message of this service."""
    assert told(called(client, name, arguments)) == reason


def test_read_source_reads_up_to_the_end(client: TestClient) -> None:
    """A start beyond the end gets an error with the length of the document."""
    answer = called(client, "ask", {"question": QUESTION, "top_k": 1})["structuredContent"]
    wanted = {"document_id": answer["results"][0]["citation"]["document_id"]}
    whole = called(client, "read_source", wanted)["structuredContent"]
    length = whole["characters"]
    assert (len(whole["text"]), whole["end_char"]) == (length, length)
    end = called(client, "read_source", wanted | {"start_char": length})["structuredContent"]
    assert (end["text"], end["start_char"], end["end_char"]) == ("", length, length)
    beyond = called(client, "read_source", wanted | {"start_char": length + 1234567})
    assert told(beyond) == f"start_char is {length + 1234567:,}, but the document has {length:,} characters"


def test_a_long_document_is_fetched_around_the_passage(settings: Settings) -> None:
    """A part of it, which says where it stands; the whole text is a resource."""
    filler = "Harbours are dredged every spring so that ships keep clear of sand. " * 400
    text = f"{filler}\n\nThe walrus sleeps on a raft.\n\n{filler}"
    write_files(settings.source, {"long.txt": text})
    build(settings, FakeEmbedder())
    with TestClient(
        app_for(open_answerer(settings, FakeEmbedder())[0], settings), base_url="http://localhost"
    ) as client:
        found = called(client, "search", {"query": "where does the walrus sleep"})["structuredContent"]["results"][0]
        assert found["title"] == "long.txt"
        assert client.get(found["url"].partition("#")[0]).status_code == 200
        part = called(client, "fetch", {"id": found["id"]})["structuredContent"]
        about = part["metadata"]
        assert "The walrus sleeps on a raft." in part["text"]
        assert len(part["text"]) == about["end_char"] - about["start_char"] == 20_000
        assert text[about["start_char"] : about["end_char"]] == part["text"]
        assert about["characters"] == len(text)
        read = {"uri": f"qa-service:///sources/{about['document_id']}"}
        body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": read}
        contents = client.post("/mcp", json=body, headers=ACCEPT).json()["result"]["contents"]
        assert [content["text"] for content in contents] == [text]


def test_resources_are_listed_a_page_at_a_time(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, settings: Settings, answerer: QuestionAnswerer
) -> None:
    """Those of every collection; a key for one collection lists and reads those of that one."""
    monkeypatch.setattr(resources, "_PAGE", 1)

    def listed(client: TestClient, **headers: str) -> list[str]:
        uris: list[str] = []
        params: dict[str, Any] = {}
        while True:
            body = {"jsonrpc": "2.0", "id": 1, "method": "resources/list", "params": params}
            page = client.post("/mcp", json=body, headers=ACCEPT | headers).json()["result"]
            assert len(page["resources"]) <= 1
            uris += [one["uri"] for one in page["resources"]]
            if "nextCursor" not in page:
                return uris
            params = {"cursor": page["nextCursor"]}

    documents = [one["document_id"] for one in client.get("/sources").json()["documents"]]
    prefixes = ("", "/collections/hr", "/collections/legal")
    assert listed(client) == [f"qa-service://{prefix}/sources/{one}" for prefix in prefixes for one in documents]
    token = {"Authorization": f"Bearer {KeyFile(settings.data).create('hr', collections=('hr',))}"}
    named = {name: ServableIndex(answerer, IndexFolder(settings.index)) for name in ("hr", "legal")}
    local = settings.model_copy(update={"access": "keys"})
    with TestClient(app_for(answerer, local, named=named), base_url="http://localhost") as keyed:
        assert listed(keyed, **token) == [f"qa-service:///collections/hr/sources/{one}" for one in documents]
        for uri in (f"qa-service:///sources/{documents[0]}", f"qa-service:///collections/legal/sources/{documents[0]}"):
            body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": {"uri": uri}}
            error = keyed.post("/mcp", json=body, headers=ACCEPT | token).json()["error"]
            assert (error["code"], "this key may not read this collection" in error["message"]) == (-32602, True)
        found = called(keyed, "search", {"query": QUESTION}, **token)["structuredContent"]["results"]
        assert {one["id"].partition("/")[0] for one in found} == {"hr"}
        assert "/collections/hr/sources/" in found[0]["url"]
        assert "cat sleeps" in called(keyed, "fetch", {"id": found[0]["id"]}, **token)["structuredContent"]["text"]
        foreign = found[0]["id"].removeprefix("hr/")
        assert told(called(keyed, "fetch", {"id": foreign}, **token)).startswith("this key may not read")


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("resources/list", {"cursor": "it/"}, "the cursor is not one of this list"),
        ("resources/list", {"cursor": ""}, "the cursor is not one of this list"),
        ("resources/read", {"uri": "file:///etc/passwd"}, "no resource has this URI; use qa-service:///sources/{doc"),
        ("resources/read", {"uri": "qa-service:///sources/none"}, "no document has this id"),
        ("resources/read", {"uri": "qa-service:///collections/it/sources/x"}, "no collection has this name"),
    ],
)
def test_an_invalid_resource_is_an_error_of_the_protocol(
    method: str, params: dict[str, Any], reason: str, client: TestClient
) -> None:
    """With what to change."""
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    error = client.post("/mcp", json=body, headers=ACCEPT).json()["error"]
    assert error["code"] == -32602
    assert error["message"].startswith(reason)


def test_a_busy_or_starting_server_tells_the_model_so(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the reason, and when to ask again."""
    monkeypatch.setattr(
        Worker, "refusal", lambda _: Overloaded("32 questions are waiting already; ask again in a second")
    )
    assert (
        told(called(client, "ask", {"question": "an owl"})) == "32 questions are waiting already; ask again in a second"
    )

    def not_ready(_: LiveIndex) -> None:
        raise NotReady("the service is not ready: starting")

    monkeypatch.setattr(LiveIndex, "expect_ready", not_ready)
    assert told(called(client, "ask", {"question": "an owl"})) == "the service is not ready: starting"


def test_a_key_for_one_collection_reveals_no_other(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Neither whether it exists nor its name."""
    token = KeyFile(settings.data).create("hr", collections=("hr",))
    named = {name: ServableIndex(answerer, IndexFolder(settings.index)) for name in ("hr", "legal")}
    local = settings.model_copy(update={"access": "keys"})
    with TestClient(app_for(answerer, local, named=named), base_url="http://localhost") as client:
        for collection in ("", "legal", "none"):
            arguments = {"question": QUESTION, "collection": collection}
            refused = called(client, "ask", arguments, Authorization=f"Bearer {token}")
            assert told(refused) == "this key may not read this collection; set `collection` to one of: hr"


def test_a_publishable_key_reads_no_whole_document(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Without the scope `documents` it asks and searches, but tools and resources that return documents are refused."""
    keys, page = KeyFile(settings.data), "https://www.example.org"
    tokens = [
        keys.create("page", scopes, publishable=True, origins=(page,)) for scopes in (("ask",), ("ask", "documents"))
    ]
    settings = settings.model_copy(update={"access": "keys"})
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        for token, is_refused in zip(tokens, (True, False), strict=True):
            key = {"Authorization": f"Bearer {token}", "Origin": page}
            asked = called(client, "ask", {"question": QUESTION}, **key)["structuredContent"]
            document = asked["results"][0]["citation"]["document_id"]
            (found, *_) = called(client, "search", {"query": QUESTION}, **key)["structuredContent"]["results"]
            for name, arguments in (("fetch", {"id": found["id"]}), ("read_source", {"document_id": document})):
                result = called(client, name, arguments, **key)
                assert bool(result.get("isError")) == is_refused
                assert ("around quotes only" in result["content"][0]["text"]) == is_refused
            read = {"uri": f"qa-service:///sources/{document}"}
            body = {"jsonrpc": "2.0", "id": 1, "method": "resources/read", "params": read}
            assert ("error" in client.post("/mcp", json=body, headers=ACCEPT | key).json()) == is_refused


def test_an_unexpected_failure_reveals_nothing(
    settings: Settings, answerer: QuestionAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    """The reason is in the log only."""

    class Broken(FakeEmbedder):
        def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
            if any("owl" in question for question in questions):
                raise OSError("/srv/models/weights is gone")
            return super().embed_questions(questions)

    with TestClient(app_for(open_answerer(settings, Broken())[0], settings), base_url="http://localhost") as client:
        with caplog.at_level(logging.ERROR):
            failed = called(client, "ask", {"question": "owl"})
        assert told(failed) == "the service failed; its log has the reason. Try again later"
        assert "/srv/models/weights is gone" in caplog.text
        assert not called(client, "ask", {"question": QUESTION}).get("isError", False)
