"""Blocks -> HTML. Every tag and class is one of this module; text of documents is escaped and is never an attribute."""

from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from qa_service.datatypes import Mark, Offsets, Run, ShownBlock

BLOCK_STYLE = (
    ".blocks{overflow-wrap:anywhere}.blocks>*{unicode-bidi:plaintext}"
    ".blocks h2,.blocks h3,.blocks h4,.blocks h5,.blocks h6{font-size:1.05rem;line-height:1.3;margin:1.4em 0 .4em}"
    ".blocks h2{font-size:1.2rem}.blocks p{margin:.7em 0}"
    ".blocks pre{overflow-x:auto;padding:.7rem .9rem;border:1px solid color-mix(in srgb,currentColor 20%,transparent);"
    "border-radius:.4rem;font:.875em/1.5 ui-monospace,monospace;white-space:pre-wrap}"
    ".blocks code{font-family:ui-monospace,monospace;font-size:.9em}"
    ".blocks .math{font-family:ui-monospace,monospace;font-size:.9em}"
    ".blocks .item{display:flex;gap:.6em;margin:.3em 0}.blocks .item>:last-child{min-width:0}"
    ".blocks .marker{flex:none;min-width:1ch;text-align:end}"
    ".blocks .d2{margin-inline-start:1.6em}.blocks .d3{margin-inline-start:3.2em}.blocks .d4{margin-inline-start:4.8em}"
    ".blocks blockquote{margin:.7em 0}"
    ".blocks .wide{overflow-x:auto;margin:1em 0}.blocks table{border-collapse:collapse;overflow-wrap:normal}"
    ".blocks th,.blocks td{border:1px solid color-mix(in srgb,currentColor 25%,transparent);padding:.3em .6em;"
    "text-align:start;vertical-align:top;max-width:30em}.blocks hr{border:0;border-top:1px solid;opacity:.3}"
)
ANCHOR = ' id="quote"'
_TAGS: dict[Mark, tuple[str, str]] = {
    "strong": ("<strong>", "</strong>"),
    "emphasis": ("<em>", "</em>"),
    "code": ("<code>", "</code>"),
    "strike": ("<s>", "</s>"),
    "math": ('<span class="math">', "</span>"),
    "image": ("", ""),
}
_MAX_DEPTH = 4
_MAX_HEADING = 6


def html_of(text: str, blocks: Sequence[ShownBlock], quote: Offsets | None = None, *, is_excerpt: bool = False) -> str:
    """Return blocks of a text as HTML; what is shown of ``quote`` is marked, and ``#quote`` is where it begins.

    A page may have several excerpts: they have neither that anchor nor headings in the page's outline.
    """
    return "".join(_Page(text, quote, is_excerpt=is_excerpt).pieces(blocks))


class _Page:
    def __init__(self, text: str, quote: Offsets | None, *, is_excerpt: bool) -> None:
        self._text = text
        self._start, self._end = quote or (0, 0)
        self._is_excerpt = self._has_anchor = is_excerpt

    def pieces(self, blocks: Sequence[ShownBlock]) -> Iterator[str]:
        for block in blocks:
            inside = self._runs(block.runs)
            if block.kind == "heading" and self._is_excerpt:
                yield f'<p dir="auto"><strong>{inside}</strong></p>'
            elif block.kind == "heading":
                tag = f"h{min(block.level + 1, _MAX_HEADING)}"
                yield f'<{tag} dir="auto">{inside}</{tag}>'
            elif block.kind == "item":
                depth = min(block.level, _MAX_DEPTH)
                marker = f'<span class="marker">{escape(block.marker)}</span>'
                yield f'<div class="item d{depth}" dir="auto">{marker}<span>{inside}</span></div>'
            elif block.kind == "code":
                yield f'<pre dir="ltr"><code>{inside}</code></pre>'
            elif block.kind == "table":
                yield self._table(block)
            elif block.kind == "rule":
                yield "<hr>"
            else:
                tag = "blockquote" if block.kind == "quote" else "p"
                yield f'<{tag} dir="auto">{inside}</{tag}>'

    def _table(self, block: ShownBlock) -> str:
        columns = max((len(row.cells) for row in block.rows), default=0)
        lines = []
        for is_header, rows in groupby(block.rows, key=lambda row: row.is_header):
            opening, closing = ('<th scope="col" dir="auto">', "</th>") if is_header else ('<td dir="auto">', "</td>")
            part = "thead" if is_header else "tbody"
            lines.append(f"<{part}>")
            for row in rows:
                cells = [self._runs(cell) for cell in row.cells] + [""] * (columns - len(row.cells))
                lines.append("<tr>" + "".join(f"{opening}{cell}{closing}" for cell in cells) + "</tr>")
            lines.append(f"</{part}>")
        return f'<div class="wide" tabindex="0" role="region" aria-label="Table"><table>{"".join(lines)}</table></div>'

    def _runs(self, runs: Sequence[Run]) -> str:
        return "".join(map(self._run, runs))

    def _run(self, run: Run) -> str:
        low, high = max(run.start, self._start), min(run.end, self._end)
        if low < high:
            anchor = "" if self._has_anchor else ANCHOR
            self._has_anchor = True
            inside = (
                f"{escape(self._text[run.start : low])}<mark{anchor}>{escape(self._text[low:high])}</mark>"
                f"{escape(self._text[high : run.end])}"
            )
        else:
            inside = escape(self._text[run.start : run.end])
        for mark in reversed(run.marks):
            opening, closing = _TAGS[mark]
            inside = f"{opening}{inside}{closing}"
        return inside
