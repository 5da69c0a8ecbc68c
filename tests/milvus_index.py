"""Fixtures and comparisons for the tests of an index in Milvus."""

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder
from fastapi.testclient import TestClient
from milvus_servers import Server, lite
from processes import PATIENCE, eventually

from qa_service.datatypes import Answer, AskOptions, AttributeFilter, ComparisonFilter, CompoundFilter, Filters
from qa_service.errors import InvalidRequest
from qa_service.index.locations import generations_of
from qa_service.index.milvus import MilvusGenerations
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.connection import WRITING, Address, Connection
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.retrieval import DocumentRank
from qa_service.server.app import create_app
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

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


@pytest.fixture(scope="session")
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
