"""Record an example of every HTTP operation: ask the application about source_text/ and write docs/http-examples.json.

docs/generate.py shows them in docs/http.md, and a test asks again and compares. Long texts and lists are shortened.
"""

import json
import shlex
import shutil
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI
from starlette.testclient import TestClient

from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.index.locations import generations_of
from qa_service.pipeline import build, open_answerer
from qa_service.server.app import create_app
from qa_service.server.keys import KeyFile
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings, load_settings

ROOT = Path(__file__).parent.parent
FILE = ROOT / "docs/http-examples.json"
QUESTION = "How many launchers are there in a THAAD battery?"
OTHER_QUESTION = "When was the Mutual Defense Treaty signed?"
ANSWER = "A THAAD battery has six launchers."
ADDRESS = "http://127.0.0.1:8000"
MAX_CHARACTERS = 60
MAX_WORDS = 3
MAX_ALIKE = 5
POLL_SECONDS = 0.2
OMITTED = "…"
_JSON = "application/json"
_JSON_TYPES = (_JSON, "application/problem+json")


@dataclass(frozen=True, slots=True)
class Example:
    """A request as a command, and the shortened response: JSON or text."""

    command: str
    status: int
    response: Any


class Recorder:
    """Sends requests to an application and keeps an example of each operation."""

    def __init__(self, client: TestClient, key: str) -> None:
        self.examples: dict[str, Example] = {}
        self._client = client
        self._key = key
        app = cast("FastAPI", client.app)
        self._operations = {
            operation["operationId"]: (method.upper(), path, operation)
            for path, methods in app.openapi()["paths"].items()
            for method, operation in methods.items()
        }

    def send(
        self,
        name: str,
        body: Any = None,
        *,
        query: str = "",
        accept: str = "",
        file: Path | None = None,
        refused: bool = False,
        **parameters: str,
    ) -> Any:
        """Send a request and return the JSON or text of the response, an error only if it is to be ``refused``."""
        method, template, operation = self._operations[name]
        path = template.format(**parameters) + query
        headers = {"Accept": accept} if accept else {}
        implied = "GET" if body is None and file is None else "POST"
        command = ["curl", "-s", *(["-X", method] if method != implied else [])]
        command.append(ADDRESS + path)
        if any(scope == "admin" for needed in operation["security"] for scopes in needed.values() for scope in scopes):
            headers["Authorization"] = f"Bearer {self._key}"
            command += ["-H", "Authorization: Bearer sk_…"]
        if accept:
            command += ["-H", f"Accept: {accept}"]
        if body is not None:
            headers["Content-Type"] = _JSON
            command += ["-H", f"Content-Type: {_JSON}", "-d", json.dumps(body, ensure_ascii=False)]
        content = b"" if body is None else json.dumps(body).encode()
        if file is not None:
            content = file.read_bytes()
            command += ["--data-binary", f"@{file.name}"]
        response = self._client.request(method, path, headers=headers, content=content)
        if not refused:
            response.raise_for_status()
        kind = response.headers.get("content-type", "")
        answer = response.json() if kind.startswith(_JSON_TYPES) else response.text
        self.examples[name] = Example(shlex.join(command), response.status_code, _shortened(answer))
        return answer

    def wait(self, name: str, active: str, **parameters: str) -> Any:
        """Send a request until the job that it describes is no longer ``active``."""
        while (state := self.send(name, **parameters))["status"] == active:
            time.sleep(POLL_SECONDS)
        return state


def _shortened(value: Any) -> Any:
    """Return a value with a mark of omission in the place of what a reader does not need to see."""
    if isinstance(value, dict):
        alike = len({isinstance(inner, dict) for inner in value.values()}) == 1 and not any(
            isinstance(inner, str | list | None) for inner in value.values()
        )
        shown = list(value.items())[: 2 if alike and len(value) > MAX_ALIKE else None]
        return {key: _shortened(inner) for key, inner in shown} | (
            {OMITTED: OMITTED} if len(shown) < len(value) else {}
        )
    if isinstance(value, list):
        count = MAX_WORDS if all(isinstance(inner, str) for inner in value) else 1
        return [_shortened(inner) for inner in value[:count]] + [OMITTED] * (len(value) > count)
    if isinstance(value, str) and len(value) > MAX_CHARACTERS:
        return value[:MAX_CHARACTERS] + OMITTED
    return value


def record(recorder: Recorder, questions: Path) -> dict[str, Example]:
    """Send a request of every operation; ``questions`` is a question file."""
    send = recorder.send
    while not send("starters")["complete"]:
        time.sleep(POLL_SECONDS)
    asked = send("ask", {"question": QUESTION, "top_k": 1})
    citation = asked["results"][0]["citation"]
    send("ask_batch", {"questions": [{"question": QUESTION, "top_k": 1}, OTHER_QUESTION]})
    send("feedback", {"answer_id": asked["id"], "useful": True, "right_passage": citation["permalink"]})
    send("index")
    send("index_diff")
    send("sources", query="?limit=1")
    document = {"document_id": citation["document_id"]}
    send("passages", **document)
    send("read_source", accept=_JSON, **document)
    send("verify", {"citations": [{name: citation[name] for name in ("uri", "start_char", "quote", "quote_start")}]})
    start = citation["start_char"] + citation["quote_start"]
    send("view_source", query=f"?start={start}&end={start + len(citation['quote'])}", **document)
    send("preview", query=f"?start_char={start}&end_char={start + len(citation['quote'])}", **document)
    file = {"path": questions.name}
    send("put_document", query="?build=false", file=questions, **file)
    send("get_document", **file)
    send("delete_document", query="?build=false", **file)
    send("page_picture", refused=True, page="1", **document)  # the documents that ship are no PDF files
    send("cite", citation_id=citation["permalink"].rpartition("/")[2])
    store = {"vector_store_id": "default"}
    send("search_vector_store", {"query": QUESTION, "max_num_results": 1}, **store)
    send("vector_stores", query="?limit=1")
    send("models")
    send("model", model="default")
    send("chat_completion", {"model": "default", "messages": [{"role": "user", "content": QUESTION}]})
    send("model_response", {"model": "default", "input": QUESTION})
    send("embeddings", {"model": "default", "input": QUESTION})
    send("rerank", {"query": QUESTION, "documents": [ANSWER, "The Cold War ended in 1991."], "top_n": 1})
    send("vector_store", **store)
    send("vector_store_files", query="?limit=1", **store)
    send("vector_store_file", file_id=citation["document_id"], **store)
    send("vector_store_file_content", file_id=citation["document_id"], **store)
    for name in ("livez", "readyz", "collections", "metrics", "widget", "reindex"):
        send(name)
    recorder.wait("reindex_state", "building")
    evaluation = {"evaluation_id": send("evaluate", query="?top_k=5", file=questions)["id"]}
    recorder.wait("evaluation", "running", **evaluation)
    send("evaluations")
    send("evaluation_report", **evaluation)
    while not send("owner_report", query="?days=7")["period"]["useful"]:  # a thread records the feedback
        time.sleep(POLL_SECONDS)
    return recorder.examples


def ask_application(settings: Settings, questions: Path) -> dict[str, Example]:
    """Build the index that the settings name, and send a request of every operation to its application."""
    source = shutil.copytree(settings.source, settings.data / "source")  # a file is stored in it, and deleted
    settings = settings.model_copy(update={"source": source, "documents_write": True, "analytics": "questions"})
    build(settings, embedder_to_build(settings))
    answerer, _ = open_answerer(settings, embedder_to_ask(settings))
    served = ServableIndex(answerer, generations_of(settings))
    key = KeyFile(settings.data).create("an example", ("ask", "admin"))
    with TestClient(create_app(settings, served, {"briefings": served}), base_url=ADDRESS) as client:
        return record(Recorder(client, key), questions)


def main() -> None:
    """Write docs/http-examples.json."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        questions = here / "questions.jsonl"
        lines = (ROOT / "tests/data/us-korea-questions.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
        questions.write_text("".join(lines[:3]), encoding="utf-8")
        settings = load_settings(source=ROOT / "source_text", index=here / "index", data=here / "data")
        examples = ask_application(settings, questions)
    content = {name: asdict(example) for name, example in examples.items()}
    FILE.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
