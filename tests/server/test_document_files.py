"""Files of the source folder over HTTP: stored complete or not at all, below the folder only, then built once."""

import hashlib
import json
import logging
import os
import resource
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
from conftest import app_for, key_for, served
from processes import eventually
from starlette.testclient import TestClient

from qa_service.client import Client, ServiceError
from qa_service.errors import BuildInProgress, InvalidRequest
from qa_service.index.disk import IndexFolder
from qa_service.loading.formats import FORMATS
from qa_service.pipeline import QuestionAnswerer
from qa_service.server import builds
from qa_service.server.builds import Builder
from qa_service.server.document_paths import names_of
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

BUILD = ("sh", "-c", 'echo started >> "$0/builds"; echo "{}"')
"""Replaces ``qa-service``: a line for each build."""
TEXT = b"# Owls\n\nOwls hunt at night.\n"
OTHER = b"# Owls\n\nOwls hunt by ear.\n"


def tag(content: bytes) -> str:
    return f'"{hashlib.sha256(content).hexdigest()}"'


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"documents_write": True, "max_file_mb": 1})


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings, tmp_path: Path) -> Iterator[TestClient]:
    key = key_for(settings, "admin", "ask")
    app = app_for(answerer, settings, job_command=(*BUILD, str(tmp_path)))
    with TestClient(app, base_url="http://localhost", headers=key) as connected:
        yield connected


def builds_in(folder: Path) -> int:
    log = folder / "builds"
    return log.read_text().count("started") if log.exists() else 0


def files_below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_file_is_stored_read_and_deleted(client: TestClient, settings: Settings) -> None:
    """201, then 200; its bytes as an attachment with its hash as the tag; 204, then 404."""
    path = "/documents/birds/big%20owls.md"
    created = client.put(path, content=TEXT)
    assert created.status_code == 201
    sha256 = hashlib.sha256(TEXT).hexdigest()
    expected = {"uri": "birds/big owls.md", "sha256": sha256, "size": len(TEXT), "build": "/admin/reindex"}
    assert created.json() == expected
    assert created.headers["link"] == '</admin/reindex>; rel="monitor"'
    read = client.get(path)
    assert (read.content, read.headers["etag"], created.headers["etag"]) == (TEXT, tag(TEXT), tag(TEXT))
    assert read.headers["content-type"] == "application/octet-stream"
    assert read.headers["content-disposition"] == "attachment; filename*=UTF-8''big%20owls.md"
    assert read.headers["x-content-type-options"] == "nosniff"
    assert client.get(path, headers={"If-None-Match": tag(TEXT)}).status_code == 304
    replaced = client.put(f"{path}?build=false", content=OTHER)
    assert (replaced.status_code, replaced.json()["build"], "link" in replaced.headers) == (200, None, False)
    assert (settings.source / "birds/big owls.md").read_bytes() == OTHER
    assert client.delete(path).status_code == 204
    assert [client.get(path).status_code, client.delete(path).status_code] == [404, 404]
    assert client.get("/documents/nowhere/owls.md").status_code == 404


def test_a_lost_update_is_refused(client: TestClient, settings: Settings) -> None:
    """If-Match and If-None-Match are compared with the hash of the file as it is now; 412 changes nothing."""
    path = "/documents/owls.md"
    assert client.put(path, content=TEXT, headers={"If-Match": "*"}).status_code == 412
    assert client.put(path, content=TEXT, headers={"If-None-Match": "*"}).status_code == 201
    assert client.put(path, content=OTHER, headers={"If-None-Match": "*"}).status_code == 412
    for wrong in (tag(OTHER), f"W/{tag(TEXT)}", "nonsense"):
        assert client.put(path, content=OTHER, headers={"If-Match": wrong}).status_code == 412
        assert client.delete(path, headers={"If-Match": wrong}).status_code == 412
    assert (settings.source / "owls.md").read_bytes() == TEXT
    assert client.put(path, content=OTHER, headers={"If-Match": f"{tag(b'')}, {tag(TEXT)}"}).status_code == 200
    assert client.delete(path, headers={"If-Match": tag(OTHER)}).status_code == 204


HOSTILE = [
    *("../up.md", "a/../../up.md", "/etc/up.md", "a//b.md", "./a.md", ".hidden.md", "a/.git/config.md", ""),
    *("a\\..\\b.md", "C:/a.md", "a?b.md", "a*.md", "a#b.md", "nul.md", "COM1.tar.md", "aux/a.md", "a./b.md", "a /b.md"),
    *(" a.md", "a.md ", "a.md.", "a\x00.md", "a\n.md", "a\u202e.md", "a\ud800.md", "a\ufffd.md", "a\u200b.md"),
    *("x" * 201 + ".md", "한" * 70 + ".md", "a/" * 40 + "b.md", ("y" * 190 + "/") * 6 + "b.md"),
    *("a", "a.exe", "a.md.exe", "md", ".md", "a/", "a.py/", "a.html5"),
]


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_a_hostile_path_is_refused(path: str) -> None:
    """Before anything is opened."""
    with pytest.raises(InvalidRequest):
        names_of(path, FORMATS)


def test_hostile_paths_change_nothing_over_http(client: TestClient, settings: Settings) -> None:
    """In every spelling of their bytes; ordinary names in any script are accepted."""
    before = files_below(settings.source.parent)
    for path in HOSTILE:
        quoted = quote(path, safe="", errors="replace")
        for spelled in (quoted, quoted.replace(".", "%2E")):
            for method in ("PUT", "GET", "DELETE"):
                status = client.request(method, f"http://localhost/documents/{spelled}", content=b"x").status_code
                assert status in {404, 422}, (method, path, status)
    assert files_below(settings.source.parent) - before <= {"data/keys.json"}
    for name in ("a.md", "한국 지도.PDF", "b/c/d.e.txt", "naïve (2).html"):
        assert names_of(name, FORMATS) == tuple(name.split("/"))


def test_no_link_leads_out_of_the_folder(client: TestClient, settings: Settings, tmp_path: Path) -> None:
    """Links to folders, to files and to nothing, within the folder too: 422, and nothing is written behind them."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text("secret")
    (settings.source / "folder").symlink_to(outside)
    (settings.source / "file.md").symlink_to(outside / "secret.md")
    (settings.source / "nothing.md").symlink_to(outside / "new.md")
    os.mkfifo(settings.source / "pipe.md")
    (settings.source / "dir.md").mkdir()
    (settings.source / "plain.md").write_text("plain")
    paths = ("folder/a.md", "folder/secret.md", "file.md", "nothing.md", "pipe.md", "dir.md", "plain.md/a.md")
    for path in paths:
        for method in ("PUT", "GET", "DELETE"):
            response = client.request(method, f"/documents/{path}", content=b"x")
            assert response.status_code == 422, (method, path)
            assert "secret" not in response.text
    assert files_below(outside) == {"secret.md"}
    assert (outside / "secret.md").read_text() == "secret"


def test_bodies_are_limited(client: TestClient, settings: Settings) -> None:
    """To QA_MAX_FILE_MB, declared or not; empty, compressed and partial ones are refused; nothing is left behind."""
    before = files_below(settings.source)
    large = b"x" * 1_000_001
    assert client.put("/documents/a.txt", content=large).status_code == 413
    assert client.put("/documents/a.txt", content=iter([large[:500_000], large[500_000:]])).status_code == 413
    assert client.put("/documents/a.txt", content=b"").status_code == 400
    assert client.put("/documents/a.txt", content=b"x", headers={"Content-Encoding": "gzip"}).status_code == 415
    assert client.put("/documents/a.txt", content=b"x", headers={"Content-Range": "bytes 0-0/9"}).status_code == 400
    assert files_below(settings.source) == before
    assert client.put("/documents/a.txt", content=large[1:]).status_code == 201
    (settings.source / "b.txt").write_bytes(large)
    assert client.get("/documents/b.txt").status_code == 422
    assert client.post("/verify", content=large).status_code == 413  # the limit of other routes is as it was


def test_an_interrupted_body_leaves_the_old_file(
    answerer: QuestionAnswerer, settings: Settings, tmp_path: Path
) -> None:
    """Over a real connection, at any place: no part of it is ever seen."""
    headers = key_for(settings, "admin")
    key = headers["Authorization"]
    (settings.source / "owls.md").write_bytes(TEXT)
    head = f"PUT /documents/owls.md HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\nAuthorization: {key}\r\n\r\n"
    before = files_below(settings.source)
    with served(answerer, settings, job_command=(*BUILD, str(tmp_path))) as port:
        for part in (b"", b"x", b"x" * 5000):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(head.encode() + part)
                eventually(lambda: [*settings.source.glob(".uploads/*")])
                Path(settings.source / ".uploads/left").touch()  # by a killed server
                response = httpx2.put(
                    f"http://127.0.0.1:{port}/documents/b.md?build=false", content=TEXT, headers=headers
                )
                assert response.is_success
                assert len([*settings.source.glob(".uploads/*")]) == 1
                assert (settings.source / "owls.md").read_bytes() == TEXT
            eventually(lambda: not [*settings.source.glob(".uploads/*")])
    assert files_below(settings.source) - before == {"b.md"}
    assert builds_in(tmp_path) == 0


def test_a_full_disk_changes_nothing(client: TestClient, settings: Settings) -> None:
    """507; the old file stays, and the next one is accepted."""
    assert client.put("/documents/owls.md?build=false", content=TEXT).status_code == 201
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        refused = client.put("/documents/owls.md?build=false", content=b"x" * 500_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.status_code == 507
    assert refused.json()["type"] == "urn:qa-service:problem:storage-full"
    assert (settings.source / "owls.md").read_bytes() == TEXT
    assert not [*settings.source.glob(".uploads/*")]
    assert client.put("/documents/owls.md?build=false", content=OTHER).status_code == 200


def test_concurrent_changes_of_a_file_are_serialised(client: TestClient, settings: Settings) -> None:
    """One of sixteen clients that replace the same version succeeds, the others get 412; the file is its own."""
    client.put("/documents/owls.md?build=false", content=TEXT)
    contents = [bytes([65 + number]) * 200_000 for number in range(16)]

    def put(content: bytes) -> int:
        return client.put(
            "/documents/owls.md?build=false", content=content, headers={"If-Match": tag(TEXT)}
        ).status_code

    with ThreadPoolExecutor(8) as threads:
        statuses = list(threads.map(put, contents))
    assert sorted(statuses) == [200] + [412] * 15
    assert (settings.source / "owls.md").read_bytes() == contents[statuses.index(200)]


def test_changes_in_a_row_start_one_build_after_the_last(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state is `waiting` from the first change on; a change without a build starts none."""
    assert client.put("/documents/zero.md?build=false", content=TEXT).status_code == 201
    assert client.get("/admin/reindex").json()["status"] == "idle"
    monkeypatch.setattr(builds, "QUIET_SECONDS", 1e9)
    for number in range(5):
        assert client.put(f"/documents/{number}.md", content=TEXT).status_code == 201
    assert client.delete("/documents/0.md").status_code == 204
    assert client.get("/admin/reindex").json()["status"] == "waiting"
    assert builds_in(tmp_path) == 0
    monkeypatch.setattr(builds, "QUIET_SECONDS", 0.0)
    eventually(lambda: client.get("/admin/reindex").json()["status"] == "done")
    assert builds_in(tmp_path) == 1


def test_a_build_that_a_killed_server_owes_is_started_once(settings: Settings, tmp_path: Path) -> None:
    """By one of the processes that find it; a build that someone asks for counts too."""
    Builder(settings, (*BUILD, str(tmp_path))).want()
    workers = [Builder(settings, (*BUILD, str(tmp_path))) for _ in range(4)]
    assert {worker.state().status for worker in workers} == {"waiting"}
    with ThreadPoolExecutor(4) as threads:
        for begun in [threads.submit(worker.begin, if_wanted=True) for worker in workers]:
            assert isinstance(begun.exception(), BuildInProgress | None)
    eventually(lambda: workers[0].state().status == "done")
    assert builds_in(tmp_path) == 1
    workers[1].want()
    workers[2].begin()
    eventually(lambda: workers[3].state().status == "done")
    assert builds_in(tmp_path) == 2


def test_it_is_off_unless_the_settings_allow_it(answerer: QuestionAnswerer, settings: Settings) -> None:
    """403 with a key of the right scope."""
    off = settings.model_copy(update={"documents_write": False})
    key = key_for(off, "admin")
    with TestClient(app_for(answerer, off), base_url="http://localhost", headers=key) as client:
        for method in ("PUT", "GET", "DELETE"):
            assert client.request(method, "/documents/a.md", content=b"x").status_code == 403


def test_a_change_is_logged_without_content(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """Path, size and key stand in the line of its request."""
    with caplog.at_level(logging.INFO, "qa_service.requests"):
        client.put("/documents/owls.md?build=false", content=TEXT)
    (line,) = [record for record in caplog.records if getattr(record, "document", "") == "owls.md"]
    assert (line.bytes, bool(line.key)) == (len(TEXT), True)  # type: ignore[attr-defined]
    assert "Owls" not in json.dumps(vars(line), default=str)


def test_a_collection_has_its_own_folder(answerer: QuestionAnswerer, settings: Settings, tmp_path: Path) -> None:
    """Its path begins with the collection's; a path that QA_INCLUDE omits is refused."""
    (tmp_path / "hr").mkdir()
    own = settings.model_copy(update={"collections": (f"hr={tmp_path / 'hr'}",), "include": ("*.md",)})
    named = {"hr": ServableIndex(answerer, IndexFolder(settings.index))}
    key = key_for(own, "admin")
    with TestClient(app_for(answerer, own, named=named), base_url="http://localhost", headers=key) as client:
        assert client.put("/collections/hr/documents/a.md?build=false", content=TEXT).status_code == 201
        assert client.put("/collections/hr/documents/a.txt?build=false", content=TEXT).status_code == 422
        assert client.put("/collections/none/documents/a.md", content=TEXT).status_code == 404
        assert client.get("/documents/a.md").status_code == 404
    assert files_below(tmp_path / "hr") == {"a.md"}


def test_the_client_stores_reads_and_deletes(answerer: QuestionAnswerer, settings: Settings, tmp_path: Path) -> None:
    """With any name; a file that has changed meanwhile is an error with status 412."""
    key = key_for(settings, "admin")["Authorization"].removeprefix("Bearer ")
    with (
        served(answerer, settings, job_command=(*BUILD, str(tmp_path))) as port,
        Client(f"http://127.0.0.1:{port}", key=key) as service,
    ):
        stored = service.put_document("새/owls 100%.md", TEXT)
        assert (stored.uri, stored.build) == ("새/owls 100%.md", "/admin/reindex")
        assert service.get_document("새/owls 100%.md") == TEXT
        service.put_document("새/owls 100%.md", OTHER, replaces=stored.sha256, build=False)
        with pytest.raises(ServiceError) as caught:
            service.delete_document("새/owls 100%.md", replaces=stored.sha256)
        assert caught.value.status == 412
        service.delete_document("새/owls 100%.md")
        with pytest.raises(ServiceError):
            service.get_document("새/owls 100%.md")
