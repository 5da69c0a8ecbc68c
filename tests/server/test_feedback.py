"""Feedback: recent answers, stored feedback, and its export as a question file."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import app_for
from processes import eventually
from starlette.testclient import TestClient

from qa_service.errors import StorageError
from qa_service.evaluation import Question, QuestionFile
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.feedback import FEEDBACK, FeedbackAnswer, FeedbackFile, Quote, RecentAnswers
from qa_service.settings import Settings

CAT = Quote("a.md", 0, 3, "cat")
DOG = Quote("b.md", 5, 8, "dog")


def answered(identifier: str, question: str = "Who?", *, found: bool = True) -> FeedbackAnswer:
    return FeedbackAnswer(identifier, "", "v1", question, found, CAT if found else None)


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def test_feedback_becomes_gold_references(tmp_path: Path) -> None:
    """A useful quote, a passage named as right, a correct refusal; feedback on one question becomes one line."""
    with FeedbackFile(tmp_path) as file:
        file.add(answered("1", "Who sleeps?"), useful=True, right=None, note="")
        file.add(answered("2", "who  SLEEPS?"), useful=False, right=DOG, note="the dog does")
        file.add(answered("3", "Who bakes?", found=False), useful=True, right=None, note="")
        file.add(answered("4", "Who sings?", found=False), useful=False, right=None, note="")
        file.add(answered("5", "Who barks?"), useful=False, right=None, note="")
        file.add(answered("5", "Who barks?"), useful=False, right=DOG, note="said again")
    with FeedbackFile(tmp_path) as file:
        lines, left_out = file.export()
    assert left_out == 1
    assert [(line["id"], line["question"], line["answerable"]) for line in lines] == [
        ("1", "Who sleeps?", True),
        ("3", "Who bakes?", False),
        ("5", "Who barks?", True),
    ]
    assert [one["content"] for one in lines[0]["references"]] == ["cat", "dog"]
    assert [one["content"] for one in lines[2]["references"]] == ["dog"]


def test_only_the_most_recent_answers_are_kept(tmp_path: Path) -> None:
    """By id, the most recent ones only; two processes share a file."""
    for path in (None, tmp_path / "data/recent.sqlite"):
        recent = RecentAnswers(path, max_answers=3)
        for number in range(5):
            recent.remember(answered(str(number)))
        assert [recent.recall(str(number)) is None for number in range(5)] == [True, True, False, False, False]
        assert recent.recall("4") == answered("4")
        if path is not None:
            other = RecentAnswers(path)
            assert other.recall("3") == answered("3")
            other.close()
        recent.close()


def test_an_unwritable_folder_or_damaged_database_is_reported(tmp_path: Path) -> None:
    """As an error with its path."""
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        FeedbackFile(tmp_path / "file")
    (tmp_path / FEEDBACK).write_bytes(b"no database" * 100)
    with pytest.raises(StorageError, match=FEEDBACK):
        FeedbackFile(tmp_path)


def test_feedback_over_http(client: TestClient, settings: Settings) -> None:
    """On a recent answer, with the right passage; nothing is on disk before."""
    answer = client.post("/ask", json={"question": "where does the cat sleep"}).json()
    assert not settings.data.exists()
    right = answer["results"][1]["citation"]
    body = {"answer_id": answer["id"], "useful": False, "right_passage": right["permalink"], "note": "<b>no</b>"}
    given = client.post("/feedback", json=body)
    assert (given.status_code, given.json()["right_passage"]) == (201, right["permalink"])
    with FeedbackFile(settings.data) as file:
        (line,), _ = file.export()
    start = right["start_char"] + right["quote_start"]
    assert line["question"] == "where does the cat sleep"
    assert line["references"] == [
        {
            "document": right["uri"],
            "start_index": start,
            "end_index": start + len(right["quote"]),
            "content": right["quote"],
        }
    ]
    with sqlite3.connect(settings.data / FEEDBACK) as connection:
        assert connection.execute("SELECT note, useful FROM feedback").fetchall() == [("<b>no</b>", 0)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"answer_id": "no-such", "useful": True}),
        (422, {"useful": True}),
        (422, {"answer_id": "x", "useful": "yes"}),
        (422, {"answer_id": "x", "useful": True, "note": "n" * 2001}),
        (422, {"answer_id": "x", "useful": True, "right_passage": "../../etc"}),
        (422, {"answer_id": "x", "useful": True, "more": 1}),
    ],
)
def test_bad_feedback_is_a_problem(
    status: int, body: dict[str, object], client: TestClient, settings: Settings
) -> None:
    """And nothing is written."""
    response = client.post("/feedback", json=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert not (settings.data / FEEDBACK).exists()


def test_feedback_can_be_switched_off(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Then no answer is kept, and the route says so."""
    off = settings.model_copy(update={"feedback": False})
    with TestClient(app_for(answerer, off), base_url="http://localhost") as client:
        answer = client.post("/ask", json={"question": "cat"}).json()
        assert client.post("/feedback", json={"answer_id": answer["id"], "useful": True}).status_code == 403


def test_several_processes_share_recent_answers(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Feedback on an answer of one worker may reach another one."""
    two = settings.model_copy(update={"workers": 2})
    with (
        TestClient(app_for(answerer, two), base_url="http://localhost") as one,
        TestClient(app_for(answerer, two), base_url="http://localhost") as other,
    ):
        answer = one.post("/ask", json={"question": "cat"}).json()
        judged = {"answer_id": answer["id"], "useful": True}
        eventually(lambda: other.post("/feedback", json=judged).status_code == 201)


def test_feedback_that_a_full_disk_loses_is_reported(client: TestClient, settings: Settings) -> None:
    """503, with the path in the log only."""
    answer = client.post("/ask", json={"question": "cat"}).json()
    settings.data.write_text("a file where a folder should be")
    response = client.post("/feedback", json={"answer_id": answer["id"], "useful": True})
    assert response.status_code == 503
    assert str(settings.data) not in response.text


def test_exported_feedback_is_a_question_file(tmp_path: Path) -> None:
    """Line by line."""
    import json

    with FeedbackFile(tmp_path) as file:
        file.add(answered("1"), useful=True, right=None, note="")
        lines, _ = file.export()
    path = tmp_path / "q.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    (question,) = QuestionFile(path)
    assert isinstance(question, Question)
    assert question.references[0].content == "cat"
