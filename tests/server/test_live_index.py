"""Replacing the index under load, and the routes that describe it."""

import asyncio
import gc
import json
import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from conftest import FakeEmbedder, app_for, key_for
from fastapi import FastAPI
from processes import PATIENCE, eventually
from starlette.testclient import TestClient

from qa_service.datatypes import AskOptions
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.answer_cache import AnswerCache, AnswerKey
from qa_service.server.live_index import LiveIndex, ServableIndex
from qa_service.server.metrics import exposition
from qa_service.server.process import bound_socket, run_server
from qa_service.server.worker import Worker
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
HTML = {"Accept": "text/html"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"reload_seconds": 0.05, "queue_limit": 64, "deadline_seconds": PATIENCE})


def named(build_name: str) -> dict[str, str | bytes]:
    """Return documents whose passages all contain the name of their build."""
    return {
        f"{place}.txt": f"The {animal} of build {build_name} sleeps.\n\nThe {animal} wakes in build {build_name}."
        for place, animal in enumerate(["cat", "dog", "whale", "crab"])
    }


@contextmanager
def serving(settings: Settings, fake: FakeEmbedder) -> Iterator[TestClient]:
    answerer, degraded = open_answerer(settings, fake)
    app = app_for(answerer, settings, degraded=degraded, reopen=lambda: open_answerer(settings, fake))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def wait_for(client: TestClient, version: str) -> None:
    eventually(lambda: client.get("/readyz").json()["index_version"] == version)


@contextmanager
def without(folder: Path) -> Iterator[None]:
    """Delete a folder."""
    folder.rename(folder.with_name("elsewhere"))
    yield
    folder.with_name("elsewhere").rename(folder)


class Load:
    """Requests of one or several steps until ``done``; each answer must come from one generation."""

    def __init__(self, client: TestClient, versions: dict[str, str]) -> None:
        self.client = client
        self.versions = versions
        self.done = False

    def _consistent(self, body: dict[str, Any]) -> str:
        name = self.versions[body["index_version"]]
        assert body["results"]
        assert all(f"build {name}" in result["text"] for result in body["results"])
        return str(body["index_version"])

    def ask(self, number: int) -> None:
        """Alternate between a question asked before, of any generation, and a new one."""
        question = "where does the cat sleep" + f" {number}" * (number % 2)
        response = self.client.post("/ask", json={"question": question, "top_k": 4})
        assert response.status_code == 200, response.text
        self._consistent(response.json())

    def ask_many(self, number: int) -> None:
        questions = [f"where does the cat sleep {number} {place}" for place in range(64)]
        response = self.client.post("/ask/batch", json={"questions": questions})
        assert response.status_code == 200, response.text
        answers = [item["answer"] for item in response.json()["results"]]
        assert len({self._consistent(answer) for answer in answers}) == 1

    def stream(self, number: int) -> None:
        body = {"question": f"where does the dog sleep {number}"}
        response = self.client.post("/ask", json=body, headers={"Accept": "text/event-stream"})
        events = [block for block in response.text.split("\n\n") if block.startswith("event: ")]
        assert events[-1].startswith("event: answer\n"), response.text
        told = [json.loads(block.partition("data: ")[2]) for block in events]
        assert len({self._consistent(answer) for answer in told}) == 1

    def look(self, number: int) -> None:
        """Open a citation and the view of a document that both generations have."""
        found = self.client.post("/ask", json={"question": f"the stone rests {number}", "top_k": 1}).json()["results"]
        for address in (found[0]["citation"]["permalink"], found[0]["citation"]["url"].partition("#")[0]):
            response = self.client.get(address, headers=HTML)
            assert response.status_code == 200, (address, response.text)
            assert "The stone rests" in response.text

    def repeat(self, request: Callable[[int], None]) -> int:
        made = 0
        while not self.done:
            request(made)
            made += 1
        return made


def swap_under_load(folder: Write, settings: Settings, fake: FakeEmbedder, swaps: int) -> dict[str, int]:
    """Swap between two builds while eight clients ask; return how many requests of each kind were made."""
    kept = settings.model_copy(update={"keep_generations": 10})
    versions = {}
    for name in ("anna", "berta"):
        folder(named(name) | {"stone.txt": f"The stone rests in build anna and in build berta.{' ' * len(versions)}"})
        versions[build(kept, fake).index_version] = name
    index = IndexFolder(settings.index)
    with serving(kept, fake) as client, ThreadPoolExecutor(8) as threads:
        load = Load(client, versions)
        kinds = [load.ask, load.ask_many, load.stream, load.look] * 2
        asking = [threads.submit(load.repeat, request) for request in kinds]
        try:
            for number in range(swaps):
                version = list(versions)[number % 2]
                index.point_to(version)
                wait_for(client, version)
        finally:
            load.done = True
        made = Counter[str]()
        for request, future in zip(kinds, asking, strict=True):
            made[request.__name__] += future.result()
    return dict(made)


def test_startup_objects_are_frozen_before_the_first_request(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After everything is loaded and before the first request."""
    done: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: done.append("freeze"))
    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: done.append("run"))
    with bound_socket("127.0.0.1", 0) as listener:
        run_server(FastAPI(), listener, settings)
    assert done == ["freeze", "run"]


def test_swaps_under_load_fail_no_request_and_mix_no_answers(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """Eight clients, a few swaps: every answer comes from the generation that it names."""
    made = swap_under_load(folder, settings, fake, 6)
    assert set(made) == {"ask", "ask_many", "stream", "look"}
    assert all(made.values())


@pytest.mark.proof
def test_proof_swaps_under_load(
    folder: Write, settings: Settings, fake: FakeEmbedder, record_property: Callable[[str, object], None]
) -> None:
    """The same with a hundred swaps."""
    made = swap_under_load(folder, settings, fake, 100)
    told = (
        f"{made['ask']} questions, {made['ask_many']} batches of 64, {made['stream']} streams, {made['look']} citations"
    )
    record_property("figure", f"100 swaps, 8 clients, {told} with their views, each of one generation, 0 failed")


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what is waited for sets no event
        await asyncio.sleep(0.01)


def old_and_new(folder: Write, settings: Settings, fake: FakeEmbedder) -> tuple[QuestionAnswerer, QuestionAnswerer]:
    """Return the answerers of two builds."""
    answerers = []
    for name in ("anna", "berta"):
        folder(named(name))
        build(settings, fake)
        answerers.append(open_answerer(settings, fake)[0])
    return answerers[0], answerers[1]


def test_questions_are_answered_between_the_steps_of_a_swap(
    folder: Write, settings: Settings, fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new index proves itself step by step, the old one is closed in another thread, and no collection looks on."""
    old, new = old_and_new(folder, settings, fake)
    order: list[str] = []
    monkeypatch.setattr(gc, "freeze", lambda: order.append("freeze"))
    monkeypatch.setattr(old.index, "close", lambda: order.append(f"close in {threading.current_thread().name}"))

    async def swap() -> None:
        worker, loop = Worker(queue_limit=2, deadline_seconds=PATIENCE), asyncio.get_running_loop()

        def first_step() -> None:
            order.append("first step")
            asyncio.run_coroutine_threadsafe(worker.run(lambda: order.append("question")), loop)
            eventually(worker.refusal)  # both are unfinished

        monkeypatch.setattr(new, "self_test_steps", lambda: (first_step, lambda: order.append("second step")))
        live = LiveIndex(ServableIndex(old, IndexFolder(settings.index), reopen=lambda: (new, None)), worker)
        follow = asyncio.create_task(live.watch_generations(0.01))
        try:
            await until(lambda: len(order) == 5)
        finally:
            follow.cancel()
            worker.close()

    asyncio.run(swap())
    assert order[:4] == ["first step", "question", "second step", "freeze"]
    assert order[4].startswith("close in asyncio")


def test_a_replaced_index_is_closed_after_its_last_lease(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """Until then a request with a lease may use it, even after another index replaced it."""
    old, new = old_and_new(folder, settings, fake)
    closed: list[str] = []
    for answerer in (old, new):
        close = answerer.index.close
        answerer.index.close = lambda close=close, name=answerer.index.generation: (closed.append(name), close())  # type: ignore[method-assign]

    async def swap() -> None:
        worker = Worker(queue_limit=4, deadline_seconds=PATIENCE)
        opening = ServableIndex(old, IndexFolder(settings.index), reopen=lambda: (new, None))
        live = LiveIndex(opening, worker)
        try:
            with live.lease() as first:
                with live.lease() as second:
                    follow = asyncio.create_task(live.watch_generations(0.01))
                    await until(lambda: live.manifest.generation == new.index.generation)
                    assert first is second is old
                assert closed == []
                assert await worker.run(lambda: first.ask("where does the cat sleep").results)
            with live.lease() as third:
                assert third is new
            await until(lambda: bool(closed))
            assert await worker.run(lambda: new.ask("where does the cat sleep").results)
            assert closed == [old.index.generation]
            follow.cancel()
        finally:
            worker.close()

    asyncio.run(swap())


def test_a_build_by_another_process_is_served_without_a_restart(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """Deleted documents no longer occur in answers; a rollback is followed too."""
    source = folder({"cat.txt": "The cat sleeps on the mat.", "dog.txt": "A dog guards the farm."})
    first = build(settings, fake).index_version
    with serving(settings, fake) as client:
        assert client.get("/index").json()["documents"] == 2
        (source / "cat.txt").unlink()
        folder({"dog.txt": "A dog guards the barn.", "crab.txt": "A crab walks sideways."})
        second = build(settings, fake).index_version
        wait_for(client, second)
        body = client.post("/ask", json={"question": "where does the cat sleep"}).json()
        assert body["index_version"] == second
        assert all("cat" not in result["text"] for result in body["results"])
        assert client.get("/index/diff").json() == {
            "index_version": second,
            "previous": first,
            "added": ["crab.txt"],
            "changed": ["dog.txt"],
            "removed": ["cat.txt"],
        }
        IndexFolder(settings.index).rollback()
        wait_for(client, first)
        assert client.get("/index/diff").json()["previous"] is None


def test_an_index_that_fails_to_open_is_rejected(
    folder: Write, settings: Settings, fake: FakeEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    """If it is damaged or of another model, the old one stays ready, and the log has the reason."""
    folder({"cat.txt": "The cat sleeps on the mat."})
    kept = settings.model_copy(update={"keep_generations": 10})
    first = build(kept, fake).index_version
    with serving(kept, fake) as client:
        folder({"cat.txt": "The cat is awake."})
        second = build(kept, FakeEmbedder(weights="c" * 64)).index_version
        told = ("the new index is not served", "instead of the current one")
        eventually(lambda: any(words in caplog.text for words in told))
        assert "weights" in caplog.text
        assert client.post("/ask", json={"question": "cat"}).json()["index_version"] == first
        assert client.get("/readyz").status_code == 200
        assert second != first


def test_an_unexpected_error_does_not_end_the_watching_of_generations(
    folder: Write, settings: Settings, fake: FakeEmbedder, caplog: pytest.LogCaptureFixture
) -> None:
    """The new index is tried again, and served; the log has the error."""
    folder({"cat.txt": "The cat sleeps."})
    build(settings, fake)
    errors = [SystemError("a bug of somebody"), MemoryError()]

    def reopen() -> tuple[QuestionAnswerer, str | None]:
        if errors:
            raise errors.pop(0)
        return open_answerer(settings, fake)

    app = app_for(open_answerer(settings, fake)[0], settings, reopen=reopen)
    with TestClient(app, base_url="http://localhost") as client:
        folder({"cat.txt": "The cat wakes."})
        wait_for(client, build(settings, fake).index_version)
    assert not errors
    assert "a bug of somebody" in caplog.text


def test_a_damaged_index_is_replaced_once_it_is_built_again(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """Under its old id. Until then the server answers from an older generation and reports it."""
    folder({"cat.txt": "The cat sleeps."})
    first = build(settings, fake).index_version
    folder({"cat.txt": "The cat wakes."})
    second = build(settings, fake).index_version
    vectors = settings.index / "generations" / second / "vectors.faiss"
    vectors.write_bytes(vectors.read_bytes()[:-1])
    with serving(settings, fake) as client:
        state = client.get("/readyz").json()
        assert (state["index_version"], state["degraded"]) == (first, True)
        assert build(settings, fake).index_version == second
        wait_for(client, second)
        assert client.get("/readyz").json()["degraded"] is False


def test_the_index_route_describes_the_index(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """Files, skipped ones with reasons, model, time."""
    folder({"cat.txt": "The cat \u202e sleeps.", "photo.png": b"x", "bad.pdf": b"%PDF-"})
    version = build(settings, fake).index_version
    with serving(settings, fake) as client:
        body = client.get("/index").json()
        assert (body["index_version"], body["files"], body["documents"], body["passages"]) == (version, 3, 1, 1)
        assert {item["uri"]: item["failed"] for item in body["skipped"]} == {"photo.png": False, "bad.pdf": True}
        assert body["warnings"] == ["cat.txt: 1 bidirectional controls, hidden from the model"]
        assert (body["model"], body["vector_index"], body["degraded"]) == ("fake", "flat", False)
        assert client.get("/index/diff").json()["added"] == ["bad.pdf", "cat.txt"]


def test_only_an_admin_key_may_start_a_build(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """401 without the key or with another one, 403 if no key exists."""
    folder({"cat.txt": "The cat sleeps."})
    build(settings, fake)
    admin = key_for(settings, "admin")
    token = admin["Authorization"].removeprefix("Bearer ")
    with serving(settings, fake) as client:
        for method in (client.get, client.post):
            for key in (None, "Bearer", "Bearer wrong", f"Basic {token}", f"Bearer {token}2", f"Bearer {token[:-1]}"):
                response = method("/admin/reindex", headers={"Authorization": key} if key else {})
                assert response.status_code == 401
                assert response.headers["www-authenticate"] == "Bearer"
                assert response.headers["content-type"] == "application/problem+json"
        assert client.get("/admin/reindex", headers=admin).json()["status"] == "idle"
    with serving(settings.model_copy(update={"data": settings.data / "without"}), fake) as client:
        assert client.post("/admin/reindex").status_code == 403


def test_reindex_builds_in_its_own_process_and_the_result_is_served(
    folder: Write, settings: Settings, exported_models: Path
) -> None:
    """With the real model: 202, `building`, a second one 409, then `done`, and the new words are found.

    One that fails says why, as when somebody builds from the command line.
    """
    from qa_service.embedding.choose import embedder_to_ask, embedder_to_build

    real = settings.model_copy(update={"passage_tokens": 64})
    shutil.copytree(exported_models, real.index / "models")
    folder({"cat.txt": "The cat sleeps on the mat."})
    build(real, embedder_to_build(real))
    key = key_for(settings, "admin")
    told = []
    with serving(real, embedder_to_ask(real)) as client:
        folder({"whale.txt": "The whale sings in the deep ocean."})
        assert client.post("/admin/reindex", headers=key).status_code == 202
        assert client.post("/admin/reindex", headers=key).status_code == 409
        eventually(lambda: client.get("/admin/reindex", headers=key).json()["status"] != "building")
        state = client.get("/admin/reindex", headers=key).json()
        assert (state["status"], state["exit_code"], state["report"]["documents"]) == ("done", 0, 2)
        wait_for(client, state["report"]["index_version"])
        answer = client.post("/ask", json={"question": "Where does the whale sing?"}).json()
        assert answer["answer"]["text"] == "The whale sings in the deep ocean."
        for broken in (IndexFolder(real.index).building(), without(real.source)):
            with broken:
                client.post("/admin/reindex", headers=key)
                eventually(lambda: client.get("/admin/reindex", headers=key).json()["status"] != "building")
                state = client.get("/admin/reindex", headers=key).json()
                told.append((state["status"], state["exit_code"], state["error"]))
        assert told == [
            ("failed", 7, "another process is building index; wait for it to finish, then try again"),
            ("failed", 4, "source folder source does not exist; create it or name another with --source"),
        ]
        assert client.get("/readyz").status_code == 200


HOSTILE = '<script>alert(1)</script> "quoted" & <img src=x onerror=alert(1)> \u202e reversed'


def test_the_view_of_a_quote_marks_it_and_escapes_everything(
    folder: Write, settings: Settings, fake: FakeEmbedder
) -> None:
    """A page without scripts, under a policy that forbids them."""
    folder({"evil <b>.md": f"# {HOSTILE}\n\nThe cat says {HOSTILE}. It sleeps.\n"})
    build(settings, fake)
    with serving(settings, fake) as client:
        citation = client.post("/ask", json={"question": "what does the cat say"}).json()["results"][0]["citation"]
        page = client.get(citation["url"])
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert "<script" not in page.text
        assert "<img" not in page.text
        assert page.text.count('<mark id="quote">') == 1
        for span in ("start=5&end=2", "start=0&end=0", f"start={10**12}&end={10**13}"):
            assert "<mark" not in client.get(f"/sources/{citation['document_id']}/view?{span}").text
        assert client.get(f"/sources/{citation['document_id']}/view?start=-1").status_code == 422
        assert client.get("/sources/none/view").status_code == 404


def test_cite_and_verify_over_http(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """As JSON for programs and as a page for people; also many citations at once."""
    folder({"cat.txt": "The cat sleeps on the mat. It wakes at noon."})
    build(settings, fake)
    with serving(settings, fake) as client:
        citation = client.post("/ask", json={"question": "when does it wake"}).json()["results"][0]["citation"]
        verdict = client.get(citation["permalink"]).json()
        assert (verdict["state"], verdict["quote"], verdict["uri"]) == ("exact", "It wakes at noon.", "cat.txt")
        assert '<mark id="quote">It wakes at noon.</mark>' in client.get(verdict["url"]).text
        page = client.get(citation["permalink"], headers=HTML)
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "exactly where it was cited" in page.text
        changed = {**citation, "quote": "It wakes at ten."}
        gone = {"uri": "none.txt", "start_char": 0, "quote": "Nothing of the kind."}
        body = client.post("/verify", json={"citations": [citation, changed, gone]}).json()
        assert [verdict["state"] for verdict in body["verdicts"]] == ["exact", "changed", "gone"]
        assert body["verdicts"][1]["now"] == "It wakes at noon."
        assert client.post("/verify", json={"citations": []}).status_code == 422
        assert client.post("/verify", json={"citations": [{"uri": "x"}]}).status_code == 422
        folder({"cat.txt": "The cat sleeps on the mat. It wakes at ten."})
        wait_for(client, build(settings, fake).index_version)
        page = client.get(citation["permalink"], headers=HTML).text
        assert "The most similar text now:" in page
        assert "It wakes at noon." in page
        assert "It wakes at ten." in page
        for unknown in ("x", "0" * 16 + ".0-1", "%00"):
            assert client.get(f"/cite/{unknown}").status_code == 404


def cache_hits() -> float:
    (value,) = re.findall(r"^qa_remembered_answers_total (\S+)$", exposition().decode(), re.MULTILINE)
    return float(value)


def test_a_repeated_question_is_answered_from_the_cache(folder: Write, settings: Settings, fake: FakeEmbedder) -> None:
    """With an id of its own, until another index is served; with other options it is computed."""
    folder({"cat.txt": "The cat sleeps on the mat.", "dog.txt": "A dog guards the farm."})
    build(settings, fake)
    question = {"question": "where does the cat sleep"}
    others: list[dict[str, Any]] = [
        question | {"top_k": 1},
        question | {"min_confidence": 0.9},
        question | {"min_uncertain": 0.9},
        question | {"filters": {"path_prefix": "dog"}},
        {"question": "where does the cat sleep?"},
    ]
    with serving(settings, fake) as client:
        before = cache_hits()
        first, again = (client.post("/ask", json=question).json() for _ in range(2))
        assert cache_hits() - before == 1
        assert first["id"] != again["id"]
        assert all(first[name] == again[name] for name in first.keys() - {"id", "took_ms"})
        for number, other in enumerate(others, start=1):
            computed = client.post("/ask", json=other).json()["results"]
            assert cache_hits() - before == number
            assert client.post("/ask", json=other).json()["results"] == computed
            assert cache_hits() - before == number + 1
        before = cache_hits()
        explained = client.post("/ask?explain=true", json=question).json()
        assert explained["results"][0]["explanation"] is not None
        assert cache_hits() == before
        assert client.post("/ask", json=question).json()["results"][0]["explanation"] is None
        assert cache_hits() - before == 1
        stream = [client.post("/ask", json=question, headers={"Accept": "text/event-stream"}).text for _ in range(2)]
        assert cache_hits() - before == 3
        assert all(text.count("event: ") == 1 for text in stream)
        right = {"answer_id": again["id"], "useful": True}
        assert client.post("/feedback", json=right).status_code == 201
        folder({"cat.txt": "The cat sleeps in the barn."})
        wait_for(client, build(settings, fake).index_version)
        assert "barn" in str(client.post("/ask", json=question).json()["results"])


def test_the_answer_cache_is_bounded_in_bytes(answerer: QuestionAnswerer) -> None:
    """The least recently used are dropped first; one that is too large is not kept."""
    answer = answerer.ask("where does the whale swim")
    answers = AnswerCache(30_000)
    asked = [AnswerKey("a" * 16, f"question {number}", AskOptions()) for number in range(100)]
    for one in asked:
        answers.keep(one, answer)
    kept = [one for one in asked if answers.get(one) is answer]
    assert 1 < len(kept) < 20
    assert kept == asked[-len(kept) :]
    few = AnswerCache(500)
    few.keep(asked[0], answer)
    assert few.get(asked[0]) is None
