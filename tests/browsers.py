"""Fixtures and helpers of the tests that open pages in a browser; a plugin of conftest.py where there is one."""

import asyncio
import http.server
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT, published, served
from needs import program
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright
from processes import PATIENCE
from verdicts import CONFLICT, MISSING

from qa_service.pipeline import QuestionAnswerer
from qa_service.settings import Settings

ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--hide-scrollbars"),
]
WIDGET = ROOT / "qa_service/server/widget"
FOUND = "Where does the cat sleep?"
ANSWER = "The cat sleeps on the warm mat."
STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src {endpoint}; base-uri 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
AXE = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"], "resultTypes": ["violations"]}
SETTLED = """() => {
  const animations = root => [...root.getAnimations(), ...[...root.querySelectorAll("*")].flatMap(
    one => one.shadowRoot ? animations(one.shadowRoot) : [])];
  return Promise.allSettled(animations(document)
    .filter(one => Number.isFinite(one.effect.getComputedTiming().endTime)).map(one => one.finished));
}"""
SMALL = """() => [...document.querySelector("qa-chat").shadowRoot.querySelectorAll("button, a, summary, textarea")]
  .filter(one => one.offsetParent && !one.classList.contains("sr"))
  .filter(one => { const box = one.getBoundingClientRect(); return box.width < 24 || box.height < 24; })
  .map(one => one.outerHTML.slice(0, 120))"""
PAYLOADS = [
    *("<script>hit()</script>", "<img src=x onerror=hit()>", "<svg onload=hit()>", "<iframe srcdoc='<script>hit()'>"),
    *('"><img src onerror=hit()>', "</mark><b onmouseover=hit()>x", "javascript:hit()", "{{constructor.hit()}}"),
    *("${hit()}", "&lt;script&gt;hit()&lt;/script&gt;", "<a href='javascript:hit()'>x</a>", "<style>*{display:none}"),
    *("<template><script>hit()", "<math><mtext><script>hit()", "<!--<img src=x onerror=hit()>-->", "'-hit()-'"),
    *(
        "<details open ontoggle=hit()>",
        "<input autofocus onfocus=hit()>",
        "<base href=//evil.example>",
        "<meta http-equiv=refresh content=0>",
    ),
    *("\u202egnp.exe", "\u2066\u202eabc\u2069", "z\u0300" + "\u0301" * 500, "x" * 30_000, "\U000e0041\U000e0042"),
]


@pytest.fixture(scope="session")
def _started() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """Start the browser once for all tests of a process, which takes seconds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program("chromium"), args=ARGUMENTS)
        expect.set_options(timeout=1000 * PATIENCE)
        loop = asyncio.get_running_loop()
        asyncio._set_running_loop(None)
        yield browser, loop
        asyncio._set_running_loop(loop)
        browser.close()


@pytest.fixture
def browser(_started: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """Return the browser. Playwright's loop counts as running in tests that use it only: others run their own."""
    browser, loop = _started
    asyncio._set_running_loop(loop)
    yield browser
    for context in browser.contexts:
        context.close()
    asyncio._set_running_loop(None)


class Site:
    """A folder published on a port of its own: another origin than the service's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = ""
        self.policy = ""
        self.written = 0
        self.folder.mkdir()

    def handler(self, *arguments: Any) -> http.server.SimpleHTTPRequestHandler:
        """Serve the files of the folder, under the policy."""
        site = self

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                if self.path == "/favicon.ico":
                    self.send_response(204)
                    self.end_headers()
                else:
                    super().do_GET()

            def end_headers(self) -> None:
                if site.policy:
                    self.send_header("Content-Security-Policy", site.policy)
                super().end_headers()

        return Handler(*arguments, directory=str(self.folder))

    def write(self, body: str, name: str = "page.html", head: str = "", lang: str = "en") -> str:
        """Write a page; return its address."""
        (self.folder / name).write_text(
            f"<!doctype html><html lang='{lang}'><head><meta charset='utf-8'>"
            f"<meta name='viewport' content='width=device-width, initial-scale=1'><title>A page</title>{head}</head>"
            f"<body><main><h1>A page</h1><p>It has words of its own.</p>{body}</main></body></html>",
            encoding="utf-8",
        )
        self.written += 1
        return f"{self.origin}/{name}?{self.written}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path / "site")
    with published(made.handler) as made.origin:
        yield made


@pytest.fixture
def endpoint(answerer: QuestionAnswerer, settings: Settings, site: Site) -> Iterator[str]:
    with served(answerer, settings.model_copy(update={"origins": (site.origin,)})) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(locale="en-US")
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return watched(context.new_page())


def watched(page: Page) -> Page:
    """Collect what goes wrong on a page in ``page.faults``."""
    page.set_default_timeout(1000 * PATIENCE)
    page.faults = []  # type: ignore[attr-defined]
    page.on("pageerror", lambda error: page.faults.append(str(error)))  # type: ignore[attr-defined]
    page.on(
        "console",
        lambda message: page.faults.append(message.text) if message.type in {"error", "warning"} else None,  # type: ignore[attr-defined]
    )
    page.add_init_script(
        "window.violations = []; addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective))"
    )
    return page


def chat(endpoint: str, **attributes: str) -> str:
    """Return the element's tag and the script of the service."""
    given = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in attributes.items())
    script = f'<script type="module" src="{endpoint}/widget/qa-chat-define.js"></script>'
    return f'{script}<qa-chat endpoint="{endpoint}"{given}></qa-chat>'


def ask(page: Page, question: str) -> None:
    page.locator("qa-chat textarea#input").fill(question)
    page.locator("qa-chat textarea#input").press("Enter")


def answered(page: Page) -> None:
    page.locator("qa-chat .entry").last.locator(".answer").wait_for()


def accessibility_violations(page: Page) -> list[tuple[str, str]]:
    """Return the rules of axe that the page violates, each with an element, once nothing moves or fades any more.

    An element that fades in has too little contrast.
    """
    page.evaluate(SETTLED)
    found = Axe().run(page, options=AXE).response["violations"]
    return [(one["id"], one["nodes"][0]["html"][:200]) for one in found]


def cors(headers: dict[str, str]) -> dict[str, str]:
    return {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Headers": "*",
        "Access-Control-Expose-Headers": "Retry-After",
        **headers,
    }


def not_found(route: Route) -> None:
    response = route.fetch()
    near = [result["citation"] for result in response.json()["results"][:2]]
    reason = {"kind": "missing_term", "message": MISSING, "subject": "zebra", "results": []}
    own = {"verdict": "not_found", "answerable": False, "confidence": 0.02, "answer": None, "reason": reason}
    route.fulfill(response=response, json=response.json() | own | {"nearest_headings": near})


def doubt(route: Route) -> None:
    """Answer uncertainly: another result, with its last word as a quote, contradicts the first."""
    response = route.fetch()
    answer = response.json()
    first = answer["answer"]["quotes"][0]
    place = 1 if first["citation_index"] == 0 else 0
    text = answer["results"][place]["text"]
    start = text.rindex(" ") + 1
    other = {"text": text[start:], "citation_index": place, "start": start, "end": len(text), "spans": []}
    answer["answer"]["quotes"].append(other)
    reason = {"kind": "conflict", "message": CONFLICT, "subject": "", "results": [first["citation_index"], place]}
    own = {"verdict": "uncertain", "answerable": False, "confidence": 0.46, "reason": reason}
    route.fulfill(response=response, json=answer | own)


def hostile(payload: str, place: int) -> dict[str, object]:
    links = ["javascript:hit()", "data:text/html,<script>hit()</script>", "//evil.example/x", "/a\tb", "vbscript:hit()"]
    citation = {
        "title": payload,
        "uri": payload,
        "section_path": [payload] * 3,
        "page": None,
        "quote": payload,
        "start_line": 1,
        "end_line": 2,
        "quote_start": 0,
        "quote_end": 5,
        "url": links[place % 5],
        "permalink": links[place % 5],
        "document_id": payload,
    }
    result = {"rank": 1, "score": 1, "confidence": 0.9, "text": payload * 2, "scores": {}, "citation": citation}
    quotes = [{"citation_index": number, "start": 1, "end": 9, "text": payload} for number in (0, 2, 7)]
    return {
        "id": payload,
        "question": payload,
        "verdict": ("answered", "uncertain", "not_found", payload)[place % 4],
        "confidence": 0.9,
        "took_ms": 1,
        "answer": {"text": payload, "citation_index": 0, "quotes": quotes if place % 4 != 2 else []},
        "reason": {"kind": payload, "message": payload},
        "nearest_headings": [citation, payload, None],
        "related": [payload, None, payload],
        "results": [result] * 3,
        "index_version": payload,
    }
