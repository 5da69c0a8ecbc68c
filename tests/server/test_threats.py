"""One test for each threat of docs/threats.md that no other file tests."""

import ast
import json
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2
import pytest
from conftest import ROOT, FakeEmbedder, HeldEmbedder, app_for, key_for, served
from processes import PATIENCE, eventually
from starlette.testclient import TestClient

from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.server.keys import KeyFile
from qa_service.server.worker import Worker
from qa_service.settings import Settings

QUESTIONS = ["Where does the cat sleep?", "What guards the farm?", "What swims in the ocean?", "How does a crab walk?"]


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def test_a_flood_from_one_key_takes_nothing_from_the_others(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Nine of ten keys get all of their answers while the tenth asks forty times as often as its rate allows."""
    keys = KeyFile(settings.data)
    flooding, *others = [keys.create(f"key {number}", rate="10/hour") for number in range(10)]

    def ask(token: str, times: int) -> Counter[int]:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx2.Client(base_url=address, headers=headers, timeout=PATIENCE) as own:
            return Counter(own.post("/ask", json={"question": QUESTIONS[0]}).status_code for _ in range(times))

    with served(answerer, settings) as port, ThreadPoolExecutor(10) as threads:
        address = f"http://127.0.0.1:{port}"
        flood = threads.submit(ask, flooding, 400)
        assert all(found.result() == {200: 10} for found in [threads.submit(ask, token, 10) for token in others])
        assert flood.result() == {200: 10, 429: 390}


def test_paths_lead_only_to_routes(client: TestClient) -> None:
    """In a thousand attempts to leave a folder, only the few public routes respond with 200."""
    generator = random.Random(20261123)
    steps = [
        "..",
        ".",
        "%2e%2e",
        "..%2f",
        "%5c..",
        "....",
        "\\",
        "etc",
        "passwd",
        "widget",
        "%00",
        "sources",
        "//",
        "~",
    ]
    for _ in range(1000):
        path = "/" + "/".join(generator.choice(steps) for _ in range(generator.randint(1, 8)))
        response = client.get(f"http://localhost{path}")
        if response.status_code == 200:
            assert response.request.url.path in {"/", "/widget", "/sources"}, path
        assert "root:" not in response.text


def test_nothing_is_computed_or_read_without_a_key(client: TestClient, settings: Settings) -> None:
    """A wrong key with an unreadable body gives 401, so the body was not read."""
    key_for(settings, "ask")
    locked = settings.model_copy(update={"access": "keys"})
    answerer = open_answerer(locked, FakeEmbedder())[0]
    with TestClient(app_for(answerer, locked), base_url="http://localhost") as other:
        before = answerer.question_cache.embedded
        for path in ("/ask", "/ask/batch", "/verify", "/evaluate", "/admin/reindex", "/v1/vector_stores/x/search"):
            for body in (b"", b"{", b"\xff" * 60_000, json.dumps({"question": "cat"}).encode()):
                headers = {"Authorization": "Bearer wrong", "Content-Type": "application/json"}
                assert other.post(path, content=body, headers=headers).status_code == 401
        assert answerer.question_cache.embedded == before


@pytest.mark.parametrize("room", ["loading", "index", "retrieval", "stores", "lexical", "late_interaction"])
def test_no_document_makes_the_service_fetch_anything(room: str) -> None:
    """The rooms that documents pass through import no network library."""
    network = {"httpx", "httpx2", "requests", "urllib3", "aiohttp", "socket", "http", "ftplib", "smtplib", "websockets"}
    for path in (ROOT / "qa_service" / room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names: list[str] = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert not {name.split(".")[0] for name in names} & network, path.name
            assert "urllib.request" not in names, path.name


def test_answers_hold_no_vectors_and_few_digits(client: TestClient) -> None:
    """Embeddings can't be rebuilt from scores: they have three decimals, and belong to texts that are shown anyway."""
    for question in QUESTIONS:
        answer = client.post("/ask", json={"question": question}).text
        assert not re.search(r"vector|embedding", answer)
        assert not re.search(r"\d\.\d{4}", re.sub(r'"took_ms":[\d.]+', "", answer))


def test_descriptions_of_the_service_need_a_key(answerer: QuestionAnswerer, settings: Settings) -> None:
    """There are no documentation pages with scripts; if other machines can ask, description and metrics need keys."""
    KeyFile(settings.data).create("a", ("ask",))
    locked = settings.model_copy(update={"access": "keys"})
    with TestClient(app_for(answerer, locked), base_url="http://localhost") as client:
        for path in ("/docs", "/redoc", "/openapi.json", "/metrics", "/admin/reindex", "/index", "/collections"):
            response = client.get(path)
            assert response.status_code == 401, path
            assert "server" not in response.headers
        assert client.get("/docs", headers=key_for(settings, "ask", "admin")).status_code in {401, 404}


def test_no_key_appears_in_a_log_or_an_answer(
    answerer: QuestionAnswerer, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """In every place where clients send keys by mistake."""
    token = KeyFile(settings.data).create("a", ("ask", "admin"))
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        answers = [
            client.post("/ask", json={"question": QUESTIONS[0]}, headers={"Authorization": f"Bearer {token}"}),
            client.post("/ask", json={"question": QUESTIONS[0], "key": token}),
            client.get(f"/sources?key={token}"),
            client.get(f"/{token}"),
            client.get("/metrics", headers={"Authorization": f"Bearer {token}"}),
            client.get("/index", headers={"Authorization": token, "X-Request-ID": token, "Origin": token}),
        ]
    out, err = capsys.readouterr()
    secret = token.split("_", 2)[2]
    assert not any(secret in answer.text or secret in str(answer.headers) for answer in answers)
    assert secret not in out + err
    assert secret not in (settings.data / "keys.json").read_text(encoding="utf-8")


def test_livez_reports_a_stuck_encoder_but_not_a_busy_one(answerer: QuestionAnswerer, settings: Settings) -> None:
    """So that a supervisor can restart it."""
    embedder = HeldEmbedder()
    answerer = open_answerer(settings, embedder)[0]
    for stuck_seconds, status in ((PATIENCE, 200), (0.3, 503)):
        hasty = Worker(queue_limit=settings.queue_limit, deadline_seconds=0.3, stuck_seconds=stuck_seconds)
        with TestClient(app_for(answerer, settings, worker=hasty), base_url="http://localhost") as client:
            assert client.get("/livez").status_code == 200
            embedder.go.clear()
            assert client.post("/ask", json={"question": f"cat {status}"}).status_code == 504
            eventually(lambda status=status: client.get("/livez").status_code == status)
            assert ("restart" in client.get("/livez").text) == (status == 503)
            embedder.go.set()
            eventually(lambda: client.get("/livez").status_code == 200)
            eventually(lambda: client.post("/ask", json={"question": "cat"}).status_code == 200)


@pytest.mark.proof
def test_proof_answers_do_not_mix(
    answerer: QuestionAnswerer, settings: Settings, record_property: Callable[[str, object], None]
) -> None:
    """Sixteen threads, a thousand questions each: every answer equals the one asked alone, cached or not.

    A confidence that no other question has keeps an answer from being one of the cache.
    """
    generator = random.Random(20261123)
    words = ["cat", "dog", "whale", "crab", "sleeps", "guards", "swims", "walks", "farm", "mat", "noon", "foxes"]
    questions = [" ".join(generator.choices(words, k=generator.randint(1, 30))) for _ in range(200)]
    roomy = settings.model_copy(update={"queue_limit": 64})

    def answer(own: httpx2.Client, question: str, **options: float) -> object:
        body = own.post("/ask", json={"question": question, **options}).json()
        return [(result["citation"]["permalink"], result["score"]) for result in body["results"]]

    with served(answerer, roomy) as port, httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as alone:
        expected = {question: answer(alone, question) for question in questions}

        def ask_on(number: int) -> int:
            own = random.Random(number)
            asked = [
                (own.choice(questions), {"min_confidence": own.random()} if place % 2 else {}) for place in range(1000)
            ]
            with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                return sum(answer(client, question, **options) != expected[question] for question, options in asked)

        with ThreadPoolExecutor(16) as threads:
            different = sum(threads.map(ask_on, range(16)))
    assert different == 0
    figure = "16 threads, 16000 questions, half from the cache, 0 answers differ from those to the question alone"
    record_property("figure", figure)


@pytest.mark.proof
def test_proof_five_hundred_slow_clients_block_no_other(
    answerer: QuestionAnswerer, settings: Settings, record_property: Callable[[str, object], None]
) -> None:
    """Each sends a byte every two seconds; all are disconnected at their deadline; others are answered meanwhile."""
    with (
        served(answerer, settings) as port,
        httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as own,
    ):

        def times(count: int) -> list[float]:
            found = []
            for number in range(count):
                started = time.perf_counter()
                assert own.post("/ask", json={"question": QUESTIONS[number % 4]}).status_code == 200
                found.append(time.perf_counter() - started)
            return sorted(found)

        quiet = times(1000)
        senders = [socket.create_connection(("127.0.0.1", port)) for _ in range(500)]
        began, gone, meanwhile = time.monotonic(), 0, []
        for byte in b"POST /ask HTTP/1.1\r\nHost: localhost\r\nX: " * 2:
            for sender in senders:
                with suppress(OSError):
                    sender.send(bytes([byte]))
            meanwhile += times(60)
            for sender in list(senders):
                sender.setblocking(False)
                try:
                    sender.recv(4096)  # an error document, or the end
                except BlockingIOError:
                    continue
                except ConnectionError:
                    pass
                sender.close()
                senders.remove(sender)
                gone += 1
            if not senders:
                break
            time.sleep(1.5)
        seconds = time.monotonic() - began
        for sender in senders:
            sender.close()
    assert gone == 500
    slowest, usual = sorted(meanwhile)[int(0.99 * len(meanwhile))], quiet[int(0.99 * len(quiet))]
    record_property(
        "figure",
        f"500 of 500 disconnected within {seconds:.0f} s; "
        f"p99 of other requests {slowest / usual:.1f} times that without them",
    )
