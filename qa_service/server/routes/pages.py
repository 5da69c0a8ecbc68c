"""Pages without scripts: a document with a marked quote, and the verdict on a citation.

Documents may be long: build their pages in a thread.
"""

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from html import escape

from fastapi import Response

from qa_service.citations import CitationId, Verdict, view_path
from qa_service.datatypes import Offsets, SourceDocument
from qa_service.rendering import Section, blocks_of, clip
from qa_service.rendering.html import ANCHOR, BLOCK_STYLE, html_of

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}"
    "h1{font-size:1.3rem;line-height:1.3}.text{white-space:pre-wrap;unicode-bidi:plaintext}"
    "mark{background:#ffe08a;color:#000;padding:.1em 0;scroll-margin-top:30vh}"
    "blockquote{margin:1rem 0;padding:.2rem 1rem;border-left:.25rem solid currentColor;unicode-bidi:plaintext}"
    "h2{font-size:1.1rem}.state{font-weight:600}.quiet{opacity:.8}a{color:inherit}" + BLOCK_STYLE
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_CONTEXT_CHARACTERS = 600
_RENDERED_CHARACTERS = 100_000
_PIECE_CHARACTERS = 65_536
_STATE_TEXTS = {
    "exact": "The quote is in the document, exactly where it was cited.",
    "moved": "The quote is in the documents word for word, but not where it was cited.",
    "changed": "The quote is no longer in the document. The most similar text now:",
    "gone": "The quote is no longer in the documents.",
}


def pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces, since a call that processes a whole long text blocks all other threads."""
    for start in range(0, len(text), _PIECE_CHARACTERS):
        yield text[start : start + _PIECE_CHARACTERS]


def source_page(
    document: SourceDocument, start: int, end: int, *, whole: bool, sections: Sequence[Section] = ()
) -> Response:
    """Return a document as a page with ``[start, end)`` marked; ``#quote`` scrolls to it.

    Without ``whole``, the page shows the quote and the text around it only. ``sections`` tell its headings.
    """
    heading = f'<h1 dir="auto">{escape(document.title)}</h1><p class="quiet" dir="auto">{escape(document.uri)}</p>'
    around = len(document.text) if whole else _CONTEXT_CHARACTERS
    return _page(document.title, heading + _marked(document, (start, end), around, sections))


def _marked(document: SourceDocument, quote: Offsets, around: int, sections: Sequence[Section]) -> str:
    """Return a part of a document as HTML: the quote marked, and up to ``around`` characters on each side.

    The text far from the quote in a long document stands as it is written.
    """
    text = document.text
    start, end = min(quote[0], len(text)), min(max(quote), len(text))
    first, last = max(0, start - around), min(len(text), end + around)
    low, high = max(first, start - _RENDERED_CHARACTERS), min(last, end + _RENDERED_CHARACTERS)
    blocks = clip(blocks_of(document, low, high, sections=sections), low, high)
    shown = html_of(text[low:high], blocks, (start - low, end - low))
    if start < end and ANCHOR not in shown:  # only markup is quoted
        shown = _as_written(f"{_escaped(text[low:start])}<mark{ANCHOR}>{_escaped(text[start:end])}</mark>")
        shown += _as_written(_escaped(text[end:high]))
    before = _as_written(_escaped(text[first:low])) if low > first else ""
    after = _as_written(_escaped(text[high:last])) if high < last else ""
    more = '<p class="quiet">…</p>'
    return f'{more if first else ""}{before}<div class="blocks">{shown}</div>{after}{more if last < len(text) else ""}'


def _as_written(content: str) -> str:
    return f'<div class="text" dir="auto">{content}</div>'


def _escaped(text: str) -> str:
    return "".join(map(escape, pieces(text)))


def citation_page(
    identifier: CitationId,
    verdict: Verdict,
    document: SourceDocument | None,
    own: Callable[[str], str],
    sections: Sequence[Section] = (),
) -> Response:
    """Return the verdict on a citation as a page: the quote, and the text around its current place in ``document``.

    ``own`` completes links to this service.
    """
    quote = f'<blockquote dir="auto">{escape(verdict.quote)}</blockquote>'
    now = ""
    if verdict.place is not None and document is not None:
        link = escape(own(view_path(document.id, verdict.place)))
        shown = _marked(document, verdict.place, _CONTEXT_CHARACTERS, sections)
        now = (
            f'<h2 dir="auto">{escape(document.title)}</h2>{shown}'
            f'<p><a href="{link}">Read it in {escape(document.uri)}</a></p>'
        )
    said = f'<p class="state">{escape(_STATE_TEXTS[verdict.state])}</p>'
    body = f'<h1>Citation</h1>{quote}{said}{now}<p class="quiet">{identifier}</p>'
    return _page("Citation", body)


def _page(title: str, body: str) -> Response:
    content = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )
    return Response(content, media_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _POLICY})
