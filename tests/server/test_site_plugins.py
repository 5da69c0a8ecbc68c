"""The plugins of documentation generators: real sites are built, and asked in a browser."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import BROWSER, require

require("mkdocs", *BROWSER)

from conftest import ROOT
from documentation_sites import INTEGRATIONS, ask, entries, opened, pip_target, site_and_service
from packages import npm_install, npm_packed, run
from playwright.sync_api import Browser, expect

from qa_service import __version__
from qa_service.citations import address_of
from qa_service.datatypes import SourceDocument
from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

MKDOCS = INTEGRATIONS / "mkdocs-qa-service"
SPHINX = INTEGRATIONS / "sphinx-qa-service"
PAGES = {"index": "# Start\n\nThe first page.\n", "second": "# Second\n\nAnother page.\n"}


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the installed MkDocs plugin."""
    return pip_target(tmp_path_factory, "mkdocs-plugin", [MKDOCS])


@pytest.fixture(scope="session")
def sphinx(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with Sphinx, its themes and the extension."""
    return pip_target(tmp_path_factory, "sphinx", ["-r", ROOT / "requirements/sphinx.txt", SPHINX])


def mkdocs_source(
    folder: Path, theme: dict[str, Any], plugins: list[Any], address: str = "https://docs.example.org"
) -> Path:
    """Write a site of two pages; JSON is YAML."""
    (folder / "docs").mkdir(parents=True, exist_ok=True)
    for name, text in PAGES.items():
        (folder / f"docs/{name}.md").write_text(text, encoding="utf-8")
    configuration = {"site_name": "A site", "site_url": f"{address}/", "theme": theme, "plugins": plugins}
    (folder / "mkdocs.yml").write_text(json.dumps(configuration), encoding="utf-8")
    return folder


def build_mkdocs(source: Path, plugin: Path, into: Path) -> None:
    command = (sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", into)
    run(*command, cwd=source, PYTHONPATH=str(plugin), NO_MKDOCS_2_WARNING="1")


TOGGLE = {"icon": "material/weather-night", "name": "Light"}
THEMES = {
    "material": {
        "name": "material",
        "font": False,
        "features": ["navigation.instant"],
        "palette": [{"scheme": "default", "toggle": TOGGLE | {"name": "Dark"}}, {"scheme": "slate", "toggle": TOGGLE}],
    },
    "mkdocs": {"name": "mkdocs", "highlightjs": False},
    "readthedocs": {"name": "readthedocs", "highlightjs": False},
}


@pytest.mark.parametrize("theme", THEMES)
def test_an_mkdocs_site_answers_on_every_page(
    theme: str,
    plugin: Path,
    browser: Browser,
    answerer: QuestionAnswerer,
    settings: Settings,
    tmp_path: Path,
) -> None:
    """By one line of configuration. With Material's instant navigation the conversation goes on, in its colours."""
    with site_and_service(tmp_path / "site", answerer, settings) as (site, endpoint), opened(browser) as (page, faults):
        attributes = {"heading": 'Ask "us" & <them>', "top-k": 2}
        plugins = ["search", {"qa-service": {"endpoint": f"{endpoint}/", "attributes": attributes}}]
        build_mkdocs(mkdocs_source(tmp_path / "source", THEMES[theme], plugins, site), plugin, tmp_path / "site")
        page.goto(f"{site}/")
        ask(page)
        chat = page.locator("qa-chat")
        expect(chat).to_have_attribute("top-k", "2")
        assert chat.get_by_role("heading", name='Ask "us" & <them>').count() == 1
        page.get_by_role("link", name="Second").first.click()
        page.wait_for_url(f"{site}/second/")
        assert entries(page) == (1 if theme == "material" else 0)
        ask(page)
        if theme == "material":
            page.get_by_title("Dark").click()
            expect(chat.locator(".root")).to_have_class(re.compile(r"\bdark\b"))
        assert faults == []
        page.goto(f"{site}/no/such/page/")
        assert entries(page) == 0


def test_material_keeps_the_widget_on_its_host(plugin: Path, tmp_path: Path) -> None:
    """Its plugin `privacy` copies the scripts of other hosts, but not this one."""
    privacy = {"privacy": {"assets_exclude": ["unpkg.com/*"]}}  # the network of a test may not reach it
    plugins = [privacy, {"qa-service": {"endpoint": "https://qa.example.org", "key": "pk_1"}}]
    build_mkdocs(mkdocs_source(tmp_path / "source", THEMES["material"], plugins), plugin, tmp_path / "site")
    tag = '<script src="https://qa.example.org/widget/qa-chat-loader.js" data-endpoint="https://qa.example.org"'
    assert f'{tag} data-key="pk_1" data-share-param="ask" async></script></body>' in (
        tmp_path / "site/index.html"
    ).read_text(encoding="utf-8")


def test_an_mkdocs_site_without_an_endpoint_has_no_widget(plugin: Path, tmp_path: Path) -> None:
    """It equals the site without the plugin; a secret key stops the build."""
    for name, plugins in (("with", ["search", "qa-service"]), ("without", ["search"])):
        build_mkdocs(mkdocs_source(tmp_path / f"{name}-source", THEMES["mkdocs"], plugins), plugin, tmp_path / name)
    pages = [(tmp_path / name / "second/index.html").read_bytes() for name in ("with", "without")]
    assert pages[0] == pages[1]
    secret = {"qa-service": {"endpoint": "https://qa.example.org", "key": "sk_1"}}
    source = mkdocs_source(tmp_path / "secret", THEMES["mkdocs"], [secret])
    with pytest.raises(AssertionError, match="qa-service: key is secret"):
        build_mkdocs(source, plugin, tmp_path / "never")


def build_sphinx(source: Path, sphinx: Path, into: Path, conf: str, builder: str = "html") -> None:
    """Build a site of two pages."""
    source.mkdir(exist_ok=True)
    (source / "conf.py").write_text(f"extensions = ['sphinx_qa_service']\n{conf}", encoding="utf-8")
    (source / "index.rst").write_text(
        "Start\n=====\n\nThe first page.\n\n.. toctree::\n\n   second\n", encoding="utf-8"
    )
    (source / "second.rst").write_text("Second\n======\n\nAnother page.\n", encoding="utf-8")
    command = (sys.executable, "-m", "sphinx", "-W", "-q", "-b", builder, "-d", source.parent / f"{source.name}-trees")
    run(*command, source, into, cwd=source, PYTHONPATH=str(sphinx))


@pytest.mark.parametrize("theme", ["furo", "alabaster", "sphinx_rtd_theme"])
def test_a_sphinx_site_answers_on_every_page(
    theme: str,
    sphinx: Path,
    browser: Browser,
    answerer: QuestionAnswerer,
    settings: Settings,
    tmp_path: Path,
) -> None:
    """By the name of the extension and the address of the service."""
    with site_and_service(tmp_path / "site", answerer, settings) as (site, endpoint), opened(browser) as (page, faults):
        options = f"html_theme = {theme!r}\nqa_service_endpoint = {endpoint!r}\n"
        heading = "qa_service_attributes = {'heading': 'Ask \"us\" & <them>', 'suggestions': ['One?', 'Two?']}\n"
        build_sphinx(tmp_path / "source", sphinx, tmp_path / "site", options + heading)
        page.goto(f"{site}/index.html")
        ask(page)
        chat = page.locator("qa-chat")
        expect(chat).to_have_attribute("suggestions", "One?|Two?")
        assert chat.get_by_role("heading", name='Ask "us" & <them>').count() == 1
        page.get_by_role("link", name="Second").last.dispatch_event("click")
        page.wait_for_url(f"{site}/second.html")
        assert entries(page) == 0
        ask(page)
        assert faults == []


def test_books_and_sphinx_sites_without_an_endpoint_have_no_widget(sphinx: Path, tmp_path: Path) -> None:
    """A secret key stops the build."""
    service = "qa_service_endpoint = 'https://qa.example.org'\nversion = copyright = '1'\n"
    build_sphinx(tmp_path / "book", sphinx, tmp_path / "epub", service, "epub")
    build_sphinx(tmp_path / "plain", sphinx, tmp_path / "html", "")
    for page in (tmp_path / "epub/second.xhtml", tmp_path / "html/second.html"):
        assert "qa-chat" not in page.read_text(encoding="utf-8")
    with pytest.raises(AssertionError, match="qa_service_key is secret"):
        build_sphinx(tmp_path / "secret", sphinx, tmp_path / "never", f"{service}qa_service_key = 'sk_1'\n")


@pytest.mark.parametrize("builder", ["mkdocs", "html", "dirhtml"])
def test_answers_link_to_the_pages_that_are_built(builder: str, plugin: Path, sphinx: Path, tmp_path: Path) -> None:
    """With the pattern of QA_PUBLISHED that the README names: of a folder's page, and of a page in it."""
    source, site = tmp_path / "source", tmp_path / "site"
    names = [*PAGES, "guide/index", "guide/setup"]
    suffix, root = (".md", source / "docs") if builder == "mkdocs" else (".rst", source)
    (root / "guide").mkdir(parents=True)
    for name in names[2:]:
        text = f"# {name}\n" if builder == "mkdocs" else f":orphan:\n\n{name}\n{'=' * len(name)}\n"
        (root / f"{name}{suffix}").write_text(text, encoding="utf-8")
    if builder == "mkdocs":
        build_mkdocs(mkdocs_source(source, THEMES["mkdocs"], []), plugin, site)
    else:
        build_sphinx(source, sphinx, site, "", builder)
    published = "https://docs.example.org/{path}" + (".html" if builder == "html" else "/")
    for name in names:
        document = SourceDocument("1", name, name, "", f"{name}{suffix}", "text/markdown", None, (), "")
        path = address_of(document, published).removeprefix("https://docs.example.org/")
        assert (site / path / "index.html" if path.endswith("/") or not path else site / path).is_file(), path


DOCUSAURUS_PACKAGE = {
    "private": True,
    "dependencies": {
        "@docusaurus/core": "3.10.2",
        "@docusaurus/preset-classic": "3.10.2",
        "@mdx-js/react": "3.1.1",
        "react": "19.3.1",
        "react-dom": "19.3.1",
    },
}
DOCUSAURUS_CONFIGURATION = """
module.exports = {
  title: "A site",
  url: process.env.SITE,
  baseUrl: "/",
  onBrokenLinks: "throw",
  presets: [["classic", { docs: { routeBasePath: "/" }, blog: false, pages: false }]],
  plugins: [["docusaurus-plugin-qa-service", { endpoint: process.env.ENDPOINT, attributes: { "top-k": 2 } }]],
};
"""


@pytest.mark.proof
@pytest.mark.needs("npm", "node")
def test_proof_a_docusaurus_site_answers_on_every_page(
    browser: Browser,
    answerer: QuestionAnswerer,
    settings: Settings,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    """The conversation goes on when a reader goes to another page, and after a page that does not exist."""
    source = tmp_path / "source"
    (source / "docs").mkdir(parents=True)
    for name, text in PAGES.items():
        (source / f"docs/{name}.md").write_text(text, encoding="utf-8")
    (source / "package.json").write_text(json.dumps(DOCUSAURUS_PACKAGE), encoding="utf-8")
    (source / "docusaurus.config.js").write_text(DOCUSAURUS_CONFIGURATION, encoding="utf-8")
    (package,) = npm_packed(INTEGRATIONS / "docusaurus-plugin-qa-service", tmp_path)
    npm_install(source, package)
    with site_and_service(tmp_path / "site", answerer, settings) as (site, endpoint), opened(browser) as (page, faults):
        build = ("npx", "--no-install", "docusaurus", "build", "--out-dir", tmp_path / "site")
        run(*build, cwd=source, SITE=site, ENDPOINT=endpoint)
        page.goto(f"{site}/")
        ask(page)
        expect(page.locator("qa-chat")).to_have_attribute("top-k", "2")
        page.get_by_role("link", name="Second").first.click()
        page.wait_for_url(f"{site}/second")
        assert entries(page) == 1
        ask(page)
        page.goto(f"{site}/second/")
        assert entries(page) == 0
        assert faults == []
    record_property("figure", "Docusaurus 3.10: asked on two pages of a built site, one conversation")


CASES: list[tuple[str, str, dict[str, Any], str | dict[str, str]]] = [
    ("", "sk_1", {"Bad": 1}, {}),
    ("https://a.example/qa//", "", {}, {"data-endpoint": "https://a.example/qa"}),
    ("http://127.0.0.1:8000", "pk_1", {}, {"data-endpoint": "http://127.0.0.1:8000", "data-key": "pk_1"}),
    ("https://a.example", "", {"top-k": 0, "x": False}, {"data-endpoint": "https://a.example", "data-top-k": "0"}),
    ("https://a.example", "", {"endpoint": "https://b.example"}, {"data-endpoint": "https://b.example"}),
    (
        "https://a.example",
        "",
        {"strings": {"send": "Los"}, "suggestions": ["A?", "B?"], "no-feedback": True, "mode": "dialog", "lang": None},
        {
            "data-endpoint": "https://a.example",
            "data-strings": '{"send": "Los"}',
            "data-suggestions": "A?|B?",
            "data-no-feedback": "",
            "data-mode": "dialog",
        },
    ),
    ("/qa", "", {}, "endpoint is "),
    ("https://user@a.example", "", {}, "endpoint is "),
    ("javascript:alert(1)", "", {}, "endpoint is "),
    ("https://a.example", "sk_1", {}, "key is secret"),
    ("https://a.example", "", {"top_k": 3}, "attributes has "),
    ("https://a.example", "", {"x onload": "1"}, "attributes has "),
]
"""Options, and the attributes of the script besides `src` and `LINKS`, or the beginning of the error."""
LINKS = {"data-share-param": "ask"}


def test_options_become_attributes_or_an_error() -> None:
    """In MkDocs; Sphinx has the same code."""
    script_attributes = runpy.run_path(str(MKDOCS / "mkdocs_qa_service.py"))["script_attributes"]
    for endpoint, key, attributes, expected in CASES:
        if isinstance(expected, str):
            with pytest.raises(ValueError, match=expected):
                script_attributes(endpoint, key, attributes)
            continue
        found = script_attributes(endpoint, key, attributes)
        src = f"{endpoint.rstrip('/')}/widget/qa-chat-loader.js"
        assert found == ({"src": src} | LINKS | expected if endpoint else {})
    code = [
        path.read_text(encoding="utf-8").split("\ndef script_attributes")[1] for path in INTEGRATIONS.glob("*/*.py")
    ]
    assert len(code) == 2
    assert code[0] == code[1]


@pytest.mark.needs("npm")
def test_docusaurus_makes_the_same_of_the_options() -> None:
    """Run by Node."""
    program = """
    const plugin = require(process.argv[1]);
    const outcome = ([endpoint, key, attributes]) => {
      try {
        const options = plugin.validateOptions({ options: { endpoint, key, attributes } });
        return plugin({}, options).injectHtmlTags().postBodyTags?.[0].attributes ?? {};
      } catch (error) {
        return error.message;
      }
    };
    console.log(JSON.stringify(JSON.parse(process.argv[2]).map(outcome)));
    """
    folder = INTEGRATIONS / "docusaurus-plugin-qa-service"
    command = ["node", "-e", program, str(folder), json.dumps(CASES)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    for (endpoint, _, _, expected), outcome in zip(CASES, found, strict=True):
        if isinstance(expected, str):
            assert outcome.startswith(f"qa-service: {expected}")
        elif endpoint:
            src = f"{endpoint.rstrip('/')}/widget/qa-chat-loader.js"
            compact = {name: value.replace('": "', '":"') for name, value in expected.items()}
            assert outcome == {"src": src, "async": True} | LINKS | compact
        else:
            assert outcome == {}


def test_packages_have_the_version_and_the_licence_of_the_service(plugin: Path, sphinx: Path) -> None:
    """Installed ones too."""
    for folder in INTEGRATIONS.glob("*/"):
        assert (folder / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
        manifest = folder / "package.json"
        if manifest.exists():
            assert json.loads(manifest.read_text(encoding="utf-8"))["version"] == __version__
    for target, name in ((plugin, "mkdocs"), (sphinx, "sphinx")):
        information = target / f"{name}_qa_service-{__version__}.dist-info"
        assert (information / "licenses/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
