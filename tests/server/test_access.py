"""Keys and their scopes, origins of pages, signed links, and rate limits."""

import hashlib
import hmac
import json
import math
import random
import re
import secrets
import socket
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import FakeEmbedder, Run, app_for, key_for
from httpx2 import Response
from processes import PATIENCE, eventually
from starlette.testclient import TestClient

from qa_service.errors import NotFound, SettingsError, TooManyRequests
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.keys import SCOPES, KeyFile, check_access, is_loopback, keys_needed
from qa_service.server.live_index import ServableIndex
from qa_service.server.rates import Limit, Rates
from qa_service.settings import Settings, load_settings
from qa_service.settings.values import origin_of

PAGE = "https://www.example.org"
OTHER = "https://evil.example"
BODIES = {
    "/ask": {"question": "cat"},
    "/ask/batch": {"questions": ["cat"]},
    "/verify": {"citations": [{"uri": "sea.txt", "start_char": 0, "quote": "The"}]},
    "/search": {"query": "cat"},
    "/feedback": {"answer_id": "none", "useful": True},
}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"access": "keys", "reload_seconds": 0.05, "documents_write": True})


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def shown(token: str, origin: str | None = None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} | ({"Origin": origin} if origin else {})


def test_a_key_is_stored_as_its_hash_and_revoked(tmp_path: Path) -> None:
    """In a file that only its owner can read; another process sees a change when it next polls the file."""
    file, other = KeyFile(tmp_path), KeyFile(tmp_path)
    token = file.create("the web shop", rate="5/minute")
    text = (tmp_path / "keys.json").read_text()
    assert token not in text
    assert token.split("_", 2)[2] not in text
    assert stat.S_IMODE((tmp_path / "keys.json").stat().st_mode) == 0o600
    key = file.find_key(token)
    assert key is not None
    assert (key.name, key.scopes, key.rate, token.split("_")[:2]) == (
        "the web shop",
        ("ask", "feedback"),
        "5/minute",
        ["sk", key.id],
    )
    assert other.find_key(token) is None
    other.reload_if_changed()
    assert other.find_key(token) == key
    page = file.create("a page", publishable=True, origins=("https://WWW.example.org:443", PAGE))
    kept = file.find_key(page)
    assert kept is not None
    assert kept.origins == (PAGE,)
    assert file.revoke(key.id) == key
    assert file.find_key(token) is None
    other.reload_if_changed()
    assert other.keys == (kept,)
    with pytest.raises(NotFound):
        file.revoke(key.id)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("needs the origins", {"publishable": True}),
        ("everybody can read the key", {"publishable": True, "origins": (PAGE,), "scopes": ("admin",)}),
        ("needs at least one scope", {"scopes": ()}),
        ("for all collections", {"scopes": ("admin",), "collections": ("hr",)}),
        *(
            ("is not an origin", {"origins": (origin,)})
            for origin in (
                "*",
                "null",
                "www.example.org",
                PAGE + "/",
                "https://*.example.org",
                "ftp://a",
                "https://u@h",
            )
        ),
        *(("pattern", {"rate": rate}) for rate in ("0/second", "abc", "10 per fortnight", "5", "-1/minute")),
    ],
)
def test_an_unsafe_key_is_not_created(words: str, arguments: dict[str, object], tmp_path: Path) -> None:
    """And nothing is written."""
    with pytest.raises(SettingsError, match=words):
        KeyFile(tmp_path).create("x", **arguments)
    assert not list(tmp_path.iterdir())


def test_invalid_tokens_match_no_key(tmp_path: Path) -> None:
    """Another secret, another id, the other kind, a truncated or longer token, other characters."""
    file = KeyFile(tmp_path)
    token = file.create("x")
    kind, identifier, secret = token.split("_", 2)
    for wrong in (
        "",
        token[:-1],
        token + "A",
        token.replace("sk_", "pk_", 1),
        f"{kind}_{identifier}_{secrets.token_urlsafe(32)}",
        f"{kind}_{'0' * 8}_{secret}",
        token.upper(),
        token + "\n",
        "ключ",
    ):
        assert file.find_key(wrong) is None, wrong
    assert file.find_key(token) is not None


def test_a_damaged_key_file_is_reported_and_the_current_keys_are_kept(tmp_path: Path) -> None:
    """A start with it is refused; a running server keeps the keys it has."""
    file = KeyFile(tmp_path)
    token = file.create("x")
    for damaged in ("{", "[]", '{"keys": []}', (tmp_path / "keys.json").read_text().replace("sha256", "md5")):
        (tmp_path / "keys.json").write_text(damaged)
        with pytest.raises(SettingsError, match=r"keys\.json is damaged"):
            KeyFile(tmp_path)
        with pytest.raises(SettingsError):
            file.reload_if_changed()
        assert file.find_key(token) is not None


def _wrong_in(token: str, place: int) -> str:
    """Change one character of a token's secret."""
    characters = list(token)
    place = place + len("sk_00000000_") if place >= 0 else place
    characters[place] = "A" if characters[place] != "A" else "B"
    return "".join(characters)


def test_the_check_of_a_key_takes_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is wrong, hashes of the whole token are compared, in constant time."""
    file = KeyFile(tmp_path)
    token = file.create("x")
    compared: list[tuple[str, str]] = []
    compare = hmac.compare_digest

    def seen(one: str, two: str) -> bool:
        compared.append((one, two))
        return compare(one, two)

    monkeypatch.setattr(hmac, "compare_digest", seen)
    unknown = f"sk_{'0' * 8}_{token[12:]}"
    wrong = (_wrong_in(token, 0), _wrong_in(token, -1), unknown, "p" + token[1:], token[:-1], "")
    for shown in wrong:
        assert file.find_key(shown) is None
    assert file.find_key(token) is not None
    assert [one for one, _ in compared] == [hashlib.sha256(shown.encode()).hexdigest() for shown in (*wrong, token)]
    assert {len(two) for _, two in compared} == {64}


@pytest.mark.proof
def test_proof_the_check_of_a_key_takes_constant_time(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Tokens wrong in their first character take as long as those wrong in their last: 40,000 tokens, Welch's t.

    Each has a key of its own, since the time depends on the token that is shown, though not on the key's.
    """
    KeyFile(tmp_path).create("x")
    content = json.loads((tmp_path / "keys.json").read_text())
    shown: list[tuple[int, str]] = []
    keys = []
    chance = random.Random(20261126)  # every second one would also lie at every second place in memory
    for number in range(40_000):
        right = f"sk_{number:08x}_{secrets.token_urlsafe(32)}"
        keys.append(content["keys"][0] | {"id": right[3:11], "sha256": hashlib.sha256(right.encode()).hexdigest()})
        place = -chance.getrandbits(1)
        shown.append((place, _wrong_in(right, place)))
    (tmp_path / "keys.json").write_text(json.dumps(content | {"keys": keys}))
    file = KeyFile(tmp_path)
    times: dict[int, list[int]] = {0: [], -1: []}
    chance.shuffle(shown)
    for place, token in shown:
        started = time.perf_counter_ns()
        file.find_key(token)
        times[place].append(time.perf_counter_ns() - started)
    samples = [sorted(values)[: int(len(values) * 0.9)] for values in times.values()]  # without interruptions
    means, variances = zip(
        *((statistics.fmean(values), statistics.variance(values)) for values in samples), strict=True
    )
    t = (means[0] - means[1]) / math.sqrt(
        sum(variance / len(values) for variance, values in zip(variances, samples, strict=True))
    )
    record_property("figure", f"40,000 tokens, {means[0]:.0f} and {means[1]:.0f} ns, t {t:.1f}")
    assert abs(t) < 4.5


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.evil.org", "")),
    ],
)
def test_loopback_addresses_are_recognised(host: str, loopback: bool) -> None:
    """By its address or its name."""
    assert is_loopback(host) is loopback


def test_other_machines_need_a_key_unless_the_service_is_open(tmp_path: Path) -> None:
    """If other machines can reach the address and no key exists, the server does not start."""
    here = load_settings(data=tmp_path)
    assert not keys_needed(here)
    check_access(here)
    public = load_settings(data=tmp_path, host="0.0.0.0")
    assert keys_needed(public)
    with pytest.raises(SettingsError, match=r"keys create.*--open"):
        check_access(public)
    check_access(load_settings(data=tmp_path, host="0.0.0.0", access="open"))
    KeyFile(tmp_path).create("x")
    check_access(public)
    assert keys_needed(load_settings(data=tmp_path, access="keys"))
    with pytest.raises(SettingsError, match="is not an origin"):
        load_settings(origins="https://a.example/path")
    assert load_settings(origins="*").origins == ("*",)
    assert origin_of("http://[::1]:8080") == "http://[::1]:8080"


def routes(client: TestClient) -> Iterator[tuple[str, str, str]]:
    """Yield method, path and operation of every route."""
    paths = client.app.openapi()["paths"]  # type: ignore[attr-defined]
    for path, methods in paths.items():
        for method, operation in methods.items():
            filled = path.replace("{collection}", "none").replace("{evaluation_id}", "a" * 32)
            yield method.upper(), re.sub(r"\{\w+\}", "none", filled), operation["operationId"]


def test_every_route_opens_to_its_scope_only(client: TestClient, settings: Settings) -> None:
    """Every route with every kind of key: none, a wrong one, one of each scope, one of this page and one of another."""
    keys = KeyFile(settings.data)
    tokens = {scope: keys.create(scope, (scope,)) for scope in SCOPES}
    page = keys.create("page", publishable=True, origins=(PAGE,))
    eventually(lambda: client.get("/index", headers=shown(tokens["ask"])).status_code == 200)
    needs = {"livez": None, "readyz": None, "widget": None, "feedback": "feedback", "collection_feedback": "feedback"}
    needs |= dict.fromkeys(
        ("reindex", "reindex_state", "evaluate", "evaluation", "evaluations", "evaluation_report", "metrics"), "admin"
    )
    of_collections = ("put_document", "get_document", "delete_document", "owner_report")
    needs |= dict.fromkeys((*of_collections, *(f"collection_{name}" for name in of_collections)), "admin")
    of_whole_documents = ("read_source", "passages", "view_source", "preview", "page_picture")
    around_quotes = {"vector_store_file_content", *of_whole_documents, *(f"collection_{n}" for n in of_whole_documents)}
    seen = 0
    for method, path, operation in routes(client):
        need = needs.get(operation, "ask")
        suffix = next((end for end in BODIES if path.endswith(end)), "")

        def status(headers: dict[str, str], method: str = method, path: str = path, suffix: str = suffix) -> int:
            body = {"json": BODIES[suffix]} if method == "POST" and suffix else {}
            response = client.request(method, path, headers=headers, **body)
            if response.status_code >= 400:
                assert response.headers["content-type"] == "application/problem+json"
            return response.status_code

        cases = {
            "none": {},
            "wrong": shown("sk_00000000_" + "A" * 43),
            "in the query": {},
            **{scope: shown(token) for scope, token in tokens.items()},
            "page": shown(page, PAGE),
            "page, other origin": shown(page, OTHER),
            "page, no origin": shown(page),
        }
        for name, headers in cases.items():
            asked = f"{path}?key={tokens['admin']}" if name == "in the query" else path
            found = status(headers, path=asked)
            if need is None:
                assert found == 200, (path, name)
            elif name in {"none", "wrong", "in the query"}:
                assert found == 401, (path, name)
            elif name.startswith("page, "):
                assert found == 403, (path, name)
            else:
                by_page = need in {"ask", "feedback"} and operation not in around_quotes
                allowed = name == need or (name == "page" and by_page)
                assert (found not in {401, 403}) is allowed, (path, name, found)
            seen += 1
    assert seen > 250


def test_the_key_is_checked_before_the_body_is_read(client: TestClient, settings: Settings) -> None:
    """A bad key with a bad body gives 401."""
    eventually(lambda: client.get("/index", headers=key_for(settings, "ask")).status_code == 200)
    for body in (b"{", b"x" * 1_000_000, b'{"question": "cat"}'):
        for headers in ({}, shown("sk_x"), {"Authorization": "Basic abc"}):
            assert client.post("/ask", content=body, headers=headers).status_code == 401
    twice = [("Authorization", "Bearer a"), ("Authorization", "Bearer b")]
    assert client.post("/ask", content=b"{}", headers=twice).status_code == 401


def test_a_revoked_key_is_rejected(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Without a restart."""
    keys = KeyFile(settings.data)
    token = keys.create("x")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        assert client.post("/ask", json={"question": "cat"}, headers=shown(token)).status_code == 200
        keys.revoke(keys.keys[0].id)
        eventually(lambda: client.post("/ask", json={"question": "cat"}, headers=shown(token)).status_code == 401)


def test_only_signed_links_open_without_a_key(client: TestClient, settings: Settings) -> None:
    """The view and the permalink are signed; a changed or missing signature, or another document, is refused."""
    headers = key_for(settings, "ask", "feedback")
    eventually(lambda: client.get("/index", headers=headers).status_code == 200)
    body = client.post("/ask", json={"question": "where does the cat sleep", "top_k": 5}, headers=headers).json()
    citation = body["results"][0]["citation"]
    assert "sig=" in citation["url"]
    assert client.get(citation["url"]).status_code == 200
    page = client.get(citation["permalink"], headers={"Accept": "text/html"})
    assert page.status_code == 200
    onward = re.search(r'href="([^"]+)"', page.text)
    assert onward is not None
    assert client.get(onward[1].replace("&amp;", "&")).status_code == 200
    path, _, query = citation["url"].partition("#")[0].partition("?")
    signature = re.search(r"sig=(\w+)", query)[1]  # type: ignore[index]
    other = next(
        result["citation"]["document_id"]
        for result in body["results"]
        if result["citation"]["document_id"] != citation["document_id"]
    )
    for refused in (
        path,
        f"{path}?sig={'0' * 32}",
        f"{path}?sig={signature[:-1]}",
        f"{path}?sig={signature}&sig={signature}",
        f"/sources/{other}/view?sig={signature}",
        f"/sources/{citation['document_id']}?sig={signature}",
        f"/index?sig={signature}",
    ):
        assert client.get(refused).status_code == 401, refused
    assert client.post(citation["url"]).status_code == 401
    feedback = {"answer_id": body["id"], "useful": False, "right_passage": citation["permalink"]}
    assert client.post("/feedback", json=feedback, headers=headers).status_code == 201


def linked(client: TestClient, token: str, question: str = "where does the cat sleep") -> dict[str, str]:
    """Return the links of the best result in an answer to a key."""
    body = client.post("/ask", json={"question": question, "top_k": 1}, headers=shown(token)).json()
    citation = body["results"][0]["citation"]
    return {"view": citation["url"].partition("#")[0], "cite": citation["permalink"]}


def test_links_expire_with_their_key_and_with_the_link_secret(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Links of other keys stay valid when a key is revoked. A new secret ends all links; new answers have new ones."""
    file = KeyFile(settings.data)
    one, two = file.create("one"), file.create("two")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        first, second = linked(client, one), linked(client, two)
        assert {client.get(link).status_code for link in (*first.values(), *second.values())} == {200}
        file.revoke(one.split("_")[1])
        eventually(lambda: client.get(first["view"]).status_code == 401)
        assert client.get(first["cite"]).status_code == 401
        assert {client.get(link).status_code for link in second.values()} == {200}
        file.rotate_links()
        eventually(lambda: client.get(second["view"]).status_code == 401)
        assert client.post("/ask", json={"question": "cat"}, headers=shown(two)).status_code == 200
        assert client.get(linked(client, two)["view"]).status_code == 200


def test_a_link_expires_after_its_last_day(tmp_path: Path) -> None:
    """A signature covers its day and its key."""
    file = KeyFile(tmp_path)
    key = file.find_key(file.create("a"))
    other = file.find_key(file.create("b"))
    assert key is not None
    assert other is not None
    address = "/cite/abc.1-2"
    today = file.signature(address, file.grant(key, 0))
    assert file.verified_grant(address, today) == file.grant(key, 0)
    ended = file.signature(address, file.grant(key, -1))
    assert file.verified_grant(address, ended) is None
    identifier, day, proof = today.split(".")
    for forged in (
        f"{identifier}.{int(day) + 1}.{proof}",
        f"{identifier}.0{day}.{proof}",
        f"{other.id}.{day}.{proof}",
        f"{identifier}.{day}.{'0' * 32}",
        f"{identifier}.{day}",
        "",
        today + "\n",
    ):
        assert file.verified_grant(address, forged) is None, forged
    assert file.verified_grant(address + "3", today) is None


def test_a_link_shows_only_the_context_of_its_quote(
    settings: Settings, fake: FakeEmbedder, folder: Callable[[dict[str, str | bytes]], Path]
) -> None:
    """The key itself opens whole documents, as do links of a key with the scope `documents`."""
    filler = "\n\n".join(f"Paragraph {number} tells of stones and rivers." for number in range(200))
    folder(
        {"long.txt": f"The secret begins here.\n\n{filler}\n\nThe heron waits in the reeds.\n\n{filler}\n\nTHE END."}
    )
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    file = KeyFile(settings.data)
    plain, reader = file.create("plain"), file.create("reader", ("ask", "documents"))
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        view = linked(client, plain, "where does the heron wait")["view"]
        page = client.get(view).text
        assert '<mark id="quote">The heron waits in the reeds.</mark>' in page
        assert "Paragraph 199" in page
        assert "secret" not in page
        assert "THE END" not in page
        whole = client.get(view, headers=shown(plain)).text
        assert "secret" in whole
        assert "secret" in client.get(linked(client, reader, "where does the heron wait")["view"]).text
        start = re.search(r"start=(\d+)", view)
        assert start is not None
        for moved in (
            view.replace(start[0], "start=0"),
            view.replace("?start", "?start=0&start"),
            view + "&start=0",
            view.replace("&sig=", "&start=0&sig="),
        ):
            assert client.get(moved).status_code == 401, moved


def test_a_publishable_key_reads_around_quotes_only(answerer: QuestionAnswerer, settings: Settings) -> None:
    """The links of its answers open, also with the key beside them; with the scope `documents`, everything does."""
    keys = KeyFile(settings.data)
    page, reader = (
        shown(keys.create("page", scopes, publishable=True, origins=(PAGE,)), PAGE)
        for scopes in (("ask",), ("ask", "documents"))
    )
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        body = client.post("/ask", json={"question": "where does the cat sleep", "top_k": 1}, headers=page).json()
        citation = body["results"][0]["citation"]
        links = [citation["url"].partition("#")[0], citation["preview"], citation["permalink"]]
        assert {client.get(link, headers=headers).status_code for link in links for headers in ({}, page)} == {200}
        document = f"/sources/{citation['document_id']}"
        for path in (document, f"{document}/passages", f"{document}/view", f"{document}/view?start=0&end=5"):
            refused = client.get(path, headers=page)
            assert refused.status_code == 403, path
            assert "around quotes only" in refused.json()["detail"]
            assert client.get(path, headers=reader).status_code == 200, path


def test_concurrent_changes_of_the_key_file_are_all_kept(tmp_path: Path) -> None:
    """Each begins with the content that the other one wrote; other accounts can read none of the files."""
    code = (
        "import sys; from pathlib import Path; from qa_service.server.keys import KeyFile\n"
        "file = KeyFile(Path(sys.argv[1]))\n"
        "for number in range(15): file.create(f'{sys.argv[2]} {number}')"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b", "c")]
    assert [process.wait(PATIENCE) for process in running] == [0, 0, 0]
    assert len(KeyFile(tmp_path).keys) == 45
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}


def test_pages_of_a_keys_origins_may_read_answers(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A preflight from an allowed page is answered with its origin, never with a star; others are refused."""
    token = KeyFile(settings.data).create("page", publishable=True, origins=(PAGE,))
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:
        asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
        allowed = client.options("/ask", headers={"Origin": PAGE, **asks})
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == PAGE
        assert "Origin" in allowed.headers["vary"]
        assert "access-control-allow-credentials" not in allowed.headers
        for origin in (OTHER, "null", PAGE + ".evil.com", PAGE.replace("https", "http"), "*"):
            refused = client.options("/ask", headers={"Origin": origin, **asks})
            assert refused.status_code == 403
            assert "access-control-allow-origin" not in refused.headers
            answer = client.post("/ask", json={"question": "cat"}, headers=shown(token, origin))
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
        answer = client.post("/ask", json={"question": "cat"}, headers=shown(token, PAGE))
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "RateLimit" in answer.headers["access-control-expose-headers"]
        error = client.post("/ask", content=b"{", headers=shown(token, PAGE) | {"Content-Type": "application/json"})
        assert (error.status_code, error.headers["access-control-allow-origin"]) == (400, PAGE)


def test_without_keys_the_settings_name_the_allowed_origins(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A list of origins, or a star for all; none by default, and none if keys are needed."""
    for access, origins, allowed in (
        ("open", (), None),
        ("open", (PAGE,), PAGE),
        ("open", ("*",), PAGE),
        ("keys", ("*",), None),
    ):
        own = settings.model_copy(update={"access": access, "origins": origins})
        with TestClient(app_for(answerer, own), base_url="http://localhost") as client:
            found = client.post("/ask", json={"question": "cat"}, headers={"Origin": PAGE})
            assert found.headers.get("access-control-allow-origin") == allowed


def test_each_key_has_its_own_rate_limit_and_headers(answerer: QuestionAnswerer, settings: Settings) -> None:
    """429 with the seconds to wait; a batch counts its questions; other keys and addresses are not affected."""
    keys = KeyFile(settings.data)
    first, second = keys.create("a", rate="5/hour"), keys.create("b")
    page = keys.create("page", publishable=True, origins=(PAGE,), rate="100/hour")
    limited = settings.model_copy(update={"rate": "3/hour", "visitor_rate": "2/hour"})
    with TestClient(app_for(answerer, limited), base_url="http://localhost") as client:

        def ask(token: str, origin: str | None = None) -> tuple[int, str, str]:
            response = client.post("/ask", json={"question": "cat"}, headers=shown(token, origin))
            if response.status_code == 429:
                assert 1 <= int(response.headers["retry-after"]) <= 3600
                assert response.json()["type"] == "urn:qa-service:problem:too-many-requests"
            return response.status_code, response.headers["ratelimit-policy"], response.headers["ratelimit"]

        status, policy, left = ask(first)
        assert (status, policy) == (200, '"key";q=5;w=3600')
        assert re.fullmatch(r'"key";r=4;t=\d+', left)
        headers = shown(first)
        assert client.post("/ask/batch", json={"questions": ["cat"] * 3}, headers=headers).status_code == 200
        assert [ask(first)[0] for _ in range(3)] == [200, 429, 429]
        too_many = client.post("/ask/batch", json={"questions": ["cat"] * 9}, headers=shown(second))
        assert (too_many.status_code, "largest batch here is 3" in too_many.json()["detail"]) == (422, True)
        status, policy, _ = ask(page, PAGE)
        assert (status, policy) == (200, '"key";q=100;w=3600, "visitor";q=2;w=3600')
        assert [ask(page, PAGE)[0] for _ in range(2)] == [200, 429]
        assert client.get("/livez").headers.get("ratelimit") is None
    with TestClient(app_for(answerer, limited), base_url="http://localhost", client=("10.0.0.9", 1)) as elsewhere:
        assert elsewhere.post("/ask", json={"question": "cat"}, headers=shown(page, PAGE)).status_code == 200


def test_a_rejected_request_counts_towards_no_limit(answerer: QuestionAnswerer, settings: Settings) -> None:
    """A visitor over its limit does not use up the key's limit; a refused batch leaves room for a smaller one."""
    page = KeyFile(settings.data).create("page", publishable=True, origins=(PAGE,), rate="20/hour")
    limited = settings.model_copy(update={"visitor_rate": "5/hour"})
    app = app_for(answerer, limited)
    with TestClient(app, base_url="http://localhost", client=("203.0.113.7", 1)) as greedy:
        other = TestClient(app, base_url="http://localhost", client=("198.51.100.9", 1))
        headers = shown(page, PAGE)
        found = [greedy.post("/ask", json={"question": "cat"}, headers=headers) for _ in range(30)]
        assert [one.status_code for one in found] == [200] * 5 + [429] * 25
        assert found[-1].headers["ratelimit"].startswith('"key";r=15;')
        first = other.post("/ask", json={"question": "cat"}, headers=headers)
        assert (first.status_code, first.headers["ratelimit"].partition(";t=")[0]) == (200, '"key";r=14')
        for _ in range(10):
            assert other.post("/ask/batch", json={"questions": ["cat"] * 5}, headers=headers).status_code == 429
        fits = other.post("/ask/batch", json={"questions": ["cat"] * 4}, headers=headers)
        assert (fits.status_code, re.sub(r";t=\d+", "", fits.headers["ratelimit"])) == (
            200,
            '"key";r=10, "visitor";r=0',
        )


def test_a_batch_larger_than_any_limit_is_invalid_and_counts_as_one(
    answerer: QuestionAnswerer, settings: Settings
) -> None:
    """Not 429, since a retry can't help: the error gives the largest size, and a batch of that size passes."""
    token = KeyFile(settings.data).create("a", rate="6/hour")
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as client:

        def send(body: object) -> Response:
            return client.post("/ask/batch", json=body, headers=shown(token))

        for _ in range(3):
            never = send({"questions": ["cat"] * 7})
            assert (never.status_code, "largest batch here is 6" in never.json()["detail"]) == (422, True)
            assert "retry-after" not in never.headers
        for body in ({"questions": []}, {"question": "cat"}):
            invalid = send(body)
            assert invalid.status_code == 422
        assert client.post("/ask/batch", content=b"{", headers=shown(token)).status_code in {400, 415}
        assert send({"questions": ["cat"] * 3}).headers["ratelimit"].startswith('"key";r=0;')


def test_visitors_are_limited_by_address(answerer: QuestionAnswerer, settings: Settings) -> None:
    """If other machines can ask; not on loopback. An IPv6 network of 64 bits is one visitor."""
    public = settings.model_copy(update={"access": "open", "host": "0.0.0.0", "visitor_rate": "2/hour"})
    app = app_for(answerer, public)
    with TestClient(app, base_url="http://localhost"):
        for addresses, expected in (
            (["10.0.0.1"] * 3, [200, 200, 429]),
            (["10.0.0.2", "10.0.0.3", "10.0.0.2"], [200, 200, 200]),
            (["2001:db8::1", "2001:db8::2", "2001:db8::ffff"], [200, 200, 429]),
            (["2001:db8:1::1"], [200]),
            (["203.0.113.7", "::ffff:203.0.113.7", "2002:cb00:7107::1", "64:ff9b::cb00:7107"], [200, 200, 429, 429]),
        ):
            clients = [TestClient(app, base_url="http://localhost", client=(address, 1)) for address in addresses]
            found = [client.post("/ask", json={"question": "cat"}).status_code for client in clients]
            assert found == expected, addresses
    here = settings.model_copy(update={"access": "open", "visitor_rate": "1/hour"})
    with TestClient(app_for(answerer, here), base_url="http://localhost") as client:
        assert [client.post("/ask", json={"question": "cat"}).status_code for _ in range(3)] == [200] * 3


@pytest.mark.needs("redis")
def test_requests_pass_while_the_rate_storage_is_unavailable(
    answerer: QuestionAnswerer, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says that they are not counted; an invalid storage address is an error at the start."""
    redis = settings.model_copy(update={"rate_storage": "redis://127.0.0.1:1", "rate": "1/minute"})
    token = KeyFile(settings.data).create("a")
    with TestClient(app_for(answerer, redis), base_url="http://localhost") as client:
        for _ in range(2):
            response = client.post("/ask", json={"question": "cat"}, headers=shown(token))
            assert (response.status_code, response.headers.get("ratelimit")) == (200, None)
    assert "requests are not counted" in caplog.text
    with pytest.raises(SettingsError, match="QA_RATE_STORAGE"):
        load_settings(rate_storage="mysql://nowhere")
    with pytest.raises(SettingsError, match="QA_RATE_STORAGE must be an address"):
        Rates("redis://127.0.0.1:port")


async def counted(times: int) -> int:
    rates = Rates("memory://")
    limit = Limit.of("key", "a", "10/hour")
    passed = 0
    for _ in range(times):
        try:
            await rates.count([limit])
            passed += 1
        except TooManyRequests:
            pass
    return passed


def test_exactly_the_allowed_requests_pass() -> None:
    """Ten of thirty."""
    import asyncio

    assert asyncio.run(counted(30)) == 10


def test_the_command_line_creates_lists_and_revokes_keys(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new key is printed once, listed without its secret, and revoked by id; unsafe ones are refused."""
    data = ["--data", tmp_path / "data"]
    code, token, err = run("keys", "create", "the \x1b[31mshop", "--scope", "ask", *data)
    assert (code, err) == (0, "")
    assert re.fullmatch(r"sk_[0-9a-f]{8}_[\w-]{43}\n", token)
    identifier = token.split("_")[1]
    code, out, _ = run("keys", "list", *data)
    assert identifier in out
    assert "\x1b" not in out
    assert token.strip() not in out
    assert run("keys", "create", "page", "--publishable", *data)[0] == 2
    assert run("keys", "create", "page", "--publishable", "--origin", PAGE, *data)[1].startswith("pk_")
    code, out, _ = run("keys", "revoke", identifier, *data)
    assert (code, f"revoked {identifier}" in out) == (0, True)
    assert run("keys", "revoke", identifier, *data)[0] == 2
    monkeypatch.setenv("QA_DATA", str(tmp_path / "none"))
    code, _, err = run("serve", "--host", "0.0.0.0")
    assert (code, "keys create" in err) == (2, True)


@pytest.fixture
def two(settings: Settings, fake: FakeEmbedder, answerer: QuestionAnswerer) -> Iterator[TestClient]:
    """Serve the default collection and one for each folder."""
    both = settings.model_copy(update={"access": "open", "collections": ("zoo", "fish=other")})
    Path("other").mkdir()
    Path("other/fish.txt").write_text("The salmon swims up the river.\n")
    named = {}
    for name, own in both.by_collection().items():
        build(own, fake)
        opened, degraded = open_answerer(own, fake)
        named[name] = ServableIndex(opened, IndexFolder(own.index), degraded, lambda own=own: open_answerer(own, fake))
    with TestClient(app_for(answerer, both, named=named), base_url="http://localhost") as client:
        yield client


def test_collections_answer_from_their_own_documents_only(two: TestClient) -> None:
    """A hundred questions about other collections; links stay below the collection; unknown names are 404."""
    listed = two.get("/collections").json()["collections"]
    assert [(entry["name"], entry["documents"]) for entry in listed] == [("zoo", 1), ("fish", 1)]
    assert two.get("/readyz").json()["collections"] == {entry["name"]: entry["index_version"] for entry in listed}
    uris = {"zoo": {"animals.md"}, "fish": {"fish.txt"}}
    for name, own in uris.items():
        for number in range(50):
            question = ["where does the salmon swim", "the cat sleeps", "whale crab dog"][number % 3]
            body = two.post(f"/collections/{name}/ask", json={"question": f"{question} {number}", "top_k": 9}).json()
            assert {result["citation"]["uri"] for result in body["results"]} == own
            citation = body["results"][0]["citation"]
            assert citation["url"].startswith(f"/collections/{name}/sources/")
        assert two.get(citation["url"]).status_code == 200
        assert two.get(citation["permalink"]).json()["state"] == "exact"
        assert two.get(f"/sources/{citation['document_id']}").status_code == (200 if name == "none" else 404)
        assert two.get(f"/collections/{name}/index").json()["documents"] == 1
        assert two.get(f"/collections/{name}/index/diff").json()["previous"] is None
    assert {r["citation"]["uri"] for r in two.post("/ask", json={"question": "cat", "top_k": 9}).json()["results"]} == {
        "zoo/animals.md",
        "sea.txt",
    }
    for path in ("none", "..%2Fzoo", "ZOO", "default", "%2e%2e"):
        assert two.post(f"/collections/{path}/ask", json={"question": "cat"}).status_code in {404, 422}


def test_feedback_belongs_to_its_collection(two: TestClient, run: Run, settings: Settings) -> None:
    """And is exported by it."""
    answer = two.post("/collections/fish/ask", json={"question": "where does the salmon swim"}).json()
    right = answer["results"][0]["citation"]["permalink"]
    body = {"answer_id": answer["id"], "useful": False, "right_passage": right}
    assert two.post("/feedback", json=body).status_code == 422
    assert two.post("/collections/fish/feedback", json=body).status_code == 201
    assert run("feedback", "export", "--data", settings.data)[1] == ""
    exported = json.loads(run("feedback", "export", "--data", settings.data, "--collection", "fish")[1])
    assert exported["references"][0]["content"] == "The salmon swims up the river."


def test_a_key_can_be_limited_to_collections(answerer: QuestionAnswerer, settings: Settings) -> None:
    """Then it can use neither the default collection nor any other."""
    token = KeyFile(settings.data).create("hr", collections=("hr",))
    named = {name: ServableIndex(answerer, IndexFolder(settings.index)) for name in ("hr", "legal")}
    with TestClient(app_for(answerer, settings, named=named), base_url="http://localhost") as client:
        body = {"question": "cat"}
        assert client.post("/collections/hr/ask", json=body, headers=shown(token)).status_code == 200
        for path in ("/ask", "/collections/legal/ask", "/collections/hr2/ask"):
            assert client.post(path, json=body, headers=shown(token)).status_code == 403
        assert client.get("/collections", headers=shown(token)).status_code == 403


def test_the_command_line_builds_and_asks_collections(
    run: Run, here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`index` builds all of them, `ask --collection` asks one; unknown names are refused."""
    monkeypatch.setenv("QA_COLLECTIONS", "zoo")
    code, out, err = run("index", *here)
    assert (code, err) == (0, "")
    assert "collection zoo" in out
    report = json.loads(run("index", *here, "--json")[1])
    assert (report["documents"], report["collections"]["zoo"]["documents"]) == (2, 1)
    answer = json.loads(run("ask", "Who swims in the ocean?", *here, "--collection", "zoo", "--json")[1])
    assert {result["citation"]["uri"] for result in answer["results"]} == {"animals.md"}
    code, _, err = run("ask", "Who?", *here, "--collection", "sea")
    assert (code, "QA_COLLECTIONS has zoo" in err) == (2, True)
    for wrong in ("../x", "A", "zoo,zoo", "default", "zoo="):
        monkeypatch.setenv("QA_COLLECTIONS", wrong)
        assert run("index", *here)[0] == 2, wrong


@pytest.mark.needs("redis", "redis-server")
def test_several_processes_share_rate_limits(answerer: QuestionAnswerer, settings: Settings, tmp_path: Path) -> None:
    """Two applications and a real Redis count requests together; if Redis dies, requests pass."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    token = KeyFile(settings.data).create("a", rate="4/hour")
    shared = settings.model_copy(update={"rate_storage": f"redis://127.0.0.1:{port}"})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as redis:
        try:
            assert redis.stdout is not None
            assert any("Ready to accept connections" in line for line in iter(redis.stdout.readline, ""))
            with (
                TestClient(app_for(answerer, shared), base_url="http://localhost") as one,
                TestClient(app_for(answerer, shared), base_url="http://localhost") as other,
            ):
                asks = [(one, other)[number % 2] for number in range(6)]
                found = [ask.post("/ask", json={"question": "cat"}, headers=shown(token)).status_code for ask in asks]
                assert found == [200] * 4 + [429] * 2
                redis.kill()
                redis.wait()
                assert one.post("/ask", json={"question": "cat"}, headers=shown(token)).status_code == 200
        finally:
            redis.kill()
