"""The TypeScript client: its types, the package that npm makes, and its methods against a server."""

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from busy_service import Busy
from conftest import ROOT, TWO_DOCUMENTS, app_for, key_for, listening, published
from packages import npm_install, npm_packed, run

import qa_service
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

pytestmark = pytest.mark.needs("npm", "node")
PACKAGE = ROOT / "clients/typescript"
PROGRAM = """
import { Client, ServiceError } from "qa-service-client";

const [url, key, collection] = process.argv.slice(2);
const service = new Client(url, { key, collection });
const found = {};
found.ready = (await service.ready()).status;
const answer = await service.ask("where does the cat sleep", { top_k: 2, explain: true });
const { citation, ...result } = answer.results[0];
found.text = result.text;
found.explained = result.explanation !== null;
found.filtered = (await service.ask("x", { filters: { path_prefix: "sea" } })).results.map((one) => one.citation.uri);
const next = await service.ask("When does it wake?", { history: [...Array(10).fill("Why?"), answer] });
found.follow_up_of = next.understood.follow_up_of;
const batch = await service.askBatch(["a cat", { question: "" }]);
found.batch = batch.results.map((one) => one.status);
found.sources = [];
for await (const one of service.sources()) found.sources.push(one.uri);
const sea = await service.sourceAt("sea.txt");
found.none = (await service.sourceAt("none")) === undefined;
found.sea = (await service.source(sea.document_id)).text;
found.first = (await service.passages(sea.document_id)).passages[0].start_char;
found.cite = (await service.cite(citation.permalink)).state;
found.verify = (await service.verify([citation])).verdicts[0].state;
const about = { right_passage: citation.permalink, note: "thanks" };
found.feedback = (await service.feedback(answer.id, true, about)).useful;
found.starters = (await service.starters()).questions.length;
found.documents = (await service.index()).documents;
found.collections = (await service.collections()).collections.map((one) => one.name);
const stored = await service.putDocument("new/a b.txt", "A stork stands.", { build: false });
found.stored = new TextDecoder().decode(await service.getDocument("new/a b.txt"));
found.changed = await service
  .putDocument("new/a b.txt", "x", { build: false, replaces: "0".repeat(64) })
  .catch((error) => error.status);
await service.deleteDocument("new/a b.txt", { build: false, replaces: stored.sha256 });
const evaluation = await service.evaluate('{"question": "Where does the cat sleep?"}', { format: "jsonl" });
found.evaluation = (await service.evaluation(evaluation.id)).id === evaluation.id;
const refused = await new Client(url).ask("x").catch((error) => error);
found.refused = [refused instanceof ServiceError, refused.status, refused.problem.type];
console.log(JSON.stringify(found));
"""
BUSY_PROGRAM = """
import { Client } from "qa-service-client";

const [url, patience] = process.argv.slice(2);
const service = new Client(url, { patience: Number(patience) });
console.log(await service.ready().then((one) => one.status, (error) => error.message));
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pack the package as it would be published, and install it into the folder of a program."""
    root = tmp_path_factory.mktemp("typescript")
    (root / "docs").mkdir()
    shutil.copy(ROOT / "docs/openapi.json", root / "docs")
    ignored = shutil.ignore_patterns("node_modules", "dist", "openapi.ts")
    package = Path(shutil.copytree(PACKAGE, root / "clients/typescript", ignore=ignored))
    npm_install(package)
    (archive,) = npm_packed(package, package)
    run("npm", "run", "check", cwd=package)
    folder = root / "program"
    folder.mkdir()
    npm_install(folder, archive)
    return folder


def answered(program: Path, code: str, *arguments: object) -> str:
    (program / "program.mjs").write_text(code, encoding="utf-8")
    return run("node", "program.mjs", *arguments, cwd=program).strip()


def test_the_package_is_typed_and_needs_no_other(program: Path) -> None:
    """TypeScript finds the errors of test/types.ts, and no other; the version is that of the service."""
    installed = program / "node_modules/qa-service-client"
    assert [path.name for path in (program / "node_modules").glob("[!.]*")] == ["qa-service-client"]
    manifest = json.loads((installed / "package.json").read_text(encoding="utf-8"))
    assert manifest["version"] == qa_service.__version__
    with tarfile.open(next(program.parent.glob("clients/typescript/*.tgz"))) as tar:
        packed = {name.removeprefix("package/") for name in tar.getnames()}
    built = {f"dist/{name}{kind}" for name in ("index", "sending", "openapi") for kind in (".js", ".d.ts")}
    assert packed == {"package.json", "README.md", "LICENSE", *built}


@pytest.mark.parametrize("collection", ["", "zoo"])
def test_every_method_works(program: Path, answerer: QuestionAnswerer, settings: Settings, collection: str) -> None:
    """For the default collection and a named one."""
    own = settings.model_copy(
        update={"access": "keys", "documents_write": True, "collections": (f"zoo={settings.source}",)}
    )
    key = key_for(own, "ask", "feedback", "admin")["Authorization"].removeprefix("Bearer ")
    named = {"zoo": ServableIndex(answerer, IndexFolder(own.index))}
    with listening(app_for(answerer, own, named=named)) as port:
        found: dict[str, Any] = json.loads(
            answered(program, PROGRAM, f"http://127.0.0.1:{port}/", key, *([collection] if collection else []))
        )
    assert found.pop("text").startswith("The cat sleeps on the warm mat.")
    assert sorted(found.pop("sources")) == sorted(TWO_DOCUMENTS)
    assert set(found.pop("filtered")) == {"sea.txt"}
    assert found == {
        "ready": "ready",
        "explained": True,
        "follow_up_of": "where does the cat sleep",
        "batch": [200, 422],
        "none": True,
        "sea": TWO_DOCUMENTS["sea.txt"],
        "first": 0,
        "cite": "exact",
        "verify": "exact",
        "feedback": True,
        "starters": 0,
        "documents": 2,
        "collections": ["zoo"],
        "stored": "A stork stands.",
        "changed": 412,
        "evaluation": True,
        "refused": [True, 401, "urn:qa-service:problem:unauthorized"],
    }


@pytest.fixture
def busy() -> Iterator[str]:
    Busy.asked.clear()
    with published(Busy) as address:
        yield address


def test_a_busy_service_is_asked_again_after_retry_after(program: Path, busy: str) -> None:
    """Not earlier, for any content of the header."""
    Busy.answers = [
        (503, {"Retry-After": "1"}, b"full"),
        (429, {"Retry-After": "soon"}, b"{}"),
        (504, {}, b""),
        (200, {}, b'{"status": "ready"}'),
    ]
    assert answered(program, BUSY_PROGRAM, busy, 120) == "ready"
    assert len(Busy.asked) == 4
    assert Busy.asked[1] - Busy.asked[0] >= 1


def test_patience_ends_and_another_service_is_an_error(program: Path, busy: str) -> None:
    """With the last error."""
    Busy.answers = [(503, {"Retry-After": "0"}, b"full")]
    assert answered(program, BUSY_PROGRAM, busy, 1) == f"{busy} answered 503"
    assert len(Busy.asked) > 1
    Busy.answers = [(200, {}, b"<html>")]
    assert answered(program, BUSY_PROGRAM, busy, 1) == f"{busy} does not respond like a qa_service"
    assert "can't be reached" in answered(program, BUSY_PROGRAM, "http://127.0.0.1:1", 0.3)
