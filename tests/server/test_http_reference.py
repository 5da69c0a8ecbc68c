"""The HTTP reference: everything in it has a meaning, and its examples are what the service answers."""

import json
import os
import runpy
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from conftest import QUESTIONS, ROOT

from qa_service.settings import load_settings

EXAMPLES = ROOT / "docs/http-examples.json"
TOLERANCE = 0.05
"""The allowed difference of scores and measures, since processors round differently."""
CHANGING = {
    *("since", "until", "day", "median_ms", "p95_ms", "cpu_ms", "index_bytes"),
    *("id", "answer_id", "took_ms", "seconds", "built_at", "created", "created_at", "started", "report"),
    *("usage_bytes", "runtime", "version", "path", "integrity", "p50", "p95", "p99", "max", "instance", "request_id"),
}
"""Members of responses that differ from run to run, from machine to machine, or with the widget's files."""


@pytest.fixture
def description() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
    return found


def test_every_parameter_status_and_field_has_a_meaning(description: dict[str, Any]) -> None:
    """A meaning of its own, not FastAPI's default."""
    described = {name: schema["description"] for name, schema in description["components"]["schemas"].items()}
    for name, schema in description["components"]["schemas"].items():
        described |= {f"{name}.{field}": about.get("description") for field, about in schema["properties"].items()}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            named = f"{method} {path}"
            described[named] = operation["description"]
            for parameter in operation.get("parameters", []):
                described[f"{named} {parameter['name']}"] = parameter.get("description")
            for status, response in operation["responses"].items():
                described[f"{named} {status}"] = response["description"]
    assert len(described) > 500
    assert [name for name, meaning in described.items() if meaning in {None, "", "Successful Response"}] == []


def test_every_operation_has_an_example(description: dict[str, Any]) -> None:
    """But the ones of named collections, which are the same."""
    operations = {
        operation["operationId"]: operation
        for path, methods in description["paths"].items()
        if not path.startswith("/collections/{collection}")
        for operation in methods.values()
    }
    examples = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    assert examples.keys() == operations.keys()
    assert all(str(example["status"]) in operations[name]["responses"] for name, example in examples.items())


@pytest.mark.needs("tesserocr")  # what reads scanned pages is part of the id of an index
def test_the_examples_are_what_the_service_answers(tmp_path: Path, exported_models: Path) -> None:
    """Asked again, about the shipped documents with the real model; docs/http_examples.py writes them."""
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(QUESTIONS.read_text(encoding="utf-8").splitlines(keepends=True)[:3]), encoding="utf-8")
    settings = load_settings(source=ROOT / "source_text", index=tmp_path / "index", data=tmp_path / "data")
    shutil.copytree(exported_models, settings.index / "models", copy_function=os.link)
    answered = runpy.run_path(str(ROOT / "docs/http_examples.py"))["ask_application"](settings, questions)
    now = {name: asdict(example) for name, example in answered.items()}
    then = json.loads(EXAMPLES.read_text(encoding="utf-8"))
    assert now.keys() == then.keys()
    for name, example in then.items():
        assert example["status"] == now[name]["status"], name
        if not isinstance(example["response"], str):  # pages and metrics
            _expect_same(example["response"], now[name]["response"], name)


def _expect_same(then: Any, now: Any, place: str) -> None:
    if isinstance(then, dict):
        assert then.keys() == now.keys(), place
        for key in then:
            if key not in CHANGING or isinstance(then[key], dict | list):
                _expect_same(then[key], now[key], f"{place}.{key}")
    elif isinstance(then, list):
        assert len(then) == len(now), place
        for number, (before, after) in enumerate(zip(then, now, strict=True)):
            _expect_same(before, after, f"{place}[{number}]")
    elif isinstance(then, float):
        assert now == pytest.approx(then, abs=TOLERANCE), place
    else:
        assert then == now, f"{place}; run docs/http_examples.py"
