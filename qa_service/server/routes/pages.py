"""The few pages for people: a document with a quote marked in it, and what became of a citation. No scripts."""

import base64
import hashlib
from collections.abc import Callable
from html import escape

from fastapi import Response

from qa_service.citing import CitationId, Verdict, view_path
from qa_service.datatypes import SourceDocument

_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:1rem/1.55 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem;overflow-wrap:anywhere}"
    "h1{font-size:1.3rem;line-height:1.3}.text{white-space:pre-wrap;unicode-bidi:plaintext}"
    "mark{background:#ffe08a;color:#000;padding:.1em 0;scroll-margin-top:30vh}"
    "blockquote{margin:1rem 0;padding:.2rem 1rem;border-left:.25rem solid currentColor;unicode-bidi:plaintext}"
    "h2{font-size:1.1rem}.state{font-weight:600}.quiet{opacity:.8}a{color:inherit}"
)
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_AROUND = 600
_SAID = {
    "exact": "The quote stands in the document as it was cited.",
    "moved": "The quote stands in the documents word for word, at another place than it was cited from.",
    "changed": "The quote is not in the document any more. What is most like it now:",
    "gone": "The quote is not in the documents any more.",
}


def source_page(document: SourceDocument, start: int, end: int) -> Response:
    """Return a document as a page with ``[start, end)`` marked; the address's ``#quote`` scrolls to it."""
    text = document.text
    start, end = min(start, len(text)), min(end, len(text))
    marked = f'<mark id="quote">{escape(text[start:end])}</mark>' if start < end else ""
    body = (
        f'<h1 dir="auto">{escape(document.title)}</h1><p class="quiet" dir="auto">{escape(document.uri)}</p>'
        f'<div class="text" dir="auto">{escape(text[:start])}{marked}{escape(text[max(start, end) :])}</div>'
    )
    return _page(document.title, body)


def citation_page(
    identifier: CitationId, verdict: Verdict, document: SourceDocument | None, own: Callable[[str], str]
) -> Response:
    """Return what became of a quote, as a page: the quote, and what stands around its place in ``document`` now.

    ``own`` completes addresses of this service.
    """
    quote = f'<blockquote dir="auto">{escape(verdict.quote)}</blockquote>'
    now = ""
    if verdict.place is not None and document is not None:
        start, end = verdict.place
        link = escape(own(view_path(document.id, verdict.place)))
        before, after = document.text[max(0, start - _AROUND) : start], document.text[end : end + _AROUND]
        dots = ("… " if start > _AROUND else "", " …" if end + _AROUND < len(document.text) else "")
        now = (
            f'<h2 dir="auto">{escape(document.title)}</h2><div class="text" dir="auto">{dots[0]}{escape(before)}'
            f"<mark>{escape(document.text[start:end])}</mark>{escape(after)}{dots[1]}</div>"
            f'<p><a href="{link}">Read it in {escape(document.uri)}</a></p>'
        )
    said = f'<p class="state">{escape(_SAID[verdict.state])}</p>'
    body = f'<h1>Citation</h1>{quote}{said}{now}<p class="quiet">{identifier}</p>'
    return _page("Citation", body)


def _page(title: str, body: str) -> Response:
    content = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>"
    )
    headers = {"Content-Security-Policy": _POLICY, "Cache-Control": "no-cache"}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)
