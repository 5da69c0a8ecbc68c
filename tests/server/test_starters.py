"""GET /starters and related questions: proved in the background, for each collection and generation by itself."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder, app_for, key_for, listening
from processes import PATIENCE, eventually
from starlette.testclient import TestClient

from qa_service.client import AsyncClient, Client
from qa_service.datatypes import Answer
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
CAT, WHALE = "Where does the cat sleep?", "Where does the whale swim?"
DOG, NOTHING = "Where does the dog guard?", "Where does nothing sleep?"
WAKES = "Where does the cat sleep at noon when it wakes?"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"reload_seconds": 0.05, "deadline_seconds": PATIENCE})


@pytest.fixture(autouse=True)
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let every question be answered, but those about nothing; return the list of all that are asked."""
    questions: list[str] = []
    ask = QuestionAnswerer.ask

    def judged(self: QuestionAnswerer, question: str, *options: Any, **query: Any) -> Answer:
        questions.append(question)
        verdict = "not_found" if "nothing" in question else "answered"
        return replace(ask(self, question, *options, **query), verdict=verdict)  # type: ignore[arg-type]

    monkeypatch.setattr(QuestionAnswerer, "ask", judged)
    return questions


def starters_of(*questions: str) -> str:
    return "".join(json.dumps({"question": one, "answerable": True}) + "\n" for one in questions)


@contextmanager
def serving(settings: Settings, fake: FakeEmbedder, **options: Any) -> Iterator[TestClient]:
    """Serve the index that the settings name, and later generations."""
    app = app_for(open_answerer(settings, fake)[0], settings, reopen=lambda: open_answerer(settings, fake), **options)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def offers(client: TestClient, *questions: str, path: str = "") -> None:
    """Wait until these starters are offered and all questions were asked."""

    def are_offered() -> bool:
        body = client.get(f"{path}/starters").json()
        return (body["questions"], body["complete"]) == (list(questions), True)

    eventually(are_offered)


def test_only_proved_questions_are_offered(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """In the order of the file, up to the limit; a repeated request gets 304."""
    folder(TWO_DOCUMENTS | {"starters.jsonl": starters_of(WHALE, NOTHING, CAT, DOG)})
    build(settings, fake)
    with serving(settings, fake) as client:
        offers(client, WHALE, CAT, DOG)
        response = client.get("/starters?limit=2")
        assert response.json()["questions"] == [WHALE, CAT]
        assert response.json()["index_version"] == client.get("/readyz").json()["index_version"]
        again = client.get("/starters?limit=2", headers={"If-None-Match": response.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert [client.get(f"/starters?limit={limit}").status_code for limit in (0, 201, "x")] == [422] * 3


def test_the_client_lists_starters(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """The synchronous one and the asynchronous one; answers have related questions."""
    folder(TWO_DOCUMENTS | {"starters.jsonl": starters_of(WAKES, WHALE, DOG)})
    build(settings, fake)

    async def listed(address: str) -> list[str]:
        async with AsyncClient(address, patience=PATIENCE) as service:
            return (await service.starters(1)).questions

    with listening(app_for(open_answerer(settings, fake)[0], settings)) as port:
        address = f"http://127.0.0.1:{port}"
        with Client(address, patience=PATIENCE) as service:
            eventually(lambda: service.starters().questions == [WAKES, WHALE, DOG])
            assert service.ask(CAT).related == [WAKES, WHALE, DOG]
        assert asyncio.run(listed(address)) == [WAKES]


def test_starters_follow_their_file_and_the_index(
    folder: Write, settings: Settings, fake: FakeEmbedder, asked: list[str]
) -> None:
    """A changed file is read again without a build, and only new questions are asked; a new index is asked all."""
    source = folder(TWO_DOCUMENTS | {"starters.jsonl": starters_of(CAT)})
    build(settings, fake)
    with serving(settings, fake) as client:
        offers(client, CAT)
        folder({"starters.jsonl": starters_of(CAT, WHALE)})
        offers(client, CAT, WHALE)
        assert (asked.count(CAT), asked.count(WHALE)) == (1, 1)
        folder({"sea.txt": "The shark swims.\n"})
        version = build(settings, fake).index_version
        eventually(lambda: client.get("/starters").json()["index_version"] == version)
        offers(client, CAT, WHALE)
        assert (asked.count(CAT), asked.count(WHALE)) == (2, 2)
        (source / "starters.jsonl").unlink()
        offers(client)


def test_an_answer_from_the_cache_gets_the_related_questions_of_now(
    folder: Write, settings: Settings, fake: FakeEmbedder, asked: list[str]
) -> None:
    """Batches and event streams have them as well. With filters there are none."""
    folder(TWO_DOCUMENTS)
    build(settings, fake)
    with serving(settings, fake) as client:
        assert client.post("/ask", json={"question": CAT}).json()["related"] == []
        folder({"starters.jsonl": starters_of(WHALE)})
        offers(client, WHALE)
        assert client.post("/ask", json={"question": CAT}).json()["related"] == [WHALE]
        assert asked.count(CAT) == 1
        filtered = {"question": CAT, "filters": {"path_prefix": "zoo/"}}
        assert client.post("/ask", json=filtered).json()["related"] == []
        results = client.post("/ask/batch", json={"questions": [CAT, filtered, ""]}).json()["results"]
        assert [result["answer"] and result["answer"]["related"] for result in results] == [[WHALE], [], None]
        stream = client.post("/ask", json={"question": CAT}, headers={"Accept": "text/event-stream"}).text
        assert json.loads(stream.partition("data: ")[2].partition("\n")[0])["related"] == [WHALE]


def test_a_model_is_given_related_questions(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """In the tool's answer."""
    pytest.importorskip("mcp")
    folder(TWO_DOCUMENTS | {"starters.jsonl": starters_of(WHALE)})
    build(settings, fake)
    call = {"name": "ask", "arguments": {"question": CAT}}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    headers = {"Accept": "application/json, text/event-stream"}
    with serving(settings.model_copy(update={"mcp": True}), fake) as client:
        offers(client, WHALE)
        answer = client.post("/mcp", json=body, headers=headers).json()["result"]["structuredContent"]
    assert answer["related"] == [WHALE]


def test_each_collection_has_its_own_starters(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """From the file in its folder, which is no document of the default collection; a key for one reads no other."""
    files = {name: text for name, text in TWO_DOCUMENTS.items() if "/" in name}
    folder(files | {"zoo/starters.jsonl": starters_of(CAT), "starters.jsonl": starters_of(DOG)})
    settings = settings.model_copy(update={"collections": ("zoo",)})
    own = settings.by_collection()["zoo"]
    assert [build(one, fake).documents for one in (settings, own)] == [1, 1]
    named = {"zoo": ServableIndex(open_answerer(own, fake)[0], IndexFolder(own.index))}
    with serving(settings, fake, named=named) as client:
        offers(client, DOG)
        offers(client, CAT, path="/collections/zoo")
        assert client.get("/collections/other/starters").status_code == 404
    guarded = settings.model_copy(update={"access": "keys"})
    named = {"zoo": ServableIndex(open_answerer(own, fake)[0], IndexFolder(own.index))}
    zoo = KeyFile(guarded.data).create("zoo", ("ask",), collections=("zoo",))
    statuses = {
        "": (401, 401),
        key_for(guarded, "feedback")["Authorization"]: (403, 403),
        key_for(guarded, "ask")["Authorization"]: (200, 200),
        f"Bearer {zoo}": (403, 200),
    }
    with serving(guarded, fake, named=named) as client:
        for key, expected in statuses.items():
            headers = {"Authorization": key} if key else {}
            found = [client.get(path, headers=headers) for path in ("/starters", "/collections/zoo/starters")]
            assert tuple(response.status_code for response in found) == expected


def test_questions_of_others_are_offered_only_if_the_owner_allows_it(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """Those with a useful answer, the latest first, behind those of the file, and each once."""
    folder(TWO_DOCUMENTS | {"starters.jsonl": starters_of(CAT)})
    build(settings, fake)

    def rate(client: TestClient, question: str, *, useful: bool) -> None:
        answer = client.post("/ask", json={"question": question}).json()
        body = {"answer_id": answer["id"], "useful": useful}
        assert client.post("/feedback", json=body).status_code == 201

    with serving(settings, fake) as client:
        for question in (WHALE, CAT.lower(), NOTHING):
            rate(client, question, useful=True)
        offers(client, CAT)
    with serving(settings.model_copy(update={"starters_from_feedback": True}), fake) as client:
        offers(client, CAT, WHALE)
        rate(client, DOG, useful=True)
        rate(client, WAKES, useful=False)
        offers(client, CAT, DOG, WHALE)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"\xff" + starters_of(CAT).encode(), "starters.jsonl is not UTF-8"),
        (b"", "starters.jsonl has no starters"),
        (("{bad\n" * 9 + starters_of(CAT)).encode(), "there are 9 problems with the starters"),
        (b"bad\n" * 100_000, "starters.jsonl has no starters"),
    ],
)
def test_a_damaged_file_is_logged_and_the_service_starts(
    content: bytes,
    problem: str,
    folder: Write,
    settings: Settings,
    fake: FakeEmbedder,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Once; usable questions are offered."""
    folder(TWO_DOCUMENTS | {"starters.jsonl": content})
    build(settings, fake)
    with caplog.at_level(logging.WARNING), serving(settings, fake) as client:
        assert client.get("/readyz").status_code == 200
        offers(client, *([CAT] if b"{bad" in content else []))
        eventually(lambda: problem in caplog.text)
        assert client.post("/ask", json={"question": CAT}).status_code == 200
    assert caplog.text.count(problem) == 1


def test_a_file_that_was_named_must_exist(
    folder: Write, settings: Settings, fake: FakeEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    """It may lie anywhere. Without a name there are no starters."""
    source = folder(TWO_DOCUMENTS | {"starters.jsonl": starters_of(CAT)})
    elsewhere = source.parent / "elsewhere.jsonl"
    named = settings.model_copy(update={"starters": str(elsewhere)})
    build(named, fake)
    with caplog.at_level(logging.WARNING), serving(named, fake) as client:
        eventually(lambda: "can't open the question file" in caplog.text)
        offers(client)
        elsewhere.write_text(starters_of(WHALE), encoding="utf-8")
        offers(client, WHALE)
    with serving(named.model_copy(update={"starters": ""}), fake) as client:
        offers(client)
