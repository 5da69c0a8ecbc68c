"""Parts of a page that are not its content: hidden elements, navigation, footers, and lists of links around it.

Text without links is never dropped as boilerplate, nor is anything in ``main`` or ``article``.
"""

import re
from collections.abc import Iterator
from typing import Any

from lxml import etree

_UNSEEN = {
    *("script", "style", "template", "noscript", "head", "iframe", "object", "audio", "video", "canvas", "datalist"),
    *("dialog", "rp"),
}
_NAVIGATION_ROLES = {"navigation", "search", "menu", "menubar", "doc-toc", "dialog", "alertdialog"}
_EPUB_NAVIGATION = {"toc", "landmarks", "page-list"}
_SECTIONS = {"article", "section", "main", "blockquote", "td", "figure", "aside"}
_CONTENT = {"main", "article"}
_HIDING_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE)
_CONSENT = re.compile(
    r"\b(?:cookie|consent|gdpr)[-_]?(?:banner|bar|notice|popup|modal|dialog|law|consent|overlay)", re.IGNORECASE
)
_CANDIDATES = ("div", "ul", "ol", "aside", "section", "header", "table", "p", "form")
_MIN_LINKS = 3
_MIN_LINKED_SHARE = 0.6
_MIN_CONTENT_CHARACTERS = 500
_MAX_KEPT_SHARE = 0.3


def is_hidden(element: Any, tag: str) -> bool:
    """Tell whether an element, with all that it contains, is not shown to readers."""
    if tag in _UNSEEN:
        is_open = tag == "dialog" and "open" in element.attrib
        return not is_open and not (tag == "script" and (element.get("type") or "").startswith("math/tex"))
    if not element.attrib:
        return False
    if element.get("hidden", "until-found") != "until-found" or element.get("aria-hidden", "").lower() == "true":
        return True
    # Some pages show equations as pictures, and keep their words in a hidden element.
    return bool(_HIDING_STYLE.search(element.get("style", ""))) and element.find("math") is None


def is_navigation(element: Any, tag: str) -> bool:
    """Tell whether an element serves to move between pages, or is the footer of the page, not of a part of it."""
    roles = element.get("role", "").lower().split()
    if tag == "nav" or not _NAVIGATION_ROLES.isdisjoint(roles):
        return True
    if tag == "footer" or "contentinfo" in roles:
        return all(_tag(ancestor) not in _SECTIONS for ancestor in element.iterancestors())
    return "skip" in element.get("class", "") and element.get("href", "").startswith("#")


def is_table_of_contents(element: Any, tag: str) -> bool:
    """Tell whether an element lists the contents of an EPUB."""
    kinds = element.get("epub:type", "").split()
    return tag == "nav" and (not kinds or not _EPUB_NAVIGATION.isdisjoint(kinds))


def boilerplate(tree: Any, text: str) -> frozenset[Any]:
    """Return the lists of links that surround a page's main content, and its requests for consent.

    Two witnesses must agree on a list: most of its words are links, and trafilatura does not count it as main content.
    """
    requests = frozenset(_requests_for_consent(tree))
    candidates = _lists_of_links(tree)
    if not candidates:
        return requests
    from trafilatura import bare_extraction  # noqa: PLC0415 - half a second of import

    page: Any = bare_extraction(text, include_comments=False, include_tables=True, favor_recall=True)
    kept = "" if page is None or page.body is None else "".join("".join(page.body.itertext()).split())
    if len(kept) < _MIN_CONTENT_CHARACTERS:
        return requests
    return requests | frozenset(element for element in candidates if _share_within(element, kept) < _MAX_KEPT_SHARE)


def _requests_for_consent(tree: Any) -> Iterator[Any]:
    for element in tree.iter("div", "section", "aside", "form"):
        if _CONSENT.search(f"{element.get('id', '')} {element.get('class', '')}"):
            yield element


def _lists_of_links(tree: Any) -> list[Any]:
    """Return the elements outside the main content whose words are mostly links; the outermost ones."""
    found: list[Any] = []
    counts = [[0, 0, 0]]  # for each open element its letters, those in links, and its links
    links = contents = 0
    for event, element in etree.iterwalk(tree, events=("start", "end")):
        tag = _tag(element)
        if event == "start":
            counts.append([0, 0, 0])
            links += tag == "a"
            contents += tag in _CONTENT or element.get("role") == "main"
            _count(counts[-1], element.text, links)
            continue
        letters, linked, number = counts.pop()
        if tag in _CANDIDATES and not contents and number >= _MIN_LINKS and linked >= _MIN_LINKED_SHARE * letters:
            found.append(element)
        links -= tag == "a"
        contents -= tag in _CONTENT or element.get("role") == "main"
        for place, value in enumerate((letters, linked, number + (tag == "a"))):
            counts[-1][place] += value
        _count(counts[-1], element.tail, links)
    return found


def _count(counts: list[int], text: str | None, links: int) -> None:
    letters = len("".join(text.split())) if text else 0
    counts[0] += letters
    counts[1] += letters if links else 0


def _share_within(element: Any, kept: str) -> float:
    pieces = [squeezed for piece in element.itertext() if (squeezed := "".join(piece.split()))]
    found = sum(len(piece) for piece in pieces if piece in kept)
    return found / (sum(map(len, pieces)) or 1)


def _tag(element: Any) -> str:
    return element.tag.lower() if isinstance(element.tag, str) else ""
