"""The chat widget and the playground in a real browser, on this origin and on others."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import BROWSER, missing, require
from processes import PATIENCE

require(*BROWSER)

from browsers import (
    ANSWER,
    FOUND,
    PAYLOADS,
    SMALL,
    STRICT,
    WIDGET,
    Site,
    accessibility_violations,
    answered,
    ask,
    chat,
    cors,
    doubt,
    hostile,
    not_found,
    watched,
)
from conftest import ROOT, served
from playwright.sync_api import Browser, Page, Route, expect
from proxies import PREFIX, nginx, passing, stripping
from verdicts import CONFLICT, MISSING

from qa_service.pipeline import QuestionAnswerer
from qa_service.server.keys import KeyFile
from qa_service.settings import Settings


def test_the_widget_works_on_another_origin_with_a_strict_policy(
    page: Page, site: Site, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """No inline styles, Trusted Types; a publishable key, an answer, a link and feedback."""
    for path in WIDGET.glob("*.js"):
        shutil.copy(path, site.folder)
    key = KeyFile(settings.data).create("page", ("ask", "feedback"), publishable=True, origins=(site.origin,))
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port:
        endpoint = f"http://127.0.0.1:{port}"
        site.policy = STRICT.format(endpoint=endpoint)
        tag = f'<qa-chat endpoint="{endpoint}" key="{key}" mode="launcher"></qa-chat>'
        page.goto(site.write(f'<script type="module" src="qa-chat-define.js"></script>{tag}'))
        page.get_by_role("button", name="Ask the documents").click()
        ask(page, FOUND)
        expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
        page.get_by_role("button", name="This did not help").click()
        page.get_by_label("Too little").check()
        page.get_by_role("button", name="Send", exact=True).click()
        expect(page.get_by_text("Thank you for your feedback.")).to_be_visible()
        page.locator("qa-chat .found .source a").first.click()
        expect(page.locator("qa-chat .preview mark")).to_have_text(ANSWER)
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Open the document").click()
        expect(opened.value.locator("mark#quote")).to_have_text(ANSWER)
        assert page.evaluate("violations") == []
        assert page.faults == []  # type: ignore[attr-defined]
        assert any(b"Too little" in path.read_bytes() for path in settings.data.iterdir())


def test_an_origin_without_a_key_is_refused_with_a_message(
    page: Page, site: Site, answerer: QuestionAnswerer, settings: Settings
) -> None:
    """The key of another origin does not work."""
    key = KeyFile(settings.data).create("page", ("ask",), publishable=True, origins=("https://other.example",))
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port:
        page.goto(site.write(chat(f"http://127.0.0.1:{port}", key=key)))
        ask(page, FOUND)
        expect(page.locator("qa-chat .error")).to_contain_text("can't be reached from this page")


def _empty(page: Page) -> None:
    expect(page.locator("qa-chat textarea")).to_be_visible()


def _answer(page: Page) -> None:
    ask(page, FOUND)
    answered(page)
    page.locator("qa-chat summary").last.click()


def _nothing(page: Page) -> None:
    page.route("**/ask*", not_found)
    ask(page, FOUND)
    expect(page.locator("qa-chat .verdict").last).to_have_text("Not found in these documents")
    page.get_by_role("button", name="This did not help").last.click()
    page.unroute_all()


def _uncertain(page: Page) -> None:
    page.route("**/ask*", doubt)
    ask(page, FOUND)
    expect(page.locator("qa-chat .verdict").last).to_have_text("This may answer it")
    page.unroute_all()


@pytest.mark.parametrize(
    ("language", "uncertain", "nothing", "conflict", "missing"),
    [
        ("en", "This may answer it", "Not found in these documents", CONFLICT, MISSING),
        (
            "ko",
            *("이것이 답일 수 있습니다", "이 문서들에서 답을 찾지 못했습니다"),
            *("두 문서의 내용이 서로 다릅니다.", "‘zebra’에 대해 언급한 문서가 없습니다."),
        ),
        (
            "de",
            *("Das könnte die Antwort sein", "In diesen Dokumenten nicht gefunden"),
            *("Zwei Dokumente sagen Verschiedenes.", "Kein Dokument erwähnt „zebra“."),
        ),
    ],
)
def test_the_verdict_heads_the_answer_with_its_reason(
    language: str,
    uncertain: str,
    nothing: str,
    conflict: str,
    missing: str,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """An answer has no heading. An uncertain one shows each quote with its source; none is shown if none was found."""
    page.goto(site.write(chat(endpoint, lang=language)))
    last = page.locator("qa-chat .entry").last
    reason, verdict, quotes = last.locator("[part=reason]"), last.locator(".verdict"), last.locator("blockquote")
    ask(page, FOUND)
    expect(quotes.locator("mark")).to_have_text([ANSWER])
    expect(verdict).to_have_count(0)
    expect(reason).to_have_count(0)
    page.route("**/ask*", doubt)
    ask(page, FOUND + " ")
    expect(verdict).to_have_text(uncertain)
    expect(reason).to_have_text(conflict)
    expect(quotes.locator("mark")).to_have_count(2)
    expect(quotes.locator("mark").first).to_have_text(ANSWER)
    expect(last.locator(".found .source a")).to_have_count(2)
    expect(last.locator(".confidence")).to_have_class("confidence weak")
    page.unroute_all()
    page.route("**/ask*", not_found)
    ask(page, FOUND)
    expect(verdict).to_have_text(nothing)
    expect(reason).to_have_text(missing)
    expect(quotes).to_have_count(0)
    expect(last.locator("ol li")).to_have_count(3)
    expect(last.locator("[part=headings] a")).to_have_count(2)
    expect(last.locator("[part=headings] a").first).to_contain_text("Cats")


def test_starters_and_related_questions_are_asked_by_a_click(page: Page, site: Site, endpoint: str) -> None:
    """Starters come when the panel opens, until the first question; related ones follow the answer."""
    listed: list[str] = []

    def starters(route: Route) -> None:
        listed.append(route.request.url)
        route.fulfill(json={"questions": [FOUND, None, "What sings?"]}, headers=cors({}))

    def related(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | {"related": ["What sings?"]})

    page.route("**/starters", starters)
    page.route("**/ask*", related)
    page.goto(site.write(chat(endpoint, mode="launcher")))
    page.get_by_role("button", name="Ask the documents").click()
    suggested = page.locator("qa-chat [part=suggestions] button")
    expect(suggested).to_have_text([FOUND, "What sings?"])
    suggested.first.click()
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    expect(suggested.first).to_be_hidden()
    page.locator("qa-chat [part=related] button").click()
    expect(page.locator("qa-chat .question").last).to_contain_text("What sings?")
    answered(page)
    page.get_by_role("button", name="Clear history").click()
    expect(suggested).to_have_text([FOUND, "What sings?"])
    assert len(listed) == 1
    page.goto(site.write(chat(endpoint, suggestions="What barks?")))
    expect(suggested).to_have_text(["What barks?"])
    assert len(listed) == 1
    page.unroute_all()
    page.goto(site.write(chat(endpoint)))
    expect(page.locator("qa-chat textarea")).to_be_visible()
    expect(suggested).to_have_count(0)
    assert page.faults == []  # type: ignore[attr-defined]


def _error(page: Page) -> None:
    page.route("**/ask*", lambda route: route.fulfill(status=429, headers=cors({"Retry-After": "9"}), body="{}"))
    ask(page, FOUND)
    expect(page.locator("qa-chat .error")).to_contain_text("ask again in 9 seconds")
    page.unroute_all()


def _waiting(page: Page) -> None:
    page.route("**/ask*", lambda _: None)
    ask(page, FOUND)
    page.locator("qa-chat .skeleton").wait_for()


@pytest.mark.parametrize("mode", ["inline", "launcher", "page", "dialog", "sidebar"])
@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 320), ("forced", 640)])
def test_every_mode_theme_and_state_is_accessible(
    mode: str,
    theme: str,
    width: int,
    browser: Browser,
    site: Site,
    endpoint: str,
) -> None:
    """Axe finds nothing; nothing is wider than the window; every control is at least 24 pixels in size.

    At first; and with an answer, an uncertain one, one not found with the form for feedback, an error and a question
    under way.
    """
    looks: dict[str, Any] = {"forced_colors": "active"} if theme == "forced" else {}
    context = browser.new_context(
        viewport={"width": width, "height": 720}, locale="en-US", reduced_motion="reduce", **looks
    )
    page = watched(context.new_page())
    given = {"mode": mode, "suggestions": "Where does the cat sleep?|What sings?"}
    if theme != "forced":
        given["theme"] = theme
    dark = "<style>body{background:#111;color:#eee}</style>" if theme == "dark" else ""
    page.goto(site.write(f"<div style='height:640px'>{chat(endpoint, **given)}</div>", head=dark))
    if mode in {"launcher", "dialog", "sidebar"}:
        page.locator("qa-chat .launch").click()
    for states in ((_empty,), (_answer, _uncertain, _nothing, _error, _waiting)):
        for state in states:
            state(page)
        assert accessibility_violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate(SMALL) == []
    context.close()


def _answering(body: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=200, content_type="application/json", headers=cors({}), body=body)


@pytest.mark.parametrize("own", [False, True], ids=["page of another", "playground"])
def test_fifty_hostile_documents_and_questions_execute_nothing(
    own: bool, page: Page, site: Site, endpoint: str
) -> None:
    """No link leads to code, and nothing leaves the panel."""
    page.add_init_script("window.hits = 0; window.hit = () => hits++")
    page.goto(endpoint if own else site.write(chat(endpoint, heading="<img src=x onerror=hit()>")))
    for place, payload in enumerate(PAYLOADS * 2):
        body = json.dumps(hostile(payload, place))
        page.unroute_all()
        page.route("**/ask*", _answering(body))
        ask(page, payload[:1900])
        page.wait_for_function(
            "count => document.querySelector('qa-chat').shadowRoot.querySelectorAll('.answer').length === count",
            arg=place + 1,
        )
    page.wait_for_timeout(200)
    assert page.evaluate("hits") == 0
    assert page.evaluate("violations") == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shown = page.evaluate(
        """() => { const root = document.querySelector("qa-chat").shadowRoot, panel = root.querySelector(".panel");
        return { links: [...root.querySelectorAll("a")].map(a => a.href),
          foreign: root.querySelectorAll("script, img, iframe, style, base, meta, template").length,
          wide: [...root.querySelectorAll(".entry *")].filter(e => e.offsetParent &&
            !e.closest("svg, .sr, .wide > *") &&
            e.getBoundingClientRect().right > panel.getBoundingClientRect().right + 1).length } }"""
    )
    assert shown == {"links": [], "foreign": 0, "wide": 0}


def test_from_the_page_to_the_citation_by_keyboard_alone(page: Page, site: Site, endpoint: str) -> None:
    """Tab, Enter and Escape; the focus is always visible and returns to its origin."""
    page.goto(site.write(chat(endpoint, mode="launcher")))
    page.locator("qa-chat .launch").wait_for()
    focused = "document.querySelector('qa-chat').shadowRoot.activeElement?.className"
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "launch"
    page.keyboard.press("Enter")
    page.keyboard.type(FOUND)
    page.keyboard.press("Enter")
    answered(page)
    page.keyboard.press("Shift+Tab")  # to what is before the field: the last of the answers
    for _ in range(12):
        assert page.evaluate(
            "getComputedStyle(document.querySelector('qa-chat').shadowRoot.activeElement).outlineStyle"
        ) in {"solid", "auto"}
        if page.evaluate("document.querySelector('qa-chat').shadowRoot.activeElement.localName") == "a":
            break
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("qa-chat .preview mark")).to_be_visible()
    page.keyboard.press("Escape")
    assert page.evaluate("document.querySelector('qa-chat').shadowRoot.activeElement.localName") == "a"
    page.keyboard.press("Escape")
    expect(page.locator("qa-chat .panel")).to_be_hidden()
    assert page.evaluate(focused) == "launch"


@pytest.mark.parametrize(
    ("answer", "says", "again"),
    [
        ({"status": 401, "body": "{}"}, "may not use the service", False),
        ({"status": 403, "body": "{}"}, "may not use the service", False),
        ({"status": 404, "body": "{}"}, "no service at this address", False),
        ({"status": 422, "body": "{}"}, "can't process this question", False),
        ({"status": 500, "body": "oh"}, "failed to answer", True),
        ({"status": 504, "body": "{}"}, "took too long", True),
        ({"status": 200, "content_type": "text/html", "body": "<script>hit()</script>"}, "could not be read", True),
        ({"status": 200, "content_type": "application/json", "body": ""}, "could not be read", True),
        ({"status": 200, "content_type": "application/json", "body": '{"id": 1}'}, "could not be read", True),
        ({"status": 200, "content_type": "application/json", "body": '{"id":"a","results":[{}]}'}, "not be read", True),
        ({"status": 200, "content_type": "application/json", "body": '"' + "x" * 3_000_000 + '"'}, "not be read", True),
        ({"status": 302, "headers": {"Location": "https://login.example"}}, "can't be reached", True),
    ],
)
def test_each_error_has_a_message_and_a_retry_where_it_can_help(
    answer: dict[str, Any],
    says: str,
    again: bool,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """The retry works."""
    page.goto(site.write(chat(endpoint)))
    page.evaluate("addEventListener('qa-error', event => window.kind = event.detail.kind)")
    page.route("**/ask*", lambda route: route.fulfill(**answer | {"headers": cors(answer.get("headers", {}))}))
    ask(page, FOUND)
    expect(page.locator("qa-chat .error")).to_contain_text(says)
    assert page.evaluate("kind")
    retry = page.get_by_role("button", name="Try again")
    assert retry.count() == again
    if again:
        page.unroute_all()
        retry.click()
        expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)


def test_the_widget_retries_a_busy_service_and_waits_for_a_rate_limit(page: Page, site: Site, endpoint: str) -> None:
    """After the seconds of Retry-After; a rate limit shows the seconds until the button works."""
    page.goto(site.write(chat(endpoint)))
    tried = []

    def busy_once(route: Route) -> None:
        tried.append(route.request.method)
        if tried.count("POST") == 1:
            route.fulfill(status=503, headers=cors({"Retry-After": "1"}), body="{}")
        else:
            route.fallback()

    page.route("**/ask*", busy_once)
    ask(page, FOUND)
    expect(page.get_by_text("trying again in 1 second.")).to_be_visible()
    answered(page)
    page.unroute_all()
    page.route("**/ask*", lambda route: route.fulfill(status=429, headers=cors({"Retry-After": "2"}), body="{}"))
    ask(page, FOUND)
    retry = page.locator("qa-chat .error button")
    expect(retry).to_be_disabled()
    page.unroute_all()
    ask(page, FOUND)  # which leaves the countdown of the one before alone
    expect(page.locator("qa-chat .answer")).to_have_count(2)
    expect(retry).to_be_enabled()
    retry.click()
    expect(page.locator("qa-chat .answer")).to_have_count(3)


def test_an_offline_question_is_kept(page: Page, site: Site, endpoint: str) -> None:
    """A button asks it again."""
    page.goto(site.write(chat(endpoint)))
    page.locator("qa-chat textarea").wait_for()
    page.context.set_offline(True)
    ask(page, FOUND)
    expect(page.locator("qa-chat .error")).to_contain_text("You are offline")
    page.context.set_offline(False)
    page.get_by_role("button", name="Try again").click()
    answered(page)


def test_the_last_question_wins(page: Page, site: Site, endpoint: str) -> None:
    """A running request is aborted; each question sends one request, even on repeated Enter."""
    page.goto(site.write(chat(endpoint)))
    asked = []
    page.on("request", lambda request: asked.append(request.post_data_json) if request.method == "POST" else None)
    page.route("**/ask*", lambda route: None if len(asked) < 2 else route.fallback())
    ask(page, "What sings?")
    field = page.locator("qa-chat textarea")
    field.fill(FOUND)
    field.dispatch_event("keydown", {"key": "Enter", "isComposing": True})
    field.dispatch_event("keydown", {"key": "Enter", "repeat": True})
    assert len(asked) == 1
    field.press("Enter")
    field.press("Enter")
    answered(page)
    expect(page.locator("qa-chat .entry").first).to_contain_text("Stopped")
    assert [one["question"] for one in asked] == ["What sings?", FOUND]
    expect(page.locator("qa-chat #note")).to_have_text("Write a question first.")
    field.fill("x" * 2001)
    field.press("Enter")
    expect(page.locator("qa-chat #note")).to_contain_text("this one has 2001")
    assert len(field.input_value()) == 2001
    assert len(asked) == 2


def test_a_widget_may_move_be_removed_or_have_siblings(page: Page, site: Site, endpoint: str) -> None:
    """A move keeps the history, a removal aborts; events leave the shadow root; two widgets are independent."""
    page.goto(
        site.write(chat(endpoint, id="one") + f'<qa-chat id="two" endpoint="{endpoint}"></qa-chat><div id=far></div>')
    )
    page.evaluate(
        "window.seen = []; for (const n of ['ask','answer','error','source-click','feedback']) "
        "document.addEventListener('qa-' + n, e => seen.push([n, e.target.id]))"
    )
    moved = page.evaluate(
        """async question => { const one = document.getElementById("one"), answer = one.ask(question);
        document.getElementById("far").append(one); return (await answer).answer.text }""",
        FOUND,
    )
    assert moved == ANSWER
    removed = page.evaluate(
        """async question => { const one = document.getElementById("one"), answer = one.ask(question);
        one.remove(); return await answer }""",
        FOUND,
    )
    assert removed is None
    page.locator("#two textarea").fill(FOUND)
    page.locator("#two textarea").press("Enter")
    page.locator("#two .answer").wait_for()
    assert page.evaluate("seen") == [
        ["ask", "one"],
        ["answer", "one"],
        ["ask", "one"],
        ["ask", "two"],
        ["answer", "two"],
    ]
    page.evaluate("document.getElementById('two').clear()")
    expect(page.locator("#two .entry")).to_have_count(0)
    page.evaluate("addEventListener('qa-ask', event => event.preventDefault())")
    assert page.evaluate("document.getElementById('two').ask('What sings?')") is None
    assert page.faults == []  # type: ignore[attr-defined]


def test_an_invalid_endpoint_is_logged_once_and_sends_nothing(page: Page, site: Site, endpoint: str) -> None:
    """In the console; the widget is disabled. A secret key in a page is invalid too."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url) if "/ask" in request.url else None)
    wrong = ("", "/relative", "//host", "javascript:alert(1)", "data:text/plain,x", "https://u:p@host", "x")
    for address in (*wrong, "http://far.example"):
        page.faults.clear()  # type: ignore[attr-defined]
        page.goto(site.write(chat(endpoint).replace(f'endpoint="{endpoint}"', f'endpoint="{address}"', 1)))
        expect(page.locator("qa-chat textarea")).to_be_disabled()
        assert len(page.faults) == 1, address  # type: ignore[attr-defined]
        assert "qa-chat: endpoint" in page.faults[0]  # type: ignore[attr-defined]
        page.evaluate("document.querySelector('qa-chat').ask('Anything?')")
        expect(page.locator("qa-chat .error")).to_contain_text("not set up correctly")
    page.goto(site.write(chat(endpoint, key="sk_12345678_secret")))
    expect(page.locator("qa-chat textarea")).to_be_disabled()
    assert requests == []


@pytest.mark.parametrize(
    ("attributes", "lang", "expected"),
    [
        ({}, "ko-KR", ["문서에 질문하기", "질문하기"]),
        ({"lang": "de"}, "en", ["Die Dokumente fragen", "Fragen"]),
        ({}, "sv", ["Ask the documents", "Ask"]),
        ({"lang": "__proto__"}, "en", ["Ask the documents", "Ask"]),
        (
            {"strings": "{&quot;send&quot;: &quot;Los&quot;, &quot;toString&quot;: 1}"},
            "en",
            ["Ask the documents", "Los"],
        ),
        ({"heading": "Zoo <b>help</b>"}, "en", ["Zoo <b>help</b>", "Ask"]),
    ],
)
def test_the_language_and_single_strings_can_be_chosen(
    attributes: dict[str, str], lang: str, expected: list[str], page: Page, site: Site, endpoint: str
) -> None:
    """The language by the element or the page, strings by the page."""
    page.goto(site.write(chat(endpoint, **attributes), lang=lang))
    expect(page.locator("qa-chat h2")).to_have_text(expected[0])
    expect(page.locator("qa-chat .send")).to_have_text(expected[1])


def test_strings_may_be_set_before_the_element_is_inserted(page: Page, site: Site, endpoint: str) -> None:
    """The language of the page still applies."""
    page.goto(site.write(chat(endpoint), lang="ko"))
    page.evaluate(
        """() => {
            document.querySelector("qa-chat").remove();
            const made = document.createElement("qa-chat");
            made.strings = { send: "Los" };
            document.querySelector("main").append(made);
        }"""
    )
    expect(page.locator("qa-chat h2")).to_have_text("문서에 질문하기")
    expect(page.locator("qa-chat .send")).to_have_text("Los")


def test_the_panel_fits_the_window_in_every_corner_and_direction(page: Page, site: Site, endpoint: str) -> None:
    """In left-to-right and right-to-left pages."""
    for corner in ("bottom-right", "bottom-left", "top-right", "top-left"):
        for direction in ("ltr", "rtl"):
            page.goto(site.write(f"<div dir={direction}>{chat(endpoint, mode='launcher', corner=corner)}</div>"))
            page.locator("qa-chat .launch").click()
            box = page.locator("qa-chat .panel").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["y"] >= 0
            assert box["x"] + box["width"] <= 1280
            assert box["y"] + box["height"] <= 720
            button = page.locator("qa-chat .launch").bounding_box()
            assert button is not None
            assert (button["x"] > 640) == ("right" in corner)
            assert (button["y"] > 360) == ("bottom" in corner)


def test_the_styles_and_globals_of_a_page_do_not_break_the_widget(page: Page, site: Site, endpoint: str) -> None:
    """Nor do clobbered ids, globals and replaced browser functions."""
    head = "<style>* { all: unset } div { display: none !important }</style>"
    clobber = "<form id=config></form><form id=input></form><form name=strings></form>"
    page.goto(site.write(clobber + chat(endpoint), head=head))
    page.locator("qa-chat textarea").wait_for()
    page.evaluate("window.fetch = () => { throw Error('not ours') }; Array.prototype.extra = () => 0")
    ask(page, FOUND)
    expect(page.locator("qa-chat mark").first).to_be_visible()


def test_a_follow_up_is_completed_by_the_thread(page: Page, site: Site, endpoint: str) -> None:
    """The widget says how it was understood; after the history is cleared, it is not."""
    page.goto(site.write(chat(endpoint)))
    for question in (FOUND, "When does it wake?"):
        ask(page, question)
        answered(page)
    last = page.locator("qa-chat .entry").last
    expect(last.locator("[part=understood]")).to_have_text("Understood as: When does it wake? cat sleep")
    expect(page.locator("qa-chat [part=understood]")).to_have_count(1)
    page.get_by_role("button", name="Clear history").click()
    ask(page, "When does it wake?")
    answered(page)
    expect(page.locator("qa-chat [part=understood]")).to_have_count(0)


def test_the_last_ten_turns_are_sent(page: Page, site: Site, endpoint: str) -> None:
    """Shortened, without invisible characters, also if the page stored others."""
    address = site.write(chat(endpoint, history="session"))
    page.goto(address)
    answer = hostile("calm", 0)
    stored = [{"question": question, "raw": answer} for question in [*["q"] * 12, "\x00\u202e", "x\x00y", "🦀" * 2000]]
    page.evaluate(
        "([place, kept]) => sessionStorage.setItem(place, kept)", [f"qa-chat:{endpoint}:", json.dumps(stored)]
    )
    page.reload()
    with page.expect_request("**/ask*") as asked:
        ask(page, FOUND)
    sent = asked.value.post_data_json
    assert sent is not None
    questions = [turn["question"] for turn in sent["history"]]
    assert questions[:-1] == [*["q"] * 8, "xy"]
    assert len(questions[-1]) <= 301
    assert {turn["answer_id"] for turn in sent["history"]} == {answer["id"]}
    answered(page)


def test_the_history_is_kept_for_the_session_if_enabled(page: Page, site: Site, endpoint: str) -> None:
    """By page; invalid entries in the storage are dropped; clearing empties it."""
    address = site.write(chat(endpoint, history="session"))
    page.goto(address)
    ask(page, FOUND)
    answered(page)
    page.reload()
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    page.get_by_role("button", name="Clear history").click()
    page.reload()
    expect(page.locator("qa-chat .entry")).to_have_count(0)
    place = f"qa-chat:{endpoint}:"
    for poison in ("{", "7", '[{"question": 1}]', '[{"question": "a", "raw": {"id": "x", "results": [null]}}]'):
        page.evaluate("([place, poison]) => sessionStorage.setItem(place, poison)", [place, poison])
        page.reload()
        expect(page.locator("qa-chat textarea")).to_be_enabled()
        expect(page.locator("qa-chat .entry")).to_have_count(0)
    page.goto(site.write(chat(endpoint)))
    ask(page, FOUND)
    answered(page)
    page.reload()
    expect(page.locator("qa-chat .entry")).to_have_count(0)


def test_the_history_is_limited_to_a_hundred_entries(page: Page, site: Site, endpoint: str) -> None:
    """The oldest entries are dropped."""
    page.goto(site.write(chat(endpoint)))
    body = json.dumps(hostile("calm", 0))
    page.route("**/ask*", _answering(body))
    page.evaluate("async () => { for (let i = 0; i < 130; i++) await document.querySelector('qa-chat').ask('q' + i) }")
    expect(page.locator("qa-chat .entry")).to_have_count(100)


def test_the_browser_blocks_files_with_another_hash(page: Page, site: Site, endpoint: str) -> None:
    """The snippet of the playground works, but not with another hash, also of a file that is imported later."""
    page.goto(endpoint)
    page.get_by_role("tab", name="Embed").click()
    page.locator("#embed summary", has_text="Pinned").click()
    snippet = page.locator("#embed details pre").first.inner_text().replace('key="pk_…" ', "")
    page.goto(site.write(snippet))
    page.locator("qa-chat .launch").wait_for()
    page.locator("qa-chat .launch").click()
    ask(page, FOUND)
    answered(page)
    assert page.faults == []  # type: ignore[attr-defined]

    def wrong(before: str) -> str:
        return re.sub(f"({before}sha384-)(.)", lambda found: found[1] + ("A" if found[2] != "A" else "B"), snippet)

    page.goto(site.write(wrong('<script[^>]*integrity="')))
    page.wait_for_timeout(500)
    assert page.evaluate("customElements.get('qa-chat') === undefined")
    page.goto(site.write(wrong('/card.js": "')))  # imported when the field gets the focus
    with page.expect_console_message(lambda message: "card.js" in message.text and "integrity" in message.text):
        page.locator("qa-chat .launch").click()


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "docs/examples").glob("*.html")))
def test_the_examples_of_the_docs_work(name: str, page: Page, site: Site, endpoint: str) -> None:
    """Each is opened with the address of this service."""
    source = (ROOT / "docs/examples" / name).read_text(encoding="utf-8")
    (site.folder / name).write_text(source.replace("https://qa.example.org", endpoint), encoding="utf-8")
    for library in re.findall(r'src="\./(react[\w.-]*\.js)"', source):
        shutil.copy(_react() / library, site.folder / library)
    page.goto(f"{site.origin}/{name}")
    button, field = page.locator("qa-chat .launch"), page.locator("qa-chat textarea")
    expect(button.or_(field).and_(page.locator(":visible")).first).to_be_visible()
    if button.count():
        button.click()
    ask(page, FOUND)
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    if "react" in name:
        expect(page.locator("#last")).to_have_text(ANSWER)
    assert page.faults == []  # type: ignore[attr-defined]


def _react() -> Path:
    """Return a folder with React, fetched by npm."""
    import subprocess
    import tempfile

    if reason := missing("npm"):
        pytest.skip(reason)
    folder = Path(tempfile.gettempdir(), "qa-react-18")
    for package, file in (("react@18.3.1", "react"), ("react-dom@18.3.1", "react-dom")):
        if (folder / f"{file}.production.min.js").exists():
            continue
        folder.mkdir(exist_ok=True)
        done = subprocess.run(["npm", "pack", package], cwd=folder, capture_output=True, check=False)
        if done.returncode:
            pytest.skip("needs React: npm could not fetch it")
        subprocess.run(["tar", "xzf", f"{package.replace('@', '-')}.tgz"], cwd=folder, check=True)
        shutil.copy(folder / f"package/umd/{file}.production.min.js", folder)
        shutil.rmtree(folder / "package")
    return folder


BOUNDS = r"""async () => {
  const { secondsOf, safeLink, visible, checkedEndpoint, readAnswer } = await import("/widget/client.js");
  const thrown = call => { try { return call() } catch (error) { return error.kind ?? "refused" } };
  const secure = { origin: "https://shop.example" };
  const link = text => safeLink(text, "https://qa.example.org/base");
  const numbers = { quote_start: 1, quote_end: 99, start_line: NaN, page: -1, start_char: "3" };
  const citation = { ...numbers, section_path: [7, "S"] };
  const spans = [{ start: 2, end: 1e9 }, null, { start: 5, end: 2 }];
  const quote = { citation_index: 0, start: 1, end: 99, spans };
  const quotes = [{ citation_index: 12 }, null, quote, { citation_index: 0, start: -4, end: "x" }];
  const answer = { id: "a", results: [{ text: "\u{1f600}ab", citation }, { text: "x", citation }], answer: { quotes } };
  const { quoted, others } = readAnswer(answer);
  const [result] = quoted;
  return {
    seconds: ["1", "abc", "-5", "Wed, 21 Oct 2026 07:28:00 GMT", "1000000000", "", null, "7.5"].map(secondsOf),
    links: [
      ...["/cite/1", "https://a.example/b#:~:text=c", "javascript:x()", "data:,x", "//evil", "/a\\b"].map(link),
      ...["/a\tb", "", "https://u:p@a.example", "ftp://a.example", " /x", "x"].map(link),
    ],
    texts: ["a\u202eb\u0000c\u{e0041}d", "e" + "\u0301".repeat(500), "x".repeat(30000)].map(t => visible(t).length),
    endpoints: [
      ...["https://qa.example.org/", "https://qa.example.org/sub/", "http://qa.example.org", "http://localhost:1"],
      "https://u@h",
    ].map(text => thrown(() => checkedEndpoint(text, secure))),
    answers: [
      ...[null, 7, {}, { id: 1, results: [] }, { id: "a", results: [null] }, { id: "a", results: "x" }],
      { id: "a", results: [{ text: "x" }] },
    ].map(raw => thrown(() => readAnswer(raw))),
    cut: [result.characters, result.quotes, result.words, result.lines, result.page, result.start],
    counts: [quoted.length, others.length],
    verdicts: ["answered", null, "uncertain"].flatMap(verdict =>
      [answer, { ...answer, answer: null }].map(one => readAnswer({ ...one, verdict }).verdict)),
  };
}"""


def test_the_client_limits_waits_links_and_texts(page: Page, endpoint: str) -> None:
    """Tested on the functions that parse them."""
    page.goto(endpoint)
    found = page.evaluate(BOUNDS)
    origin = "https://qa.example.org"
    assert found["seconds"] == [1, 1, 1, 1, 30, 1, 1, 1]
    assert found["links"] == [f"{origin}/cite/1", "https://a.example/b#:~:text=c", *[""] * 10]
    assert found["texts"] == [4, 5, 20_001]
    assert found["endpoints"] == [origin, f"{origin}/sub", "refused", "http://localhost:1", "refused"]
    assert found["answers"] == ["unreadable"] * 7
    assert found["cut"] == [["\U0001f600", "a", "b"], [[1, 3]], [[2, 3]], None, None, 0]
    assert found["counts"] == [1, 1]
    assert found["verdicts"] == ["answered", "not_found", None, "not_found", "uncertain", "not_found"]


def test_repeated_loaders_changed_attributes_and_huge_pastes_are_harmless(
    page: Page, site: Site, endpoint: str
) -> None:
    """Two loaders insert one widget; changed attributes are validated again; a huge paste is refused."""
    loader = f'<script src="{endpoint}/widget/qa-chat-loader.js" data-endpoint="{endpoint}"></script>'
    again = f'<script type="module" src="{endpoint}/widget/qa-chat-define.js"></script>'
    page.goto(site.write("", head=loader * 2 + again))
    page.locator("qa-chat .launch").click()
    expect(page.locator("qa-chat")).to_have_count(1)
    assert page.evaluate("document.querySelector('qa-chat').ask('x'.repeat(1e6))") is None
    expect(page.locator("qa-chat #note")).to_contain_text("this one has 1,000,000")
    ask(page, FOUND)
    answered(page)
    page.evaluate("document.querySelector('qa-chat').setAttribute('lang', 'de')")
    expect(page.locator("qa-chat .send")).to_have_text("Fragen")
    expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
    page.evaluate("document.querySelector('qa-chat').setAttribute('endpoint', 'javascript:alert(1)')")
    expect(page.locator("qa-chat textarea")).to_be_disabled()


def test_the_widget_works_in_a_frame_without_an_origin(page: Page, site: Site, endpoint: str) -> None:
    """Storage throws there, and the service rejects the origin; neither breaks the widget. The console says why."""
    inner = site.write(chat(endpoint, history="session"), name="inner.html")
    with page.expect_console_message(lambda message: "pages without an origin" in message.text):
        page.goto(
            site.write(f'<iframe sandbox="allow-scripts" src="{inner}" width="600" height="600" title="x"></iframe>')
        )
    frame = page.frame_locator("iframe")
    frame.locator("qa-chat textarea").fill(FOUND)
    frame.locator("qa-chat textarea").press("Enter")
    expect(frame.locator("qa-chat .error")).to_contain_text("can't be reached from this page")
    lines = {fault for fault in page.faults if "qa-chat" in fault or "Uncaught" in fault}  # type: ignore[attr-defined]
    assert len(lines) == 1


def test_a_quote_is_copied_with_its_citation(page: Page, site: Site, endpoint: str) -> None:
    """As text: the quote, its place, and the permalink."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.origin)
    page.goto(site.write(chat(endpoint)))
    ask(page, FOUND)
    answered(page)
    page.get_by_role("button", name="Copy quote").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert re.fullmatch(rf"“{re.escape(ANSWER)}” — Animals, Cats, line 5 \({endpoint}/cite/[\w.-]+\)", copied), copied


def page_with(browser: Browser, address: str, content: str) -> Page:
    """Open a page of the same origin that has some content."""
    page = browser.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    page.route("**/page.html", lambda route: route.fulfill(body=f"<!doctype html>{content}", content_type="text/html"))
    page.goto(f"{address}/page.html")
    return page


@pytest.mark.needs("nginx")
@pytest.mark.parametrize("location", [stripping, passing])
def test_the_playground_works_behind_a_path_prefix_of_nginx(
    location: Callable[[int], str],
    browser: Browser,
    answerer: QuestionAnswerer,
    settings: Settings,
    tmp_path: Path,
) -> None:
    """An answer, the page of its citation with the mark, the sources, and the snippets to copy."""
    public_url = f"https://docs.example.org{PREFIX}" if location is passing else ""
    own = settings.model_copy(update={"public_url": public_url, "allowed_hosts": ("127.0.0.1",)})
    with served(answerer, own) as port, nginx(tmp_path, location(port)) as address:
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("response", lambda response: faults.append(response.url) if response.status >= 400 else None)
        page.goto(f"{address}{PREFIX}/")
        expect(page.locator("#state")).to_contain_text("Ready")
        page.locator("qa-chat textarea#input").fill(FOUND)
        page.locator("qa-chat textarea#input").press("Enter")
        expect(page.locator("qa-chat mark").first).to_have_text(ANSWER)
        page.locator("qa-chat .found .source a").first.click()
        expect(page.locator("qa-chat .preview mark")).to_have_text(ANSWER)
        with page.context.expect_page() as opened:
            page.get_by_role("link", name="Open the document").click()
        expect(opened.value.locator("mark#quote")).to_have_text(ANSWER)
        assert opened.value.url.startswith(f"{address}{PREFIX}/sources/")
        page.keyboard.press("Escape")
        page.get_by_role("tab", name="Documents").click()
        page.get_by_role("button", name="Animals").last.click()
        expect(page.locator("#documents .body")).to_contain_text(ANSWER)
        page.get_by_role("tab", name="Embed").click()
        for place, needed in (("details pre", 'integrity="'), ("pre", "/widget/qa-chat-define.js")):
            snippet = page.locator(f"#embed {place}").first.text_content() or ""
            assert needed in snippet
            other = page_with(browser, address, snippet.replace(' key="pk_…"', ""))
            other.get_by_role("button", name="Ask the documents").click()
            expect(other.locator("qa-chat textarea#input")).to_be_visible()
        assert faults == []
