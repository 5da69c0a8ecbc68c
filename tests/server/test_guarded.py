"""The conditions of a route hold however its path is spelled, and a route without conditions can't be served."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import pytest
from conftest import SHARED_FIXTURES, app_for
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from starlette.testclient import TestClient

from qa_service.pipeline import QuestionAnswerer
from qa_service.server.gate import ASK
from qa_service.server.keys import KeyFile
from qa_service.server.routes.guarded import GuardedASGIRoute, check_routes
from qa_service.settings import Settings

PAGE = "https://www.example.org"
REFUSALS = {400, 401, 403, 404, 405}
PUBLIC_PATHS = {"/", "/livez", "/readyz", "/widget", "/widget/{name}", "/widget/{of}/{name}"}
PUBLIC_PATHS |= {"/owner", "/owner/owner.css", "/owner/owner.js"}
ADMIN_PATHS = {
    "/admin/reindex",
    "/evaluate",
    "/evaluate/{evaluation_id}",
    "/evaluate/{evaluation_id}/report",
    "/metrics",
    "/owner/report",
    "/collections/{collection}/owner/report",
    "/documents/{path:path}",
    "/collections/{collection}/documents/{path:path}",
}
BY_KEY_PATHS = {"/mcp", "/v1/models", "/v1/models/{model:path}", "/v1/vector_stores"} | {
    *("/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/rerank", "/v2/rerank"),
}
"""Also open to keys of some collections: the handler shows each key its own."""
FEEDBACK_PATHS = {"/feedback", "/collections/{collection}/feedback"}


def needed_for(path: str) -> str | None:
    """Return the scope that a path needs, by a table of its own."""
    if path in PUBLIC_PATHS:
        return None
    return "admin" if path in ADMIN_PATHS else "feedback" if path in FEEDBACK_PATHS else "ask"


@dataclass
class Attacker:
    """A client with a key, or without one."""

    name: str
    scopes: frozenset[str]
    headers: Mapping[str, str]


def may(attacker: Attacker, path: str) -> bool:
    """Tell whether a client may use a path, by the table."""
    return needed_for(path) in attacker.scopes or (attacker.name == "collection" and path in BY_KEY_PATHS)


@dataclass
class Target:
    """An application, its routes as (method, path), and its clients."""

    app: FastAPI
    routes: list[tuple[str, str]]
    attackers: list[Attacker]


@pytest.fixture
def target(answerer: QuestionAnswerer, settings: Settings) -> Iterator[Target]:
    own = settings.model_copy(update={"access": "keys", "mcp": True, "rate": "", "visitor_rate": ""})
    file = KeyFile(own.data)
    secret = {name: file.create(name, (name,)) for name in ("ask", "feedback")}  # type: ignore[arg-type]
    page = file.create("page", publishable=True, origins=(PAGE,))
    limited = file.create("hr", collections=("hr",))
    attackers = [
        Attacker("nobody", frozenset(), {}),
        Attacker("wrong", frozenset(), {"authorization": "Bearer sk_00000000_" + "A" * 43}),
        *(Attacker(name, frozenset({name}), {"authorization": f"Bearer {token}"}) for name, token in secret.items()),
        Attacker("page", frozenset({"ask", "feedback"}), {"authorization": f"Bearer {page}", "origin": PAGE}),
        Attacker("collection", frozenset(), {"authorization": f"Bearer {limited}"}),
    ]
    app = app_for(answerer, own)
    contexts = iter_route_contexts(app.routes)
    routes = sorted({(method, str(one.path)) for one in contexts for method in one.methods or ()})
    with TestClient(app):
        yield Target(app, routes, attackers)


def asked(app: FastAPI, method: str, address: str, headers: Mapping[str, str]) -> int:
    """Return the status of a request, given to the application as the server would give it."""
    path, _, query = address.partition("?")
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "method": method,
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [
            *((name.encode(), value.encode()) for name, value in {"host": "localhost", **headers}.items()),
            (b"content-type", b"application/json"),
        ],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    statuses = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"question": "cat"}', "more_body": False}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    asyncio.run(app(scope, receive, send))
    return int(statuses[0])


def spelled(path: str, pick: random.Random) -> str:
    """Return another spelling of a path: line ends, encodings, slashes, dots, case, parameters, trailing bytes."""
    ends = (
        "",
        "%0A",
        "%0D",
        "%0D%0A",
        "%00",
        "%09",
        "%7F",
        "%20",
        "/",
        "//",
        "/.",
        "/..",
        ".",
        ";a",
        "?",
        "?a=%0A",
        "%2F",
    )
    more = ("%C2%85", "%E2%80%A8", "%ff", "\\", "%5C", "#", ",", "%23", "%3F", "*", "/%2e%2e", "@")
    kinds: tuple[Callable[[str], str], ...] = (
        lambda text: text,
        lambda text: "".join(quote(c, safe="") if pick.random() < 0.5 and c != "/" else c for c in text),
        lambda text: "".join(f"%{ord(c):02X}" if pick.random() < 0.3 and c != "/" else c for c in text),
        lambda text: text.replace("/", pick.choice(("//", "/./", "/%2e/", "/x/../", "%2F", "/;/")), pick.randint(1, 3)),
        lambda text: "".join(c.upper() if pick.random() < 0.5 else c for c in text),
        lambda text: "http://localhost" + text,
        lambda text: f"{pick.choice(('/livez', '/widget', '/ask', '/cite', '/.', '/widget/..'))}{text}",
        lambda text: f"{text}{pick.choice(('/livez', '/ask', '/view', '/../ask', '%0A/ask', '/x/report'))}",
        lambda text: text + pick.choice(("%0A", "%00")) * pick.randint(1, 3),
    )
    for _ in range(pick.randint(1, 2)):
        path = pick.choice(kinds)(path)
    return path + pick.choice(ends + more)


def attack(target: Target, seed: int) -> tuple[str, int]:
    """Ask a route in another spelling with a key that lacks its scope; return the path and the status."""
    pick = random.Random(seed)
    guarded = [(method, path) for method, path in target.routes if needed_for(path) is not None]
    method, path = pick.choice(guarded)
    attacker = pick.choice([one for one in target.attackers if not may(one, path)])
    filled = path.replace("{collection}", "zoo").replace("{evaluation_id}", "a" * 32).replace("{", "").replace("}", "")
    address = spelled(filled, pick)
    found = asked(target.app, method, address, attacker.headers)
    # Another spelling may be the path of a public route, but of no other that is guarded.
    public = (
        any(address.startswith(start) for start in ("/livez", "/widget")) or unquote(address.partition("?")[0]) == "/"
    )
    assert found in REFUSALS or (public and found == 200), (attacker.name, method, address, found)
    return path, found


@pytest.mark.needs("mcp")
@examples(max_examples=300, suppress_health_check=SHARED_FIXTURES)
@given(seed=st.integers(0, 2**32 - 1))
def test_no_spelling_of_a_path_bypasses_its_access_conditions(target: Target, seed: int) -> None:
    """Every route, every kind of key without its scope: refused, however the path is spelled."""
    attack(target, seed)


@pytest.mark.proof
def test_proof_no_spelling_of_a_path_bypasses_its_access_conditions(
    target: Target, record_property: Callable[[str, object], None]
) -> None:
    """The same, 10,000 spellings."""
    asked_of = [attack(target, seed) for seed in range(10_000)]
    paths = {path for path, _ in asked_of}
    assert paths == {path for _, path in target.routes if needed_for(path) is not None}
    statuses = Counter(status for _, status in asked_of)
    told = ", ".join(f"{count} times {status}" for status, count in sorted(statuses.items()))
    record_property("figure", f"10,000 spellings of {len(paths)} guarded paths: {told}")


@pytest.mark.needs("mcp")
@pytest.mark.parametrize("end", ["%0A", "%0D%0A", "%00", "%7F"])
def test_a_path_with_a_control_character_is_not_found(end: str, target: Target) -> None:
    """The gate refuses it without the scope; with the scope it is 404."""
    by_name = {one.name: one for one in target.attackers}
    for method, path in target.routes:
        if method == "HEAD" or "{" in path:
            continue
        for name in ("nobody", "ask", "page"):
            attacker = by_name[name]
            found = asked(target.app, method, path + end, attacker.headers)
            need = needed_for(path)
            expected = {404} if need is None and end == "%0A" else {401} if name == "nobody" else {403, 404}
            assert found in expected | ({401} if need is None else set()), (method, path, name)


def test_an_application_with_an_unguarded_route_does_not_start(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A route of the framework or of an included router; routes of a guarded class are accepted."""
    app = app_for(answerer, settings)
    check_routes(app)
    app.router.routes.append(GuardedASGIRoute(ASK, "/fine", lambda: None, ["GET"]))
    check_routes(app)
    app.add_api_route("/forgotten", lambda: "open", response_model=None)
    with pytest.raises(TypeError, match="/forgotten has no access conditions"):
        check_routes(app)
