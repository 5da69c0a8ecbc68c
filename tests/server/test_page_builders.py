"""The snippets of docs/sites.md, each on a page as its system builds it, under a policy that runs no other script."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from needs import BROWSER, require

require(*BROWSER)

from conftest import ROOT, published, served
from documentation_sites import Quiet, ask, opened
from playwright.sync_api import Browser, expect
from processes import PATIENCE

from qa_service.pipeline import QuestionAnswerer
from qa_service.server.keys import KeyFile
from qa_service.settings import Settings

SITES = (ROOT / "docs/sites.md").read_text(encoding="utf-8").split("## Page builders", 1)[1]
SNIPPETS = dict(re.findall(r"^### ([^\n]*)\n.*?```html\n(.*?)```", SITES, re.MULTILINE | re.DOTALL))
HEAD = (
    '<!doctype html><html lang="en-US"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
)
PAGES = {
    "WordPress": f"""{HEAD}<title>Blog</title></head><body class="home blog wp-embed-responsive">
<div class="wp-site-blocks"><main class="wp-block-group"><h1 class="wp-block-site-title">Blog</h1></main>
<footer class="wp-block-template-part"><div class="wp-block-group is-layout-flow">SNIPPET</div></footer></div>
</body></html>""",
    "Ghost": f"""{HEAD}<title>Blog</title></head><body class="home-template"><div class="gh-viewport">
<main class="gh-main"><h1>Blog</h1></main><footer class="gh-footer"></footer></div>SNIPPET</body></html>""",
    "Notion pages (Super, Potion)": f"""{HEAD}<title>Notes</title>SNIPPET</head><body class="theme-light">
<div id="__next"><main class="notion-root"><h1>Notes</h1></main></div></body></html>""",
    "Plain HTML": f"""{HEAD}<title>Notes</title></head><body><main><h1>Notes</h1>SNIPPET</main></body></html>""",
}


class Page(Quiet):
    """Serves pages with a policy that allows scripts of the service alone."""

    policy = ""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", self.policy)
        super().end_headers()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "site"
    folder.mkdir()
    with published(partial(Page, directory=str(folder))) as address:
        yield folder, address


@pytest.mark.parametrize("system", sorted({*SNIPPETS, *PAGES}))
def test_a_snippet_of_the_docs_answers(
    system: str,
    site: tuple[Path, str],
    browser: Browser,
    answerer: QuestionAnswerer,
    settings: Settings,
) -> None:
    """With a publishable key, and after the system has replaced its page by another one."""
    folder, address = site
    key = KeyFile(settings.data).create("page", ("ask",), publishable=True, origins=(address,))
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port, opened(browser) as (page, faults):
        endpoint = f"http://127.0.0.1:{port}"
        Page.policy = (
            f"default-src 'none'; script-src {endpoint}; connect-src {endpoint}; "
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        snippet = SNIPPETS[system].replace("https://qa.example.org", endpoint).replace("pk_…", key)
        (folder / "index.html").write_text(PAGES[system].replace("SNIPPET", snippet), encoding="utf-8")
        page.goto(f"{address}/")
        page.locator("qa-chat [part~=input]").wait_for(state="attached")
        ask(page)
        if "Notion" in system:
            page.evaluate("document.querySelector('#__next').replaceChildren(document.createElement('main'))")
            expect(page.locator("qa-chat [part~=entry]")).to_have_count(1, timeout=1000 * PATIENCE)
            ask(page)
        assert faults == []
