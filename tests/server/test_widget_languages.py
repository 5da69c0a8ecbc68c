"""The languages of the chat widget: loaded when needed, never English first, right to left, numbers and reasons."""

import re

import pytest
from needs import BROWSER, require

require(*BROWSER)

from browsers import ANSWER, FOUND, Site, accessibility_violations, answered, ask, chat, cors, doubt, not_found
from playwright.sync_api import Page, Route, expect

ROOT = "document.querySelector('qa-chat').shadowRoot"


@pytest.mark.parametrize(
    ("tag", "file", "heading", "lang", "direction"),
    [
        ("en-GB", None, "Ask the documents", "en", "ltr"),
        ("sv", None, "Ask the documents", "en", None),
        ("de-AT", "de", "Die Dokumente fragen", "de", "ltr"),
        ("fr", "fr", "Interroger la documentation", "fr", "ltr"),
        ("es-MX", "es", "Preguntar a los documentos", "es", "ltr"),
        ("pt-BR", "pt", "Perguntar aos documentos", "pt", "ltr"),
        ("it", "it", "Chiedi ai documenti", "it", "ltr"),
        ("nl", "nl", "Vraag het de documenten", "nl", "ltr"),
        ("ja-JP", "ja", "ドキュメントに質問", "ja", "ltr"),
        ("ko", "ko", "문서에 질문하기", "ko", "ltr"),
        ("zh-TW", "zh", "向文档提问", "zh", "ltr"),
        ("ar-EG", "ar", "اسأل المستندات", "ar", "rtl"),
    ],
)
def test_a_page_loads_the_one_language_that_it_needs(
    tag: str,
    file: str | None,
    heading: str,
    lang: str,
    direction: str | None,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """A region has the language's texts; English is there already, and stands in for a language without texts."""
    loaded: list[str] = []
    page.on("request", lambda request: loaded.extend(re.findall(r"strings-(\w+)\.js", request.url)))
    page.goto(site.write(chat(endpoint), lang=tag))
    expect(page.locator("qa-chat h2")).to_have_text(heading)
    assert loaded == ([file] if file else [])
    root = page.locator("qa-chat .root")
    expect(root).to_have_attribute("lang", lang)
    assert root.get_attribute("dir") == direction
    ask(page, FOUND)
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    assert page.faults == []  # type: ignore[attr-defined]


def test_nothing_is_drawn_until_the_language_is_there(page: Page, site: Site, endpoint: str) -> None:
    """Neither at first nor after a change of the language; a question that came before is asked."""
    held: list[Route] = []
    _stop_the_clock(page)
    page.route("**/strings-*.js", lambda route: held.append(route))  # noqa: PLW0108 - a built-in cannot be one
    with page.expect_request("**/strings-fr.js"):
        page.goto(site.write(chat(endpoint), lang="fr"), wait_until="commit")
    page.evaluate(f"customElements.whenDefined('qa-chat').then(() => {{ window.early = {ROOT}.childElementCount }})")
    page.evaluate("question => { document.querySelector('qa-chat').ask(question) }", FOUND)
    assert page.evaluate("early") == 0
    held.pop().continue_()
    expect(page.locator("qa-chat h2")).to_have_text("Interroger la documentation")
    answered(page)
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    page.evaluate(
        f"new MutationObserver(() => (window.seen ??= []).push({ROOT}.querySelector('h2').textContent))"
        f".observe({ROOT}, {{ childList: true }})"
    )
    with page.expect_request("**/strings-de.js"):
        page.evaluate("document.querySelector('qa-chat').lang = 'de'")
    expect(page.locator("qa-chat h2")).to_have_text("Interroger la documentation")
    held.pop().continue_()
    expect(page.locator("qa-chat h2")).to_have_text("Die Dokumente fragen")
    assert page.evaluate("seen") == ["Die Dokumente fragen"]
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)


def _stop_the_clock(page: Page) -> None:
    """Stop the clock by which the widget waits for a language, so that a slow machine does not end that."""
    page.clock.install(time=0)
    page.clock.pause_at(1000)


@pytest.mark.parametrize("fails", [True, False], ids=["refused", "never answered"])
def test_a_language_that_does_not_load_leaves_english(
    fails: bool,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """At once, or after a while; the panel says that it is in English."""
    page.route("**/strings-fr.js", lambda route: route.abort() if fails else None)
    _stop_the_clock(page)
    with page.expect_request("**/strings-fr.js"):
        page.goto(site.write(chat(endpoint), lang="fr"), wait_until="commit")
    if not fails:
        page.evaluate("customElements.whenDefined('qa-chat').then(() => {})")
        assert page.evaluate(f"{ROOT}.childElementCount") == 0
        page.clock.run_for(1500)
    expect(page.locator("qa-chat h2")).to_have_text("Ask the documents")
    expect(page.locator("qa-chat .root")).to_have_attribute("lang", "en")
    ask(page, FOUND)
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)


@pytest.mark.parametrize(
    ("tag", "waits", "share"),
    [
        ("de", "In 30 Sekunden können", re.compile(r"46\s%")),
        ("fr", "dans 30 secondes", re.compile(r"46\s%")),
        ("ja", "30 秒後", re.compile(r"46%")),
        ("ar", "30 ثانية", re.compile(r"46\u200e?%\u200e?")),
    ],
)
def test_numbers_are_written_as_the_language_writes_them(
    tag: str,
    waits: str,
    share: re.Pattern[str],
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    page.goto(site.write(chat(endpoint), lang=tag))
    page.route("**/ask*", doubt)
    ask(page, FOUND)
    answered(page)
    page.unroute_all()
    confidence = page.locator("qa-chat .confidence")
    assert share.search((confidence.text_content() or "") + (confidence.get_attribute("title") or ""))
    page.route("**/ask*", lambda route: route.fulfill(status=429, headers=cors({"Retry-After": "30"}), body="{}"))
    ask(page, FOUND)
    expect(page.locator("qa-chat .error")).to_contain_text(waits)


def test_a_reason_of_an_unknown_kind_is_in_the_words_of_the_service(
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """It is marked as English; a known kind is in the language of the panel."""

    def reason(kind: str) -> None:
        page.unroute_all()
        response_of = {"kind": kind, "message": "A new reason.", "subject": "$& zebra", "results": []}
        page.route(
            "**/ask*",
            lambda route: route.fulfill(
                json=route.fetch().json() | {"verdict": "uncertain", "reason": response_of}, headers=cors({})
            ),
        )
        ask(page, FOUND)
        answered(page)

    page.goto(site.write(chat(endpoint), lang="es"))
    last = page.locator("qa-chat [part=reason]").last
    reason("constructor")
    expect(last).to_have_text("A new reason.")
    expect(last).to_have_attribute("lang", "en")
    reason("missing_term")
    expect(last).to_have_text("Ningún documento menciona «$& zebra».")
    assert last.get_attribute("lang") is None


@pytest.mark.parametrize(("mode", "width"), [("inline", 1280), ("launcher", 320)])
def test_arabic_runs_from_right_to_left_with_its_quotes_as_they_are(
    mode: str,
    width: int,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """The layout is mirrored also on a page that is not; an English quote is left to right; axe finds nothing."""
    page.set_viewport_size({"width": width, "height": 720})
    page.goto(site.write(chat(endpoint, mode=mode, lang="ar"), lang="en"))
    if mode == "launcher":
        page.locator("qa-chat .launch").click()
    ask(page, FOUND)
    answered(page)
    page.route("**/ask*", not_found)
    ask(page, FOUND)
    expect(page.locator("qa-chat .verdict").last).to_have_text("لا توجد إجابة في هذه المستندات")
    send, field = page.locator("qa-chat .send").bounding_box(), page.locator("qa-chat #input").bounding_box()
    assert send is not None
    assert field is not None
    assert send["x"] < field["x"]
    directions = page.evaluate(
        f"['.panel', 'blockquote', '.question'].map(one => getComputedStyle({ROOT}.querySelector(one)).direction)"
    )
    assert directions[:2] == ["rtl", "ltr"]
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    ranges = "address => import(address).then(({ filled }) => ['ar', 'de'].map(one => filled('{n}', '9–11', one)))"
    assert page.evaluate(ranges, f"{endpoint}/widget/strings.js") == ["\u20669–11\u2069", "9–11"]
    assert accessibility_violations(page) == []
