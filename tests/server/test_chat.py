"""Chats and responses below ``/v1``, called by OpenAI's clients."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import app_for, key_for, listening
from packages import npm_install
from processes import PATIENCE
from starlette.testclient import TestClient
from verdicts import CONFLICT, MISSING, QUESTION, QUOTE, VERDICTS, Verdicts

from qa_service.datatypes import AnswerVerdict
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer
from qa_service.schemas.chat import ChatCompletion
from qa_service.schemas.model_responses import ResponseBody
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import ServableIndex
from qa_service.server.quoted_message import NEAREST, NOT_FOUND, UNCERTAIN
from qa_service.settings import Settings

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
TOOL = {"type": "function", "function": {"name": "search", "parameters": {}}}
JSON_FORMAT = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}}}


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    named = {"zoo": ServableIndex(answerer, IndexFolder(settings.index))}
    with TestClient(app_for(answerer, settings, named=named), base_url="http://localhost") as connected:
        yield connected


@pytest.fixture
def url(token: str, answerer: QuestionAnswerer, settings: Settings) -> Iterator[str]:
    """Serve on a free port, with a collection that has a name; keys are needed."""
    own = settings.model_copy(update={"access": "keys"})
    with listening(app_for(answerer, own, named={"zoo": ServableIndex(answerer, IndexFolder(own.index))})) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def token(settings: Settings) -> str:
    return key_for(settings, "ask", "feedback")["Authorization"].removeprefix("Bearer ")


def chat(client: TestClient, *messages: dict[str, Any], **options: Any) -> dict[str, Any]:
    response = client.post(CHAT, json={"model": "default", "messages": list(messages), **options})
    assert response.status_code == 200, response.text
    assert ChatCompletion.model_validate(response.json(), strict=True)
    return dict(response.json())


def said(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


def content_of(body: dict[str, Any]) -> str:
    return str(body["choices"][0]["message"]["content"])


@pytest.mark.needs("openai")
@pytest.mark.parametrize("verdict", VERDICTS)
def test_openais_client_chats(verdict: AnswerVerdict | None, url: str, token: str, verdicts: Verdicts) -> None:
    """Quotes are numbered and cited, and their links open without a key; a stream says the same."""
    import httpx2
    import openai

    verdicts.verdict = verdict
    with openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0) as client:
        messages: Any = [said("system", "Be brief."), said("user", QUESTION)]
        found = client.chat.completions.create(model="zoo", messages=messages, temperature=0.2, max_tokens=50)
        (choice,) = found.choices
        text = str(choice.message.content)
        assert (choice.finish_reason, found.model, found.object) == ("stop", "zoo", "chat.completion")
        assert found.usage is not None
        assert found.usage.total_tokens == found.usage.prompt_tokens + found.usage.completion_tokens > 0
        assert (UNCERTAIN in text, NOT_FOUND in text) == (verdict == "uncertain", verdict == "not_found")
        assert (CONFLICT in text, MISSING in text) == (verdict == "uncertain", verdict == "not_found")
        cited = [annotation.url_citation for annotation in choice.message.annotations or []]
        assert len(cited) == {"not_found": 0, "uncertain": 2}.get(str(verdict), 1)
        for number, one in enumerate(cited, 1):
            quote = text[one.start_index : one.end_index]
            assert f"“{quote}” [{number}]" in text
            assert f"- [{number}] {one.title}: {one.url}" in text
            page = httpx2.get(one.url, timeout=PATIENCE)
            assert (page.status_code, quote.split()[0] in page.text) == (200, True)
        if cited:
            assert (text[cited[0].start_index : cited[0].end_index], cited[0].title) == (QUOTE, "Animals › Cats")
        chunks = list(
            client.chat.completions.create(
                model="zoo", messages=messages, stream=True, stream_options={"include_usage": True}
            )
        )
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert "".join(delta.content or "" for delta in deltas) == text
    assert deltas[0].role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == found.usage
    streamed = next(extra["annotations"] for delta in deltas if (extra := delta.model_extra))
    assert [one["url_citation"]["start_index"] for one in streamed] == [one.start_index for one in cited]


@pytest.mark.needs("openai")
@pytest.mark.parametrize("verdict", VERDICTS)
def test_openais_client_creates_responses(
    verdict: AnswerVerdict | None, url: str, token: str, verdicts: Verdicts
) -> None:
    """Quotes cite file and link; the events of a stream are those of OpenAI's API, and add up to the response."""
    import openai

    verdicts.verdict = verdict
    with openai.OpenAI(base_url=f"{url}/v1", api_key=token, max_retries=0) as client:
        found = client.responses.create(model="zoo", input=QUESTION, instructions="Be brief.", temperature=0)
        (item,) = found.output
        assert item.type == "message"
        (part,) = item.content
        assert part.type == "output_text"
        assert (found.status, part.text) == ("completed", found.output_text)
        files = [one for one in part.annotations if one.type == "file_citation"]
        links = [one for one in part.annotations if one.type == "url_citation"]
        assert len(files) == len(links) == {"not_found": 0, "uncertain": 2}.get(str(verdict), 1)
        for number, (file, link) in enumerate(zip(files, links, strict=True), 1):
            assert part.text[file.index :].startswith(f"[{number}]")
            assert f"“{part.text[link.start_index : link.end_index]}” [{number}]" in part.text
            assert client.vector_stores.files.retrieve(file.file_id, vector_store_id="zoo").attributes
        if files:
            assert files[0].filename == "zoo/animals.md"
        with client.responses.stream(model="zoo", input=[said("user", QUESTION)]) as stream:  # type: ignore[list-item]
            events = list(stream)
            final = stream.get_final_response()
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == part.text
    assert final.output_text == part.text
    assert sum(event.type == "response.output_text.annotation.added" for event in events) == 2 * len(files)


def test_every_word_is_a_quote_a_title_or_a_fixed_sentence(client: TestClient, answerer: QuestionAnswerer) -> None:
    """Whatever is asked; also if nothing is found."""
    texts = [answerer.document(listed.id).text for listed in answerer.index.list_documents("", 9)]
    for question in (
        "where does the cat sleep",
        "what sings for hours",
        "zebra crossing?",
        "7",
        "the farm and the mat",
    ):
        content = content_of(chat(client, said("user", question)))
        for quote in re.findall(r"“(.*?)” \[\d+\]", content, re.DOTALL):
            assert any(quote in text for text in texts), content
        rest = re.sub(r"“.*?” \[\d+\]\n\n", "", content, flags=re.DOTALL)
        for line in filter(None, rest.split("\n")):
            source = re.fullmatch(r"- (?:\[\d+\] )?(.*): http://localhost/\S+", line)
            known = {UNCERTAIN, NOT_FOUND, NEAREST}
            assert line in known or source is not None or re.fullmatch(r"(No|None|Two|The).*\.", line), line
            titles = [] if source is None else source[1].split(" › ")
            assert all(
                title in {"Animals", "Cats", "Dogs", "sea.txt"} or any(title in t for t in texts) for title in titles
            )


def test_what_is_not_found_is_said_with_the_nearest_sections(client: TestClient, verdicts: Verdicts) -> None:
    """The message has no citations then."""
    verdicts.verdict = "not_found"
    body = chat(client, said("user", QUESTION))
    assert content_of(body).startswith(f"{NOT_FOUND}\n\n{MISSING}")
    assert body["choices"][0]["message"]["annotations"] == []
    assert body["qa_service"]["verdict"] == "not_found"
    assert body["qa_service"]["reason"] == "missing_term"


def test_earlier_questions_complete_one_that_leans_on_them(client: TestClient) -> None:
    """In both shapes, with the quotes of earlier answers; other messages have no effect."""
    first, second = "Who guards the old farm?", "When does it bark?"
    alone, completed = (
        client.post("/ask", json={"question": second, "history": history}).json()["answer"]["text"]
        for history in ([], [first])
    )
    assert alone != completed

    def quote(*messages: dict[str, Any]) -> str:
        return content_of(chat(client, *messages)).partition("“")[2].partition("”")[0]

    answered = chat(client, said("user", first))["choices"][0]["message"]
    conversation = [said("system", "x" * 9000), said("user", first), answered, said("user", second)]
    assert quote(*conversation) == completed
    assert quote(said("user", second)) == alone
    body = client.post(RESPONSES, json={"model": "default", "input": conversation}).json()
    assert ResponseBody.model_validate(body, strict=True)
    assert f"“{completed}”" in body["output"][0]["content"][0]["text"]
    pieces = [{"type": "text", "text": "Who guards"}, {"type": "text", "text": "the old farm?"}]
    assert quote(said("user", pieces), said("user", second)) == completed
    refused = [said("user", "no question " * 999), said("assistant", None)]
    assert quote(*refused, *conversation) == completed


def test_file_search_takes_the_filters_of_vector_stores(client: TestClient) -> None:
    """Only the collection of the model can be searched."""

    def answered(**search: Any) -> Any:
        tool = {"type": "file_search", "vector_store_ids": ["default"], **search}
        return client.post(RESPONSES, json={"model": "default", "input": "where does the cat sleep", "tools": [tool]})

    def files(response: Any) -> set[str]:
        annotations = response.json()["output"][0]["content"][0]["annotations"]
        return {one["filename"] for one in annotations if one["type"] == "file_citation"}

    assert files(answered()) == {"zoo/animals.md"}
    sea = {"type": "eq", "key": "uri", "value": "sea.txt"}
    assert files(answered(filters=sea)) <= {"sea.txt"}
    for search, words in (
        ({"vector_store_ids": ["zoo"]}, "`model` has"),
        ({"filters": {"type": "eq", "key": "colour", "value": "red"}}, "no document has this attribute"),
        ({"type": "web_search"}, "Input should be 'file_search'"),
    ):
        refused = answered(**search)
        assert (refused.status_code, words in refused.json()["error"]["message"]) == (422, True), refused.text


@pytest.mark.parametrize(
    ("changes", "status", "param", "words"),
    [
        ({"n": 5}, 422, "n", "one answer"),
        ({"n": True}, 422, "n", "one answer"),
        ({"tools": [TOOL]}, 422, "tools", "calls no tools"),
        ({"tool_choice": "required"}, 422, "tool_choice", "calls no tools"),
        ({"functions": [TOOL]}, 422, "functions", "calls no tools"),
        ({"messages": [said("user", [{"type": "text", "text": "What?"}, IMAGE])]}, 422, "messages", "images"),
        ({"messages": [said("tool", "found")]}, 422, "messages", "'assistant'"),
        ({"messages": []}, 422, "messages", "at least 1 item"),
        ({"messages": [said("assistant", "Hello.")]}, 422, None, "must be a question"),
        ({"messages": [said("system", "Hello.")]}, 422, None, "must be a question"),
        ({"messages": [said("user", " ")]}, 422, None, "is empty"),
        ({"messages": [said("user", "why " * 999)]}, 422, None, "the maximum is 2000"),
        ({"response_format": JSON_FORMAT}, 422, "response_format", "never JSON"),
        ({"modalities": ["text", "audio"]}, 422, "modalities", "never audio"),
        ({"logprobs": True}, 422, "logprobs", "no token probabilities"),
        ({"web_search_options": {}}, 422, "web_search_options", "only the documents"),
        ({"sampling": 1}, 422, None, "unknown field"),
        ({"stream": "yes"}, 422, "stream", "boolean"),
        ({"model": None}, 422, "model", "string"),
        ({"model": "gpt-5"}, 404, None, "GET /v1/models"),
        ({"model": "fake"}, 404, None, "its index's model embeds"),
        ({"user": "x" * 1_000_000}, 413, None, "the limit of 65536 bytes"),
    ],
)
def test_a_chat_that_can_not_be_answered_is_refused_in_openais_shape(
    changes: dict[str, Any], status: int, param: str | None, words: str, kept_client: TestClient
) -> None:
    """The message names the reason; nothing is streamed."""
    body = {"model": "default", "messages": [said("user", QUESTION)], "stream": True} | changes
    response = kept_client.post(CHAT, json=body)
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"], error


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"previous_response_id": "resp_1"}, "not stored"),
        ({"conversation": "conv_1"}, "not stored"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "pmpt_1"}}, "not stored"),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}, "never JSON"),
        ({"tools": [{"type": "function", "name": "search"}]}, "file_search"),
        ({"input": []}, "at least 1 item"),
        ({"input": [said("user", [{"type": "input_image", "image_url": "data:"}])]}, "images"),
        ({"top_logprobs": 3}, "no token probabilities"),
        ({"unknown": 1}, "unknown field"),
    ],
)
def test_a_response_that_can_not_be_made_is_refused(
    changes: dict[str, Any], words: str, kept_client: TestClient
) -> None:
    """In OpenAI's shape."""
    response = kept_client.post(RESPONSES, json={"model": "default", "input": QUESTION} | changes)
    assert (response.status_code, words in response.json()["error"]["message"]) == (422, True), response.text


def test_options_that_steer_a_generator_have_no_effect(client: TestClient) -> None:
    """Values that mean what happens anyway are accepted too."""
    plain = content_of(chat(client, said("user", "where does the cat sleep")))
    options = {
        **dict.fromkeys(("temperature", "top_p", "frequency_penalty", "presence_penalty", "seed", "max_tokens"), 1),
        "stop": ["mat"],
        "n": 1,
        "tools": [],
        "tool_choice": "auto",
        "response_format": {"type": "text"},
        "modalities": ["text"],
        "logprobs": False,
        "user": "kim",
        "metadata": {"a": "b"},
        "logit_bias": {"1": 5},
    }
    assert content_of(chat(client, said("user", "where does the cat sleep"), **options)) == plain


def test_a_key_chats_only_with_its_collections(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Each chat counts towards the rate limit."""
    own = settings.model_copy(update={"access": "keys"})
    keys = KeyFile(own.data)
    key = keys.create("hr", ("ask", "feedback"), collections=("hr",), rate="3/hour")
    named = {name: ServableIndex(answerer, IndexFolder(own.index)) for name in ("hr", "legal")}
    messages = [said("user", "where does the cat sleep")]
    with TestClient(app_for(answerer, own, named=named), base_url="http://localhost") as client:
        assert client.post(CHAT, json={"model": "hr", "messages": messages}).status_code == 401
        client.headers["Authorization"] = f"Bearer {key}"
        for name, status in (("hr", 200), ("legal", 403), ("default", 403), ("hr", 429)):
            response = client.post(CHAT, json={"model": name, "messages": messages})
            assert response.status_code == status, response.text
            if status != 200:
                assert set(response.json()["error"]) == {"message", "type", "param", "code"}


def test_a_placeholder_for_a_key_is_ignored_if_no_key_is_needed(client: TestClient, settings: Settings) -> None:
    """OpenAI's clients always send one. A text in the form of our keys must be one, and so must any text elsewhere."""
    key = KeyFile(settings.data).create("a test")
    for token, path, status in (
        ("none", "/v1/models", 200),
        ("sk-proj-1234", "/v1/models", 200),
        (key[:-1] + ("a" if key[-1] != "a" else "b"), "/v1/models", 401),
        ("pk_00000000_", "/v1/models", 401),
        ("none", "/sources", 401),
        ("none", "/v1models", 401),
    ):
        assert client.get(path, headers={"Authorization": f"Bearer {token}"}).status_code == status, (token, path)
    assert client.get("/v1/models", headers={"Authorization": "Basic none"}).status_code == 401


def test_feedback_can_be_given_on_a_chat(client: TestClient) -> None:
    """By the id of the request, which the body names."""
    response = client.post(CHAT, json={"model": "zoo", "messages": [said("user", "where does the cat sleep")]})
    answer = response.json()["qa_service"]["answer_id"]
    assert answer == response.headers["x-request-id"]
    given = client.post("/collections/zoo/feedback", json={"answer_id": answer, "useful": True})
    assert given.status_code == 201, given.text


NODE = """
import OpenAI from "openai";
const client = new OpenAI({ baseURL: process.argv[2], apiKey: process.argv[3], maxRetries: 0 });
const messages = [{ role: "user", content: process.argv[4] }];
const chat = await client.chat.completions.create({ model: "zoo", messages });
let streamed = "";
for await (const chunk of await client.chat.completions.create({ model: "zoo", messages, stream: true })) {
  streamed += chunk.choices[0]?.delta?.content ?? "";
}
const response = await client.responses.create({ model: "zoo", input: process.argv[4] });
let events = "";
for await (const event of await client.responses.create({ model: "zoo", input: process.argv[4], stream: true })) {
  if (event.type === "response.output_text.delta") events += event.delta;
}
const embeddings = await client.embeddings.create({ model: "fake", input: ["a cat", "a dog"] });
const search = await client.vectorStores.search("zoo", { query: process.argv[4] });
const refusal = await client.chat.completions.create({ model: "zoo", messages, n: 5 }).catch((error) => error);
console.log(JSON.stringify({
  texts: [chat.choices[0].message.content, streamed, response.output_text, events],
  dimensions: embeddings.data.map((one) => one.embedding.length),
  files: search.data.map((one) => one.filename),
  models: (await client.models.list()).data.map((one) => one.id),
  refusal: [refusal.status, refusal.param, refusal.code],
}));
"""


@pytest.mark.needs("node", "npm")
def test_openais_client_for_node_works_unchanged(url: str, token: str, tmp_path: Path) -> None:
    """Chats, responses, streams, embeddings, search, models and errors."""
    (tmp_path / "package.json").write_text('{"type": "module", "dependencies": {"openai": "6.49.0"}}')
    npm_install(tmp_path)
    (tmp_path / "ask.mjs").write_text(NODE)
    command = ["node", "ask.mjs", f"{url}/v1", token, "where does the cat sleep"]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=PATIENCE)
    found = json.loads(printed.stdout)
    assert len(set(found["texts"])) == 1
    assert "The cat sleeps on the warm mat." in found["texts"][0]
    assert found["dimensions"] == [128, 128]
    assert found["files"][0] == "zoo/animals.md"
    assert found["models"] == ["default", "zoo", "fake"]
    assert found["refusal"] == [422, "n", "invalid-request"]
