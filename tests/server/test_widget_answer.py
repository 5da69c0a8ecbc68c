"""The card of an answer in the chat widget: its quote in view, its passage as blocks, hostile documents."""

import functools
import json
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

import pytest
from needs import BROWSER, require

require(*BROWSER)

from browsers import FOUND, PAYLOADS, SMALL, STRICT, Site, accessibility_violations, answered, ask, chat, cors
from conftest import QUESTIONS, ROOT, served
from playwright.sync_api import Browser, Page, Route, expect
from processes import PATIENCE

from qa_service.embedding.runtime import ExportedEmbedder
from qa_service.evaluation import Question, QuestionFile
from qa_service.pipeline import build, open_answerer
from qa_service.settings import load_settings

SIZES: dict[str, tuple[int, int, dict[str, str]]] = {
    "desktop": (1280, 800, {"mode": "launcher"}),
    "laptop at 200 %": (640, 400, {"mode": "launcher"}),
    "phone": (390, 844, {"mode": "launcher"}),
    "small launcher panel": (1280, 800, {"mode": "launcher", "style": "--qa-width: 20rem; --qa-height: 26rem"}),
}
# Asks one question after the other, and looks whether the rectangle of the mark is in the visible part of the log. If
# the quote is higher than that part, the exact words count, or its first line.
ASK_ALL = """async questions => {
  const chat = document.querySelector("qa-chat"), root = chat.shadowRoot, log = root.querySelector(".log"), hidden = [];
  let seen = 0;
  for (const question of questions) {
    const answer = await chat.ask(question);
    if (!answer?.answer) continue;
    await new Promise(done => requestAnimationFrame(done));
    const passage = [...root.querySelectorAll(".entry")].at(-1).querySelector("blockquote");
    const { top, bottom, left, right } = log.getBoundingClientRect();
    const area = { top: Math.max(top, 0), bottom: Math.min(bottom, innerHeight) };
    const boxes = (selector) => [...passage.querySelectorAll(selector)].map(one => one.getBoundingClientRect());
    const inside = all => all.length > 0 && all.every(box =>
      box.top >= area.top - 1 && box.bottom <= area.bottom + 1 && box.left >= left - 1 && box.right <= right + 1);
    const marks = boxes("mark"), words = boxes(".words");
    const height = all => Math.max(...all.map(box => box.bottom)) - Math.min(...all.map(box => box.top));
    const fits = all => all.length > 0 && height(all) <= area.bottom - area.top - 24;
    const first = (words[0] ?? marks[0]).toJSON();
    const line = [{ ...first, bottom: first.top + 16 }];
    seen += 1;
    if (!inside(fits(marks) ? marks : fits(words) ? words : line)) hidden.push(question);
  }
  return [seen, hidden];
}"""


@pytest.fixture(scope="module")
def briefing(tmp_path_factory: pytest.TempPathFactory, onnx: ExportedEmbedder) -> Iterator[str]:
    """Serve the documents that the project ships."""
    folder = tmp_path_factory.mktemp("briefing")
    settings = load_settings(source=ROOT / "source_text", index=folder / "index", data=folder / "data")
    build(settings, onnx)
    with served(open_answerer(settings, onnx)[0], settings) as port:
        yield f"http://127.0.0.1:{port}"


def test_the_quote_of_every_shipped_question_is_in_view(
    browser: Browser,
    briefing: str,
) -> None:
    """After the answer, without scrolling by hand, at four sizes; also below a very long question."""
    asked = [item.question for item in QuestionFile(QUESTIONS) if isinstance(item, Question)]
    for name, (width, height, attributes) in SIZES.items():
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(1000 * PATIENCE)
        content = _host(chat(briefing, **attributes))
        page.route("**/page.html", functools.partial(Route.fulfill, body=content, content_type="text/html"))
        page.goto(f"{briefing}/page.html")
        page.locator("qa-chat .launch").click()
        seen, hidden = page.evaluate(ASK_ALL, [*asked, f"{asked[0]} {'please ' * 250}"])
        assert hidden == [], name
        assert seen > 80, name
        assert page.evaluate(SCROLLING) == [], name
        page.close()


def _host(body: str) -> str:
    return f"<!doctype html><meta name=viewport content='width=device-width'><title>A page</title><main>{body}</main>"


# Elements in the log that scroll up and down by themselves.
SCROLLING = """() => [...document.querySelector("qa-chat").shadowRoot.querySelectorAll(".log *")]
  .filter(one => one.scrollHeight > one.clientHeight + 1 && one.offsetParent && one.clientHeight > 0)
  .filter(one => ["auto", "scroll"].includes(getComputedStyle(one).overflowY))
  .map(one => one.outerHTML.slice(0, 120))"""

TEXT = (
    "# Sizes of boxes\n\nBoxes come in **three** sizes, see [the list](https://a.example). Weigh by `scale --net` "
    "first.\n\n- small ones\n  1. nested\n\n| size | width | price |\n| --- | --- | --- |\n| S | 10 cm | 3.50 |\n"
    "| L | 40 cm | 9.00 |\n\n```python\nprint('box')\nprint('lid')\n```\n\n"
    "> Said ~~once~~ with ![a picture of a lid](lid.png) and $x^2$ there.\n\n***\n"
)
QUOTE = "| L | 40 cm | 9.00 |"


def _at(words: str, *marks: str, start: int = 0) -> dict[str, Any]:
    at = TEXT.index(words, start)
    return {"start": at, "end": at + len(words), "marks": list(marks)}


def _block(kind: str, *runs: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"kind": kind, "start": runs[0]["start"], "end": runs[-1]["end"], "runs": list(runs), **rest}


def _table() -> dict[str, Any]:
    rows = [("size", "width", "price"), ("S", "10 cm", "3.50"), ("L", "40 cm", "9.00")]
    start = TEXT.index("| size")
    cells = [[[_at(word, start=start)] for word in row] for row in rows]
    made = [{"header": place == 0, "cells": row} for place, row in enumerate(cells)]
    return {"kind": "table", "start": start, "end": TEXT.index("\n\n```"), "rows": made}


BLOCKS = [
    _block("heading", _at("Sizes of boxes"), level=1),
    _block(
        "paragraph",
        *(_at("Boxes come in "), _at("three", "strong"), _at(" sizes, see "), _at("the list")),
        *(_at(". Weigh by "), _at("scale --net", "code"), _at(" first.")),
    ),
    _block("item", _at("small ones"), level=1, marker="•"),
    _block("item", _at("nested"), level=2, marker="1."),
    _table(),
    _block("code", _at("print('box')\nprint('lid')\n"), language="python"),
    _block(
        "quote",
        *(_at("Said "), _at("once", "strike"), _at(" with "), _at("a picture of a lid", "image")),
        *(_at(" and "), _at("$x^2$", "math"), _at(" there.")),
        level=1,
    ),
    {"kind": "rule", "start": TEXT.index("***\n"), "end": len(TEXT)},
]


def answer_of(
    blocks: object, text: str = TEXT, quote: str = QUOTE, words: str = "9.00", **rest: object
) -> dict[str, Any]:
    """Return an answer as the service gives it, whose only result has the blocks."""
    start = text.index(quote) if quote in text else 0
    span = (
        {"start": start + quote.index(words), "end": start + quote.index(words) + len(words)} if words in quote else {}
    )
    citation = {
        "title": "Boxes",
        "uri": "boxes.md",
        "section_path": ["Sizes"],
        "page": None,
        "start_line": 9,
        "end_line": 9,
        "quote_start": start,
        "quote_end": start + len(quote),
        "url": "/sources/b/view",
        "permalink": "/cite/b.1-2",
        "document_id": "b",
        "start_char": 0,
        "end_char": len(text),
    }
    quoted = {"citation_index": 0, "start": start, "end": start + len(quote), "text": quote, "spans": [span]}
    result = {"rank": 1, "score": 1, "confidence": 0.9, "text": text, "citation": citation, "blocks": blocks}
    return {
        "id": "a",
        "question": "?",
        "verdict": "answered",
        "confidence": 0.9,
        "answer": {"text": quote, "citation_index": 0, "quotes": [quoted]},
        "reason": None,
        "nearest_headings": [],
        "related": [],
        "results": [result],
        **rest,
    }


def fulfilling(answer: dict[str, Any]) -> Callable[[Route], None]:
    body = json.dumps(answer)
    return lambda route: route.fulfill(content_type="application/json", headers=cors({}), body=body)


def test_a_passage_is_shown_as_its_blocks(page: Page, site: Site, endpoint: str) -> None:
    """The quote first; all of the passage after a press, and back. Markup is not shown, words are."""
    page.route("**/ask?blocks=true", fulfilling(answer_of(BLOCKS)))
    page.goto(site.write(chat(endpoint)))
    ask(page, FOUND)
    answered(page)
    passage = page.locator("qa-chat blockquote")
    expect(passage.locator("mark")).to_have_text(["L", "40 cm", "9.00"])
    expect(passage.locator("[part=words]")).to_have_text(["9.00"])
    expect(passage.locator("th")).to_have_text(["size", "width", "price"])
    expect(passage.locator("h4")).to_have_count(0)
    page.get_by_role("button", name="Show whole passage").click()
    expect(passage.locator("h4")).to_have_text("Sizes of boxes")
    expect(passage.locator("p").first).to_have_text(
        "Boxes come in three sizes, see the list. Weigh by scale --net first."
    )
    expect(passage.locator("p strong")).to_have_text(["three"])
    expect(passage.locator("li")).to_have_text(["•small ones", "1.nested"])
    expect(passage.locator("pre code")).to_have_text("print('box')\nprint('lid')\n")
    expect(passage.locator(".cited")).to_have_text("Said once with a picture of a lid and $x^2$ there.")
    expect(passage.locator("s")).to_have_text("once")
    expect(passage.get_by_role("img", name="a picture of a lid")).to_be_visible()
    expect(passage.locator("hr")).to_have_count(1)
    assert accessibility_violations(page) == []
    assert page.evaluate(SMALL) == []
    page.get_by_role("button", name="Show less").click()
    expect(passage.locator("h4")).to_have_count(0)
    assert page.faults == []  # type: ignore[attr-defined]


def test_code_is_copied_as_it_stands(page: Page, site: Site, endpoint: str) -> None:
    """With a button of its own."""
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=site.origin)
    page.route("**/ask*", fulfilling(answer_of(BLOCKS, quote="print('lid')")))
    page.goto(site.write(chat(endpoint)))
    ask(page, FOUND)
    answered(page)
    expect(page.locator("qa-chat pre mark")).to_have_text("print('lid')")
    page.get_by_role("button", name="Copy code").click()
    expect(page.get_by_text("Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "print('box')\nprint('lid')\n"


MALFORMED: list[object] = [
    *(None, 7, "blocks", {}, [None], [7], [[]], [{}], [{"kind": "script", "start": 0, "end": 3}]),
    [{"kind": "paragraph", "start": -5, "end": 3, "runs": []}],
    [{"kind": "paragraph", "start": 0, "end": 1e9, "runs": []}],
    [{"kind": "paragraph", "start": 0, "end": 3, "runs": [{"start": 2, "end": 1}]}],
    [{"kind": "paragraph", "start": 0, "end": 9, "runs": [{"start": 0, "end": 5}, {"start": 3, "end": 9}]}],
    [{"kind": "paragraph", "start": 0, "end": 9, "runs": [{"start": 0.5, "end": "5"}]}],
    [{"kind": "paragraph", "start": 0, "end": 9, "runs": [{"start": 0, "end": 9, "marks": "strong"}]}],
    [{"kind": "rule", "start": 0, "end": 0}] * 20_000,
    [{"kind": "table", "start": 0, "end": 9, "rows": [{"cells": []}] * 100_000}],
    [{"kind": "table", "start": 0, "end": 9, "rows": [{"header": False, "cells": [[]] * 100_000}]}],
    [{"kind": "table", "start": 0, "end": 9, "rows": "rows"}],
    [{"kind": "table", "start": 0, "end": 9, "rows": [{"cells": [{"start": 0}]}]}],
    [{"kind": "constructor", "start": 0, "end": 9, "runs": []}, {"kind": "__proto__", "start": 0, "end": 1}],
]


def _nested(depth: int) -> object:
    nested: object = []
    for _ in range(depth):
        nested = [nested]
    return nested


def test_malformed_blocks_are_shown_as_plain_text(page: Page, site: Site, endpoint: str) -> None:
    """Offsets that are negative, too large or overlap, unknown kinds, far too many, nested deeply."""
    page.goto(site.write(chat(endpoint)))
    for place, blocks in enumerate([*MALFORMED, _nested(900)]):
        page.unroute_all()
        page.route("**/ask*", fulfilling(answer_of(blocks)))
        ask(page, FOUND)
        last = page.locator("qa-chat .entry").nth(place)
        expect(last.locator("blockquote .plain mark")).to_have_text([QUOTE])
    assert page.faults == []  # type: ignore[attr-defined]


def _documents() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield fifty texts made of payloads, with blocks of every kind over them."""
    for number, payload in enumerate(islice(cycle(PAYLOADS), 50)):
        words = f"{payload} "[:9000]
        text = words * 2
        size = len(text)
        whole = {"start": 0, "end": size, "marks": ["strong", "emphasis", "code", "strike", "math", "image"]}
        half = [{"start": 0, "end": size // 2}, {"start": size // 2, "end": size, "marks": ["image", "no such mark"]}]
        cells = [[half] * (1 + number % 7), [], [[]], [[whole]] * 40]
        rows = [{"header": place == 0, "cells": row} for place, row in enumerate(cells)]
        deep = [
            {
                "kind": kind,
                "start": 0,
                "end": size,
                "level": level,
                "marker": payload[:200],
                "language": payload[:200],
                "runs": half,
            }
            for kind in ("heading", "paragraph", "item", "code", "quote")
            for level in (1, 6, 10**9, -3)
        ]
        table = {"kind": "table", "start": 0, "end": size, "rows": rows}
        yield text, [*deep, table, {"kind": "rule", "start": 0, "end": size}, *deep[::-1]][:: (-1) ** number]


STRUCTURE = """() => {
  const root = document.querySelector("qa-chat").shadowRoot, panel = root.querySelector(".panel");
  const foreign = "script, img, iframe, style, base, meta, template, form, object, link";
  const handlers = one => one.getAttributeNames().some(name => /^on/.test(name));
  const { left, right } = panel.getBoundingClientRect();
  const out = box => box.width && (box.right > right + 1 || box.left < left - 1);
  return {
    foreign: root.querySelectorAll(`.log :is(${foreign})`).length,
    links: [...root.querySelectorAll("a")].map(a => a.href).filter(href => !/^http:[/][/]127[.]0[.]0[.]1:/.test(href)),
    listeners: [...root.querySelectorAll("*")].filter(handlers).length,
    wide: [...root.querySelectorAll(".entry *")].filter(one => one.offsetParent && !one.closest("svg, .sr, .wide > *"))
      .filter(one => out(one.getBoundingClientRect())).map(one => one.outerHTML.slice(0, 150)),
    page: document.documentElement.scrollWidth <= innerWidth } }"""


@pytest.mark.parametrize("width", [1280, 320])
def test_fifty_hostile_documents_execute_nothing_and_stay_in_the_panel(
    width: int,
    page: Page,
    site: Site,
    endpoint: str,
) -> None:
    """As blocks of every kind, all of the passage shown, under a strict policy with Trusted Types."""
    page.set_viewport_size({"width": width, "height": 700})
    page.add_init_script("window.hits = 0; window.hit = () => hits++")
    site.policy = STRICT.format(endpoint=endpoint).replace("'self';", f"'self' {endpoint};", 1)
    page.goto(site.write(chat(endpoint)))
    for place, (text, blocks) in enumerate(_documents()):
        page.unroute_all()
        verdict = ("answered", "uncertain", "not_found")[place % 3]
        page.route(
            "**/ask*", fulfilling(answer_of(blocks, text=text, quote=text[: 5 + place], words="", verdict=verdict))
        )
        ask(page, FOUND)
        entry = page.locator("qa-chat .entry").nth(place)
        entry.locator(".answer").wait_for()
        expect(entry.locator("blockquote .plain")).to_have_count(0)
        for button in entry.get_by_role("button", name="Show whole passage").all():
            button.click()
        if place % 10 == 9:
            found = page.evaluate(STRUCTURE)
            assert found == {"foreign": 0, "links": [], "listeners": 0, "wide": [], "page": True}, (place, found)
    assert page.evaluate("hits") == 0
    assert page.evaluate("violations") == []
    assert page.faults == []  # type: ignore[attr-defined]
