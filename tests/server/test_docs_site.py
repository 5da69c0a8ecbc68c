"""The site of docs/: its links, its independence from other hosts, and the widget on it, which answers from it."""

import os
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from conftest import ROOT, app_for, listening, published
from lxml import html
from needs import BROWSER, require
from processes import PATIENCE

from qa_service.embedding.choose import embedder_to_ask, embedder_to_build
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import load_settings

require("mkdocs", *BROWSER)

from playwright.sync_api import Browser, Request, expect

DEMO = runpy.run_path(str(ROOT / "docs/demo.py"))
LOADED = "//script/@src | //img/@src | //iframe/@src | //source/@srcset | //link/@href"
QUESTIONS = {
    "How do I change the port?": {"serving", "settings", "cli", "troubleshooting"},
    "What should I back up?": {"upgrade"},
    "How do I return to the previous index?": {"documents", "upgrade", "cli"},
    "Which languages work with the default model?": {"languages"},
    "How do I create a key?": {"cli", "serving", "troubleshooting"},
    "How large may a request body be?": {"errors", "settings", "troubleshooting"},
}
"""Questions about the pages, each with the pages that answer it."""
INDEXED = set().union(*QUESTIONS.values())
"""An index of all pages would take longer to build."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site without a widget."""
    folder = tmp_path_factory.mktemp("docs") / "site"
    DEMO["build_site"](folder)
    return folder


def test_pages_load_only_what_the_site_has(site: Path) -> None:
    """Scripts, styles, fonts and pictures; nothing from another host, and no widget."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > 60
    for page in pages:
        loaded = html.fromstring(page.read_bytes()).xpath(LOADED)
        assert loaded
        folder = site if page.name == "404.html" else page.parent
        paths = [folder / address.partition("#")[0].removeprefix("/") for address in loaded]
        assert [path for path in paths if not path.exists()] == [], page
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*[\"']?(https?:)?//", style.read_text(encoding="utf-8")), style


@pytest.mark.parametrize(
    "link", ["[x](settings.md#no-such-heading)", "[x](no-such-page.md)", "[x](../no_such_code.py)"]
)
def test_a_broken_link_fails_the_build(tmp_path: Path, link: str) -> None:
    """To a heading, to a page, or to a file of the repository."""
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    for name in ("qa_service", "training", "clients", "integrations"):
        os.symlink(ROOT / name, tmp_path / name)
    for name in ("mkdocs.yml", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"):
        shutil.copy(ROOT / name, tmp_path)
    with (tmp_path / "docs/glossary.md").open("a", encoding="utf-8") as page:
        page.write(f"\n{link}\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(tmp_path / "site")]
    failed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    warnings = [line for line in failed.stderr.splitlines() if line.startswith("WARNING")]
    assert len(warnings) == 1
    assert "docs/glossary.md" in warnings[0]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def demo(site: Path, exported_models: Path) -> Iterator[tuple[str, QuestionAnswerer]]:
    """Serve the pages with the widget, and the service that it asks; yield their address and the answerer."""
    pages = site.parent / "with-widget"
    pages.mkdir()
    with published(partial(_Quiet, directory=str(pages))) as address:
        environment = DEMO["settings_of"](site.parent, address)
        names = ("source", "index", "data", "published", "origins")
        given = {name: environment[f"QA_{name.upper()}"] for name in names}
        settings = load_settings(**given, include=",".join(f"{name}.html" for name in sorted(INDEXED)))
        shutil.copytree(exported_models, settings.index / "models", copy_function=os.link)
        build(settings, embedder_to_build(settings))
        answerer, _ = open_answerer(settings, embedder_to_ask(settings))
        with listening(app_for(answerer, settings)) as port:
            DEMO["build_site"](pages, f"http://127.0.0.1:{port}")
            yield address, answerer


def test_questions_about_the_docs_find_their_page(demo: tuple[str, QuestionAnswerer]) -> None:
    """The first result is on a page that answers, and its link leads there."""
    address, answerer = demo
    for question, pages in QUESTIONS.items():
        first = answerer.ask(question).results[0].citation
        assert first.uri.removesuffix(".html") in pages, f"{question}: {first.uri}, {first.quote}"
        assert first.url.startswith(f"{address}/{first.uri}#:~:text=")


def test_the_widget_answers_from_the_pages_on_every_page(
    demo: tuple[str, QuestionAnswerer],
    browser: Browser,
) -> None:
    """Without an error in the console or a request to another host. Its colours follow those of the site."""
    address, _ = demo
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * PATIENCE)
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type in {"error", "warning"} else None)
    page.on("request", lambda request: faults.append(request.url) if _is_foreign(request) else None)
    page.goto(f"{address}/serving.html")
    page.get_by_role("button", name="Ask the documents").click()
    page.locator("qa-chat textarea#input").fill("How do I change the port?")
    page.locator("qa-chat textarea#input").press("Enter")
    answer = page.locator("qa-chat .entry .answer")
    expect(answer).to_contain_text("change the port", timeout=1000 * PATIENCE)
    assert answer.get_by_role("link").first.get_attribute("href").startswith(address)
    page.get_by_title("Dark").click()
    expect(page.locator("qa-chat")).to_have_attribute("theme", "dark", timeout=1000 * PATIENCE)
    for name in ("index", "architecture", "http"):
        page.goto(f"{address}/{name}.html")
        page.get_by_role("button", name="Ask the documents").wait_for()
    assert faults == []
    page.close()


def _is_foreign(request: Request) -> bool:
    return not request.url.startswith(("http://127.0.0.1:", "data:", "blob:"))
