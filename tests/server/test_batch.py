"""Batches of questions, lists of documents, and evaluations over HTTP."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import TWO_DOCUMENTS, app_for, key_for
from processes import eventually
from starlette.testclient import TestClient

from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_batch": 20})


@pytest.fixture
def key(settings: Settings) -> dict[str, str]:
    return key_for(settings, "admin")


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def test_a_batch_gives_the_same_answers_as_single_questions(client: TestClient) -> None:
    """In order, over several forward passes; a question may be plain text."""
    words = ["cat", "dog", "whale", "crab", "farm"] * 4
    batch = client.post("/ask/batch", json={"questions": [{"question": word, "top_k": 2} for word in words]}).json()
    alone = {word: client.post("/ask", json={"question": word, "top_k": 2}).json() for word in set(words)}
    assert [item["status"] for item in batch["results"]] == [200] * 20
    for word, item in zip(words, batch["results"], strict=True):
        varying = {"id", "took_ms"}
        expected = {key: value for key, value in alone[word].items() if key not in varying}
        assert {key: value for key, value in item["answer"].items() if key not in varying} == expected
    assert len({item["answer"]["id"] for item in batch["results"]}) == 20
    (text,) = client.post("/ask/batch", json={"questions": ["cat"]}).json()["results"]
    assert text["answer"]["results"] == client.post("/ask", json={"question": "cat"}).json()["results"]


def test_an_invalid_question_in_a_batch_gets_its_own_error(client: TestClient) -> None:
    """A problem document that does not repeat the question; the other questions are answered."""
    canary = "s3cret-canary"
    given = ["cat", "", {"question": "dog", "top_k": 0}, {canary: 1}, 5, None, {"question": "x" * 2001}, "whale"]
    response = client.post("/ask/batch", json={"questions": given})
    assert response.status_code == 200
    assert canary not in response.text
    results = response.json()["results"]
    assert [item["status"] for item in results] == [200, 422, 422, 422, 422, 422, 422, 200]
    for item in results:
        assert (item["answer"] is None) == (item["status"] != 200) == (item["problem"] is not None)
    assert results[1]["problem"]["detail"] == "question: the question is empty; write one"
    assert results[4]["problem"]["detail"] == "a question must be text or an object as for POST /ask"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (422, {}),
        (422, {"questions": []}),
        (422, {"questions": "cat"}),
        (422, {"questions": ["x"] * 21}),
        (422, ["cat"]),
    ],
)
def test_an_invalid_batch_is_refused_as_a_whole(status: int, body: object, client: TestClient) -> None:
    """With a problem document."""
    response = client.post("/ask/batch", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


def test_documents_are_listed_in_pages(client: TestClient, answerer: QuestionAnswerer) -> None:
    """And the spans of a document's passages are its own."""
    first = client.get("/sources", params={"limit": 1}).json()["documents"]
    second = client.get("/sources", params={"limit": 5, "after": first[0]["document_id"]}).json()["documents"]
    assert {document["uri"] for document in first + second} == {"sea.txt", "zoo/animals.md"}
    assert client.get("/sources", params={"after": second[-1]["document_id"]}).json() == {"documents": []}
    (named,) = client.get("/sources", params={"uri": "sea.txt"}).json()["documents"]
    assert client.get("/sources", params={"uri": "none"}).json() == {"documents": []}
    spans = client.get(f"/sources/{named['document_id']}/passages").json()["passages"]
    text = client.get(f"/sources/{named['document_id']}").text
    found = {answerer.index.passage(number).text for number in range(len(answerer.index))}
    assert spans
    assert {text[span["start_char"] : span["end_char"]] for span in spans} <= found
    assert client.get("/sources/none/passages").status_code == 404
    assert client.get("/sources", params={"limit": 0}).status_code == 422


def wait(client: TestClient, identifier: str, key: dict[str, str]) -> dict[str, object]:
    def state() -> dict[str, object]:
        found: dict[str, object] = client.get(f"/evaluate/{identifier}", headers=key).json()
        return found

    eventually(lambda: state()["status"] != "running")
    return state()


def test_an_evaluation_runs_beside_the_server(
    folder: Callable[[dict[str, str | bytes]], Path], settings: Settings, exported_models: Path, key: dict[str, str]
) -> None:
    """With the real model: one at a time, with progress, summary and report; an invalid file fails with the reason."""
    from qa_service.embedding.choose import embedder_to_ask, embedder_to_build

    shutil.copytree(exported_models, settings.index / "models")
    folder(TWO_DOCUMENTS)
    build(settings, embedder_to_build(settings))
    answerer, _ = open_answerer(settings, embedder_to_ask(settings))
    gold = {"document": "sea.txt", "content": "The whale"}
    body = "\n".join(
        json.dumps({"id": n, "question": f"What does whale {n} do?", "references": [gold]}) for n in range(9)
    )
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        started = client.post("/evaluate", params={"top_k": 3}, headers=key, content=body)
        assert (started.status_code, started.json()["status"]) == (202, "running")
        assert client.post("/evaluate", headers=key, content=body).status_code == 409
        state = wait(client, started.json()["id"], key)
        assert (state["status"], state["asked"], state["of"], state["exit_code"]) == ("done", 9, 9, 0)
        assert state["summary"]["measures"]["Success@1"]["mean"] == 1
        assert client.get(state["report"].partition("?")[0]).status_code == 401
        behind = client.get(f"/evaluate/{state['id']}", headers=key | {"X-Forwarded-Prefix": "/docs-qa"}).json()
        assert behind["report"].startswith(f"/docs-qa/evaluate/{state['id']}/report?")
        report = client.get(state["report"])  # signed, so that a browser can follow it
        assert report.headers["content-type"] == "text/html; charset=utf-8"
        assert "sandbox" in report.headers["content-security-policy"]
        assert "What does whale 8 do?" in report.text
        failed = client.post("/evaluate", headers=key, content=b"{bad").json()
        state = wait(client, failed["id"], key)
        assert (state["status"], state["exit_code"]) == ("failed", 4)
        assert "no question could be asked (line 1: not JSON" in state["error"]
        assert str(settings.data) not in json.dumps(state)
        assert client.get(f"/evaluate/{failed['id']}/report", headers=key).status_code == 404


def test_evaluations_need_the_admin_scope(
    key: dict[str, str], client: TestClient, settings: Settings, answerer: QuestionAnswerer
) -> None:
    """Without a key nothing is read or stored; ids can't leave the folder; an upload that is too large is deleted."""
    for method, path in (
        ("POST", "/evaluate"),
        ("GET", "/evaluate/" + "a" * 32),
        ("GET", f"/evaluate/{'a' * 32}/report"),
    ):
        assert client.request(method, path).status_code == 401
        assert client.request(method, path, headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert not (settings.data / "evaluations").exists()
    for identifier in ("a" * 32, "..%2F..%2Fsource", "x", "A" * 32):
        assert client.get(f"/evaluate/{identifier}", headers=key).status_code == 404
    assert client.post("/evaluate", headers=key, content=b"").status_code == 400
    assert client.post("/evaluate", params={"format": "beir"}, headers=key, content=b"x").status_code == 422
    small = settings.model_copy(update={"max_upload_mb": 1})
    with TestClient(app_for(answerer, small), base_url="http://localhost") as limited:
        assert limited.post("/evaluate", headers=key, content=b"x" * 1_000_001).status_code == 413
    assert list((settings.data / "evaluations").iterdir()) == []
    closed = settings.model_copy(update={"data": settings.data / "without"})
    with TestClient(app_for(answerer, closed), base_url="http://localhost") as without:
        assert without.post("/evaluate", content=b"x").status_code == 403
