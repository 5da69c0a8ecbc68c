"""The report for owners over HTTP."""

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from conftest import FakeEmbedder, app_for, key_for
from starlette.testclient import TestClient

from qa_service.analytics import RECORD
from qa_service.analytics.file import RecordedQuestion, RecordFile, wording_of
from qa_service.analytics.vectors import packed
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

HOSTILE = "<img src=x onerror=alert(1)> \u202ekcab =1+1 " + "x" * 300
MISSED = "Which warm mat is for the cat?"


def write(settings: Settings, *rows: tuple[str, str, str], collection: str = "") -> None:
    """Record questions with their verdicts and documents."""
    with RecordFile(settings.data / RECORD) as file:
        file.add(
            [
                RecordedQuestion(
                    *(int(time.time()), collection, verdict, 0.5, json.dumps([uri] if uri else []), 5.0, number),
                    *(text, wording_of(text), FakeEmbedder().identity.weights_sha256),
                    packed(FakeEmbedder()._vector(text)),
                )
                for number, (text, verdict, uri) in enumerate(rows)
            ]
        )


@pytest.fixture
def recorded(settings: Settings) -> Settings:
    """Return settings with a record of three questions, one of them with useless feedback."""
    write(settings, ("Who sings?", "answered", "sea.txt"), (MISSED, "uncertain", ""), (HOSTILE, "not_found", ""))
    with RecordFile(settings.data / RECORD) as file:
        file.add_feedback(0, useful=False)
    return settings.model_copy(update={"analytics": "questions"})


@pytest.fixture
def admin(recorded: Settings) -> dict[str, str]:
    """Return the header with a key, which exists before the server starts."""
    return key_for(recorded, "admin")


@pytest.fixture
def client(answerer: QuestionAnswerer, recorded: Settings, admin: dict[str, str]) -> Iterator[TestClient]:
    named = {"hr": ServableIndex(answerer, IndexFolder(recorded.index))}
    with TestClient(app_for(answerer, recorded, named=named), base_url="http://localhost") as connected:
        yield connected


def test_a_report_needs_a_key_that_may_administrate(
    answerer: QuestionAnswerer, recorded: Settings, admin: dict[str, str]
) -> None:
    """Also on this machine, where asking needs none."""
    asks = key_for(recorded, "ask")
    with TestClient(app_for(answerer, recorded), base_url="http://localhost") as client:
        assert client.get("/owner/report").status_code == 401
        assert client.get("/owner/report", headers=asks).status_code == 403
        assert client.get("/owner/report", headers=admin).status_code == 200


def test_a_report_has_gaps_with_headings_and_documents(client: TestClient, admin: dict[str, str]) -> None:
    """Those of the index that is served."""
    report = client.get("/owner/report?days=7", headers=admin).json()
    assert (report["period"]["questions"], report["days"]) == (3, 7)
    gap = next(gap for gap in report["gaps"] if gap["question"] == MISSED)
    assert gap["questions"] == [MISSED]
    assert gap["count"] == 1
    assert gap["nearest_headings"][0] == {"title": "Animals", "uri": "zoo/animals.md", "section_path": ["Cats"]}
    assert report["never_cited"] == {"count": 1, "files": 2, "uris": ["zoo/animals.md"]}
    assert client.get("/owner/report?days=0", headers=admin).status_code == 422


def test_a_collection_has_a_report_of_its_own(client: TestClient, recorded: Settings, admin: dict[str, str]) -> None:
    """A name that is no collection has none."""
    write(recorded, ("Who rests?", "answered", ""), collection="/collections/hr")
    report = client.get("/collections/hr/owner/report", headers=admin).json()
    assert (report["collection"], report["collections"], report["period"]["questions"]) == ("hr", ["", "hr"], 1)
    assert client.get("/collections/other/owner/report", headers=admin).status_code == 404


def test_the_report_as_csv(client: TestClient, admin: dict[str, str]) -> None:
    """With its media type, and not to be stored."""
    response = client.get("/owner/report?format=csv", headers=admin)
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert response.text.startswith("list,item,")


def test_reports_wait_for_each_other_while_questions_are_answered(client: TestClient, admin: dict[str, str]) -> None:
    """All of them come."""
    with ThreadPoolExecutor(8) as threads:
        reports = [threads.submit(client.get, "/owner/report", headers=admin) for _ in range(6)]
        answers = [threads.submit(client.post, "/ask", json={"question": "Who barks?"}) for _ in range(6)]
        assert {one.result().status_code for one in (*reports, *answers)} == {200}


def test_without_a_record_the_report_says_which_setting_makes_one(
    answerer: QuestionAnswerer, settings: Settings
) -> None:
    """The page itself holds nothing, and is there for everybody."""
    admin = key_for(settings, "admin")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        refused = client.get("/owner/report", headers=admin)
        page = client.get("/owner")
    assert refused.status_code == 404
    assert "QA_ANALYTICS" in refused.json()["detail"]
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert "unsafe" not in page.headers["content-security-policy"]
