"""The log, the metrics and the traces."""

import errno
import io
import json
import logging
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from conftest import ROOT, Run, app_for, key_for, served
from processes import PATIENCE, children_of, eventually, runs
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from qa_service.errors import SettingsError
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.logs import LineHandler, start_logging
from qa_service.server.metrics import exposition
from qa_service.server.middleware.observing import check_traces
from qa_service.server.refusals import Refusals
from qa_service.server.worker import Worker
from qa_service.settings import Settings, load_settings

CANARY = "s3cret-canary"
VERDICTS = ("answered", "uncertain", "not_found", "unknown")


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def lines_of(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines()]


def numbers(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Return every sample by its name and labels, as Prometheus' own library reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_each_request_is_one_log_line_that_no_client_can_break(
    answerer: QuestionAnswerer, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """In JSON, with the id of the answer, without the question and the key."""
    headers = key_for(settings, "ask")
    json_log = settings.model_copy(update={"log_format": "json", "access": "keys"})
    hostile = f'cat\r\n{{"event": "forged"}}\x1b[2J \u2028 {CANARY}'
    stop = start_logging(json_log)
    try:
        with TestClient(app_for(answerer, json_log), base_url="http://localhost") as client:
            capfd.readouterr()
            answers = [
                client.post("/ask", json={"question": hostile}, headers=headers),
                client.post("/ask/batch", json={"questions": [hostile, hostile]}, headers=headers),
                client.post("/ask", json={"question": hostile}),
                client.post("/ask", content=CANARY.encode(), headers=headers | {"Content-Type": "application/json"}),
                client.get(f"/{CANARY}?{CANARY}={CANARY}", headers={"User-Agent": CANARY} | headers),
                client.get("/livez"),
            ]
    finally:
        stop()
    text = capfd.readouterr().err
    lines = [line for line in lines_of(text) if line["event"] == "request"]
    assert [line["status"] for line in lines] == [200, 200, 401, 400, 404]
    assert [line["request_id"] for line in lines] == [answer.headers["x-request-id"] for answer in answers[:5]]
    assert [line["route"] for line in lines[:3]] == ["/ask", "/ask/batch", "/ask"]
    assert lines[0]["index_version"] == answerer.index.generation
    assert lines[0]["key"] == headers["Authorization"].split("_")[1]
    assert CANARY not in text
    assert headers["Authorization"].rsplit("_", 1)[1] not in text


def test_rejected_questions_are_counted_and_logged(
    answerer: QuestionAnswerer, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    full = Worker(queue_limit=0, deadline_seconds=1)
    before = numbers(exposition().decode())
    stop = start_logging(settings.model_copy(update={"log_format": "json"}))
    try:
        with served(answerer, settings, worker=full) as port:
            capfd.readouterr()
            url = f"http://127.0.0.1:{port}/ask"
            for _ in range(4):
                assert httpx2.post(url, json={"question": "cat"}, timeout=PATIENCE).status_code == 503
    finally:
        stop()
    line = next(line for line in lines_of(capfd.readouterr().err) if line["event"] == "request")
    assert (line["status"], line["route"], line["turned_away"]) == (503, "/ask", 1)
    key = ("qa_requests_total", frozenset({"method": "POST", "route": "/ask", "status": "503"}.items()))
    assert numbers(exposition().decode())[key] - before.get(key, 0) == 4


def test_of_many_refusals_few_are_logged_with_the_number_of_the_others(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    with caplog.at_level(logging.INFO, "qa_service.requests"):
        for log_seconds in (600, 600, 600, 0):
            refusals.log_seconds = log_seconds
            refusals.note("id", 503, "POST", "/ask")
    assert [record.__dict__["turned_away"] for record in caplog.records] == [1, 3]


def test_questions_are_logged_only_if_the_setting_says_so(
    answerer: QuestionAnswerer, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    """In both formats; control characters are escaped in the text format too."""
    for form in ("json", "console"):
        wanted = settings.model_copy(update={"log_format": form, "log_questions": True})
        stop = start_logging(wanted)
        try:
            with TestClient(app_for(answerer, wanted), base_url="http://localhost") as client:
                capfd.readouterr()
                client.post("/ask", json={"question": "cat\r\nforged \x1b[2J"})
        finally:
            stop()
        text = capfd.readouterr().err
        assert "cat" in text
        assert "\x1b[2J" not in text
        assert len(text.splitlines()) == 1


def test_a_log_that_is_not_read_blocks_no_request(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a full pipe, lines are dropped and counted, and logging does not block."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream, os.fdopen(reading, "rb", 0) as reader:
        monkeypatch.setattr(sys, "stderr", stream)
        stop = start_logging(settings.model_copy(update={"log_format": "json"}))
        for number in range(15_000):  # would wait forever for a reader
            logging.getLogger("qa_service.x").info("line %d %s", number, "y" * 100)
        text = b""
        while b"the last" not in text or not text.endswith(b"\n"):
            logging.getLogger("qa_service.x").info("the last")  # dropped as well while the queue is full
            text += reader.read(1 << 16)
        monkeypatch.undo()
        stop()
    last = next(line for line in lines_of(text.decode()) if line["event"] == "the last")
    assert int(str(last["dropped_before"])) >= 1000


class FullDisk(io.RawIOBase):
    """A disk with room for some bytes, until the test makes more."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.content = b""

    def write(self, data: Any) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.content += taken
        return len(taken)


def record(number: int) -> logging.LogRecord:
    return logging.makeLogRecord({"msg": f'{{"number": {number}}}'})


def test_a_truncated_log_line_spoils_no_other_line() -> None:
    """Wherever it is cut, only that line is unreadable, and no line is empty."""
    whole = len(record(1).getMessage()) + 1
    for room in range(3 * whole):
        disk = FullDisk(room)
        handler = LineHandler(disk, shared=False)
        for number in (1, 2, 3):
            handler.handle(record(number))
        disk.room = 1 if room % 2 else 0
        handler.handle(record(4))
        disk.room = 1000
        handler.handle(record(5))
        *lines, rest = disk.content.decode().split("\n")
        assert rest == ""
        written = [f'{{"number": {number}}}' for number in range(1, 1 + (room + 1) // whole)]
        assert [line for line in lines if line.endswith("}")] == [*written, '{"number": 5}']
        assert sum(not line.endswith("}") for line in lines) <= 2
        assert "" not in lines


def test_a_full_disk_leaves_complete_log_lines(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit of the system: one line is cut, the others are JSON, and lost lines are counted."""
    path = tmp_path / "log"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with path.open("w") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        stop = start_logging(settings.model_copy(update={"log_format": "json"}))
        logging.getLogger("qa_service.x").info("line %d %s", 0, "y" * 100)
        while not (length := path.stat().st_size):
            time.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_FSIZE, (length * 7 // 2, limits[1]))
        try:
            for number in range(1, 20):
                logging.getLogger("qa_service.x").info("line %d %s", number, "y" * 100)
            while path.stat().st_size < length * 7 // 2:
                time.sleep(0.01)
            while (waiting := logging.getLogger().handlers[0].queue.qsize()) > 0:  # type: ignore[attr-defined]
                time.sleep(0.01)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        logging.getLogger("qa_service.x").info("the last")
        stop()
        monkeypatch.undo()
    assert waiting == 0
    readable, cut = [], []
    for line in path.read_text().splitlines():
        try:
            readable.append(json.loads(line))
        except ValueError:
            cut.append(line)
    assert len(cut) == 1
    assert cut[0].startswith("{")
    assert readable[-1]["event"] == "the last"
    assert len(readable) + readable[-1]["dropped_before"] == 21


def test_metrics_count_what_happened(client: TestClient) -> None:
    """Requests by route and status, answers, stages, embedded questions; a repeated question is not embedded again."""
    before = numbers(exposition().decode())
    for question in ("where does the whale swim now", "where does the whale swim now", "crabs"):
        assert client.post("/ask", json={"question": question}).status_code == 200
    assert client.post("/ask/batch", json={"questions": ["crabs", "seals", "seals"]}).status_code == 200
    client.post("/ask", content=b"{", headers={"Content-Type": "application/json"})
    client.get("/none")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    after = numbers(response.text)

    def grown(name: str, **labels: str) -> float:
        key = (name, frozenset(labels.items()))
        return after.get(key, 0) - before.get(key, 0)

    assert grown("qa_requests_total", method="POST", route="/ask", status="200") == 3
    assert grown("qa_requests_total", method="POST", route="/ask", status="400") == 1
    assert grown("qa_requests_total", method="", route="unmatched", status="404") == 1
    assert grown("qa_request_seconds_count", route="/ask") == 4
    assert sum(grown("qa_answers_total", verdict=value) for value in VERDICTS) == 6
    for stage in ("wait", "embed", "retrieve", "cite"):
        assert grown("qa_stage_seconds_count", stage=stage) == 2
    assert grown("qa_embedded_questions_total") == 3
    assert grown("qa_remembered_answers_total") == 1
    assert after["qa_waiting", frozenset()] == 0
    assert any(name == "qa_index_passages" and value > 0 for (name, _), value in after.items())
    assert any(name == "process_resident_memory_bytes" for name, _ in after)


def test_counters_exist_at_zero_from_the_start(tmp_path: Path) -> None:
    """In one process and in several, so that rates can be computed; requests by route appear with their first one."""
    program = "from qa_service.server.metrics import exposition; print(exposition().decode())"
    for shared in ({}, {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}):
        command = [sys.executable, "-c", program]
        printed = subprocess.run(
            command, check=True, capture_output=True, text=True, env=dict(os.environ) | shared, cwd=ROOT
        ).stdout
        counters = [family for family in text_string_to_metric_families(printed) if family.name.startswith("qa_")]
        samples = {
            family.name: {tuple(sample.labels.values()): sample.value for sample in family.samples}
            for family in counters
            if family.type == "counter" and family.name != "qa_requests"
        }
        assert samples == {
            "qa_answers": {(value,): 0 for value in VERDICTS},
            "qa_embedded_questions": {(): 0},
            "qa_remembered_answers": {(): 0},
            "qa_client_gone": {(): 0},
            "qa_index_swaps": {("served",): 0, ("rejected",): 0},
        }


def test_metrics_need_an_admin_key_if_others_can_connect(answerer: QuestionAnswerer, settings: Settings) -> None:
    """On loopback they are open; elsewhere they need the scope admin, even if asking needs no key."""
    for access in ("keys", "open"):
        public = settings.model_copy(update={"access": access, "host": "0.0.0.0"})
        admin, asking = key_for(public, "admin"), key_for(public, "ask")
        with TestClient(app_for(answerer, public), base_url="http://localhost") as client:
            assert client.get("/metrics").status_code == 401
            assert client.get("/metrics", headers=asking).status_code == 403
            assert client.get("/metrics", headers=admin).status_code == 200


def test_the_dashboard_queries_existing_metrics(client: TestClient) -> None:
    """Every metric, stage, label and route in it exists."""
    for question in ("cat", "dog"):
        client.post("/ask", json={"question": question})
    names = {name for name, _ in numbers(client.get("/metrics").text)}
    dashboard = json.loads((ROOT / "deploy/grafana/qa-service.json").read_text())
    asked = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"qa_\w+", target["expr"])
    }
    assert len(asked) >= 10
    assert asked <= names | {"qa_index_swaps_total", "qa_client_gone_total"}
    assert {"qa_index_swaps", "qa_client_gone"} <= {
        family.name for family in text_string_to_metric_families(client.get("/metrics").text)
    }
    places = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(set(places)) == len(places)


def test_the_compose_file_is_hardened_and_names_existing_files() -> None:
    """Its settings and files exist, and it publishes ports on loopback only."""
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())
    service = compose["services"]["qa"]
    load_settings(**{name.removeprefix("QA_").lower(): value for name, value in service["environment"].items()})
    assert (service["read_only"], service["cap_drop"]) == (True, ["ALL"])
    for one in compose["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in one.get("ports", []))
        for volume in one.get("volumes", []):
            default = re.sub(r"\$\{\w+:-(.*?)\}", r"\1", volume)
            path = (ROOT / "deploy" / default.split(":")[0]).resolve()
            assert path.exists() or path.name == "data"
    assert yaml.safe_load((ROOT / "deploy/prometheus.yaml").read_text())["scrape_configs"][0]["authorization"]


@pytest.mark.needs("opentelemetry.sdk")
def test_an_answer_is_a_trace(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A request with its route, and its stages as spans below it, without signatures of links."""
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    traced = settings.model_copy(update={"traces": True})
    check_traces(traced)
    with TestClient(app_for(answerer, traced), base_url="http://localhost") as client:
        citation = client.post("/ask", json={"question": f"cat {CANARY}"}).json()["results"][0]["citation"]
        client.get(citation["url"].replace("?", f"?sig={CANARY}&"))
    spans = {span.name: span for span in exporter.get_finished_spans()}
    root = spans["POST /ask"]
    for stage in ("wait", "embed", "retrieve", "cite"):
        assert spans[stage].parent is not None
        assert spans[stage].parent.span_id == root.context.span_id
        assert root.start_time - 5_000_000 <= spans[stage].start_time <= spans[stage].end_time
    assert CANARY not in "".join(span.to_json() for span in spans.values())


def test_traces_without_an_exporter_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, with the extra to install."""
    monkeypatch.setattr("qa_service.server.middleware.observing.find_spec", lambda name: None)
    check_traces(load_settings())
    with pytest.raises(SettingsError, match=r"qa-service\[otel\]"):
        check_traces(load_settings(traces=True))


def test_server_processes_share_a_socket_and_add_up_their_metrics(here: list[str], run: Run, tmp_path: Path) -> None:
    """Two workers, thirty questions: each reports the metrics of both; each request has one line of JSON.

    The settings of the command line reach each worker; they end together, and remove the socket.
    """
    assert run("index", *here)[0] == 0
    path = tmp_path / "socket"
    key = key_for(Settings(data=tmp_path / "data"), "admin", "ask")
    command = [sys.executable, "-m", "qa_service", "serve", *here, "--host", f"unix:{path}", "--workers", "2"]
    with (tmp_path / "log").open("w+") as log:
        with subprocess.Popen(command, stderr=log, cwd=tmp_path) as server:

            def is_answered(question: str) -> bool:  # one worker may be ready before the other
                answer = client.post("/ask", json={"question": question})
                assert answer.status_code in {200, 503}
                assert not answer.is_success or "The cat sleeps on the warm mat." in answer.text
                return answer.is_success

            def counted() -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
                return numbers(client.get("/metrics").text)

            eventually(lambda: f"on unix:{path} " in (tmp_path / "log").read_text() or server.poll() is not None)
            transport = httpx2.HTTPTransport(uds=str(path), limits=httpx2.Limits(max_keepalive_connections=0))
            given = {"base_url": "http://localhost", "headers": key, "timeout": PATIENCE}
            with httpx2.Client(transport=transport, **given) as client:
                eventually(lambda: len(children_of(server.pid)) >= 2)
                children = children_of(server.pid)
                for number in range(30):
                    eventually(partial(is_answered, f"Where does the cat sleep, {number}?"))
                labels = frozenset({("method", "POST"), ("route", "/ask"), ("status", "200")})
                for _ in range(4):
                    eventually(lambda: counted()["qa_requests_total", labels] == 30)
                    eventually(lambda: counted()["qa_waiting", frozenset()] == 0)
                    assert counted()["qa_index_swaps_total", frozenset({("result", "rejected")})] == 0
            server.send_signal(signal.SIGTERM)
            assert server.wait(PATIENCE) == 0
        eventually(lambda: not any(map(runs, children)))
        assert not path.exists()
        written = (tmp_path / "log").read_text()
        assert "Traceback" not in written
        asked = [json.loads(line)["status"] for line in written.splitlines() if '"/ask"' in line]
        assert asked.count(200) == 30
        assert set(asked) <= {200, 503}
