"""Milvus: search, the same answers as from disk, and servers that become unavailable."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import networks
import numpy as np
import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder, Run
from documents import word
from fastapi.testclient import TestClient
from milvus_servers import Server, lite, real
from networks import Machine
from processes import PATIENCE, eventually

from qa_service.datatypes import Answer, AskOptions, AttributeFilter, ComparisonFilter, CompoundFilter, Filters
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.embedding.export import Exporter
from qa_service.errors import IndexMissing, InvalidRequest, ModelChanged, SettingsError, StoreRefused, StoreUnavailable
from qa_service.index.locations import generations_of
from qa_service.index.manifest import data_files
from qa_service.index.milvus import MilvusGenerations
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.connection import WRITING, Address, Connection
from qa_service.index.milvus.filtering import MAX_VALUES
from qa_service.index.milvus.records import MAX_FIELD_BYTES, Records
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.retrieval import DocumentRank
from qa_service.server.app import create_app
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings, load_settings

Write = Callable[[dict[str, str | bytes]], Path]
DOCUMENTS: dict[str, str | bytes] = {
    **TWO_DOCUMENTS,
    "notes/a%b_~c.md": '---\nauthor: Ann "Quick" O\'Hara\n---\n# Rivers\n\nThe river floods the meadow in spring. It '
    "carries sand.\n\n# Lakes\n\nThe lake freezes in winter. Children skate on the lake.\n",
    "korean.txt": "서울은 한국의 수도이다. 부산은 항구 도시이다.\n\nThe ferry leaves 부산 at noon 🚢 every day.\n",
    **{f"more/{at}.txt": f"Farm {at} keeps {at} cows. The barn of farm {at} is red." for at in range(30)},
}
QUESTIONS = (
    "where does the cat sleep",
    "Which river floods the meadow?",
    "부산은 어떤 도시인가",
    "how many cows does farm 7 keep",
    "what colour is the barn",
    "zzz qqq",
    "who skates on the lake",
)
pytestmark = pytest.mark.needs("pymilvus", "milvus_lite")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with lite(tmp_path_factory.mktemp("lite")) as started:
        yield started


@pytest.fixture
def connection(server: Server) -> Iterator[Connection]:
    opened = Connection(Address(server.uri), patience=WRITING)
    yield opened
    opened.close()


@pytest.fixture
def shared(settings: Settings, server: Server, request: pytest.FixtureRequest) -> Settings:
    """Return settings of a part of the server that no other test uses."""
    name = "t" + format(abs(hash(request.node.nodeid)) % 10**9, "d")
    return settings.model_copy(update={"store": "milvus", "milvus_uri": server.uri, "milvus_prefix": name})


def alike(one: Answer, other: Answer) -> None:
    """Expect the same answer, scores to six digits."""
    for left, right in zip(one.results, other.results, strict=True):
        assert left.citation == right.citation
        assert left.scored.passage == right.scored.passage
        assert left.scored.score == pytest.approx(right.scored.score, abs=1e-6)
        # Vectors that differ in the last digit may come in either order.
        explained = [replace(one.scored.explanation, fused=0, dense_rank=None) for one in (left, right)]
        assert explained[0] == explained[1]
    assert one.confidence == pytest.approx(other.confidence, abs=1e-6)
    assert (one.best, one.answerable) == (other.best, other.answerable)
    assert one.index_version == other.index_version


def alike_in_rank(one: DocumentRank, other: DocumentRank) -> None:
    """Expect the same passage at the same rank, behind the same ones, scores to six digits; as above otherwise."""
    assert (one.passage, one.rank, one.lexical_rank) == (other.passage, other.rank, other.lexical_rank)
    assert one.score == pytest.approx(other.score, abs=1e-6)
    for left, right in zip(one.before, other.before, strict=True):
        assert (left.rank, left.passage, left.quote) == (right.rank, right.passage, right.quote)
        assert left.score == pytest.approx(right.score, abs=1e-6)


def both(settings: Settings, fake: FakeEmbedder) -> tuple[QuestionAnswerer, QuestionAnswerer]:
    """Return answerers of the folder and of the server."""
    local = settings.model_copy(update={"store": "faiss"})
    return open_answerer(local, fake)[0], open_answerer(settings, fake)[0]


SHAPES = [(0, 8), (1, 2), (60, 8), (61, 384)]


@pytest.mark.parametrize(("count", "dimension"), SHAPES)
def test_milvus_search_equals_brute_force(connection: Connection, count: int, dimension: int) -> None:
    """Ids and cosines, best first, of all rows and of those that meet a condition."""
    searches_as_brute_force_does(connection, count, dimension)


def searches_as_brute_force_does(connection: Connection, count: int, dimension: int) -> None:
    generator = np.random.default_rng(count)
    vectors = generator.normal(size=(count, dimension)).astype(np.float32) * 7
    ids = np.cumsum(generator.integers(1, 9, size=count))
    name = f"contract_{count}_{dimension}"
    store = MilvusStore.create(connection, name, dimension)
    store.add(ids, vectors)
    store.finish()
    assert len(store) == count
    assert store.counted() == count
    queries = generator.normal(size=(3, dimension)).astype(np.float32)
    scaled = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = queries / np.linalg.norm(queries, axis=1, keepdims=True) @ scaled.T
    expected = np.argsort(-cosines, axis=1)[:, :9]
    found, scores = store.search(queries, 9)
    np.testing.assert_array_equal(found, ids[expected] if count else expected)
    np.testing.assert_allclose(scores, np.take_along_axis(cosines, expected, axis=1), atol=1e-5)
    if count > 9:
        chosen = np.sort(generator.choice(count, 7, replace=False))
        by_condition, _ = store.search(queries[:1], 50, f"id <= {ids[9]}")
        np.testing.assert_array_equal(by_condition[0], ids[:10][np.argsort(-cosines[0, :10])])
        np.testing.assert_allclose(store.vectors(ids[chosen]), scaled[chosen], atol=1e-6)
        assert store.search(queries[:1], 9, "id < 0")[0].shape == (1, 0)


def test_milvus_refuses_invalid_ids_vectors_and_missing_rows(connection: Connection) -> None:
    """Ids that do not increase, vectors without a direction or of another dimension, rows that do not exist."""
    store = MilvusStore.create(connection, "refusals", 3)
    store.add(np.array([3]), np.ones((1, 3), np.float32))
    for ids in ([-1], [3], [5, 5]):
        with pytest.raises(ValueError, match="increasing"):
            store.add(np.array(ids), np.ones((len(ids), 3), np.float32))
    with pytest.raises(ValueError, match="no direction"):
        store.add(np.array([9]), np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match="no direction"):
        store.search(np.full((1, 3), np.nan, np.float32), 1)
    with pytest.raises(ValueError, match="shape"):
        store.search(np.ones((1, 2), np.float32), 1)
    with pytest.raises(ValueError, match="top_k"):
        store.search(np.ones((1, 3), np.float32), 0)
    store.finish()
    with pytest.raises(StoreRefused, match="missing"):
        store.vectors(np.array([3, 4]))


def test_records_hold_any_text(connection: Connection) -> None:
    """Texts of any length and characters; missing keys are absent; pages are in order."""
    odd, long = "한국 \0 \ud800 🚢\"'\\\n" * 50, "".join(map(chr, range(40, 9000))) * 30
    texts = {"a/1": "", "a/2": "=@z", "a/3": odd, "a/4": long}
    records = Records.create(connection, "records")
    records.write(texts.items())
    records.write([("a/1", "written again")])
    records.finish()
    assert records.get([*texts, "none"]) == texts | {"a/1": "written again"}
    assert records.scan("a/") == sorted(texts)
    assert records.scan("a/", "a/2", 1) == ["a/3"]
    assert records.one("none") is None


def test_milvus_answers_equal_those_from_disk(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """Results, citations, scores, confidence, explanations, with every filter, and all other reads."""
    folder(DOCUMENTS)
    build(shared, fake)
    local, remote = both(shared, fake)
    some = local.index.list_documents("", 100)
    filters: list[Filters | None] = [
        None,
        Filters(document_ids=(some[0].id, some[3].id)),
        Filters(path_prefixes=("more/1", "zoo")),
        Filters(path_prefixes=("notes/a%b_~",)),
        Filters(sections=("Lakes", "Dogs")),
        Filters(metadata={"author": ('Ann "Quick" O\'Hara',)}),
        Filters(document_ids=('" or id >= 0 or "',)),
        Filters(path_prefixes=('" or id >= 0 or uri >= "',), sections=("Cats",)),
        Filters(),
        Filters(attributes=ComparisonFilter("title", "eq", ('") or id >= 0 or array_contains_any(metadata, ["',))),
        Filters(attributes=ComparisonFilter("uri", "in", ('"] or id >= 0 or uri in ["', "notes/a%b_~c.md"))),
    ]
    for question in QUESTIONS:
        for chosen_filters in filters:
            alike(
                *(
                    one.ask(question, AskOptions(top_k=4, filters=chosen_filters, explain=True))
                    for one in (local, remote)
                )
            )
        alike_in_rank(*(one.document_rank(question, "sea.txt") for one in (local, remote)))
    assert remote.index.list_documents("", 100) == some
    assert remote.index.list_documents(some[4].id, 3) == some[5:8]
    assert sorted(remote.index.texts()) == sorted(local.index.texts())
    for document in some:
        assert remote.index.document(document.id) == local.index.document(document.id)
        assert remote.index.document_by_uri(document.uri) == local.index.document(document.id)
        assert remote.index.spans(document.id) == local.index.spans(document.id)
        assert remote.index.overlapping(document.id, 5, 9) == local.index.overlapping(document.id, 5, 9)
    assert remote.index.document('x" or "') is None
    assert remote.index.document_by_uri("nowhere") is None
    answer = local.ask(QUESTIONS[0])
    for result in answer.results:
        assert remote.citation(result.citation.permalink) == local.citation(result.citation.permalink)
    assert remote.index.document_holding("Children skate on the lake.") is not None


YEARS = ("2017", "2018.5", "'101'", "unknown", "[2016, 2017]")
REPORTS: dict[str, str | bytes] = {
    f"reports/{number}.md": f"---\nyear: {YEARS[number % 5]}\nday: 2017-0{1 + number % 9}-15\nfinal: "
    f"{number % 2 == 0}\nauthor: {'Kim' if number % 3 else 'Lee'}\n---\n# Report {number}\n\n## Ships\n\nShip "
    f"{number} sails.\n\n## Boats\n\nBoat {number} rests.\n"
    for number in range(20)
} | {"plain.md": "# Plain\n\nA ship without front matter.\n", "a%b_~c.md": '# Odd "path"\n\nA ship.\n'}


def random_filter(generator: random.Random, depth: int) -> AttributeFilter:
    """Return a filter on attributes that the reports have, and values that some of them have."""
    if depth and generator.random() < 0.7:
        parts = tuple(random_filter(generator, depth - 1) for _ in range(generator.randint(1, 3)))
        return CompoundFilter(generator.choice(("and", "or")), parts)
    key, values = generator.choice(
        [
            ("title", ("Report 3", "Report 4", "Plain", 'Odd "path"')),
            ("uri", ("reports/7.md", "plain.md", "a%b_~c.md")),
            ("filename", ("reports/8.md", "none")),
            ("section", ("Ships", "Boats", "none")),
            ("author", ("Kim", "Lee", "Park")),
            ("year", (2017, 2018.5, "2016", 101, "unknown")),
            ("day", ("2017-03-15", "2017-06", "2016")),
            ("final", ("true", "false")),
        ]
    )
    operators: tuple[Any, ...] = ("eq", "ne", "in", "nin")
    if key in {"author", "year", "day"}:
        operators += ("gt", "gte", "lt", "lte")
    operator = generator.choice(operators)
    several = generator.randint(1, 3) if operator in {"in", "nin"} else 1
    return ComparisonFilter(key, operator, tuple(generator.choice(values) for _ in range(several)))


def chosen(answerer: QuestionAnswerer, filters: AttributeFilter, path_prefix: str = "") -> set[tuple[str, str]]:
    """Return document and text of all passages that pass."""
    given = Filters(path_prefixes=(path_prefix,) if path_prefix else (), attributes=filters)
    results = answerer.ask("which ship sails", AskOptions(top_k=50, filters=given)).results
    return {(result.citation.uri, result.scored.passage.text) for result in results}


def filters_choose_as_in_the_folder(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """Compare a hundred filters with all operators; some select all passages, some none, most of them some."""
    folder(REPORTS)
    build(shared, fake)
    local, remote = both(shared, fake)
    generator = random.Random(20261201)
    sizes = set()
    for _ in range(100):
        filters = random_filter(generator, 2)
        passages = chosen(local, filters)
        assert chosen(remote, filters) == passages, filters
        sizes.add(len(passages))
    assert {0, len(local.index)} <= sizes
    assert len(sizes) > 10
    final = ComparisonFilter("final", "eq", ("true",))
    assert chosen(remote, final, "reports/1") == chosen(local, final, "reports/1")
    assert {uri for uri, _ in chosen(remote, final, "reports/1")} == {f"reports/{n}.md" for n in range(10, 20, 2)}
    documents = [document.id for document in local.index.list_documents("", 100)]
    assert remote.index.front_matter(documents) == local.index.front_matter(documents)
    for answerer in (local, remote):
        with pytest.raises(
            InvalidRequest, match="known attributes are title, uri, filename, file_id, section, author, day"
        ):
            chosen(answerer, ComparisonFilter("colour", "eq", ("red",)))


def test_milvus_filters_on_attributes_select_as_on_disk(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """A hundred random filters select the same passages."""
    filters_choose_as_in_the_folder(shared, folder, fake)


def test_an_attribute_with_too_many_values_compares_with_text_only(
    shared: Settings, folder: Write, fake: FakeEmbedder
) -> None:
    """Other comparisons are refused with the reason; attributes with fewer values still compare."""
    many = [f"{number:05}" for number in range(MAX_VALUES + 1)]
    lists = {
        f"many/{start}.md": f"---\nday: [{', '.join(many[start : start + 200])}]\n---\nA raft.\n"
        for start in range(0, len(many), 200)
    }
    folder(REPORTS | lists)
    build(shared, fake)
    local, remote = both(shared, fake)
    for filters in (
        ComparisonFilter("day", "in", ("2017-03-15", "2017-04-15")),
        ComparisonFilter("author", "gt", ("Kim",)),
    ):
        assert chosen(remote, filters) == chosen(local, filters) != set()
    with pytest.raises(InvalidRequest, match="more than 10,000 values"):
        chosen(remote, ComparisonFilter("day", "gt", ("2017-03-15",)))


def test_equal_passages_can_be_published(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """The server finds arbitrary ones of them."""
    copies: dict[str, str | bytes] = {
        f"copy-{number}.txt": "The same terms hold for everybody." for number in range(60)
    }
    folder(copies | {f"{number}.txt": f"Rule {number} is of its own." for number in range(20)})
    build(shared, fake)
    answer = open_answerer(shared, fake)[0].ask("Which terms hold for everybody?")
    assert answer.results[0].scored.passage.text == "The same terms hold for everybody."


def test_values_too_long_for_a_row_are_stored_in_records(shared: Settings, folder: Write, fake: FakeEmbedder) -> None:
    """They come back complete; here a heading is longer than a row may be."""
    raft = (("Heading 1", "Title"), ("Heading 2", "x" * MAX_FIELD_BYTES), ("Normal", "The raft drifts at night."))
    folder(DOCUMENTS | {"long.docx": word(raft)})
    build(shared, fake)
    local, remote = both(shared, fake)
    rows = remote.index.store.rows(np.arange(len(local.index)), ["passage"]).values()
    assert any(row["passage"] == "@" for row in rows)
    for question in (*QUESTIONS, "when does the raft drift"):
        alike(*(one.ask(question, AskOptions(explain=True)) for one in (local, remote)))


def test_publishing_a_generation_hashes_each_of_its_files_once(
    shared: Settings, folder: Write, fake: FakeEmbedder, hashed: Counter[int]
) -> None:
    """A new generation is hashed when it is written, and again when it is opened to calibrate and to publish it."""
    folder(TWO_DOCUMENTS)

    def times() -> set[int]:
        hashed.clear()
        path = shared.index / "generations" / build(shared, fake).index_version
        return {hashed[(path / name).stat().st_ino] for name in data_files(token_vectors=True)}

    assert times() == {2}
    assert times() == {1}


def test_milvus_generations_are_swapped_kept_and_rolled_back(
    shared: Settings, folder: Write, fake: FakeEmbedder
) -> None:
    """Equal documents publish nothing; old generations are deleted; a retired citation still resolves."""
    generations = generations_of(shared)
    with pytest.raises(IndexMissing, match="nothing is published"):
        generations.current_pointer()
    versions = []
    for build_number in range(3):
        folder({"a.txt": f"The cat of build {build_number} sleeps."})
        versions.append(build(shared, fake).index_version)
        assert not build(shared, fake).changed
        assert generations.current_pointer()[0] == versions[-1]
        if build_number == 1:
            old = open_answerer(shared, fake)[0].ask("cat").results[0].citation.permalink
    before = generations.manifest_before(versions[2])
    assert before is not None
    assert before.generation == versions[1]
    assert generations.manifest_before(versions[1]) is None  # two are kept
    answerer = open_answerer(shared, fake)[0]
    assert "build 2" in answerer.ask("cat").results[0].scored.passage.text
    assert answerer.citation(old).state == "changed"
    assert generations.rollback() == versions[1]
    assert "build 1" in open_answerer(shared, fake)[0].ask("cat").results[0].scored.passage.text
    with pytest.raises(IndexMissing, match="older"):
        generations.rollback()
    with pytest.raises(ModelChanged):
        open_answerer(shared, FakeEmbedder(weights="c" * 64))


def test_an_interrupted_publication_changes_nothing(
    shared: Settings, folder: Write, fake: FakeEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old generation keeps answering, and the next build publishes the new one."""
    folder({"a.txt": "The cat of build 0 sleeps."})
    first = build(shared, fake).index_version
    folder({"a.txt": "The cat of build 1 sleeps."})
    for broken in (
        "qa_service.index.milvus.generations.write_records",
        "qa_service.pipeline.QuestionAnswerer.self_test",
    ):
        with monkeypatch.context() as patched:
            patched.setattr(broken, _away)
            with pytest.raises(StoreUnavailable):
                build(shared, fake)
        assert generations_of(shared).current_pointer()[0] == first
    second = build(shared, fake).index_version
    assert generations_of(shared).current_pointer()[0] == second != first


def _away(*_: object, **__: object) -> None:
    raise StoreUnavailable("the vector store does not answer")


def test_passages_are_found_by_vectors_alone_without_bm25(
    shared: Settings,
    folder: Write,
    fake: FakeEmbedder,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """They are still ranked by their words; publishing and opening such a generation are logged."""
    create = MilvusStore.create

    def without(*arguments: Any, words: bool, **named: Any) -> MilvusStore:
        if words:
            raise StoreRefused("no such index")
        return create(*arguments, words=False, **named)

    monkeypatch.setattr(MilvusStore, "create", without)
    folder(DOCUMENTS)
    build(shared, fake)
    local, remote = both(shared, fake)
    answer = remote.ask("where does the cat sleep")
    assert [record.message for record in caplog.records if "no BM25" in record.message] == [
        "the vector store has no BM25, so passages are found by vectors alone ()",
        f"{shared.milvus_alias}_{answer.index_version} has no BM25, so passages are found by vectors alone",
    ]
    assert answer.results[0].scored.scores.lexical
    assert answer.results[0].citation == local.ask("where does the cat sleep").results[0].citation


@contextmanager
def replica(shared: Settings, fake: FakeEmbedder) -> Iterator[TestClient]:
    """Serve as `qa-service serve` does."""
    generations = generations_of(shared)
    answerer, _ = open_answerer(shared, fake, generations)
    opening = ServableIndex(answerer, generations, reopen=lambda: open_answerer(shared, fake, generations))
    app = create_app(shared, opening)
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def followed(settings: Settings, server: Server) -> Settings:
    update = {"store": "milvus", "milvus_uri": server.uri, "reload_seconds": 0.1, "milvus_seconds": 1.0}
    update |= {"deadline_seconds": PATIENCE}
    return settings.model_copy(update=update)


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
        found = client.post("/ask", json={"question": "where does the heron stand"}).json()
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


def swap_under_load(shared: Settings, folder: Write, fake: FakeEmbedder, swaps: int) -> int:
    """Move the alias between two generations while four clients ask two replicas; return how many answers came."""
    kept = shared.model_copy(update={"keep_generations": 10})
    versions = {}
    for name in ("anna", "berta"):
        folder({f"{at}.txt": f"The {word} of build {name} sleeps." for at, word in enumerate(["cat", "dog", "crab"])})
        versions[build(kept, fake).index_version] = name
    generations = generations_of(kept)
    assert isinstance(generations, MilvusGenerations)
    done = False

    def ask(client: TestClient) -> int:
        answers = 0
        while not done:
            response = client.post("/ask", json={"question": "where does the cat sleep", "top_k": 3})
            assert response.status_code == 200, response.text
            body = response.json()
            assert len(body["results"]) == 3
            assert all(f"build {versions[body['index_version']]}" in result["text"] for result in body["results"])
            answers += 1
        return answers

    with replica(kept, fake) as one, replica(kept, fake) as other, ThreadPoolExecutor(4) as threads:
        asking = [threads.submit(ask, client) for client in (one, other, one, other)]
        try:
            for number in range(swaps):
                version = list(versions)[number % 2]
                generations.point_to(version)
                for client in (one, other):
                    eventually(lambda c=client, v=version: c.get("/readyz").json().get("index_version") == v)
        finally:
            done = True
        return sum(future.result() for future in asking)


def test_the_alias_is_swapped_under_load(shared: Settings, server: Server, folder: Write, fake: FakeEmbedder) -> None:
    """Two replicas, four clients: no request fails, no answer mixes generations, both follow."""
    patient = {"reload_seconds": 0.1, "milvus_seconds": PATIENCE, "deadline_seconds": PATIENCE}
    assert swap_under_load(shared.model_copy(update=patient), folder, fake, 4) > 0


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


def test_publishing_waits_while_the_server_makes_progress_with_its_index() -> None:
    """Longer than the limit of a call, and no longer than that without progress."""

    class Slow:
        address = Address("http://nowhere", timeout=0.01)

        def __init__(self, *pending: int) -> None:
            self.pending = list(pending)
            self.called: list[str] = []

        def call(self, method: str, *_: object, **__: object) -> dict[str, int]:
            self.called.append(method)
            last = len(self.pending) == 1
            return {"pending_index_rows": self.pending[0] if last else self.pending.pop(0)}

    slow = Slow(*range(40, -1, -1))
    begun = time.monotonic()
    MilvusStore(slow, "rows", 8).finish(poll_seconds=0.02)  # type: ignore[arg-type]
    assert time.monotonic() - begun > 2 * 0.01 * 30
    assert [slow.called[0], slow.called[-1]] == ["flush", "load_collection"]
    stuck = Slow(9, 7)
    with pytest.raises(StoreUnavailable) as caught:
        MilvusStore(stuck, "rows", 8).finish(poll_seconds=0.02)  # type: ignore[arg-type]
    assert "7 rows are pending" in caught.value.in_full()
    assert "load_collection" not in stuck.called


class Searched:
    """A server with ten rows of cosine 1, some of which it does not find: ``missed`` returns for how many queries."""

    address = Address("http://nowhere", timeout=60)

    def __init__(self, missed: Callable[[int, int], int]) -> None:
        self.asked: list[int] = []
        self._missed = missed

    def call(self, method: str, *_: object, **named: Any) -> Any:
        if method == "describe_index":
            return {"pending_index_rows": 0}
        self.asked.append(named["search_params"]["params"]["ef"])
        missed = self._missed(len(self.asked), self.asked[-1])
        hits = [{"id": number, "distance": 1.0} for number in range(10)]
        worse = [*hits[:9], {"id": 9, "distance": 0.5}]
        return [worse if query < missed else hits for query in range(len(named["data"]))]


def test_rows_that_become_searchable_late_do_not_raise_ef_search() -> None:
    """It is chosen once all rows are searchable; for the largest one the mean recall suffices."""
    queries, expected = np.ones((100, 8), np.float32), np.ones((100, 10), np.float32)
    late = Searched(lambda times, ef: 100 if times < 4 else 8 if ef < 256 else 2)
    store = MilvusStore(late, "rows", 8, 10, exact=False)  # type: ignore[arg-type]
    assert store.settle(queries, expected, poll_seconds=0.001) == pytest.approx(0.998)
    assert (store.ef_search, late.asked) == (256, [2048] * 4 + [64, 128, 256])
    poor = Searched(lambda *_: 8)
    store = MilvusStore(poor, "rows", 8, 10, exact=False)  # type: ignore[arg-type]
    assert store.settle(queries, expected, poll_seconds=0.001) == pytest.approx(0.992)
    assert (store.ef_search, poor.asked) == (2048, [2048, 64, 128, 256, 512, 1024])


def test_the_terminal_shows_why_milvus_is_unavailable(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its address."""
    monkeypatch.setenv("QA_STORE", "milvus")
    monkeypatch.setenv("QA_MILVUS_URI", "http://127.0.0.1:9")
    code, _, err = run("ask", "anything")
    assert code == 5
    assert "http://127.0.0.1:9" in err


def test_a_replica_without_a_build_exports_the_model(
    tmp_path: Path, exports: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once, into its index folder; if that is read-only, it answers with the reference."""
    written: list[str] = []

    def write(_: Exporter, folder: Path, precision: str) -> None:
        written.append(precision)
        shutil.copytree(exports[precision], folder, dirs_exist_ok=True)

    monkeypatch.setattr(Exporter, "write", write)
    shared = load_settings(store="milvus", index=tmp_path / "cache")
    assert "int8" in embedder_to_ask(shared).runtime
    assert "int8" in embedder_to_ask(shared).runtime
    assert "int8" in embedder_to_ask(load_settings(index=tmp_path / "cache")).runtime
    assert written == ["int8"]
    (tmp_path / "file").write_text("no folder")
    assert embedder_to_ask(load_settings(store="milvus", index=tmp_path / "file")).runtime.startswith("torch")


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


def test_aliases_are_valid_names_and_the_token_is_not_shown() -> None:
    """Each collection has an alias of its own."""
    token = "root:" + "s" * 20
    settings = load_settings(collections=("hr", "a-b", "a_b"), milvus_token=token)
    aliases = [own.milvus_alias for own in (settings, *settings.by_collection().values())]
    assert aliases == ["qa_default", "qa_hr", "qa_aHb", "qa_a_b"]
    assert token not in repr(settings)
    with pytest.raises(SettingsError, match="not shown"):
        load_settings(milvus_token=f"{token} {token}")


def test_an_alias_on_a_foreign_collection_is_an_error(shared: Settings, connection: Connection) -> None:
    """The error says how to fix it."""
    MilvusStore.create(connection, "strange", 4).finish()
    connection.call("create_alias", "strange", shared.milvus_alias)
    from qa_service.errors import IndexCorrupt

    with pytest.raises(IndexCorrupt, match="no build wrote"):
        MilvusGenerations(connection, shared.milvus_alias).current_id()
