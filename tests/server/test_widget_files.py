"""The files of the chat widget: their size, content, paths and headers."""

import re
from collections.abc import Iterator
from typing import get_args

import pytest
from conftest import ROOT, app_for
from starlette.testclient import TestClient
from widget_size import ELEMENT, MOST_BYTES, sizes

from qa_service.datatypes import ReasonKind
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

WIDGET = ROOT / "qa_service/server/widget"
LANGUAGES = ("ar", "de", "es", "fr", "it", "ja", "ko", "nl", "pt", "zh")


def test_the_widget_fits_its_size_limit() -> None:
    """Compressed as it is sent; `make check` prints the sizes."""
    assert sum(sizes().values()) < MOST_BYTES


def test_the_source_has_no_markup_sinks() -> None:
    """Nor sinks of code, nor URLs of other hosts."""
    for path in WIDGET.glob("*.*"):
        source = path.read_text(encoding="utf-8")
        sinks = r"innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b|new Function|setHTML|DOMParser|srcdoc"
        assert not re.search(sinks, source), path.name
        hosts = r"https?://(?!www\.w3\.org/2000/svg|qa\.example\.org|your\.page|host)\w"
        assert not re.search(hosts, source), path.name


# Files over HTTP.


@pytest.fixture
def client(answerer: QuestionAnswerer, settings: Settings) -> Iterator[TestClient]:
    with TestClient(app_for(answerer, settings), base_url="http://localhost") as connected:
        yield connected


def test_files_have_immutable_paths_and_current_paths(client: TestClient) -> None:
    """As scripts for every origin, with ETag; the integrity hashes are correct."""
    import base64
    import hashlib

    body = client.get("/widget").json()
    names = {
        lazy: [file["path"].rsplit("/", 1)[1] for file in body["files"] if file["lazy"] == lazy]
        for lazy in (False, True)
    }
    assert names[False] == list(ELEMENT)
    assert {f"strings-{code}.js" for code in LANGUAGES} <= {*names[True]}
    for file in body["files"]:
        fixed = client.get(file["path"], headers={"Origin": "https://a.example"})
        digest = base64.b64encode(hashlib.sha384(fixed.content).digest()).decode()
        assert file["integrity"] == f"sha384-{digest}"
        assert "immutable" in fixed.headers["cache-control"]
        current = client.get(f"/widget/{file['path'].rsplit('/', 1)[1]}")
        assert current.content == fixed.content
        assert current.headers["cache-control"] == "no-cache"
        for response in (fixed, current):
            assert response.headers["content-type"].startswith("text/javascript")
            assert response.headers.get_list("access-control-allow-origin") == ["*"]
            assert response.headers["x-content-type-options"] == "nosniff"
        again = client.get(file["path"], headers={"If-None-Match": fixed.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_no_other_file_is_served(client: TestClient) -> None:
    """Names are looked up, never opened as paths."""
    for name in (
        *("playground.html", "__init__.py", "../api/app.py", "..%2fapi%2fapp.py", "%2e%2e/errors.py", "/etc/passwd"),
        *("qa-chat.js/", "qa-chat.js%00", "QA-CHAT.JS", "000000000000/qa-chat.js", "%5c.."),
    ):
        assert client.get(f"/widget/{name}").status_code in {400, 404}, name


def test_the_root_is_the_playground_or_json(client: TestClient) -> None:
    """Depending on `Accept`."""
    page = client.get("/", headers={"Accept": "text/html,*/*;q=0.8"})
    assert page.headers["content-type"].startswith("text/html")
    assert "trusted-types 'none'" in page.headers["content-security-policy"]
    assert client.get("/").json()["ready"] == "/readyz"


@pytest.fixture(scope="module")
def texts() -> dict[str, dict[str, str]]:
    """Return the texts of each language by their keys, read from the source."""
    entry = re.compile(r'^ +(\w+): (?:"(.*)"|\[(".*")\]),$', re.MULTILINE)
    packs = {"en": "strings.js", **{code: f"strings-{code}.js" for code in LANGUAGES}}
    sources = {code: (WIDGET / name).read_text(encoding="utf-8") for code, name in packs.items()}
    return {
        code: {key: text or several for key, text, several in entry.findall(source)} for code, source in sources.items()
    }


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_language_has_every_text_with_its_placeholders(code: str, texts: dict[str, dict[str, str]]) -> None:
    """The reasons are the service's own in English."""
    english, own = texts["en"], texts[code]
    reasons = dict.fromkeys(get_args(ReasonKind), "")
    assert list(own) == [*english, *reasons]
    for key, text in own.items():
        assert text.strip(), key
        if key in english:
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", english[key])), key
            assert text.count('", "') == english[key].count('", "'), key
        else:
            assert {*re.findall(r"\{\w+\}", text)} <= {"{subject}"}, key


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_language_is_a_copy_of_another(code: str, texts: dict[str, dict[str, str]]) -> None:
    """A few words are the same in two languages, such as "Code"; other scripts have no letters of ours."""
    for other, theirs in texts.items():
        same = [key for key, text in texts[code].items() if theirs.get(key) == text]
        assert other == code or len(same) <= len(texts[code]) // 10, (other, same)
    if code in {"ar", "ja", "ko", "zh"}:
        plain = [key for key, text in texts[code].items() if re.search(r"[A-Za-z]", re.sub(r"\{\w+\}", "", text))]
        assert plain == []
