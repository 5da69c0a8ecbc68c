"""Embeddings, reranking and texts of files below ``/v1``."""

import base64
import json
from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

import numpy as np
import pytest
from conftest import FakeEmbedder, app_for, key_for, listening
from starlette.testclient import TestClient

from qa_service.datatypes import FloatArray
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer
from qa_service.retrieval import relevance
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

TEXTS = ["a cat on a mat", "a whale in the ocean", "a dog at a farm"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"access": "keys"})


@pytest.fixture(scope="module")
def client(kept: tuple[QuestionAnswerer, Settings], tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    answerer, settings = kept
    own = settings.model_copy(update={"access": "keys", "data": tmp_path_factory.mktemp("data")})
    key = key_for(own, "ask")
    with TestClient(app_for(answerer, own), base_url="http://localhost") as connected:
        connected.headers |= key
        yield connected


@pytest.mark.needs("openai")
def test_openais_client_embeds(answerer: QuestionAnswerer, settings: Settings) -> None:
    """The vectors are those of the index's model, as numbers and as bytes, in batches of any size."""
    import openai

    texts = [f"{TEXTS[number % 3]} {number}" for number in range(40)]
    expected = FakeEmbedder().embed_passages(texts).vectors
    token = key_for(settings, "ask")["Authorization"].removeprefix("Bearer ")
    named = {"zoo": ServableIndex(answerer, IndexFolder(settings.index))}
    with (
        listening(app_for(answerer, settings, named=named)) as port,
        openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=token, max_retries=0) as client,
    ):
        for model in ("fake", "default", "zoo"):
            for options in ({}, {"encoding_format": "float"}, {"dimensions": 128}):  # base64 unless one says otherwise
                found = client.embeddings.create(model=model, input=texts, **options)  # type: ignore[call-overload]
                assert [one.index for one in found.data] == list(range(40))
                assert np.allclose([one.embedding for one in found.data], expected, atol=1e-6)
                assert found.model == "fake"
                assert found.usage.total_tokens == sum(FakeEmbedder().count_tokens(texts))
        one = client.embeddings.create(model="fake", input=texts[0], extra_body={"input_type": "query"})
        assert np.allclose(one.data[0].embedding, expected[0], atol=1e-6)
        assert client.models.retrieve("fake").id == "fake"
        assert [model.id for model in client.models.list()] == ["default", "zoo", "fake"]
        with pytest.raises(openai.NotFoundError):
            client.models.retrieve("text-embedding-3-small")
        files = client.vector_stores.files.list("zoo").data
        for file in files:
            (page,) = client.vector_stores.files.content(file.id, vector_store_id="zoo")
            assert page.text == answerer.document(file.id).text
            assert page.type == "text"
        with pytest.raises(openai.NotFoundError):
            client.vector_stores.files.content("none", vector_store_id="zoo")


def test_vectors_in_base64_are_little_endian_floats(client: TestClient) -> None:
    body = {"model": "fake", "input": TEXTS[0]}
    numbers, coded = (
        client.post("/v1/embeddings", json=body | {"encoding_format": name}).json()["data"][0]["embedding"]
        for name in ("float", "base64")
    )
    assert np.frombuffer(base64.b64decode(coded), "<f4").tolist() == pytest.approx(numbers)


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("embeddings", {"input": [1, 2, 3]}, 422, "send texts"),
        ("embeddings", {"input": [[1, 2], [3]]}, 422, "send texts"),
        ("embeddings", {"input": []}, 422, "at least 1 item"),
        ("embeddings", {"input": ""}, 422, "at least 1 character"),
        ("embeddings", {"input": ["a"] * 2049}, 422, "at most 2048 items"),
        ("embeddings", {"input": ["a", "a " * 99]}, 422, "text 1 has 101 tokens, the model reads 64"),
        ("embeddings", {"input": "a", "dimensions": 64}, 422, "have 128"),
        ("embeddings", {"input": "a", "encoding_format": "hex"}, 422, "encoding_format"),
        ("embeddings", {"input": "a", "more": 1}, 422, "unknown field"),
        ("embeddings", {"input": "a\0"}, 422, "pattern"),
        ("embeddings", {"input": "a\ud800"}, 422, "string"),
        ("embeddings", {"input": "a", "model": "ada"}, 404, "GET /v1/models"),
        ("rerank", {"query": "", "documents": ["a"]}, 422, "query"),
        ("rerank", {"query": " ", "documents": ["a"]}, 422, "is empty"),
        ("rerank", {"query": "a", "documents": []}, 422, "at least 1 item"),
        ("rerank", {"query": "a", "documents": ["a"], "top_n": 0}, 422, "top_n"),
        ("rerank", {"query": "a", "documents": [{"title": "a"}]}, 422, "documents"),
        ("rerank", {"query": "a", "documents": ["a"], "model": "ada"}, 404, "GET /v1/models"),
    ],
)
def test_texts_that_can_not_be_embedded_are_refused(
    path: str, body: dict[str, Any], status: int, words: str, client: TestClient
) -> None:
    """In OpenAI's shape, with the reason."""
    content = json.dumps({"model": "fake"} | body)
    response = client.post(f"/v1/{path}", content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, words in response.json()["error"]["message"]) == (status, True), response.text


def test_texts_are_ordered_by_relevance(client: TestClient) -> None:
    """In the shape of Cohere's and Jina's API: indices of the documents, best first; texts only if wanted."""
    for documents in (TEXTS, [{"text": text, "id": 1} for text in TEXTS]):
        body = {"model": "fake", "query": "whale in ocean", "documents": documents}
        found = client.post("/v1/rerank", json=body).json()
        scores = [one["relevance_score"] for one in found["results"]]
        assert found["results"][0]["index"] == 1
        assert sorted(one["index"] for one in found["results"]) == [0, 1, 2]
        assert scores == sorted(scores, reverse=True)
        assert all(0 <= score <= 1 for score in scores)
        assert "document" not in found["results"][0]
        assert found["usage"]["total_tokens"] == sum(FakeEmbedder().count_tokens(TEXTS))
        (best,) = client.post("/v1/rerank", json=body | {"top_n": 1, "return_documents": True}).json()["results"]
        assert (best["index"], best["document"]) == (1, {"text": TEXTS[1]})


@pytest.mark.needs("cohere")
def test_coheres_client_reranks(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Both versions of its API, by their paths; without a key, any text in its place does."""
    import cohere

    token = key_for(settings, "ask")["Authorization"].removeprefix("Bearer ")
    opened = settings.model_copy(update={"access": "open"})
    for own, key in ((settings, token), (opened, "none")):
        with listening(app_for(answerer, own)) as port:
            for client in (cohere.Client, cohere.ClientV2):
                with client(key, base_url=f"http://127.0.0.1:{port}") as reranker:
                    found = reranker.rerank(model="default", query="whale in ocean", documents=TEXTS, top_n=2)
                    assert found.results[0].index == 1
                    assert found.results[0].relevance_score > found.results[1].relevance_score
                    with pytest.raises(cohere.NotFoundError):
                        reranker.rerank(model="ada", query="whale", documents=TEXTS)


@pytest.mark.needs("llama_index.postprocessor.jinaai_rerank")
def test_llamaindex_client_of_jina_reranks(answerer: QuestionAnswerer, settings: Settings) -> None:
    """The nodes come back best first; a refusal is the reason that the service gives."""
    from llama_index.core.schema import NodeWithScore, TextNode
    from llama_index.postprocessor.jinaai_rerank import JinaRerank

    token = key_for(settings, "ask")["Authorization"].removeprefix("Bearer ")
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in TEXTS]
    with listening(app_for(answerer, settings)) as port:
        url = f"http://127.0.0.1:{port}/v1"
        reranker, stranger = (JinaRerank(model="default", base_url=url, api_key=key) for key in (token, "sk_x"))
        with closing(reranker._session), closing(stranger._session):
            found = reranker.postprocess_nodes(nodes, query_str="whale in ocean")
            assert [len(found), found[0].node.get_content()] == [2, TEXTS[1]]
            with pytest.raises(RuntimeError, match="a valid key is needed"):
                stranger.postprocess_nodes(nodes, query_str="whale in ocean")


def test_the_best_part_of_a_long_text_counts() -> None:
    """A text is never cut off where the model's window ends."""
    embedder = FakeEmbedder()
    (question,) = embedder.embed_questions(["whale in ocean"])
    long = " ".join(["filler"] * 500) + " " + TEXTS[1]
    for text in (long, long.replace(" ", "-"), "x" * 9000, "…" * 500):
        scores = relevance(embedder, None, "whale in ocean", question, [text, TEXTS[0]])
        assert scores[0] > scores[1] or not text.endswith("ocean"), text[:20]


def test_a_cross_encoder_orders_texts_if_there_is_one() -> None:
    """Its scores are kept within 0 and 1; it reads a long text in pieces too."""

    class Length:
        def score(self, question: str, passages: Sequence[str]) -> FloatArray:
            return np.array([len(passage) / 100 - 0.1 for passage in passages], np.float32)

    embedder = FakeEmbedder()
    (question,) = embedder.embed_questions(["whale"])
    scores = relevance(embedder, Length(), "whale", question, ["a", "b" * 40, "c " * 300, "d" * 500])
    assert scores[0] == 0
    assert scores[1] == pytest.approx(0.3)
    assert 0.3 < scores[2] < 1
    assert scores[3] == 1


def test_every_text_counts_towards_the_rate_limit(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A refused request counts once."""
    token = KeyFile(settings.data).create("limited", rate="5/hour")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        assert client.post("/v1/embeddings", json={"model": "fake", "input": TEXTS}).status_code == 401
        client.headers["Authorization"] = f"Bearer {token}"
        statuses = [client.post("/v1/embeddings", json={"model": "fake", "input": TEXTS}).status_code for _ in "ab"]
        assert statuses == [200, 429]
        assert client.post("/v1/rerank", json={"query": "a", "documents": TEXTS}).status_code == 429


def test_a_publishable_key_does_not_read_texts_of_files(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Unless it has the scope for documents; it may list them."""
    page = "https://www.example.org"
    token = KeyFile(settings.data).create("page", publishable=True, origins=(page,))
    document = answerer.index.list_documents("", 1)[0].id
    headers = {"Authorization": f"Bearer {token}", "Origin": page}
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        file = f"/v1/vector_stores/default/files/{document}"
        assert client.get(file, headers=headers).status_code == 200
        assert client.get(f"{file}/content", headers=headers).status_code == 403
