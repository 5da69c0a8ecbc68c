"""The paths below ``/v1``, asked by OpenAI's client."""

import time
from collections.abc import Iterator, Sequence

import httpx2
import openai
import pytest
from conftest import FakeEmbedder, key_for, listening
from starlette.testclient import TestClient

from qa_service.embedding import QuestionEmbedding, Vectors
from qa_service.index import IndexFolder
from qa_service.pipeline import QuestionAnswerer, open_answerer
from qa_service.server.app import create_app
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import Opening
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
    app = create_app(answerer, settings, named={"zoo": Opening(answerer, IndexFolder(settings.index))})
    with listening(app) as port:
        yield f"http://127.0.0.1:{port}"


def test_openais_client_searches(url: str, token: str) -> None:
    """With filters, a threshold, a collection as store; errors are the client's own classes."""
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
    only = client.vector_stores.search(
        "default", query=QUESTION, filters={"type": "and", "filters": [{"type": "eq", "key": "uri", "value": "sea"}]}
    )
    assert {result.filename for result in only.data} == {"sea.txt"}
    high = client.vector_stores.search("default", query=QUESTION, ranking_options={"score_threshold": 0.99})
    assert len(high.data) == 1


def test_openais_client_says_why_it_is_refused(answerer: QuestionAnswerer, settings: Settings) -> None:
    """The message is the detail of the problem document, the code its name."""
    keys = KeyFile(settings.data)
    ours, limited = keys.create("ours"), keys.create("limited", rate="1/hour")
    other = keys.create("another collection", collections=("hr",))
    refusals = (
        ("sk_wrong", "default", 1, openai.AuthenticationError, "unauthorized", "a key is needed"),
        (other, "default", 1, openai.PermissionDeniedError, "forbidden", "not for this collection"),
        (ours, "none", 1, openai.NotFoundError, "not-found", "no vector store of that id"),
        (ours, "default", 51, openai.UnprocessableEntityError, "invalid-request", "less than or equal to 50"),
        (limited, "default", 1, openai.RateLimitError, "too-many-requests", "ask again in"),
    )
    with listening(create_app(answerer, settings)) as port:
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


def assert_error(response: httpx2.Response, status: int) -> None:
    """One body of two shapes: a problem document, and the error of OpenAI's API that says the same."""
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    assert len(response.content) <= 2048
    problem = response.json()
    assert problem.pop("error") == {
        "message": problem["detail"],
        "type": "server_error" if status >= 500 else "invalid_request_error",
        "param": None,
        "code": problem["type"].removeprefix("urn:qa-service:problem:"),
    }
    assert set(problem) == {"type", "title", "status", "detail", "instance", "request_id"}
    assert problem["status"] == status


def test_every_error_below_v1_has_both_shapes(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Whichever layer makes it; elsewhere an error is a problem document alone."""
    headers = key_for(settings, "ask")
    with TestClient(create_app(answerer, settings), base_url="http://localhost") as client:
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


def test_errors_of_the_service_below_v1_have_both_shapes(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A bug, a model that takes too long, an index that failed its self-test."""

    class Broken(FakeEmbedder):
        def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
            if "break" in questions:
                raise RuntimeError("broken")
            if "stuck" in questions:
                time.sleep(1)
            return super().embed_questions(questions)

    class Impostor(FakeEmbedder):
        def _vector(self, text: str) -> Vectors:
            return super()._vector(text[::-1])

    local = settings.model_copy(update={"access": "open", "deadline_seconds": 0.2})
    for embedder, asked in ((Broken(), {"break": 500, "stuck": 504}), (Impostor(), {"cat": 503})):
        app = create_app(open_answerer(local, embedder)[0], local)
        with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
            for query, status in asked.items():
                assert_error(client.post(SEARCH, json={"query": query}), status)


def test_the_protocols_errors_below_v1_have_both_shapes(url: str) -> None:
    """An address that is too long is refused before there is a request."""
    with httpx2.Client() as client:
        assert_error(client.get(f"{url}/v1/{'a' * 9_000}"), 414)
        assert "error" not in client.get(f"{url}/{'a' * 9_000}").json()
