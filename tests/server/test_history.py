"""POST /ask with a history: what completes a question, and histories that are too long, wrong or hostile."""

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import FakeEmbedder, app_for
from starlette.testclient import TestClient

from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings

FIRST = "Where does the whale swim?"
FOLLOW_UP = "How long does it sing?"


@pytest.fixture
def client(kept_client: TestClient) -> TestClient:
    return kept_client


def test_a_follow_up_is_completed_by_the_question_before(client: TestClient) -> None:
    body = client.post("/ask", json={"question": FOLLOW_UP, "history": [FIRST]}).json()
    assert body["question"] == FOLLOW_UP
    assert body["understood"]["follow_up_of"] == FIRST
    assert body["understood"]["text"] == f"{FOLLOW_UP} whale swim"
    assert "sings for hours" in body["results"][0]["text"]


def test_a_history_may_name_answers(client: TestClient) -> None:
    """Ids that nobody knows are ignored."""
    answer = client.post("/ask", json={"question": FIRST}).json()
    for identifier in (answer["id"], "unknown", "../../etc/passwd", ""):
        history = ["What is a dog?", {"question": FIRST, "answer_id": identifier}]
        body = client.post("/ask", json={"question": FOLLOW_UP, "history": history}).json()
        assert body["understood"]["follow_up_of"] == FIRST


def test_the_quote_of_an_earlier_answer_lends_its_names(
    folder: Callable[[dict[str, str | bytes]], Path], settings: Settings
) -> None:
    """A pronoun may stand for them if the question before asked for a name."""
    folder({"a.md": "# Kaesong\n\nTo put pressure on the North, President Park had shut Kaesong.\n"})
    build(settings, FakeEmbedder())
    answerer, _ = open_answerer(settings, FakeEmbedder())
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        first = client.post("/ask", json={"question": "Who shut Kaesong?"}).json()
        history = [{"question": "Who shut Kaesong?", "answer_id": first["id"]}]
        body = client.post("/ask", json={"question": "When did she do that?", "history": history}).json()
    assert body["understood"]["text"] == "When did she do that? shut Kaesong North President Park"


def test_a_question_as_typed_ignores_the_history(client: TestClient) -> None:
    """Its answer is not taken from the cache of the completed question, nor the other way round."""
    asked = {"question": FOLLOW_UP, "history": [FIRST]}
    for _ in range(2):
        assert client.post("/ask", json=asked).json()["understood"]["follow_up_of"] == FIRST
        assert client.post("/ask", json=asked | {"as_typed": True}).json()["understood"] is None
    refused = client.post("/ask", json=asked | {"as_typed": "yes"})
    assert refused.status_code == 422
    assert "as_typed" in refused.json()["detail"]


@pytest.mark.parametrize("history", [["Why?"], ["그것은 언제 서명되었습니까?"], [FIRST, "Thanks"], []])
def test_a_question_that_stands_alone_is_answered_the_same(client: TestClient, history: list[str]) -> None:
    alone, after = (
        client.post("/ask", json={"question": "When does the cat wake?", **fields}).json()
        for fields in ({}, {"history": history})
    )
    for body in (alone, after):
        body.pop("id")
        body.pop("took_ms")
    assert alone == after


@pytest.mark.parametrize(
    "history",
    [
        ["\u202e\u200b\x07 whale"],
        ["whale " * 333],
        ["[[[((( OR 1=1 --"],
        [FIRST, "No, the crab", "Yes, the whale"],
        ["Où est la baleine ?"],
    ],
)
def test_a_hostile_or_contradictory_history_only_adds_words(client: TestClient, history: list[str]) -> None:
    response = client.post("/ask", json={"question": FOLLOW_UP, "history": history})
    assert response.status_code == 200
    understood = response.json()["understood"]
    assert understood is None or len(understood["text"]) < 600


@pytest.mark.parametrize(
    ("history", "named"),
    [
        (["Why?"] * 11, "10"),
        (["Why?"] * 1000, "10"),
        (["x" * 2001], "2000"),
        (["\0"], "NUL"),
        ([""], "empty"),
        ([5], "history"),
        ("Why?", "history"),
        ([{"question": FIRST, "role": "user"}], "history"),
        ([{"answer_id": "1"}], "history"),
    ],
)
def test_a_history_that_is_too_long_or_wrong_is_refused(client: TestClient, history: object, named: str) -> None:
    response = client.post("/ask", json={"question": FOLLOW_UP, "history": history})
    assert response.status_code == 422
    assert named in response.json()["detail"].replace(",", "")


def test_the_step_can_be_switched_off(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Then a history changes nothing."""
    off = settings.model_copy(update={"question_steps": ()})
    other, _ = open_answerer(off, answerer.embedder)
    with TestClient(app_for(other, off), base_url="http://localhost") as client:
        body = client.post("/ask", json={"question": FOLLOW_UP, "history": [FIRST]}).json()
    assert body["understood"] is None
