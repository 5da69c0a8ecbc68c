"""HTML -> text, by trafilatura: the main content with its headings, without navigation, scripts and hidden elements."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lxml import etree, html

from qa_service.loading.decoding import declared_encoding, decode
from qa_service.loading.outline import Limits, ParsedDocument, TextBuilder, UnreadableError

_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_BLOCK_TAGS = {"p", "li", "dt", "dd", "tr", "pre", "blockquote", "figcaption", "div", "td", "th"}
_HIDDEN_TAGS = {"script", "style", "template", "noscript", "head", "nav"}


def read_html(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the page as a document. If no main content is found, all visible text is read."""
    from trafilatura import bare_extraction  # noqa: PLC0415 - half a second of import

    text, warning = decode(data, declared_encoding(data), lenient=True)
    page: Any = bare_extraction(
        text, include_comments=False, include_tables=True, favor_recall=True, with_metadata=True
    )
    builder = TextBuilder()
    if page is not None and page.body is not None:
        _add_content(builder, page.body)
        found = builder.document(title=page.title, url=_web_address(page.url))
    if page is None or page.body is None or not found.outline.blocks:
        builder = TextBuilder()
        title = add_page(builder, text)
        found = builder.document(title=title)
    yield replace(found, warnings=(warning,) if warning else ())


def add_page(builder: TextBuilder, text: str) -> str | None:
    """Add the visible headings and blocks of a page in order; return its title."""
    try:
        # The parser would decode a text by the encoding that the page declares.
        tree = html.fromstring(text.removeprefix("\ufeff").encode(), parser=html.HTMLParser(encoding="utf-8"))
    except (etree.LxmlError, ValueError) as error:
        raise UnreadableError(f"is not readable HTML: {error}") from error
    _add_blocks(builder, tree)
    title: str | None = tree.findtext(".//title")
    return title


def _add_content(builder: TextBuilder, body: Any) -> None:
    """Add trafilatura's result, which has tags of its own."""
    for element in body.iter("head", "p", "item", "row", "quote", "code"):
        if element.tag == "head":
            builder.heading(_HEADINGS.get(element.get("rend", ""), 2), _words(element))
        elif element.tag == "row":
            builder.block(" | ".join(filter(None, map(_words, element))), "table_row")
        elif element.tag == "item":
            builder.block(_own_words(element), "list_item")
        elif element.getparent().tag not in {"cell", "item"}:
            text = "".join(element.itertext()).strip() if element.tag in {"code", "quote"} else _words(element)
            builder.block(text, "code" if element.tag == "code" else "paragraph")


def _own_words(item: Any) -> str:
    """Return the text of a list item without nested lists."""
    pieces = [item.text or ""]
    for child in item:
        if child.tag != "list":
            pieces.append("".join(child.itertext()))
        pieces.append(child.tail or "")
    return " ".join(" ".join(pieces).split())


def _words(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _add_blocks(builder: TextBuilder, tree: Any) -> None:
    pieces: list[str] = []

    def flush(kind: str = "") -> None:
        words = "".join(pieces).strip("\n") if kind == "pre" else " ".join("".join(pieces).split())
        pieces.clear()
        builder.block(words, "code" if kind == "pre" else "list_item" if kind == "li" else "paragraph")

    # No recursion: the nesting of a page has no limit.
    for event, element in etree.iterwalk(tree, events=("start", "end"), tag=etree.Element):
        tag = element.tag.lower() if isinstance(element.tag, str) else ""
        hidden = tag in _HIDDEN_TAGS or "display:none" in element.get("style", "").replace(" ", "")
        if event == "start":
            if tag in _BLOCK_TAGS or tag in _HEADINGS or hidden:
                flush()
            pieces.append("" if hidden else element.text or "")
        else:
            if tag in _HEADINGS:
                words = "".join(pieces)
                pieces.clear()
                builder.heading(_HEADINGS[tag], words)
            elif hidden:
                pieces.clear()
            elif tag in _BLOCK_TAGS:
                flush(tag)
            pieces.append(" " if tag == "br" else "")
            pieces.append(element.tail or "")
    flush()


def _web_address(url: str | None) -> str | None:
    return url if url and url.startswith(("https://", "http://")) else None
