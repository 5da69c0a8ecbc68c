"""The routes below ``/v1``, called by OpenAI's client."""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import httpx2
import pytest
from conftest import FakeEmbedder, HeldEmbedder, app_for, key_for, listening, settings_below, write_files
from processes import PATIENCE
from starlette.testclient import TestClient

from qa_service.datatypes import ComparisonFilter, FloatArray
from qa_service.embedding import QuestionEmbedding
from qa_service.index.attributes import meeting
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

QUESTION = "where does the cat sleep"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"access": "keys"})


@pytest.fixture
def token(settings: Settings) -> str:
    return key_for(settings, "ask")["Authorization"].removeprefix("Bearer ")


@pytest.fixture
def url(token: str, answerer: QuestionAnswerer, settings: Settings) -> Iterator[str]:
    """Serve on a free port, with a collection that has a name."""
    app = app_for(answerer, settings, named={"zoo": ServableIndex(answerer, IndexFolder(settings.index))})
    with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


def compare(operator: str, key: str, value: object) -> dict[str, Any]:
    return {"type": operator, "key": key, "value": value}


def eq(key: str, value: object) -> dict[str, Any]:
    return compare("eq", key, value)


def every(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "and", "filters": list(filters)}


def some(*filters: dict[str, Any]) -> dict[str, Any]:
    return {"type": "or", "filters": list(filters)}


@pytest.mark.needs("openai")
def test_openais_client_searches(url: str, token: str) -> None:
    """With filters, a threshold and a collection as store; errors raise the client's exceptions."""
    import openai

    client = openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0)
    for store in ("default", "zoo"):
        page = client.vector_stores.search(store, query=QUESTION, max_num_results=2)
        assert page.search_query == [QUESTION]
        first = page.data[0]
        assert first.filename == "zoo/animals.md"
        assert first.content[0].text.startswith("The cat sleeps")
        assert first.attributes is not None
        assert first.attributes["quote"] == "The cat sleeps on the warm mat."
        assert 0 <= first.score <= 1
        assert [result.file_id for result in client.vector_stores.search(store, query=[QUESTION])]
    only = client.vector_stores.search("default", query=QUESTION, filters=eq("uri", "sea.txt"))
    assert {result.filename for result in only.data} == {"sea.txt"}
    high = client.vector_stores.search("default", query=QUESTION, ranking_options={"score_threshold": 0.99})
    assert len(high.data) == 1


@pytest.mark.needs("openai")
def test_openais_client_raises_with_the_reason(answerer: QuestionAnswerer, settings: Settings) -> None:
    """The message is the detail of the problem document, the code its slug."""
    import openai

    keys = KeyFile(settings.data)
    ours, limited = keys.create("ours"), keys.create("limited", rate="1/hour")
    other = keys.create("another collection", collections=("hr",))
    refusals = (
        ("sk_wrong", "default", 1, openai.AuthenticationError, "unauthorized", "a valid key is needed"),
        (other, "default", 1, openai.PermissionDeniedError, "forbidden", "not for this collection"),
        (ours, "none", 1, openai.NotFoundError, "not-found", "no vector store has this id"),
        (ours, "default", 51, openai.UnprocessableEntityError, "invalid-request", "less than or equal to 50"),
        (limited, "default", 1, openai.RateLimitError, "too-many-requests", "ask again in"),
    )
    with listening(app_for(answerer, settings)) as port:
        for key, store, results, expected, code, words in refusals:
            with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=key, max_retries=0) as client:
                if key == limited:
                    client.vector_stores.search(store, query=QUESTION)
                with pytest.raises(expected) as caught:
                    client.vector_stores.search(store, query=QUESTION, max_num_results=results)
            assert words in caught.value.message
            assert (caught.value.code, caught.value.type) == (code, "invalid_request_error")
            assert caught.value.response.headers["content-type"] == "application/problem+json"


SEARCH = "/v1/vector_stores/default/search"
REPORTS: dict[str, str | bytes] = {
    "one.md": "---\nyear: 2017\nday: 2017-03-06\nfinal: true\nauthor: Kim\ntags: [navy, sea]\n---\n# One\n\n"
    "## Ships\n\nA ship sails at dawn.\n\n## Boats\n\nA boat sails at noon.\n",
    "two.md": "---\nyear: 2018.5\nday: 2018-11-30\nfinal: false\nauthor: Lee\ntags: [air]\n---\n# Two\n\n"
    "## Ships\n\nA ship rests in the port.\n",
    "three.md": "---\nyear: '101'\nauthor: Kim\n---\n# Three\n\nA ship is built of steel.\n",
    "four.md": "# Four\n\nA ship is sold at night.\n",
}
ALL = set(REPORTS)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Serve documents with front matter, without keys; no test changes them."""
    local, fake = settings_below(tmp_path_factory.mktemp("reports")), FakeEmbedder()
    write_files(local.source, REPORTS)
    build(local, fake)
    with TestClient(app_for(open_answerer(local, fake)[0], local), base_url="http://localhost") as client:
        yield client


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (eq("title", "Two"), {"two.md"}),
        (compare("ne", "title", "Two"), ALL - {"two.md"}),
        (eq("filename", "one.md"), {"one.md"}),
        (compare("nin", "filename", ["one.md", "four.md"]), {"two.md", "three.md"}),
        (compare("in", "uri", ["one.md", "none.md"]), {"one.md"}),
        (compare("ne", "file_id", "none"), ALL),
        (eq("section", "Boats"), {"one.md"}),
        (compare("ne", "section", "Ships"), {"one.md", "three.md", "four.md"}),
        (eq("author", "Kim"), {"one.md", "three.md"}),
        (compare("in", "author", ["Lee", "Park"]), {"two.md"}),
        (compare("nin", "author", ["Lee", "Park"]), ALL - {"two.md"}),
        (eq("tags", "sea"), {"one.md"}),
        (compare("ne", "tags", "sea"), ALL - {"one.md"}),
        (eq("year", 2017), {"one.md"}),
        (eq("year", 2017.0), {"one.md"}),
        (eq("year", "2017"), {"one.md"}),
        (compare("in", "year", [2018.5, "101"]), {"two.md", "three.md"}),
        (compare("gt", "year", 101), {"one.md", "two.md"}),
        (compare("gte", "year", 101), {"one.md", "two.md", "three.md"}),
        (compare("lt", "year", 2017), {"three.md"}),
        (compare("lte", "year", 2.017e3), {"one.md", "three.md"}),
        (compare("ne", "year", 2017), ALL - {"one.md"}),
        (compare("gt", "author", 5), set()),
        (compare("gte", "day", "2018-01-01"), {"two.md"}),
        (compare("lt", "day", "2018-01-01"), {"one.md"}),
        (eq("final", True), {"one.md"}),
        (compare("ne", "final", True), ALL - {"one.md"}),
        (eq("final", "false"), {"two.md"}),
        (every(eq("author", "Kim"), compare("gt", "year", 2000)), {"one.md"}),
        (some(eq("title", "Four"), compare("lt", "year", 2000)), {"three.md", "four.md"}),
        (some(eq("title", "Four"), every(eq("author", "Kim"), eq("section", "Boats"))), {"four.md", "one.md"}),
        (
            every(some(eq("section", "Ships"), eq("title", "Three")), compare("ne", "author", "Lee")),
            {"one.md", "three.md"},
        ),
    ],
)
def test_a_filter_returns_exactly_the_matching_passages(
    filters: dict[str, Any], expected: set[str], reports: TestClient
) -> None:
    """Numbers compare as numbers if the front matter has one, else as text; a missing attribute equals nothing."""
    response = reports.post(SEARCH, json={"query": "a ship", "max_num_results": 50, "filters": filters})
    assert response.status_code == 200, response.text
    assert {result["filename"] for result in response.json()["data"]} == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(("5", 5), ("5.0", 5), ("+5", 5), ("05", 5), ("-5", -5), (".5", 0.5), ("5.", 5), ("5e1", 50), ("-0", 0)),
        *((text, None) for text in ("", "5 ", "5,0", "1_000", "nan", "inf", "0x5", "five", "٥", "5" * 65, "5-6")),
    ],
)
def test_only_plain_ascii_decimals_compare_as_numbers(text: str, number: float | None) -> None:
    """Other spellings that Python accepts do not."""
    assert meeting(ComparisonFilter("key", "gte", (-1e9,)))(text) is (number is not None)
    if number is not None:
        assert meeting(ComparisonFilter("key", "eq", (float(number),)))(text)
        assert not meeting(ComparisonFilter("key", "gt", (float(number),)))(text)


def test_filters_on_sections_choose_passages(reports: TestClient) -> None:
    """Only those of the section, not others of the same document."""
    for filters, texts in (
        (every(eq("title", "One"), eq("section", "Boats")), ["A boat sails at noon."]),
        (every(eq("title", "One"), compare("ne", "section", "Boats")), ["A ship sails at dawn."]),
    ):
        data = reports.post(SEARCH, json={"query": "a ship", "filters": filters}).json()["data"]
        assert [result["content"][0]["text"] for result in data] == texts


def nested(depth: int) -> dict[str, Any]:
    return eq("title", "One") if depth == 1 else every(nested(depth - 1))


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        (
            eq("colour", "red"),
            "known attributes are title, uri, filename, file_id, section, author, day, final, tags, year",
        ),
        (eq("quote", "A ship"), "no document has this attribute"),
        (every(eq("title", "One"), eq("colour", "red")), "no document has this attribute"),
        (compare("gt", "title", "A"), "only support eq, ne, in and nin"),
        (eq("section", 5), "nin, with text"),
        (compare("in", "title", ["One", 5]), "nin, with text"),
        (compare("in", "author", "Kim"), "`in` and `nin` need a list"),
        (compare("eq", "author", ["Kim"]), "`in` and `nin` need a list"),
        (compare("in", "author", []), "at least 1 item"),
        (compare("gt", "final", True), "true and false have no order"),
        (compare("like", "author", "K"), "one of eq, ne, gt, gte, lt, lte, in, nin, and, or"),
        ({"type": "not", "filters": []}, "one of eq, ne, gt, gte, lt, lte, in, nin, and, or"),
        ({"type": ["eq"], "key": "author", "value": "Kim"}, "one of eq, ne"),
        (every(), "at least 1 item"),
        (eq("author", None), "filters: "),
        (eq("author", {"eq": "Kim"}), "filters: "),
        (eq("year", 10**400), "filters: "),
        (eq("author", "x" * 501), "at most 500 characters"),
        (eq("author", "Kim") | {"more": 1}, "an unknown field in filters; "),
        (nested(6), "at most 50 comparisons, nested 5 deep"),
        (every(*(eq("title", str(n)) for n in range(51))), "filters: List should have at most 50 items"),
        (some(*(every(*(eq("title", str(n)) for n in range(20))) for _ in range(3))), "at most 50 comparisons"),
        ([], "one of eq, ne"),
        ("title = One", "one of eq, ne"),
    ],
)
def test_a_meaningless_filter_is_refused_with_the_reason(filters: object, words: str, reports: TestClient) -> None:
    """It never returns an empty result."""
    response = reports.post(SEARCH, json={"query": "a ship", "filters": filters})
    assert_error(response, 422)
    assert words in response.json()["detail"]


@pytest.mark.parametrize("depth", [6, 100, 300, 500, 2000])
def test_a_filter_that_is_too_deep_is_refused(depth: int, reports: TestClient) -> None:
    """At any depth; at some depth JSON itself is refused."""
    inner = json.dumps(eq("title", "One"))
    filters = '{"type":"and","filters":[' * depth + inner + "]}" * depth
    body = '{"query":"a ship","filters":' + filters + "}"
    response = reports.post(SEARCH, content=body, headers={"Content-Type": "application/json"})
    assert_error(response, 422 if depth < 400 else response.status_code)
    assert response.status_code in {400, 422}


def test_filters_may_reach_the_documented_limits(reports: TestClient) -> None:
    """Five levels; fifty comparisons."""
    for filters in (nested(5), some(*(eq("title", name) for name in ["One"] * 50))):
        data = reports.post(SEARCH, json={"query": "a ship", "filters": filters}).json()["data"]
        assert {result["filename"] for result in data} == {"one.md"}


def test_results_have_the_attributes_that_filters_match(reports: TestClient) -> None:
    """A filter on any attribute that does not depend on the question finds the result again."""
    about_the_question = {"quote", "url", "start_char", "end_char", "confidence"}
    for result in reports.post(SEARCH, json={"query": "a ship sails"}).json()["data"]:
        attributes = result["attributes"] | {"file_id": result["file_id"], "filename": result["filename"]}
        assert {"title", "uri"} <= set(attributes)
        for key in set(attributes) - about_the_question:
            filters = eq(key, attributes[key])
            found = reports.post(SEARCH, json={"query": "a ship sails", "filters": filters}).json()["data"]
            assert result["content"] in [one["content"] for one in found], key
    first = reports.post(SEARCH, json={"query": "a boat sails"}).json()["data"][0]["attributes"]
    assert (first["title"], first["section"], first["year"], first["final"]) == ("One", "Boats", "2017", "true")
    assert "tags" not in first


def test_several_queries_are_merged(reports: TestClient) -> None:
    """Each passage once with its best score, best first, up to the limit."""

    def search(query: object, results: int = 10) -> list[tuple[float, str]]:
        body = reports.post(SEARCH, json={"query": query, "max_num_results": results}).json()
        assert body["search_query"] == ([query] if isinstance(query, str) else query)
        return [(one["score"], one["content"][0]["text"]) for one in body["data"]]

    queries = ["a boat at noon", "steel", "a ship at night"]
    best: dict[str, float] = {}
    for score, text in (found for query in queries for found in search(query)):
        best[text] = max(score, best.get(text, 0))
    merged = search(queries)
    assert {text: score for score, text in merged} == best
    assert [score for score, _ in merged] == sorted(best.values(), reverse=True)
    assert len(merged) == len({text for _, text in merged}) == 5
    assert search(queries, 2) == merged[:2]
    assert search(["steel"]) == search("steel")
    assert_error(reports.post(SEARCH, json={"query": ["a ship"] * 9}), 422)
    assert_error(reports.post(SEARCH, json={"query": []}), 422)


def test_each_query_counts_towards_the_rate_limit(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Like the questions of a batch."""
    token = KeyFile(settings.data).create("limited", rate="5/hour")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        client.headers["Authorization"] = f"Bearer {token}"
        assert client.post(SEARCH, json={"query": ["cat", "dog", "whale"]}).status_code == 200
        assert_error(client.post(SEARCH, json={"query": ["cat", "dog", "whale"]}), 429)


def assert_error(response: httpx2.Response, status: int) -> None:
    """One body of two shapes: a problem document, and the error of OpenAI's API that says the same."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert len(response.content) <= 2048
    problem = response.json()
    error = problem.pop("error")
    assert error == {
        "message": problem["detail"],
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "param": error["param"],
        "code": problem["type"].removeprefix("urn:qa-service:problem:"),
    }
    assert set(problem) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert problem["status"] == status


def test_every_error_below_v1_is_a_problem_document_with_openais_error(
    answerer: QuestionAnswerer, settings: Settings
) -> None:
    """From every layer; errors elsewhere are problem documents only."""
    headers = key_for(settings, "ask")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        assert_error(client.post(SEARCH, json={"query": "cat"}), 401)
        assert_error(client.post(SEARCH, json={"query": "cat"}, headers=key_for(settings, "feedback")), 401)
        client.headers |= headers
        json_type = {"Content-Type": "application/json"}
        assert_error(client.post(SEARCH, content=b"{", headers=json_type), 400)
        assert_error(client.get("/v1/none"), 404)
        assert_error(client.put(SEARCH), 405)
        assert_error(client.post(SEARCH, content=b" " * (settings.max_body_bytes + 1), headers=json_type), 413)
        assert_error(client.post(SEARCH, content=b"{}", headers={"Content-Type": "text/plain"}), 415)
        assert_error(client.post(SEARCH, json={}), 422)
        assert_error(client.post(SEARCH, json={"query": "cat"}, headers={"Host": "evil.example"}), 400)
        preflight = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        assert_error(client.options(SEARCH, headers=preflight), 403)
        assert "error" not in client.post("/ask", json={}).json()
        assert "error" not in client.get("/none").json()


def test_server_errors_below_v1_have_openais_error(answerer: QuestionAnswerer, settings: Settings) -> None:
    """An unexpected exception, a slow model, an index that failed its self-test."""

    class Broken(FakeEmbedder):
        def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
            if "break?" in questions:
                raise RuntimeError("broken")
            return super().embed_questions(questions)

    class Impostor(FakeEmbedder):
        def _vector(self, text: str) -> FloatArray:
            return super()._vector(text[::-1])

    local = settings.model_copy(update={"access": "open"})
    hasty = local.model_copy(update={"deadline_seconds": 0.2})
    held = HeldEmbedder()
    for embedder, own, query, status in (
        (Broken(), local, "break", 500),
        (held, hasty, "stuck", 504),
        (Impostor(), local, "cat", 503),
    ):
        app = app_for(open_answerer(own, embedder)[0], own)
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
            held.go.clear()
            assert_error(client.post(SEARCH, json={"query": query}), status)
            held.go.set()


def test_a_too_long_url_below_v1_has_openais_error(url: str) -> None:
    """The protocol refuses it."""
    with httpx2.Client(timeout=PATIENCE) as client:
        assert_error(client.get(f"{url}/v1/{'a' * 9_000}"), 414)
        assert "error" not in client.get(f"{url}/{'a' * 9_000}").json()


@pytest.mark.needs("openai")
def test_openais_client_lists_stores_files_and_models(url: str, token: str, answerer: QuestionAnswerer) -> None:
    """Lists are ordered by id, a page at a time; single ones can be read."""
    import openai

    manifest = answerer.index.manifest
    with openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0) as client:
        stores = list(client.vector_stores.list())
        assert [store.id for store in stores] == ["default", "zoo"]
        assert [store.id for store in client.vector_stores.list(limit=1)] == ["default", "zoo"]
        assert [store.id for store in client.vector_stores.list(after="default")] == ["zoo"]
        store = client.vector_stores.retrieve("zoo")
        assert store == stores[1]
        assert (store.object, store.name, store.status) == ("vector_store", "zoo", "completed")
        counts = store.file_counts
        assert (counts.completed, counts.failed, counts.in_progress, counts.total) == (2, 0, 0, 2)
        assert store.created_at == int(datetime.fromisoformat(manifest.created_at).timestamp())
        assert store.usage_bytes == sum(entry.bytes for entry in manifest.files.values())
        assert store.metadata == {"index_version": answerer.index.generation}

        page = client.vector_stores.files.list("zoo", limit=1)
        assert (len(page.data), page.has_more) == (1, True)
        files = list(client.vector_stores.files.list("zoo", limit=1))
        assert [file.id for file in files] == [document.id for document in answerer.index.list_documents("", 9)]
        assert {file.attributes["uri"] for file in files if file.attributes} == {"zoo/animals.md", "sea.txt"}
        assert client.vector_stores.files.retrieve(files[1].id, vector_store_id="zoo") == files[1]
        assert (files[0].object, files[0].status, files[0].vector_store_id) == ("vector_store.file", "completed", "zoo")
        assert list(client.vector_stores.files.list("zoo", filter="completed")) == files
        assert list(client.vector_stores.files.list("zoo", filter="failed")) == []
        found = client.vector_stores.search("zoo", query=QUESTION)
        assert {result.file_id for result in found} <= {file.id for file in files}

        models = list(client.models.list())
        names = ["default", "zoo", answerer.embedder.identity.name]
        assert [(model.id, model.object) for model in models] == [(name, "model") for name in names]
        for missing in (
            lambda: client.vector_stores.retrieve("none"),
            lambda: client.vector_stores.files.list("none"),
            lambda: client.vector_stores.files.retrieve("none", vector_store_id="zoo"),
        ):
            with pytest.raises(openai.NotFoundError):
                missing()
        with pytest.raises(openai.UnprocessableEntityError):
            client.vector_stores.list(limit=101)


def test_a_key_lists_only_its_own_collections(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Others are neither listed nor readable."""
    key = KeyFile(settings.data).create("hr", collections=("hr",))
    named = {name: ServableIndex(answerer, IndexFolder(settings.index)) for name in ("hr", "legal")}
    with TestClient(app_for(answerer, settings, named=named), base_url="http://localhost") as client:
        assert_error(client.get("/v1/vector_stores"), 401)
        assert_error(client.get("/v1/models"), 401)
        client.headers["Authorization"] = f"Bearer {key}"
        listed = client.get("/v1/vector_stores").json()
        assert [store["id"] for store in listed.pop("data")] == ["hr"]
        assert listed == {"object": "list", "first_id": "hr", "last_id": "hr", "has_more": False}
        assert client.get("/v1/vector_stores?after=hr").json()["data"] == []
        assert client.get("/v1/models").json()["data"]
        for path in ("", "/files", "/files/none"):
            assert client.get(f"/v1/vector_stores/hr{path}").status_code == (404 if path.endswith("none") else 200)
            assert_error(client.get(f"/v1/vector_stores/legal{path}"), 403)
            assert_error(client.get(f"/v1/vector_stores/default{path}"), 403)
