"""The playground in a real browser: its first screen, its tabs, and the controls below the question."""

import json
from typing import Any, Literal
from urllib.parse import quote

import pytest
from needs import BROWSER, require

require(*BROWSER)

from browsers import ANSWER, FOUND, accessibility_violations, watched
from conftest import FakeEmbedder, key_for, served
from playwright.sync_api import Browser, Page, Request, Route, expect

from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.live_index import ServableIndex
from qa_service.settings import Settings

TABS = ("Documents", "Ranking", "Evaluation", "Embed", "JSON", "Index")
STARTERS = [FOUND, "Where does the whale swim?"]
SHIFTS = """window.shifts = []; new PerformanceObserver(list => shifts.push(
  ...list.getEntries().filter(entry => !entry.hadRecentInput).map(entry => entry.value)
)).observe({ type: "layout-shift", buffered: true })"""
SUMMARY = {
    "about": {"questions": "pets.jsonl", "started": "2026-11-28T23:12:01+00:00", "index_version": "abc"},
    "questions": 12,
    "measures": {
        "Success@1": {"mean": 0.8, "low": 0.5, "high": 1.0, "n": 10},
        "nDCG@10": {"mean": 0.9, "low": 0.85, "high": 0.95, "n": 10},
    },
    "answerability": {
        "verdicts": {"answered": {"right": 6, "judged": 7}, "uncertain": {"answerable": 2}, "not_found": {}},
        "answerable": 10,
        "answered": 7,
        "unanswerable": 2,
        "refused": 1,
    },
    "latency_ms": {"n": 12, "p50": 7.25},
}


def starters(route: Route) -> None:
    route.fulfill(json={"index_version": "x", "questions": STARTERS, "complete": True})


def ask(page: Page, question: str) -> None:
    """Ask the page's own widget, and wait for the answer."""
    field = page.locator("#ask qa-chat textarea#input")
    before = page.locator("#ask .answer").count()
    field.fill(question)
    field.press("Enter")
    expect(page.locator("#ask .answer")).to_have_count(before + 1)


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name).click()


def test_the_first_screen_offers_questions_and_documents_and_shifts_nothing(page: Page, endpoint: str) -> None:
    """The focus is in the field; the documents stand there by title, the first of them is a click away."""
    page.add_init_script(SHIFTS)
    page.route("**/starters*", starters)
    page.goto(endpoint)
    expect(page.locator("#state")).to_have_text("Ready")
    expect(page.locator(".titles")).to_contain_text("2 documents")
    expect(page.locator(".titles button")).to_have_count(2)
    expect(page.locator("#ask [part=suggestions] button")).to_have_text(STARTERS)
    assert page.evaluate("document.activeElement.shadowRoot.activeElement.localName") == "textarea"
    expect(page.locator(".documents li")).to_have_count(2)
    page.wait_for_timeout(300)
    assert page.evaluate("shifts") == []
    page.get_by_role("button", name="Animals").first.click()
    expect(page.locator("#documents h2")).to_have_text("Animals")
    page.locator("#ask [part=suggestions] button").first.click()
    expect(page.locator("#ask mark").first).to_have_text(ANSWER)
    expect(page.locator("#tab-documents")).to_have_attribute("aria-selected", "true")
    assert page.evaluate("violations") == []
    assert page.faults == []  # type: ignore[attr-defined]


def test_the_picture_shows_the_ranks_of_the_service(page: Page, endpoint: str) -> None:
    """Each passage is a line whose numbers are those of the explanation and of the table; a passage lights its line."""
    page.goto(endpoint)
    with page.expect_response(lambda response: "explain=true" in response.url) as explained:
        ask(page, FOUND)
    expect(page.locator("#tab-ranking")).to_have_attribute("aria-selected", "true")
    lines = page.locator("#ranking .line")
    expect(lines.first).to_be_visible()
    results = explained.value.json()["results"]
    expect(lines).to_have_count(len(results))
    for result in results:
        dots = page.locator(f"#ranking .line[data-rank='{result['rank']}'] .dot text")
        given = [result["explanation"]["dense_rank"], result["explanation"]["lexical_rank"]]
        expect(dots.nth(0)).to_have_text(str(given[0] or ""))
        expect(dots.nth(1)).to_have_text(str(given[1] or ""))
        expect(dots.nth(4)).to_have_text(str(result["rank"]))
    expect(page.get_by_role("img", name="Ranks of")).to_be_visible()
    expect(page.locator("#ranking .quote").first).to_have_text(ANSWER)
    expect(page.locator("#caption")).to_contain_text("The first result is")
    page.locator("#ranking summary", has_text="table").click()
    expect(page.locator("#ranking tbody tr")).to_have_count(len(results))
    expect(page.locator("#ranking tbody tr").first).to_contain_text(f"{results[0]['scores']['dense']:.3f}")
    page.mouse.move(0, 0)  # a passage that scrolls under the pointer would light its line
    page.locator("#ranking .ranked .link").nth(1).focus()
    expect(page.locator("#ranking .line.lit")).to_have_attribute("data-rank", "2")
    page.locator("#ranking .ranked .link").first.click()
    expect(page.locator("#documents mark")).to_have_text(ANSWER)
    expect(page.locator("#documents mark")).to_be_in_viewport()


def test_a_long_document_is_shown_part_by_part(page: Page, settings: Settings, fake: FakeEmbedder) -> None:
    """No text is missing or doubled between parts; a section opens at its heading."""
    words = [f"Paragraph {number} speaks of wind number {number}." for number in range(900)]
    words[400:400] = ["## The *second* half"]
    settings.source.mkdir()
    (settings.source / "long.md").write_text("# A log\n\n" + "\n\n".join(words), encoding="utf-8")
    build(settings, fake)
    with served(open_answerer(settings, fake)[0], settings) as port:
        page.goto(f"http://127.0.0.1:{port}")
        expect(page.locator("#documents h2")).to_have_text("A log")  # the only document needs no list
        shown = page.locator("#documents .body > p")
        more = page.get_by_role("button", name="Show more")
        expect(more).to_be_visible()
        for _ in range(20):
            if not more.is_visible():
                break
            before = shown.count()
            more.click()
            page.wait_for_function(
                "before => document.querySelectorAll('#documents .body > p').length > before", arg=before
            )
        assert shown.all_text_contents() == [word for word in words if not word.startswith("#")]
        expect(page.locator("#documents .body h4")).to_have_text(["A log", "The second half"])
        page.get_by_label("Section").select_option(index=1)
        expect(page.locator("#documents .body > *").first).to_have_text("The second half")
        page.get_by_role("button", name="From the beginning").click()
        expect(page.locator("#documents .body > *").first).to_have_text("A log")


def test_documents_are_found_by_title_and_show_their_passages(page: Page, endpoint: str) -> None:
    page.goto(endpoint)
    field = page.get_by_role("searchbox")
    field.fill("zoo anim")
    expect(page.locator(".documents li")).to_have_count(1)
    field.fill("unicorn")
    expect(page.locator("#documents [role=status]")).to_have_text("0 documents")
    field.fill("")
    page.locator(".documents button", has_text="Animals").click()
    expect(page.locator("#documents .body")).to_contain_text(ANSWER)
    counted = page.request.get(f"{endpoint}/sources?limit=200").json()["documents"]
    animals = next(row["document_id"] for row in counted if row["title"] == "Animals")
    passages = page.request.get(f"{endpoint}/sources/{animals}/passages").json()["passages"]
    page.get_by_label("Show passages").check()
    expect(page.locator("#documents .piece")).to_have_count(len(passages))
    last = passages[-1]
    expect(page.locator("#documents .bound").last).to_contain_text(f"{last['start_char']}–{last['end_char']}")
    page.get_by_role("button", name="All documents").click()
    expect(page.locator(".documents li")).to_have_count(2)


def test_a_question_is_asked_of_what_is_chosen(
    page: Page,
    answerer: QuestionAnswerer,
    settings: Settings,
) -> None:
    """Document, folder, number of passages and collection go into the request; their choices come from the index."""

    def asks(request: Request) -> bool:
        return "/ask" in request.url and "explain" not in request.url

    named = {"hr": ServableIndex(answerer, IndexFolder(settings.index))}
    with served(answerer, settings, named=named) as port:
        page.goto(f"http://127.0.0.1:{port}")
        page.get_by_label("Document", exact=True).select_option("Animals")
        page.get_by_label("Passages", exact=True).select_option("3 passages")
        page.locator(".controls summary").click()
        page.get_by_label("folder").select_option("zoo/")
        page.get_by_label("Collection").select_option("hr")
        expect(page.get_by_label("Document", exact=True)).to_have_value("")
        page.get_by_label("Document", exact=True).select_option("Animals")
        with page.expect_request(asks) as asked:
            ask(page, FOUND)
        body = asked.value.post_data_json
        assert "/collections/hr/ask" in asked.value.url
        assert body is not None
        assert body["top_k"] == 3
        assert len(body["filters"].pop("document_id")) == 16
        assert body["filters"] == {}
        page.get_by_label("folder").select_option("zoo/")
        with page.expect_request(asks) as asked:
            ask(page, FOUND)
        expect(page.locator("#ask .entry")).to_have_count(2)
        body = asked.value.post_data_json
        assert body is not None
        assert body["filters"]["path_prefix"] == "zoo/"


def test_the_evaluation_shows_figures_with_their_denominators(page: Page, endpoint: str, settings: Settings) -> None:
    """Without a key it names the commands; with one of an administrator it starts an evaluation of a chosen file."""
    states = [{"status": "running", "asked": 3, "of": 12}, {"status": "done", "summary": SUMMARY, "report": "/r?sig=1"}]
    started: list[bytes] = []

    def listed(route: Route) -> None:
        if route.request.method == "POST":
            started.append(route.request.post_data_buffer or b"")
            route.fulfill(status=202, json={"id": "a"})
        else:
            assert route.request.headers["authorization"].startswith("Bearer sk_")
            found = [states.pop(0) if len(states) > 1 else states[0]] if started else []
            route.fulfill(json={"evaluations": found})

    page.route("**/evaluate*", listed)
    page.route("**/starters*", starters)
    page.goto(endpoint)
    open_tab(page, "Evaluation")
    expect(page.locator("#evaluation h2").first).to_have_text("2 example questions, proved")
    expect(page.locator("#evaluation pre").first).to_contain_text("qa-service evaluate")
    page.get_by_role("button", name="Enter a key").click()
    page.keyboard.type(key_for(settings, "ask", "admin")["Authorization"].removeprefix("Bearer "))
    page.keyboard.press("Enter")
    expect(page.locator("#evaluation")).to_contain_text("None was run yet")
    content = b'{"question": "Where does the cat sleep?"}'
    page.get_by_label("Question file").set_input_files({"name": "p.jsonl", "mimeType": "text/plain", "buffer": content})
    page.get_by_role("button", name="Evaluate").click()
    expect(page.locator("#evaluation")).to_contain_text("Asked 3 of 12")
    tiles = page.locator(".tiles li")
    expect(tiles.nth(0)).to_contain_text("80%8 of 10")
    expect(tiles.nth(1)).to_contain_text("0.9000.850–0.950, 10 questions")
    expect(tiles.nth(2)).to_contain_text("6 of 7")
    expect(page.get_by_role("link", name="Open the report")).to_have_attribute("href", f"{endpoint}/r?sig=1")
    assert started == [content]


def test_the_snippet_follows_the_options_and_the_preview(page: Page, endpoint: str) -> None:
    """Two lines at first; a colour that is hard to read gives a warning with its contrast."""
    page.goto(endpoint)
    open_tab(page, "Embed")
    code, preview = page.locator("#embed pre").first, page.locator("#preview")
    lines = (code.text_content() or "").splitlines()
    assert lines == [
        f'<script type="module" src="{endpoint}/widget/qa-chat-define.js"></script>',
        f'<qa-chat endpoint="{endpoint}" key="pk_…" mode="launcher"></qa-chat>',
    ]
    page.get_by_label("Theme").select_option("dark")
    page.get_by_label("Language").select_option("de")
    page.get_by_role("combobox", name="Corner", exact=True).select_option("top-left")
    page.get_by_label("Accent, dark").fill("#00ff88")
    expect(code).to_contain_text('mode="launcher" corner="top-left" theme="dark" lang="de"')
    expect(code).to_contain_text("--qa-accent: light-dark(#1d4ed8, #00ff88);")
    expect(preview).to_have_attribute("lang", "de")
    assert page.evaluate("document.querySelector('#preview').style.getPropertyValue('--qa-accent')") == (
        "light-dark(#1d4ed8, #00ff88)"
    )
    expect(page.locator("#embed .warning")).to_be_hidden()
    page.get_by_label("Accent, dark").fill("#223344")
    expect(page.locator("#embed .warning")).to_contain_text("contrast of 1.3:1 in the dark theme")
    page.get_by_label("Theme").select_option("light")
    expect(page.locator("#embed .warning")).to_be_hidden()
    page.get_by_label("Accent, light").fill("#ffcc00")
    expect(page.locator("#embed .warning")).to_contain_text("in the light theme")
    assert page.evaluate("violations") == []


@pytest.mark.parametrize(
    ("scheme", "width", "touch"),
    [("light", 1280, False), ("dark", 1280, False), ("dark", 390, True), ("light", 320, True)],
)
def test_every_tab_is_accessible(scheme: Any, width: int, touch: bool, browser: Browser, endpoint: str) -> None:
    """By the arrow keys, before and after an answer; on a phone one button shows the tabs and hides them again."""
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        locale="en-US",
        has_touch=touch,
        reduced_motion="reduce",  # an answer that is fading in has less contrast
    )
    page = watched(context.new_page())
    page.route("**/starters*", starters)
    page.goto(endpoint)
    expect(page.locator("#ask [part=suggestions] button")).to_have_count(2)
    unfold = page.locator("#unfold")
    assert accessibility_violations(page) == []
    for asked in (False, True):
        if asked:
            ask(page, FOUND)
        if touch:
            expect(page.locator("#tools")).to_be_hidden()
            unfold.click()
            expect(unfold).to_have_attribute("aria-expanded", "true")
        page.get_by_role("tab", selected=True).focus()
        page.keyboard.press("Home")
        for place, name in enumerate(TABS):
            if place:
                page.keyboard.press("ArrowRight")
            expect(page.get_by_role("tab", name=name)).to_be_focused()
            panel = page.get_by_role("tabpanel", name=name)
            expect(panel.locator(":scope > *").first).to_be_visible()
            for summary in panel.locator("summary").all():
                summary.click()
            assert accessibility_violations(page) == [], name
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
            page.get_by_role("tab", name=name).focus()
        if touch:
            unfold.click()
            expect(page.locator("#ask")).to_be_visible()
    assert page.evaluate("violations") == []
    assert page.faults == []  # type: ignore[attr-defined]
    context.close()


def test_a_key_is_asked_for_where_one_is_needed_and_kept_nowhere(
    page: Page,
    answerer: QuestionAnswerer,
    settings: Settings,
) -> None:
    token = key_for(settings, "ask", "feedback")["Authorization"].removeprefix("Bearer ")
    with served(answerer, settings.model_copy(update={"access": "keys"})) as port:
        page.goto(f"http://127.0.0.1:{port}/")
        page.get_by_label("Key").fill(token)
        page.get_by_label("Key").press("Enter")
        expect(page.locator(".titles")).to_contain_text("2 documents")
        expect(page.get_by_label("Document", exact=True).locator("option")).to_have_count(3)
        ask(page, FOUND)
        expect(page.locator("#ask mark").first).to_have_text(ANSWER)
        open_tab(page, "JSON")
        expect(page.locator("#json pre").last).to_contain_text('"citation_index": 0')
        held = page.evaluate(
            "document.documentElement.outerHTML + JSON.stringify({...sessionStorage, ...localStorage})"
        )
        assert token not in held


@pytest.mark.parametrize("access", ["open", "keys"])
def test_the_question_of_a_link_waits_for_the_key(
    access: Literal["open", "keys"],
    page: Page,
    answerer: QuestionAnswerer,
    settings: Settings,
) -> None:
    """It is asked once, also when the page is loaded again; without keys, at once."""
    token = key_for(settings, "ask", "feedback")["Authorization"].removeprefix("Bearer ")
    with served(answerer, settings.model_copy(update={"access": access})) as port:
        page.goto(f"http://127.0.0.1:{port}/?q={quote(FOUND)}")
        if access == "keys":
            page.get_by_label("Key").wait_for()
            expect(page.locator("#ask .entry")).to_have_count(0)
            page.get_by_label("Key").fill(token)
            page.get_by_label("Key").press("Enter")
        expect(page.locator("#ask mark").first).to_have_text(ANSWER)
        page.reload()
        known = ".titles button" if access == "open" else "#key-field:not([hidden])"
        page.locator(known).first.wait_for(state="attached")
        expect(page.locator("#ask .entry")).to_have_count(1)
        expect(page.locator("#ask .error")).to_have_count(0)


def test_contrast_is_that_of_wcag(page: Page, endpoint: str) -> None:
    page.goto(endpoint)
    script = """async () => {
      const { contrast } = await import("/widget/playground-colours.js");
      return PAIRS.map(pair => contrast(...pair));
    }"""
    pairs = [["#ffffff", "#000000"], ["#777777", "#ffffff"], ["#0000ff", "#ffffff"], ["#123456", "#123456"]]
    found = page.evaluate(script.replace("PAIRS", json.dumps(pairs)))
    assert [round(one, 2) for one in found] == [21.0, 4.48, 8.59, 1.0]
