"""Pages of blocks: fifty hostile documents come out as text between the tags of the renderer, and as nothing else."""

from html.parser import HTMLParser

import pytest

from qa_service.datatypes import Run, ShownBlock, SourceDocument
from qa_service.rendering import blocks_of
from qa_service.rendering.html import html_of

ALLOWED = {
    **{tag: {"dir"} for tag in ("p", "blockquote", "pre", "h2", "h3", "h4", "h5", "h6", "td")},
    **{tag: set() for tag in ("strong", "em", "code", "s", "hr", "table", "thead", "tbody", "tr")},
    "div": {"class", "dir", "tabindex", "role", "aria-label"},
    "span": {"class"},
    "th": {"scope", "dir"},
    "mark": {"id"},
}
VALUES = {
    *("auto", "ltr", "col", "math", "marker", "wide", "region", "Table", "0", "quote"),
    *(f"item d{depth}" for depth in range(1, 5)),
}
SCRIPT = "<script>alert(1)</script>"
DOCUMENTS = [
    SCRIPT,
    f"# {SCRIPT}",
    f"- {SCRIPT}\n  - {SCRIPT}",
    f"> {SCRIPT}",
    f"```\n{SCRIPT}\n```",
    f'``` "><script>\n{SCRIPT}',
    f"```html onload=alert(1)\n{SCRIPT}\n```",
    f"`{SCRIPT}` **{SCRIPT}** ~~{SCRIPT}~~",
    f"| {SCRIPT} | b |\n|---|---|\n| <td onclick=alert(1)> | </table>{SCRIPT} |",
    f"$x {SCRIPT} y$ and \\({SCRIPT}\\)",
    "[click](javascript:alert(1))",
    '[click](JaVaScRiPt:alert(1) "title")',
    "[click](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[click](vbscript:msgbox(1))",
    "[click][ref]\n\n[ref]: javascript:alert(1)",
    "<javascript:alert(1)>",
    "![x](data:image/svg+xml,<svg onload=alert(1)>)",
    '![x" onerror="alert(1)](y)',
    "![`<img src=x onerror=alert(1)>`](y)",
    "<img src=x onerror=alert(1)>",
    '<img alt="<script>alert(1)</script>" src=x>',
    "<img alt='x\" onload=\"alert(1)' src=x>",
    "<svg><script>alert(1)</script></svg>",
    "<svg/onload=alert(1)>",
    "<math><mtext></p><style><img src onerror=alert(1)></style></mtext></math>",
    "<style>*{background:url(//evil)}</style>",
    '<div style="position:fixed;inset:0">covers</div>',
    "<link rel=stylesheet href=//evil>",
    '<meta http-equiv=refresh content="0;url=//evil">',
    "<base href=//evil>",
    '<iframe srcdoc="<script>alert(1)</script>"></iframe>',
    "<object data=javascript:alert(1)></object><embed src=x>",
    "<form action=//evil><input autofocus onfocus=alert(1)></form>",
    "<template><script>alert(1)</script></template>",
    "<details open ontoggle=alert(1)><summary>s</summary>d</details>",
    '<a href="javascript:alert(1)" onmouseover=alert(1)>link</a>',
    "<b id=quote class=blocks>taken id</b>",
    "</div></main></body></html><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt; &#60;script&#62; &amp;lt;script&amp;gt;",
    "&#x3c;img src=x onerror=alert(1)&#x3e; &colon; &Tab; &NewLine;",
    "<!--><script>alert(1)</script>-->",
    "<!-- <script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "<?php echo '<script>alert(1)</script>' ?>",
    "\u202eevil\u202c \u2066isolate \u2067 unclosed",
    "Z\u0351\u0352\u0353\u0354" * 500,
    "\x00<scr\x00ipt>alert(1)</scr\x00ipt>\x1b[31m",
    "W" * 100_000,
    "| a |\n|---|\n| <table><tr><td><table><tr><td>nested</table></table> |",
    "```\nunclosed fence\n\n" + SCRIPT,
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
    "\ufeff<script\n>alert(1)</script\n>\r\n<SCRIPT SRC=//evil></SCRIPT>",
    "1. `</code></pre><script>alert(1)</script>`\n2. \\<script\\>",
]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ALLOWED
        for name, value in attrs:
            assert name in ALLOWED[tag]
            assert value in VALUES
        if tag != "hr":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


@pytest.mark.parametrize("media_type", ["text/markdown", "text/plain", "text/html"])
@pytest.mark.parametrize("number", range(len(DOCUMENTS)))
def test_hostile_documents_are_text_and_nothing_else(number: int, media_type: str) -> None:
    """Tags, attributes and their values are the renderer's own; with a quote at every third of the text."""
    text = DOCUMENTS[number]
    blocks = blocks_of(SourceDocument("id", "a", "Title", "", "", media_type, None, (), text))
    third = len(text) // 3
    for quote in (None, (0, third), (third, 2 * third), (2 * third, len(text))):
        parser = _Parser()
        parser.feed(html_of(text, blocks, quote))
        parser.close()
        assert parser.open == []
        shown = "".join(text[run.start : run.end] for block in blocks for run in runs_of(block))
        # Markers of items are the only characters that are not of runs.
        markers = "".join(block.marker for block in blocks)
        assert sorted("".join(parser.words)) == sorted(shown + markers)


def runs_of(block: ShownBlock) -> list[Run]:
    return [*block.runs, *(run for row in block.rows for cell in row.cells for run in cell)]


def test_a_quote_is_marked_across_markup() -> None:
    """Each run of the quote is marked; the first one is where the page opens."""
    text = "A **bold** word, and `code`."
    blocks = blocks_of(SourceDocument("id", "a.md", "", "", "", "text/markdown", None, (), text))
    assert html_of(text, blocks, (0, text.index(","))) == (
        '<p dir="auto"><mark id="quote">A </mark><strong><mark>bold</mark></strong><mark> word</mark>, and '
        "<code>code</code>.</p>"
    )
