"""Write the generated pages of docs/ from the code; ``--check`` only compares."""

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
from charts import CHARTS
from fastapi import FastAPI

from qa_service import errors
from qa_service.cli import cli
from qa_service.index import Generations
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.app import create_app
from qa_service.server.collections import PREFIX as COLLECTIONS
from qa_service.server.live_index import ServableIndex
from qa_service.settings import PREFIX, Settings, load_settings

DOCS = Path(__file__).parent
MAX_LINE = 110
NOTE = "<!-- Written by docs/generate.py; `make docs` renews it. -->\n"


def settings_page() -> str:
    """Return every setting with its default and bounds."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        bounds = ", ".join(_bound(rule) for rule in field.metadata if _bound(rule))
        rows.append(f"| `{PREFIX}{name.upper()}` | `{default}` | {bounds} | {field.description} |")
    return (
        "# Settings\n\nThe command line overrides the environment, which overrides a `.env` file in the working "
        "directory. An unknown `QA_` name is an error. "
        "Numbers are plain decimals in the unit that the name says; switches are `true` or "
        "`false`, `1` or `0`, `yes` or `no`, `on` or `off`; lists are separated by commas. `qa-service settings` "
        "prints the current values and their origin.\n\n"
        "| name | default | bounds | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
    )


def _bound(rule: object) -> str:
    for sign, words in (("ge", "at least"), ("gt", "more than"), ("le", "at most")):
        if (value := getattr(rule, sign, None)) is not None:
            return f"{words} {value}"
    return ""


def cli_page() -> str:
    """Return the help of every command."""
    parts = ["# Command line\n"]
    for path, command in _commands("qa-service", cli):
        context = click.Context(command, info_name=path, terminal_width=100, max_content_width=100)
        context.help_option_names = ["-h", "--help"]
        parts.append(f"## {path}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def _commands(path: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in sorted(command.commands.items()):
            yield from _commands(f"{path} {name}", below)


def errors_page() -> str:
    """Return the error table."""
    rows = []
    for error in _tree(errors.QAServiceError):
        over_http = f"{error.http_status} | `{error.slug}`" if error.slug != "internal-error" else " | "
        meaning = (error.__doc__ or "").splitlines()[0]
        rows.append(f"| {error.__name__} | {error.exit_code} | {over_http} | {meaning} |")
    return (
        "# Errors\n\nOn the command line an error is one line on stderr and an exit code. Over HTTP it is an "
        "`application/problem+json` document (RFC 9457) of at most 2 KiB: `type` (`urn:qa-service:problem:` and the "
        "name below), `title`, `status`, `detail`, and `instance`, the id of the request, which is also in "
        "`request_id`, in the `X-Request-ID` header and in the server's log. Nothing of the request is "
        "echoed but the name of a misspelt field. "
        "429 and 503 carry `Retry-After`. A "
        "client that does not send its request within ten seconds gets 408, a request with too long "
        "an address or headers 414 or 431, and invalid HTTP 400, all as such documents. Below `/v1` a document "
        "also has `error` with `message`, `type`, `param` and `code`, as OpenAI's clients expect.\n\n"
        "Exit codes: 0 done; 1 done, but items failed; 2 usage or settings; 3 server could not start; 4 input "
        "unusable; 5 index missing, corrupt or incompatible; 6 model missing or corrupt; 7 I/O or lock; "
        "130 interrupted.\n\n"
        "| error | exit code | HTTP status | problem | meaning |\n| --- | --- | --- | --- | --- |\n"
        + "\n".join(rows)
        + "\n"
    )


def _described_app() -> FastAPI:
    """Return an application that describes itself; it has no index."""
    opening = ServableIndex(cast("QuestionAnswerer", None), cast("Generations", None))
    return create_app(load_settings(), opening)


def _tree(error: type[errors.QAServiceError]) -> Iterator[type[errors.QAServiceError]]:
    yield error
    for child in error.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _tree(child)


def http_page() -> str:
    """Return every endpoint with its parameters, statuses and an example, and every schema with its fields."""
    description: dict[str, Any] = _described_app().openapi()
    examples = json.loads((DOCS / "http-examples.json").read_text(encoding="utf-8"))
    introduction = (
        "# HTTP\n\n`GET /openapi.json` is the same reference for programs. Routes that ask, list, read and cite also "
        "exist below `/collections/{name}`, for the collections that `QA_COLLECTIONS` names: "
        "`POST /collections/hr/ask`.\n\nHEAD is supported wherever GET is. Every response to GET has an `ETag`, a "
        "digest of its body; a request with it in `If-None-Match` gets 304 without a body.\n\nThe examples are the "
        "service's own answers about its shipped documents; `…` marks an omission. A command with `sk_…` "
        "needs a key with the scope `admin`. If the service listens beyond this machine, the others need a key too.\n"
    )
    operations = [
        (f"{method.upper()} {path}", operation)
        for path, methods in description["paths"].items()
        if not path.startswith(COLLECTIONS)
        for method, operation in methods.items()
    ]
    parts = [introduction]
    parts += [_operation(name, operation, examples[operation["operationId"]]) for name, operation in operations]
    parts.append(_statuses(operation for _, operation in operations))
    schemas = description["components"]["schemas"]
    parts += [f"## {name}\n\n{schema['description']}\n\n{_fields(schema)}\n" for name, schema in schemas.items()]
    return "\n".join(parts)


def _operation(name: str, operation: dict[str, Any], example: dict[str, Any]) -> str:
    scopes = [scope for needed in operation["security"] for scopes in needed.values() for scope in scopes]
    rows = [
        f"| `{given['name']}` | {given['in']} | {_type(given['schema'])} | {given['description']} |"
        for given in operation.get("parameters", [])
    ]
    parameters = "| parameter | in | type | meaning |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n\n"
    success, *others = sorted(operation["responses"])
    answer = example["response"]
    language, shown = ("text", answer) if isinstance(answer, str) else ("json", _compact(answer))
    return (
        f"## {name}\n\n{operation['description']}\n\n"
        + (f"Scope of the key: `{scopes[0]}`." if scopes else "Needs no key.")
        + f" {_bodies(operation, success)} Other [statuses](#statuses): {', '.join(others)}.\n\n"
        + (parameters if rows else "")
        + f"```sh\n{example['command']}\n```\n\n```{language}\n{shown}\n```\n"
    )


def _bodies(operation: dict[str, Any], success: str) -> str:
    """Return a sentence about the body of a request, and one about that of its response."""
    request = _content(operation.get("requestBody", {}))
    response = operation["responses"][success]
    return (f"The body is {request}. " if request else "") + (
        f"{success}: {_content(response)}. {response['description']}"
    )


def _content(body: dict[str, Any]) -> str:
    return " or ".join(
        _type(content["schema"]) if "$ref" in content.get("schema", {}) else f"`{media_type}`"
        for media_type, content in body.get("content", {}).items()
    )


def _statuses(operations: Iterator[dict[str, Any]]) -> str:
    """Return what the statuses of errors mean."""
    meanings = {
        status: response["description"]
        for operation in operations
        for status, response in operation["responses"].items()
        if not status.startswith("2")
    }
    rows = [f"| {status} | {meanings[status]} |" for status in sorted(meanings)]
    return (
        "## Statuses\n\nAn error is a [problem document](errors.md), a [Problem](#problem). Below `/v1` it is an "
        "[OpenAIProblem](#openaiproblem). The `type` of the document says which of several meanings holds.\n\n"
        "| status | meaning |\n| --- | --- |\n" + "\n".join(rows) + "\n"
    )


def _compact(value: Any, indent: str = "") -> str:
    """Return JSON that breaks only long lines, with a bare mark of omission."""
    line = re.sub(r'"…": "…"|"…"', "…", json.dumps(value, ensure_ascii=False))
    if len(indent + line) <= MAX_LINE or not isinstance(value, dict | list):
        return line
    inner = indent + "  "
    items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
    parts = [
        inner + ("" if key in {None, "…"} else json.dumps(key, ensure_ascii=False) + ": ") + _compact(item, inner)
        for key, item in items
    ]
    begin, end = "{}" if isinstance(value, dict) else "[]"
    return f"{begin}\n" + ",\n".join(parts) + f"\n{indent}{end}"


def _fields(schema: dict[str, Any]) -> str:
    rows = [f"| `{name}` | {_type(field)} | {field['description']} |" for name, field in schema["properties"].items()]
    return "| field | type | meaning |\n| --- | --- | --- |\n" + "\n".join(rows)


def _type(field: dict[str, Any]) -> str:
    if options := field.get("anyOf") or field.get("oneOf"):
        return " or ".join(_type(option) for option in options)
    if "$ref" in field:
        name = str(field["$ref"].rsplit("/", 1)[-1])
        return f"[{name}](#{name.lower()})"
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if field["items"] else "list"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"object of {_type(field['additionalProperties'])}"
    if values := field.get("enum") or ([field["const"]] if "const" in field else []):
        return " or ".join(f"`{value}`" for value in values)
    return str(field.get("type", "any"))


def openapi() -> str:
    """Return the description for programs, so that every change of it is seen."""
    app = _described_app()
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


PAGES = {
    "openapi.json": openapi,
    "settings.md": settings_page,
    "cli.md": cli_page,
    "errors.md": errors_page,
    "http.md": http_page,
    **CHARTS,
}


def main() -> None:
    """Write the pages; with ``--check``, report those that would change."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit with 1 if a page is stale")
    check = parser.parse_args().check
    stale = []
    for name, page in PAGES.items():
        content = (NOTE if name.endswith(".md") else "") + page()
        path = DOCS / name
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            stale.append(name)
            if not check:
                path.write_text(content, encoding="utf-8")
    if check and stale:
        sys.exit(f"stale: {', '.join(stale)}; run `make docs`")


if __name__ == "__main__":
    main()
