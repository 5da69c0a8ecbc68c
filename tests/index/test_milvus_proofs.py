"""Proofs on a standalone server of Milvus, in networks of its own."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import networks
import pytest
from conftest import FakeEmbedder
from fastapi.testclient import TestClient
from milvus_index import (
    DOCUMENTS,
    QUESTIONS,
    SHAPES,
    Write,
    both,
    filters_choose_as_in_the_folder,
    followed,
    replica,
    searches_as_brute_force_does,
    swap_under_load,
)
from milvus_servers import Server, real
from networks import Machine
from processes import PATIENCE, eventually

from qa_service.embedding.choose import embedder_to_build
from qa_service.errors import StoreRefused, StoreUnavailable
from qa_service.index.milvus.connection import WRITING, Address, Connection
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings, load_settings

pytestmark = pytest.mark.needs("pymilvus", "milvus_lite")


@pytest.fixture(scope="module")
def real_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with networks.machines(1) as (machine,), real(tmp_path_factory.mktemp("real"), machine) as started:
        yield started


@pytest.mark.proof
@pytest.mark.needs("milvus", "ip", "root")
def test_proof_real_milvus_search_equals_brute_force(
    real_server: Server, record_property: Callable[[str, object], None]
) -> None:
    """The contract, on a standalone server of Milvus 2.3.5."""
    connection = Connection(Address(real_server.uri), patience=WRITING)
    for shape in SHAPES:
        searches_as_brute_force_does(connection, *shape)
    record_property("figure", f"{len(SHAPES)} collections on Milvus 2.3.5: ids and scores as by brute force")


@pytest.mark.proof
@pytest.mark.needs("milvus", "ip", "root")
def test_proof_real_milvus_filters_select_as_on_disk(
    settings: Settings,
    real_server: Server,
    folder: Write,
    fake: FakeEmbedder,
    record_property: Callable[[str, object], None],
) -> None:
    """The same passages, whatever the filter."""
    own = settings.model_copy(update={"store": "milvus", "milvus_uri": real_server.uri, "milvus_prefix": "filters"})
    filters_choose_as_in_the_folder(own, folder, fake)
    record_property("figure", "100 filters on Milvus 2.3.5: the passages that pass in the folder, and no others")


@pytest.mark.proof
@pytest.mark.needs("milvus", "ip", "root")
def test_proof_real_milvus_is_swapped_under_load(
    real_server: Server,
    settings: Settings,
    folder: Write,
    fake: FakeEmbedder,
    record_property: Callable[[str, object], None],
) -> None:
    """Thirty swaps between two replicas and four clients."""
    answers = swap_under_load(followed(settings, real_server), folder, fake, 30)
    record_property("figure", f"30 alias swaps, 2 replicas, 4 clients, {answers} answers of one generation, 0 failed")


@pytest.mark.proof
@pytest.mark.needs("milvus", "ip", "root")
def test_proof_real_milvus_is_killed_under_load(
    real_server: Server,
    settings: Settings,
    folder: Write,
    fake: FakeEmbedder,
    record_property: Callable[[str, object], None],
) -> None:
    """Kill -9 while four clients ask: 200 or 503, none later than the deadline; all rows are there afterwards."""
    folder(DOCUMENTS)
    shared = followed(settings, real_server)
    passages = build(shared, fake).passages
    done, slowest = False, 0.0
    codes: Counter[int] = Counter()

    def ask(client: TestClient, seed: int) -> None:
        nonlocal slowest
        number = 0
        while not done:
            number += 1
            started = time.monotonic()
            response = client.post("/ask", json={"question": f"how many cows does farm {number} {seed} keep"})
            slowest = max(slowest, time.monotonic() - started)
            codes[response.status_code] += 1
            if response.status_code != 200:
                time.sleep(0.05)

    with replica(shared, fake) as client, ThreadPoolExecutor(4) as threads:
        before = client.post("/ask", json={"question": "how many cows does farm 7 keep"}).json()
        asking = [threads.submit(ask, client, seed) for seed in range(4)]
        time.sleep(2)
        real_server.kill()
        time.sleep(10)
        started = time.monotonic()
        real_server.start(seconds=300)
        eventually(lambda: client.get("/readyz").status_code == 200)
        back = time.monotonic() - started
        done = True
        for future in asking:
            future.result()
        after = client.post("/ask", json={"question": "how many cows does farm 7 keep"}).json()
    assert set(codes) == {200, 503}
    assert slowest < shared.deadline_seconds
    assert after["results"] == before["results"]
    assert open_answerer(shared, fake)[0].index.store.counted() == passages
    figure = f"{codes[200]} answers, {codes[503]} times 503, slowest {slowest:.1f} s"
    record_property("figure", f"{figure}; available {back:.0f} s after its start, {passages} of {passages} rows")


@pytest.mark.proof
@pytest.mark.needs("milvus", "ip", "root")
def test_proof_two_replicas_on_machines_of_their_own(
    tmp_path: Path, folder: Write, exported_models: Path, record_property: Callable[[str, object], None]
) -> None:
    """Both answer alike and follow a new generation under load; one that is cut off from the store says so, alone."""
    folder({**DOCUMENTS, "new.txt": "nothing yet"})
    with networks.machines(3) as (store, *replicas), real(tmp_path, store) as server:
        settings = load_settings(
            source=tmp_path / "source", index=tmp_path / "ix", store="milvus", milvus_uri=server.uri, runtime="int8"
        )
        shutil.copytree(exported_models, settings.index / "models")
        embedder = embedder_to_build(settings)
        first = build(settings, embedder).index_version
        started = [_serve(machine, tmp_path / machine.space, exported_models, server) for machine in replicas]
        try:
            for machine in replicas:
                eventually(lambda machine=machine: _ask(machine, "x")[0] == 200)
            answers = [[_ask(machine, question)[1] for machine in replicas] for question in QUESTIONS]
            local = open_answerer(settings.model_copy(update={"store": "faiss"}), embedder)[0]
            for question, (one, other) in zip(QUESTIONS, answers, strict=True):
                assert one["results"] == other["results"]
                here = [result.citation.quote for result in local.ask(question).results]
                assert [result["citation"]["quote"] for result in one["results"]] == here
            done = False
            seen: Counter[tuple[int, str]] = Counter()

            def asking(machine: Machine) -> None:
                while not done:
                    code, answer = _ask(machine, "who carries the lantern")
                    seen[code, answer.get("index_version", "")] += 1

            with ThreadPoolExecutor(4) as threads:
                futures = [threads.submit(asking, machine) for machine in (*replicas, *replicas)]
                folder({"new.txt": "The night watchman carries the lantern."})
                second = build(settings, embedder).index_version
                eventually(lambda: all(_ask(machine, "x")[1].get("index_version") == second for machine in replicas))
                done = True
                for future in futures:
                    future.result()
            assert set(seen) == {(200, first), (200, second)}
            cut, whole = replicas
            cut.disconnect()
            eventually(lambda: _ask_within(cut)[0] == 503)
            slowest, codes = 0.0, Counter()
            for _ in range(20):
                begun = time.monotonic()
                code, problem = _ask_within(cut)
                slowest = max(slowest, time.monotonic() - begun)
                codes[code, problem.get("type", "").rpartition(":")[2]] += 1
                assert _ask(whole, "who carries the lantern")[0] == 200
            assert set(codes) == {(503, "store-unavailable")}
            cut.reconnect()
            begun = time.monotonic()
            eventually(lambda: _ask(cut, "who carries the lantern")[0] == 200)
            back = time.monotonic() - begun
        finally:
            for process in started:
                networks.kill_session(process)
    figure = (
        f"{sum(seen.values())} answers during a swap, 0 failed; "
        f"one replica disconnected: 503 to 20 of 20 requests, slowest {slowest:.1f} s, 200 from the other"
    )
    record_property(
        "figure",
        f"2 replicas and a store, each in its own network: {figure}; available {back:.1f} s after reconnecting",
    )


def _serve(machine: Machine, folder: Path, models: Path, server: Server) -> "subprocess.Popen[bytes]":
    shutil.copytree(models, folder / "ix/models")
    own = {"QA_STORE": "milvus", "QA_MILVUS_URI": server.uri, "QA_RUNTIME": "int8", "QA_ALLOWED_HOSTS": "*"}
    environment = {**os.environ, **own, "QA_INDEX": str(folder / "ix"), "QA_VISITOR_RATE": "1000000/minute"}
    with (folder / "log").open("wb") as log:
        command = (sys.executable, "-m", "qa_service", "serve", "--host", "0.0.0.0", "--open")
        return machine.start(*command, env=environment, cwd=folder, stdout=log, stderr=log)


def _ask(machine: Machine, question: str) -> tuple[int, dict[str, Any]]:
    """Ask a replica over the network; 0 if it can't be reached."""
    try:
        with httpx2.Client(timeout=PATIENCE) as client:
            response = client.post(f"http://{machine.address}:8000/ask", json={"question": question})
    except httpx2.TransportError:
        return 0, {}
    return response.status_code, response.json()


def _ask_within(machine: Machine) -> tuple[int, dict[str, Any]]:
    """Ask a replica that is cut off from within its machine."""
    code = (
        "import http.client, json; it = http.client.HTTPConnection('127.0.0.1', 8000, timeout=15); "
        "it.request('POST', '/ask', '{\"question\": \"who has a lantern\"}', {'Content-Type': 'application/json'}); "
        "got = it.getresponse(); print(json.dumps([got.status, json.loads(got.read())]))"
    )
    done = subprocess.run(machine.command(sys.executable, "-c", code), capture_output=True, text=True, check=True)
    status, body = json.loads(done.stdout)
    return status, body


@pytest.mark.proof
@pytest.mark.needs("milvus", "ip", "root")
def test_proof_real_milvus_with_tls_and_a_token(
    tmp_path: Path,
    settings: Settings,
    folder: Write,
    fake: FakeEmbedder,
    record_property: Callable[[str, object], None],
) -> None:
    """The answers are those of the folder; another authority, no TLS or another token is refused in time."""
    import trustme

    folder(DOCUMENTS)
    known, unknown = trustme.CA(), trustme.CA()
    for name, authority in (("known", known), ("unknown", unknown)):
        authority.cert_pem.write_to_path(tmp_path / f"{name}.pem")
    with networks.machines(1) as (machine,):
        certificate = known.issue_cert(machine.address)
        certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(tmp_path / "server.pem", append=True)
        flags = ("--tls-mode", "1", "--server-pem-path", str(tmp_path / "server.pem"), "--server-key-path")
        flags = (*flags, str(tmp_path / "key.pem"), "--authorization-enabled", "true")
        token = "root:Milvus"  # noqa: S105 - the one that the server comes with
        with real(tmp_path, machine, *flags, token=token, authority=tmp_path / "known.pem") as server:
            own = {"store": "milvus", "milvus_uri": server.uri, "milvus_token": token, "milvus_seconds": 5}
            shared = settings.model_copy(update={**own, "milvus_ca": str(tmp_path / "known.pem")})
            passages = build(shared, fake).passages
            local, remote = both(shared, fake)
            for question in QUESTIONS:
                assert remote.ask(question).index_version == local.index.generation
            wrong = {
                "another authority": {"milvus_ca": str(tmp_path / "unknown.pem")},
                "no TLS": {"milvus_uri": server.uri.replace("https", "http"), "milvus_ca": ""},
                "another token": {"milvus_token": "root:guess"},
                "no token": {"milvus_token": ""},
            }
            slowest = 0.0
            for change in wrong.values():
                begun = time.monotonic()
                with pytest.raises((StoreUnavailable, StoreRefused)):
                    open_answerer(shared.model_copy(update=change), fake)
                slowest = max(slowest, time.monotonic() - begun)
            assert slowest < 10
    figure = f"Milvus 2.3.5 over TLS, with a token: {passages} passages published and asked; refused within "
    record_property("figure", f"{figure}{slowest:.1f} s: {', '.join(wrong)}")
