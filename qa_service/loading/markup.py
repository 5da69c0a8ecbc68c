"""HTML -> text: the words of a page as its tree has them, in the order in which people read them.

Borders of blocks, line breaks and labels part words. Hidden elements and those around the content are skipped, as
:mod:`visible` decides. The same walk reads the chapters of an EPUB.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from lxml import etree, html

from qa_service.loading.decoding import declared_encoding, decode
from qa_service.loading.flow import Flow
from qa_service.loading.grid import Paragraph
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError
from qa_service.loading.visible import boilerplate, is_hidden, is_navigation, is_unseen
from qa_service.loading.walk import Walk

_XHTML = re.compile(r"\s*(?:<\?xml|<!DOCTYPE[^>]*XHTML)|<html[^>]*\sxmlns=", re.IGNORECASE)
_CLOSED_AT_ONCE = re.compile(
    r"<(?!(?:area|base|br|col|embed|hr|img|input|link|meta|param|source|track|wbr)[\s/>])([a-zA-Z][\w:.-]*)"
    r"((?:\s[^<>]*)?)/>"
)
_HEAD_CHARACTERS = 2000
_HEADINGS_OF_CONTENT = "(//main | //article | //*[@role='main'])//h1"


def read_html(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the page as a document."""
    text, warning = decode(data, declared_encoding(data), lenient=True)
    try:
        tree = parse_page(text)
    except (etree.LxmlError, ValueError) as error:
        raise UnreadableError(f"is not readable HTML: {error}") from error
    around = boilerplate(tree, text)
    flow = Flow()

    def skips(element: Any, tag: str) -> bool:
        if element in around:
            flow.dropped.append(("link list", " ".join(element.itertext())))
            return True
        return is_hidden(element, tag) or is_navigation(element, tag)

    Walk(flow, skips).read(tree)
    if not flow.parts:  # scripts show such a page, or it is a list of links
        flow.dropped.clear()
        Walk(flow, is_unseen).read(tree)
    builder = TextBuilder()
    flow.write(builder)
    found = builder.document(title=_title(tree, flow), url=_address(tree))
    yield replace(found, warnings=(warning,) if warning else ())


def parse_page(text: str) -> Any:
    """Return the tree of a page; elements that XHTML closes at once, as ``<title/>``, do not swallow the others."""
    text = text.removeprefix("\ufeff")
    if _XHTML.search(text, 0, _HEAD_CHARACTERS):
        text = _CLOSED_AT_ONCE.sub(r"<\1\2></\1>", text)
    # Bytes, since the parser would decode a text by the encoding that the page declares.
    parser = html.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    return html.document_fromstring(text.encode(errors="replace"), parser=parser)


def add_page(flow: Flow, data: bytes, skips: Callable[[Any, str], bool]) -> str:
    """Add what stands in a page to a flow, nothing if it is blank; return the warning of the decoder."""
    text, warning = decode(data, declared_encoding(data), lenient=True)
    try:
        tree = parse_page(text)
    except (etree.LxmlError, ValueError):  # without any element
        return warning
    Walk(flow, skips).read(tree)
    return warning


def _title(tree: Any, flow: Flow) -> str | None:
    """Return the first of a page's largest headings, if possible of its content; or else what it names itself."""
    headings = [part.words for part in flow.parts if isinstance(part, Paragraph) and part.level == 1]
    own = ["".join("".join(heading.itertext()).split()) for heading in tree.xpath(_HEADINGS_OF_CONTENT)]
    tab = " ".join((tree.findtext(".//title") or "").split())

    def rank(words: str) -> tuple[bool, bool]:
        return not any(text.startswith("".join(words.split())) for text in own), not tab.startswith(words)

    named = (tree.xpath("string(//meta[@property='og:title']/@content)"), tab)
    return next((title for title in (*sorted(headings, key=rank), *named) if title and title.strip()), None)


def _address(tree: Any) -> str | None:
    """Return the address that a page gives as its own."""
    given = tree.xpath("//link[@rel='canonical']/@href | //meta[@property='og:url']/@content")
    return next((url for url in given if url.startswith(("https://", "http://"))), None)
