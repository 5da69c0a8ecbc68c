"""Pages in a real browser: text fragments highlight the quote, and the view scrolls to it."""

import functools
import http.server
import io
import json
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from needs import BROWSER, require
from processes import PATIENCE

require(*BROWSER)

from browsers import accessibility_violations
from conftest import FakeEmbedder, published, served
from PIL import Image
from playwright.sync_api import Browser, Page

from qa_service.datatypes import AskOptions
from qa_service.evaluation import EvaluationOptions, QuestionFile, Target, evaluate
from qa_service.evaluation.compare import compare
from qa_service.evaluation.gold import IndexCorpus
from qa_service.evaluation.report import comparison_page, sweep_page, trend_page, write_reports
from qa_service.evaluation.run import RunFolder
from qa_service.evaluation.sweep import Sweep, SweepRow
from qa_service.evaluation.targets import InProcessAsker
from qa_service.evaluation.trend import trend
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings

# Sentences with every character that has a meaning in text directives, and in several scripts.
SENTENCES = [
    "The first boats leave the harbour at five o'clock, long before the market opens.",
    "Well-known captains, mates & cooks drink tea - never coffee - at noon.",
    "Is 50% of the crew (about 12,5 people) asleep at 3:00?",
    "Caf\u00e9s on the quay serve cr\u00eapes \u00e0 la carte all \u00e9t\u00e9.",
    "\ud55c\uad6d\uc758 \ud56d\uad6c\ub294 \uc544\uce68\uc5d0 \uc544\ub984\ub2f5\ub2e4.",
    "The rope #7 costs $5; the sail costs $80 + tax = $86.",
    "He said \u201cnever again\u201d and left\u2026 for good!",
    'A/B tests of hulls <large> and "small" ended in a draw.',
    "It rains. ",
    "The lighthouse keeper's cat, Tom-Tom, chases gulls.",
]
WORDS = "salt wind tide rope sail deck mast keel hull bow stern port lee gale"


def page_of(number: int) -> str:
    """Return a page that holds two of the sentences far down among others, one of them partly bold."""
    own, other = SENTENCES[number], SENTENCES[(number + 1) % len(SENTENCES)]
    filler = "".join(
        f"<p>Paragraph {place} of page {number} speaks of {WORDS.split()[place % 14]} and of nothing else at all.</p>"
        for place in range(40)
    )
    words = escape(own.strip())
    half = len(words) // 2 if "&" not in words else 0
    marked = f"{words[:half]}<b>{words[half:]}</b>" if half else words
    return (
        "<!doctype html><html><head><meta charset='utf-8'><title>Harbour</title>"
        "<style>::target-text{background-color:rgb(255,0,255);color:#000} p{font:16px sans-serif}</style></head><body>"
        f"<main><article><h1>Harbour page {number}</h1>{filler}<h2>Later</h2><p>Before it comes this. {marked} "
        f"After it comes that.</p><p>Another paragraph holds more. {escape(other)} It goes on for a while.</p>"
        f"{filler}</article></main></body></html>"
    )


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Publish the source folder on a port of this machine."""
    (tmp_path / "source").mkdir(exist_ok=True)
    with published(functools.partial(_Quiet, directory=str(tmp_path / "source"))) as address:
        yield address


def lit(page: Page) -> tuple[int, int, int, int] | None:
    """Return the box of the magenta pixels on the screen: left, top, right, bottom."""
    red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")), 2, 0)
    rows, columns = np.nonzero((red > 200) & (green < 80) & (blue > 200))
    return (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None


BOX = """wanted => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), nodes = [];
  let text = "";
  while (walker.nextNode()) { nodes.push([text.length, walker.currentNode]); text += walker.currentNode.data; }
  const boxes = [];
  for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + 1)) {
    const place = offset => {
      const [start, node] = nodes.filter(([s]) => s <= offset).at(-1);
      return [node, offset - start];
    };
    const range = document.createRange();
    range.setStart(...place(at)); range.setEnd(...place(at + wanted.length));
    const box = range.getBoundingClientRect();
    boxes.push([box.left, box.top, box.right, box.bottom]);
  }
  return boxes;
}"""


def test_twenty_text_fragments_highlight_the_quote(
    browser: Browser, site: str, tmp_path: Path, settings: Settings, fake: FakeEmbedder
) -> None:
    """The highlighted pixels are exactly those of the quote."""
    for number in range(len(SENTENCES)):
        (tmp_path / f"source/page{number}.html").write_text(page_of(number), encoding="utf-8")
    published = settings.model_copy(update={"published": site, "passage_tokens": 60})
    build(published, fake)
    answerer, _ = open_answerer(published, fake)
    page = browser.new_page(viewport={"width": 1000, "height": 700})
    page.set_default_timeout(1000 * PATIENCE)
    opened = 0
    for number in range(len(SENTENCES)):
        for sentence in (SENTENCES[number], SENTENCES[(number + 1) % len(SENTENCES)]):
            results = answerer.ask(sentence, AskOptions(top_k=10)).results
            found = [result.citation for result in results if result.citation.uri == f"page{number}.html"]
            citation = next(item for item in found if item.quote in sentence or sentence.strip() in item.quote)
            page.goto("about:blank")
            page.goto(citation.url)
            page.wait_for_function("window.scrollY > 0")
            shown = lit(page)
            assert shown is not None, citation.url
            boxes = page.evaluate(BOX, citation.quote)
            assert any(all(abs(one - other) <= 4 for one, other in zip(shown, box, strict=True)) for box in boxes), (
                citation.url,
                shown,
                boxes,
            )
            opened += 1
    page.close()
    assert opened == 20


def test_the_view_scrolls_to_the_quote_without_scripts(
    browser: Browser, tmp_path: Path, settings: Settings, fake: FakeEmbedder
) -> None:
    """In a long text, with JavaScript off, and without violating the policy."""
    (tmp_path / "source").mkdir()
    filler = "\n\n".join(f"Paragraph {number} speaks of the wind alone." for number in range(200))
    (tmp_path / "source/long.txt").write_text(f"{filler}\n\nThe cat sleeps <b>here</b>.\n\n{filler}", encoding="utf-8")
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    with served(answerer, settings) as port:
        url = answerer.ask("where does the cat sleep").results[0].citation.url
        context = browser.new_context(java_script_enabled=False, viewport={"width": 800, "height": 600})
        page = context.new_page()
        page.set_default_timeout(1000 * PATIENCE)
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.goto(f"http://127.0.0.1:{port}{url}")
        mark = page.locator("mark#quote")
        assert mark.inner_text() == "The cat sleeps <b>here</b>."
        box = mark.bounding_box()
        assert box is not None
        assert 0 <= box["y"] <= 600 - box["height"]
        assert told == []
        context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_reports_are_accessible_and_log_nothing(
    scheme: Literal["light", "dark"], browser: Browser, answerer: QuestionAnswerer, tmp_path: Path
) -> None:
    """Report, comparison and sweep: no axe violation, no console message, no horizontal scrolling."""
    rows = [
        {
            "id": str(n),
            "question": f"What does {word} do?",
            "references": [{"document": uri, "content": word}],
            "tags": [word],
        }
        for n, (word, uri) in enumerate([("cat", "zoo/animals.md"), ("whale", "sea.txt"), ("dog", "zoo/animals.md")])
    ]
    rows.append({"id": "none", "question": f"Who bakes {'very' * 60} long bread?", "answerable": False})
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    questions = QuestionFile(tmp_path / "q.jsonl")
    asker = InProcessAsker(answerer)
    corpus = IndexCorpus(answerer.index)
    for name, top_k in (("one", 5), ("two", 1)):
        options = EvaluationOptions(top_k=top_k)
        about = {"questions": "q.jsonl", "index_version": "v"}
        summary = evaluate(questions, Target(asker, corpus, asker, about=about), tmp_path / name, options)
        write_reports(RunFolder(tmp_path / name), summary, corpus, RunFolder(tmp_path / "one"))
    (tmp_path / "compare.html").write_text(
        comparison_page(compare([tmp_path / "one", tmp_path / "two"])), encoding="utf-8"
    )
    (tmp_path / "trend.html").write_text(trend_page(trend(tmp_path)), encoding="utf-8")
    points = [
        SweepRow({"top_k": n}, "", {"AP": n / 10}, 10.0 + n, n, front=n == 5, rank="best" if n == 5 else "worse")
        for n in range(1, 6)
    ]
    (tmp_path / "sweep.html").write_text(sweep_page(Sweep("q", ["top_k"], "AP", ["AP"], points)), encoding="utf-8")
    for width in (1280, 360):
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
        page.set_default_timeout(1000 * PATIENCE)
        told: list[str] = []
        page.on("console", lambda message, told=told: told.append(message.text))
        page.on("pageerror", lambda error, told=told: told.append(str(error)))
        for path in ("two/report.html", "compare.html", "sweep.html", "trend.html"):
            page.goto((tmp_path / path).as_uri())
            for place in range(page.locator("summary").count()):
                page.locator("summary").nth(place).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path
            assert accessibility_violations(page) == [], path
        page.goto((tmp_path / "two/report.html").as_uri())
        page.get_by_label("Words in question").fill("bakes")
        assert page.locator("details:visible").count() == 1
        assert page.locator("#count").inner_text() == "1 of 4 questions"
        assert told == []
        page.close()
