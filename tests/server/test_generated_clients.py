"""The OpenAPI description: keys, errors, and clients that are generated from it in two languages."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, app_for, key_for, served
from starlette.testclient import TestClient

from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

PYTHON_GENERATOR = "openapi-python-client==0.29.1"  # not of the dev extra: it needs an older typer
NODE_PACKAGES = ("openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3")
NO_SUCH_KEY = "filters: no document has this attribute; known attributes are title, uri, filename, file_id, section"
PUBLIC = {"livez", "readyz", "widget"}
FILES = {"put_document", "get_document", "delete_document"}
ADMIN = {"metrics", "reindex", "reindex_state", "evaluate", "evaluation", "evaluation_report"}
ADMIN |= {"evaluations", "owner_report"}
ADMIN |= FILES | {f"collection_{name}" for name in (*FILES, "owner_report")}
FEEDBACK = {"feedback", "collection_feedback"}


def description_of(answerer: QuestionAnswerer, settings: Settings, **changed: object) -> dict[str, Any]:
    description: dict[str, Any] = app_for(answerer, settings.model_copy(update=changed)).openapi()
    return description


def operations(description: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield path and description of every operation."""
    for path, methods in description["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_every_operation_names_the_scope_of_its_key(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A bearer key of its scope; none if it is public; optional without keys, except for administration."""
    closed = description_of(answerer, settings, access="keys")
    open_here = description_of(answerer, settings)
    open_to_others = description_of(answerer, settings, access="open", host="0.0.0.0")
    for description in (closed, open_here, open_to_others):
        (scheme,) = description["components"]["securitySchemes"].values()
        assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    seen = 0
    for _, operation in operations(closed):
        name = operation["operationId"]
        scope = "admin" if name in ADMIN else "feedback" if name in FEEDBACK else "ask"
        assert operation["security"] == ([] if name in PUBLIC else [{"key": [scope]}]), name
        seen += 1
    assert seen > 30
    assert closed["security"] == [{"key": ["ask"]}]
    optional_key = {"ask": [{"key": ["ask"]}, {}], "feedback": [{"key": ["feedback"]}, {}]}
    for description in (open_here, open_to_others):
        found = {operation["operationId"]: operation["security"] for _, operation in operations(description)}
        assert {name: found[name] for name in optional_key} == optional_key
        assert (found["reindex"], found["livez"]) == ([{"key": ["admin"]}], [])
        local = description is open_here
        assert found["metrics"] == [{"key": ["admin"]}, *([{}] if local else [])]


def test_all_errors_refer_to_one_schema(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Below /v1 to the one with OpenAI's error."""
    description = description_of(answerer, settings)
    schemas = description["components"]["schemas"]
    seen = 0
    for path, operation in operations(description):
        expected = "OpenAIProblem" if path.startswith("/v1/") else "Problem"
        for status, response in operation["responses"].items():
            if status.isdecimal() and int(status) < 400:
                continue
            content = {"application/problem+json": {"schema": {"$ref": f"#/components/schemas/{expected}"}}}
            assert response["content"] == content, (path, status)
            seen += 1
    assert seen > 300
    assert set(schemas["OpenAIProblem"]["required"]) == {*schemas["Problem"]["required"], "error"}
    assert set(schemas["OpenAIError"]["properties"]) == {"message", "type", "param", "code"}


def test_the_served_description_equals_the_documented_one(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Including the keys, on repeated requests."""
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        served_description = client.get("/openapi.json").json()
        assert served_description == client.get("/openapi.json").json()
    written = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
    for part in ("paths", "components", "security"):
        assert served_description[part] == written[part]


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a program in an empty folder and returns its output."""
    folder = tmp_path / "generated"
    folder.mkdir()

    def run(*command: object) -> str:
        done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


PYTHON_PROGRAM = """
import sys
from qa_service_client import AuthenticatedClient, Client
from qa_service_client.api.documents import vector_stores
from qa_service_client.api.questions import ask, search_vector_store
from qa_service_client.models import AskRequest, ComparisonFilterBody, ComparisonFilterBodyType, SearchRequest

client = AuthenticatedClient(sys.argv[1], token=sys.argv[2])
print(ask.sync(client=client, body=AskRequest("where does the cat sleep")).answer.text)
empty = ask.sync_detailed(client=client, body=AskRequest(""))
print(empty.status_code, type(empty.parsed).__name__, empty.parsed.detail)
filters = ComparisonFilterBody(ComparisonFilterBodyType.EQ, "colour", "red")
refused = search_vector_store.sync(client=client, vector_store_id="default", body=SearchRequest("cat", filters=filters))
print(type(refused).__name__, refused.error.message)
print(vector_stores.sync(client=client).data[0].id)
print(ask.sync(client=Client(sys.argv[1]), body=AskRequest("cat")).status)
"""
TYPESCRIPT_PROGRAM = """
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";
declare const process: { argv: string[] };

type Media = "application/json" | "application/problem+json";
const [baseUrl, key] = process.argv.slice(2);
const client = createClient<paths, Media>({ baseUrl, headers: { Authorization: `Bearer ${key}` } });
const asked = await client.POST("/ask", { body: { question: "where does the cat sleep" } });
console.log(asked.data?.answer?.text);
const { error } = await client.POST("/ask", { body: { question: "" } });
if (error) {
  const problem: components["schemas"]["Problem"] = error;
  console.log(problem.status, problem.detail);
}
const search = await client.POST("/v1/vector_stores/{vector_store_id}/search", {
  params: { path: { vector_store_id: "default" } },
  body: { query: "cat", filters: { type: "and", filters: [{ type: "eq", key: "colour", value: "red" }] } },
});
console.log(search.error?.error.message);
const stores = await client.GET("/v1/vector_stores");
console.log(stores.data?.data[0]?.id);
"""


@pytest.mark.proof
def test_proof_a_generated_python_client_asks(
    run: Callable[..., str],
    answerer: QuestionAnswerer,
    settings: Settings,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """Without warnings; it sends keys and parses errors."""
    environment = tmp_path / "environment/bin"
    run(sys.executable, "-m", "venv", environment.parent)
    run(environment / "pip", "install", "--quiet", "--disable-pip-version-check", PYTHON_GENERATOR)
    generator, ruff = environment / "openapi-python-client", environment / "ruff"
    source = ROOT / "docs/openapi.json"
    configuration = tmp_path / "generator.yaml"
    configuration.write_text(f"post_hooks: ['{ruff} check --fix .']\n", encoding="utf-8")
    printed = run(generator, "generate", "--path", source, "--config", configuration, "--output-path", "client")
    assert "WARNING" not in printed.upper(), printed
    run(environment / "pip", "install", "--quiet", "--disable-pip-version-check", "./client")
    key = key_for(settings, "ask")["Authorization"].removeprefix("Bearer ")
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port:
        lines = run(environment / "python", "-c", PYTHON_PROGRAM, f"http://127.0.0.1:{port}", key).splitlines()
    assert lines == [
        "The cat sleeps on the warm mat.",
        "422 Problem question: the question is empty; write one",
        f"OpenAIProblem {NO_SUCH_KEY}",
        "default",
        "401",
    ]
    record_property("figure", f"{PYTHON_GENERATOR}: no warning, answers and errors read")


@pytest.mark.proof
@pytest.mark.needs("npm")
def test_proof_a_generated_typescript_client_asks(
    run: Callable[..., str],
    answerer: QuestionAnswerer,
    settings: Settings,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """It compiles with ``--strict``; answers and errors are typed."""
    run("npm", "install", "--silent", "--no-audit", "--no-fund", *NODE_PACKAGES)
    (tmp_path / "generated/ask.mts").write_text(TYPESCRIPT_PROGRAM, encoding="utf-8")
    source = ROOT / "docs/openapi.json"
    run("npx", "--no-install", "openapi-typescript", source, "-o", "schema.d.ts", "--default-non-nullable=false")
    run("npx", "--no-install", "tsc", "--strict", "--module", "nodenext", "--target", "es2022", "ask.mts")
    key = key_for(settings, "ask")["Authorization"].removeprefix("Bearer ")
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port:
        lines = run("node", "ask.mjs", f"http://127.0.0.1:{port}", key).splitlines()
    assert lines == [
        "The cat sleeps on the warm mat.",
        "422 question: the question is empty; write one",
        NO_SUCH_KEY,
        "default",
    ]
    record_property("figure", f"{', '.join(NODE_PACKAGES)}: compiles, answers and errors read")
