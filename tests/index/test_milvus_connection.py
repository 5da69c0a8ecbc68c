"""A Milvus server that hangs, is killed, absent or slow; and its client, which may be missing."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder, Run
from fastapi.testclient import TestClient
from milvus_index import Write, followed, replica
from milvus_servers import Server, lite
from processes import eventually

from qa_service.errors import StoreUnavailable
from qa_service.index.milvus.connection import Address, Connection
from qa_service.pipeline import build
from qa_service.settings import Settings

pytestmark = pytest.mark.needs("pymilvus", "milvus_lite")


@contextmanager
def own_server(
    settings: Settings, folder: Write, fake: FakeEmbedder, place: Path
) -> Iterator[tuple[Server, Settings, TestClient]]:
    """Yield a server that no other test uses, with two documents, and a replica that answers from it."""
    folder(TWO_DOCUMENTS)
    with lite(place) as server:
        shared = followed(settings, server)
        build(shared, fake)
        with replica(shared, fake) as client:
            yield server, shared, client


def test_a_killed_milvus_is_reported_at_once_and_used_again_when_it_is_back(
    settings: Settings, folder: Write, fake: FakeEmbedder, tmp_path: Path
) -> None:
    """503 with a reason on every route that needs it, and no hang; it answers again without a restart."""
    with own_server(settings, folder, fake, tmp_path) as (server, shared, client):
        before = client.post("/ask", json={"question": "where does the cat sleep"}).json()
        server.kill()
        for number in range(8):
            response = client.post("/ask", json={"question": f"where does dog {number} bark"})
            assert response.status_code == 503  # 504 if it had waited until the deadline
            assert response.json()["type"].endswith("store-unavailable")
            assert server.uri not in response.text  # clients must not learn the address
            assert response.headers["retry-after"]
        eventually(lambda: client.get("/readyz").status_code == 503)
        assert client.get("/livez").status_code == 200
        server.start()
        eventually(lambda: client.get("/readyz").status_code == 200)
        after = client.post("/ask", json={"question": "where does the cat sleep"}).json()
        assert after["results"] == before["results"]
        folder({"a.txt": "The heron stands in the reeds."})
        version = build(shared, fake).index_version
        eventually(lambda: client.get("/readyz").json().get("index_version") == version)
        found = client.post("/ask", json={"question": "does the heron stand in the reeds"}).json()
        assert "heron" in found["results"][0]["text"]
        assert client.get("/index/diff").json()["added"] == ["a.txt"]


def test_a_hanging_milvus_delays_no_request(
    settings: Settings, folder: Write, fake: FakeEmbedder, tmp_path: Path
) -> None:
    """It accepts calls without replying: 503 in time, and answers once it continues."""
    with own_server(settings, folder, fake, tmp_path) as (server, _, client):
        server.signal(signal.SIGSTOP)
        for number in range(5):
            response = client.post("/ask", json={"question": f"where does dog {number} bark"})
            assert response.status_code == 503  # 504 if it had waited until the deadline
        eventually(lambda: client.get("/readyz").status_code == 503)
        server.signal(signal.SIGCONT)
        eventually(lambda: client.get("/readyz").status_code == 200)
        eventually(lambda: client.post("/ask", json={"question": "where does the dog bark"}).status_code == 200)


def test_calls_to_an_absent_server_are_few_and_pause() -> None:
    """Three attempts a call, and none after three calls."""
    connection = Connection(Address("http://127.0.0.1:9", timeout=0.5))
    attempts = 0
    attempt = connection._attempt

    def counted(*arguments: Any) -> Any:
        nonlocal attempts
        attempts += 1
        return attempt(*arguments)

    connection._attempt = counted  # type: ignore[method-assign]
    for _ in range(20):
        with pytest.raises(StoreUnavailable):
            connection.call("list_collections")
    assert 3 <= attempts <= 9


def test_the_terminal_shows_why_milvus_is_unavailable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its address."""
    monkeypatch.setenv("QA_STORE", "milvus")
    monkeypatch.setenv("QA_MILVUS_URI", "http://127.0.0.1:9")
    code, _, err = run("ask", "anything")
    assert code == 5
    assert "http://127.0.0.1:9" in err


def test_publishing_is_more_patient_than_answering() -> None:
    """A server that is still busy with writes is not unavailable."""
    address = Address("http://nowhere", timeout=2)
    answering, publishing = Connection(address), Connection(address, patience=30)
    assert [answering.seconds(), answering.seconds(60)] == [2, 120]
    assert [publishing.seconds(), publishing.seconds(60)] == [60, 120]


def test_without_the_milvus_client_the_error_names_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error for an invalid address names its setting."""
    monkeypatch.setenv("QA_STORE", "milvus")
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    code, _, err = run("ask", "anything")
    assert code == 2
    assert "pip install 'qa-service[milvus]'" in err
    monkeypatch.setenv("QA_MILVUS_URI", "localhost")
    assert run("ask", "anything")[0] == 2
