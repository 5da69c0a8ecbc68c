"""The three verdicts, the reasons and the quotes, as they go over HTTP, to models and into metrics and feedback."""

import json
import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from conftest import app_for, listening
from processes import PATIENCE
from starlette.testclient import TestClient
from verdicts import CONFIDENCE, CONFLICT, MISSING, QUESTION, QUOTE, VERDICTS, WORDS, Verdicts, with_verdict

from qa_service.client import Client
from qa_service.datatypes import Answer, AnswerVerdict
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.retrieval.confidence import Calibration, LogisticModel
from qa_service.schemas.ask import AskResponse
from qa_service.server.feedback import FeedbackFile
from qa_service.server.metrics import exposition
from qa_service.settings import Settings


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def asked(client: TestClient, number: int = 0) -> dict[str, Any]:
    """Ask; each number is another question, which no cache holds."""
    response = client.post("/ask", json={"question": QUESTION + " " * number})
    assert response.status_code == 200, response.text
    return dict(response.json())


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_answer_is_given_unless_nothing_was_found(
    verdict: AnswerVerdict | None,
    client: TestClient,
    verdicts: Verdicts,
) -> None:
    """``answerable`` is true for ``answered`` only. The quotes stand in their results, the spans in their quotes."""
    verdicts.verdict = verdict
    body = asked(client)
    assert AskResponse.model_validate(body, strict=True)
    assert body["verdict"] == verdict
    assert body["answerable"] is (None if verdict is None else verdict == "answered")
    assert body["confidence"] == CONFIDENCE[verdict]
    if verdict == "not_found":
        assert body["answer"] is None
        assert body["reason"] == {"kind": "missing_term", "message": MISSING, "subject": "zebra", "results": []}
        return
    answer = body["answer"]
    assert answer["text"] == QUOTE
    assert [span["text"] for span in answer["spans"]] == [WORDS]
    first = answer["quotes"][0]
    assert [first[name] for name in ("text", "citation_index", "spans")] == [
        answer[name] for name in ("text", "citation_index", "spans")
    ]
    for quote in answer["quotes"]:
        text = body["results"][quote["citation_index"]]["text"]
        assert text[quote["start"] : quote["end"]] == quote["text"]
        for span in quote["spans"]:
            assert quote["start"] <= span["start"] < span["end"] <= quote["end"]
            assert text[span["start"] : span["end"]] == span["text"]
    if verdict == "uncertain":
        places = [quote["citation_index"] for quote in answer["quotes"]]
        assert len(places) == 2
        assert body["reason"] == {"kind": "conflict", "message": CONFLICT, "subject": "", "results": places}
    else:
        assert body["reason"] is None
        assert len(answer["quotes"]) == 1


@pytest.mark.parametrize("verdict", VERDICTS)
def test_an_unanswered_question_names_the_nearest_sections(
    verdict: AnswerVerdict | None, client: TestClient, verdicts: Verdicts
) -> None:
    """Each once, in the order of the results, with the link of a result."""
    verdicts.verdict = verdict
    body = asked(client)
    names = ("document_id", "title", "uri", "section_path", "url")
    cited = [{name: result["citation"][name] for name in names} for result in body["results"]]
    sections = [one["section_path"] for one in cited]
    first = [one for place, one in enumerate(cited) if one["section_path"] not in sections[:place]]
    assert len(first) > 1
    assert body["nearest_headings"] == (first if verdict in {"uncertain", "not_found"} else [])


def test_no_section_is_near_an_off_topic_question(answerer: QuestionAnswerer) -> None:
    """At most three sections are named, and none of results that have nothing to do with the question."""
    answer = with_verdict(answerer.ask(QUESTION), "not_found")
    assert answer.nearest_headings[0] == answer.results[0].citation
    assert replace(answer, confidence=0.019).nearest_headings == ()
    far, *others = (
        replace(result, citation=replace(result.citation, document_id=str(number)))
        for number, result in enumerate(answer.results * 2)
    )
    far = replace(far, scored=replace(far.scored, confidence=0.019))
    named = replace(answer, results=(far, *others)).nearest_headings
    assert [citation.document_id for citation in named] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("thresholds", "verdict"),
    [
        ({}, "uncertain"),
        ({"min_confidence": 0.2}, "answered"),
        ({"min_confidence": 0.9, "min_uncertain": 0.4}, "not_found"),
        ({"min_confidence": 0.9, "min_uncertain": 0.1}, "uncertain"),
        ({"min_confidence": 0.2, "min_uncertain": 0.4}, "answered"),
        ({"min_uncertain": 1}, "not_found"),
    ],
)
def test_a_request_may_bring_its_own_thresholds(
    thresholds: dict[str, float], verdict: AnswerVerdict, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """The confidence is .3 whatever is asked; a missing threshold is that of the settings."""
    weights = answerer.embedder.identity.weights_sha256
    constants = Calibration(LogisticModel(math.log(0.3 / 0.7), (0.0,) * 8)).to_dict()
    IndexFolder(settings.index).write_calibration(weights, constants, token_vectors=True, labels=True)
    own = settings.model_copy(update={"min_confidence": 0.5, "min_uncertain": 0.15})
    calibrated = open_answerer(own, answerer.embedder)[0]
    with TestClient(app_for(calibrated, own), base_url="http://localhost") as client:
        body = client.post("/ask", json={"question": QUESTION, **thresholds}).json()
    assert (body["verdict"], body["confidence"]) == (verdict, 0.3)
    assert (body["answer"] is None) == (verdict == "not_found")


@pytest.mark.parametrize("verdict", VERDICTS)
def test_batches_events_and_the_client_have_the_verdict_too(
    verdict: AnswerVerdict | None,
    answerer: QuestionAnswerer,
    settings: Settings,
    verdicts: Verdicts,
) -> None:
    """An answer from the cache is the same."""
    verdicts.verdict = verdict
    with (
        listening(app_for(answerer, settings)) as port,
        Client(f"http://127.0.0.1:{port}", patience=PATIENCE) as service,
    ):
        first, again = service.ask(QUESTION), service.ask(QUESTION)
        assert (first.verdict, first.answerable) == (verdict, None if verdict is None else verdict == "answered")
        assert (first.answer is None, first.reason is None) == (verdict == "not_found", verdict in {"answered", None})
        if first.answer is not None:
            assert first.answer.spans[0].text == WORDS
        (item,) = service.ask_batch([QUESTION]).results
        assert item.answer is not None
        for other in (again, item.answer):
            assert other == first.model_copy(update={"id": other.id, "took_ms": other.took_ms})
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        stream = client.post("/ask", json={"question": QUESTION}, headers={"Accept": "text/event-stream"}).text
    (data,) = (line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: "))
    assert AskResponse.model_validate_json(data).answer == first.answer


def test_answers_are_counted_by_verdict(
    client: TestClient, verdicts: Verdicts, caplog: pytest.LogCaptureFixture
) -> None:
    """In the metrics and in the log, where an answer without a verdict is unknown and null."""

    def counted() -> dict[str, float]:
        lines = [line for line in exposition().decode().splitlines() if line.startswith("qa_answers_total{")]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines}

    before = counted()
    given: list[AnswerVerdict | None] = ["uncertain", *VERDICTS]
    with caplog.at_level(logging.INFO, "qa_service.requests"):
        for number, verdict in enumerate(given):
            verdicts.verdict = verdict
            asked(client, number)
    assert [record.verdict for record in caplog.records if hasattr(record, "verdict")] == given
    grown = {name: count - before[name] for name, count in counted().items()}
    assert grown == {"answered": 1, "uncertain": 2, "not_found": 1, "unknown": 1}


@pytest.mark.parametrize("verdict", VERDICTS)
def test_a_useful_uncertain_answer_is_gold(
    verdict: AnswerVerdict | None,
    client: TestClient,
    settings: Settings,
    verdicts: Verdicts,
) -> None:
    """Its quote was shown; where none was shown, the question has no answer."""
    verdicts.verdict = verdict
    body = asked(client)
    assert client.post("/feedback", json={"answer_id": body["id"], "useful": True}).status_code == 201
    with FeedbackFile(settings.data) as file:
        (line,), left_out = file.export()
    found = [QUOTE] if verdict != "not_found" else []
    assert [reference["content"] for reference in line["references"]] == found
    assert (line["answerable"], left_out) == (bool(found), 0)


def test_scores_below_v1_stay_within_the_bounds_of_openais_clients(
    answerer: QuestionAnswerer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reader's part leads out of them; no result is dropped for that."""
    ask = QuestionAnswerer.ask

    def read(self: QuestionAnswerer, *arguments: Any, **options: Any) -> Answer:
        answer = ask(self, *arguments, **options)
        results = [
            replace(result, scored=replace(result.scored, score=score))
            for result, score in zip(answer.results, (1.07, 0.4, -0.2), strict=False)
        ]
        return replace(answer, results=tuple(results))

    monkeypatch.setattr(QuestionAnswerer, "ask", read)
    body = {"query": QUESTION, "max_num_results": 3}
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        for least, scores in ((None, [1.0, 0.4, 0.0]), (0.4, [1.0, 0.4]), (1.0, [1.0])):
            own = {} if least is None else {"ranking_options": {"score_threshold": least}}
            found = client.post("/v1/vector_stores/default/search", json=body | own).json()["data"]
            assert [result["score"] for result in found] == scores


def test_a_model_is_told_of_verdicts_and_reasons(
    answerer: QuestionAnswerer,
    settings: Settings,
    verdicts: Verdicts,
) -> None:
    """In the instructions of the server and in the tool's answer."""
    pytest.importorskip("mcp")
    headers = {"Accept": "application/json, text/event-stream"}

    def call(client: TestClient, method: str, **params: Any) -> Any:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return client.post("/mcp", json=body, headers=headers).json()["result"]

    served = settings.model_copy(update={"mcp": True})
    with TestClient(app_for(answerer, served), base_url="http://localhost") as client:
        about = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "a test", "version": "1"}}
        told = call(client, "initialize", **about)["instructions"]
        for word in ("`answered`", "`uncertain`", "`not_found`", "`reason`", "`nearest_headings`"):
            assert word in told
        for verdict in VERDICTS:
            verdicts.verdict = verdict
            result = call(client, "tools/call", name="ask", arguments={"question": QUESTION})
            answer = result["structuredContent"]
            assert AskResponse.model_validate(answer, strict=True).verdict == verdict
            assert json.loads(result["content"][0]["text"]) == answer
            assert (answer["answer"] is None) == (verdict == "not_found")
