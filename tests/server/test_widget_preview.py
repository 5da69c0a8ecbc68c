"""The preview of a source in the chat widget: beside it, as a sheet on a phone, and as the page of a PDF."""

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import documents
import pytest
from needs import BROWSER, require

require(*BROWSER)

from browsers import (
    ANSWER,
    FOUND,
    PAYLOADS,
    STRICT,
    WIDGET,
    Site,
    accessibility_violations,
    answered,
    ask,
    chat,
    cors,
    doubt,
    watched,
)
from conftest import TWO_DOCUMENTS, FakeEmbedder, served, write_files
from playwright.sync_api import Browser, Page, Route, expect

from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.keys import KeyFile, Scope
from qa_service.settings import Settings

ROPES = "Where do ropes hang on iron hooks?"
LAST = "The last heron of the year waits in the reeds."
PDF = documents.pdf_of_lines(
    [
        ["Gulls sleep on roofs."],
        [*(f"Boat {number} leaves at dawn." for number in range(30)), "Ropes hang on iron hooks."],
    ]
)
LONG = "# Birds\n\n" + "".join(
    f"## Part {number}\n\n" + "\n\n".join(f"Stone {number}.{line} lies in the river." for line in range(60)) + "\n\n"
    for number in range(1, 7)
)
MARK = [255, 224, 138]
FOCUS_IS_INSIDE = """() => { const root = document.querySelector('qa-chat').shadowRoot;
  return root.activeElement ? root.querySelector('dialog').contains(root.activeElement)
    : !document.hasFocus() || document.activeElement === document.body; }"""  # else the browser's own controls have it
IN_VIEW = """mark => { const box = mark.getBoundingClientRect(), area = mark.closest('.body').getBoundingClientRect();
  return box.height > 0 && box.top >= area.top && box.bottom <= area.bottom && box.right <= area.right; }"""
COUNT = """([canvas, colour]) => { const { width, height } = canvas;
  const data = canvas.getContext('2d').getImageData(0, 0, width, height).data; let marked = 0, dark = 0;
  for (let at = 0; at < data.length; at += 4) {
    if (colour.every((value, part) => data[at + part] === value)) marked++;
    if (data[at] < 100) dark++;
  }
  return { marked, dark, width, height }; }"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Build an index of Markdown, text and a PDF."""
    folder = tmp_path_factory.mktemp("previews")
    settings = Settings(source=folder / "source", index=folder / "index", data=folder / "data")
    settings = settings.model_copy(update={"passage_tokens": 16, "overlap_tokens": 0})
    write_files(settings.source, TWO_DOCUMENTS | {"harbour.pdf": PDF, "birds.md": f"{LONG}## Herons\n\n{LAST}\n"})
    build(settings, FakeEmbedder())
    return settings


@pytest.fixture
def answerer(built: Settings, tmp_path: Path, settings: Settings, fake: FakeEmbedder) -> QuestionAnswerer:
    """Answer from a copy of that index."""
    shutil.copytree(built.source.parent, tmp_path, dirs_exist_ok=True)
    return open_answerer(settings.model_copy(update={"top_k": 3, "min_confidence": 0.5}), fake)[0]


def opened(page: Page, question: str = FOUND) -> Any:
    """Ask, open the source of the first result, and return the preview."""
    ask(page, question)
    answered(page)
    entry = page.locator("qa-chat .entry").last
    link = entry.locator("[part=source-link]").first
    if not link.is_visible():  # the passages of an answer that was not found are folded
        entry.locator("summary").click()
    link.click()
    dialog = page.locator("qa-chat dialog.preview")
    dialog.locator(".document, canvas").first.wait_for()
    return dialog


@pytest.mark.parametrize("scopes", [("ask",), ("ask", "documents")], ids=["quotes only", "documents"])
def test_a_preview_opens_beside_the_widget_under_a_strict_policy(
    scopes: tuple[Scope, ...],
    page: Page,
    site: Site,
    answerer: QuestionAnswerer,
    settings: Settings,
) -> None:
    """With the quote marked and in view, or the page of a PDF, as much of it as the key may see."""
    for file in WIDGET.glob("*.js"):
        shutil.copy(file, site.folder)
    key = KeyFile(settings.data).create("page", scopes, publishable=True, origins=(site.origin,))
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port:
        address = f"http://127.0.0.1:{port}"
        site.policy = STRICT.format(endpoint=address)
        tag = f'<qa-chat endpoint="{address}" key="{key}" mode="launcher"></qa-chat>'
        page.goto(site.write(f'<script type="module" src="qa-chat-define.js"></script>{tag}'))
        page.get_by_role("button", name="Ask the documents").click()
        dialog = opened(page)
        expect(dialog).to_have_accessible_name("Animals")
        expect(dialog.locator("mark")).to_have_text(ANSWER)
        assert dialog.locator("mark").evaluate(IN_VIEW)
        expect(dialog.locator("h4")).to_have_text(["Animals", "Cats", "Dogs"])
        assert not dialog.evaluate("dialog => dialog.matches(':modal')")
        assert accessibility_violations(page) == []
        panel = page.locator("qa-chat .panel").bounding_box()
        own = dialog.bounding_box()
        assert panel is not None
        assert own is not None
        assert own["x"] + own["width"] <= panel["x"]
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        assert page.evaluate("document.querySelector('qa-chat').shadowRoot.activeElement.part.contains('source-link')")
        dialog = opened(page, ROPES)
        canvas = dialog.get_by_role("img", name="Picture of page 2, with the quote marked")
        found = canvas.evaluate(f"(canvas, colour) => ({COUNT})([canvas, colour])", MARK)
        assert found["marked"] > 1_000
        assert found["dark"] > 500
        assert (found["height"] < found["width"]) is (scopes == ("ask",))
        assert canvas.evaluate("canvas => canvas.closest('.body').scrollTop > 0") is (scopes != ("ask",))
        assert accessibility_violations(page) == []
        assert page.evaluate("violations") == []
        assert page.faults == []  # type: ignore[attr-defined]


def test_the_picture_of_a_page_can_be_enlarged_and_its_text_read(
    page: Page,
    site: Site,
    endpoint: str,
    settings: Settings,
) -> None:
    """A page that can't be drawn any more is shown as text."""
    page.goto(site.write(chat(endpoint)))
    dialog = opened(page, ROPES)
    before = dialog.locator("canvas").bounding_box()
    dialog.get_by_role("button", name="Zoom in").click()
    after = dialog.locator("canvas").bounding_box()
    assert before is not None
    assert after is not None
    assert after["width"] > 1.3 * before["width"]
    dialog.get_by_role("button", name="Text", exact=True).click()
    expect(dialog.locator("mark")).to_have_text("Ropes hang on iron hooks.")
    assert dialog.locator("mark").evaluate(IN_VIEW)
    expect(dialog.locator("canvas")).to_have_count(0)
    expect(dialog.get_by_role("button", name="Zoom in")).to_have_count(0)
    (settings.source / "harbour.pdf").write_bytes(PDF + b" ")
    dialog.get_by_role("button", name="Page", exact=True).click()
    expect(dialog.locator("mark")).to_have_text("Ropes hang on iron hooks.")


def test_on_a_phone_the_preview_is_a_modal_sheet(
    browser: Browser,
    site: Site,
    endpoint: str,
) -> None:
    """The focus stays in it until it is closed."""
    phone = browser.new_context(viewport={"width": 360, "height": 740}, locale="en-US", reduced_motion="reduce")
    page = watched(phone.new_page())
    page.goto(site.write(chat(endpoint, mode="launcher", theme="dark")))
    page.locator("qa-chat .launch").click()
    dialog = opened(page)
    assert dialog.evaluate("dialog => dialog.matches(':modal')")
    assert dialog.locator("mark").evaluate(IN_VIEW)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert accessibility_violations(page) == []
    for _ in range(12):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUS_IS_INSIDE)
    dialog.get_by_role("button", name="Close the source").click()
    expect(dialog).to_have_count(0)
    expect(page.locator("qa-chat .panel")).to_be_visible()
    assert page.faults == []  # type: ignore[attr-defined]
    phone.close()


@pytest.mark.parametrize("mode", ["launcher", "dialog", "sidebar"])
def test_back_on_a_phone_closes_the_preview_before_the_panel(
    mode: str,
    browser: Browser,
    site: Site,
    endpoint: str,
) -> None:
    """One at a time, and the history is as before; the buttons that close them do the same."""
    phone = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True, locale="en-US")
    page = watched(phone.new_page())
    page.goto(site.write(chat(endpoint, mode=mode)))
    page.evaluate("history.pushState({ page: 'b' }, '', '#b')")
    panel = page.locator("qa-chat .panel")
    state = "JSON.stringify([location.hash, history.state?.page ?? null, history.state?.qaLayers ?? 0])"
    for by in ("back", "button", "panel's button"):
        page.locator("qa-chat .launch").click()
        dialog = opened(page)
        page.wait_for_function(f"""{state} === '["#b","b",2]'""")
        if by == "back":
            page.evaluate("history.back()")
        elif by == "button":
            dialog.get_by_role("button", name="Close the source").click()
        else:
            page.evaluate("document.querySelector('qa-chat').close()")
        expect(dialog).to_have_count(0)
        if by != "panel's button":
            page.wait_for_function(f"""{state} === '["#b","b",1]'""")
            expect(panel).to_be_visible()
            page.evaluate("history.back()")
        expect(panel).to_be_hidden()
        page.wait_for_function(f"""{state} === '["#b","b",0]'""")
    page.evaluate("history.back()")
    page.wait_for_function(f"""{state} === '["",null,0]'""")
    assert page.faults == []  # type: ignore[attr-defined]
    phone.close()


@pytest.mark.parametrize("mode", ["inline", "launcher", "dialog", "sidebar"])
def test_escape_closes_the_preview_before_the_panel(
    mode: str,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """Wherever the focus is: in the preview or in the panel beside it. Its texts can be replaced."""
    own = html.escape(json.dumps({"preview": {"close": "Shut"}}))
    page.goto(site.write(chat(endpoint, mode=mode, strings=own)))
    if mode != "inline":
        page.locator("qa-chat .launch").click()
    for inside in (True, False):
        dialog = opened(page)
        expect(dialog.get_by_role("button", name="Shut", exact=True)).to_be_visible()
        if not inside:
            page.locator("qa-chat textarea").focus()
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        expect(page.locator("qa-chat .panel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("qa-chat .panel")).to_be_visible(visible=mode == "inline")


def test_sections_lead_to_other_parts_of_the_document(
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """By keyboard too; the quote's button leads back. Escape closes the list first."""
    page.goto(site.write(chat(endpoint)))
    dialog = opened(page, LAST)
    sections = dialog.locator("summary")
    expect(sections).to_have_text("Sections: Herons")
    sections.press("Enter")
    expect(dialog.get_by_role("button", name="Herons")).to_have_attribute("aria-current", "location")
    assert accessibility_violations(page) == []
    page.keyboard.press("Escape")
    expect(dialog.get_by_role("button", name="Part 2")).to_be_hidden()
    sections.press("Enter")
    dialog.get_by_role("button", name="Part 2").press("Enter")
    expect(sections).to_have_text("Sections: Part 2")
    expect(dialog.locator("mark")).to_have_count(0)
    first = dialog.get_by_text("Stone 2.0 lies in the river.")
    expect(first).to_be_visible()
    assert first.evaluate(IN_VIEW)
    sections.press("Enter")
    dialog.get_by_role("button", name="Part 3").press("Enter")
    expect(dialog.get_by_text("Stone 3.0 lies in the river.")).to_be_visible()
    assert dialog.get_by_text("Stone 3.0 lies in the river.").evaluate(IN_VIEW)
    dialog.get_by_role("button", name="Quote", exact=True).click()
    expect(dialog.locator("mark")).to_have_text(LAST)
    assert dialog.locator("mark").evaluate(IN_VIEW)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_the_next_quote_of_an_answer_may_be_in_another_document(
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """An answer with two quotes; the buttons end where the quotes do."""
    page.goto(site.write(chat(endpoint)))
    page.route("**/ask*", doubt)
    dialog = opened(page)
    expect(dialog.get_by_role("button", name="Quote 1/2")).to_be_visible()
    expect(dialog.get_by_role("button", name="Previous quote")).to_be_disabled()
    expect(dialog.locator("mark")).to_have_text(ANSWER)
    dialog.get_by_role("button", name="Next quote").click()
    expect(dialog.get_by_role("status").last).to_contain_text("Quote 2/2")
    expect(dialog.get_by_role("img", name="Picture of page 2, with the quote marked")).to_be_visible()
    expect(dialog.get_by_role("button", name="Quote 2/2")).to_be_focused()
    dialog.get_by_role("button", name="Previous quote").click()
    expect(dialog.locator("mark")).to_have_text(ANSWER)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"status": 404, "body": "{}"}, "can't be shown any more"),
        ({"status": 403, "body": "{}"}, "may not use the service"),
        ({"status": 200, "content_type": "application/json", "body": '{"text": 1}'}, "could not be read"),
    ],
)
def test_a_preview_that_fails_says_why(
    answer: dict[str, Any],
    says: str,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """And leaves a link to the source."""
    page.goto(site.write(chat(endpoint)))
    page.route("**/preview?*", lambda route: route.fulfill(**answer | {"headers": cors({})}))
    ask(page, FOUND)
    answered(page)
    page.locator("qa-chat [part=source-link]").first.click()
    dialog = page.locator("qa-chat dialog.preview")
    expect(dialog.locator(".fault")).to_contain_text(says)
    expect(dialog.get_by_role("link", name="Open the document")).to_be_visible()
    assert accessibility_violations(page) == []


def hostile(payload: str) -> Callable[[Route], None]:
    runs = [{"start": 0, "end": len(payload), "marks": ["strong", payload]}]
    body = {
        **dict.fromkeys(("document_id", "title", "uri", "media_type"), payload),
        **dict.fromkeys(("text", "url", "view", "pages"), payload),
        **dict.fromkeys(("start_char", "end_char", "length"), 9),
        "blocks": [
            {"kind": kind, "start": 0, "end": len(payload), "runs": runs, "language": payload, "marker": payload}
            for kind in ("heading", "code", "item", payload)
        ],
        "outline": [{"text": payload, "level": payload, "start_char": 0}] * 2,
        "pictures": [payload, "//evil.example/x", "/a\tb"],
    }
    return lambda route: route.fulfill(content_type="application/json", headers=cors({}), body=json.dumps(body))


def test_hostile_documents_execute_nothing_in_a_preview(
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """No link leads to code, and nothing is requested from elsewhere."""
    page.add_init_script("window.hits = 0; window.hit = () => hits++")
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if "evil" in request.url else None)
    page.goto(site.write(chat(endpoint)))
    for payload in PAYLOADS:
        page.unroute_all()
        page.route("**/preview?*", hostile(payload[:3_000]))
        ask(page, FOUND)
        answered(page)
        page.locator("qa-chat .entry").last.locator("[part=source-link]").first.click()
        dialog = page.locator("qa-chat dialog.preview")
        dialog.locator(".document, .fault").first.wait_for(state="attached")
        assert dialog.locator("script, img, iframe, style, base, meta, template").count() == 0
        assert dialog.locator("a").count() == 0
        assert dialog.evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth + 1")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        page.evaluate("document.querySelector('qa-chat').clear()")
    assert page.evaluate("hits") == 0
    assert elsewhere == []
