"""Parts of a page that are not its content: hidden elements, navigation, footers, and lists of links around it.

A part without links is never dropped as boilerplate: contacts and opening hours often stand beside the content.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

_UNSEEN = {
    *("script", "style", "template", "noscript", "head", "iframe", "object", "audio", "video", "canvas", "datalist"),
    *("dialog", "rp"),
}
_NAVIGATION_ROLES = {"navigation", "search", "menu", "menubar", "doc-toc", "dialog", "alertdialog"}
_EPUB_NAVIGATION = {"toc", "landmarks", "page-list"}
_SECTIONS = {"article", "section", "main", "blockquote", "td", "figure", "aside"}
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_ROLES = {"a": "link", "main": "content", "article": "content", **dict.fromkeys(_HEADINGS, "heading")}
_HIDING_STYLE = re.compile(r"(?:display\s*:\s*none|visibility\s*:\s*(?:hidden|collapse))\b", re.IGNORECASE)
_CONSENT = re.compile(
    r"\b(?:cookie|consent|gdpr)[-_]?(?:banner|bar|notice|popup|modal|dialog|law|consent|overlay)", re.IGNORECASE
)
# Names that authors give to what leads to other pages.
_AROUND = re.compile(
    r"(?:^|[\s_-])(?:side-?bars?|related|recommend\w*|recirc\w*|shar(?:e|ing)|social|newsletters?|subscri\w+|promo\w*"
    r"|advert\w*|ads?|sponsor\w*|breadcrumbs?|footer|popular|trending|most-?(?:read|viewed|popular)|outbrain|taboola"
    r"|widgets?|paginat\w+|pager|signup|follow)(?:$|[\s_-])",
    re.IGNORECASE,
)
_CANDIDATES = ("div", "ul", "ol", "aside", "section", "header", "table", "p", "form")
_MIN_LINKS = 3
_MIN_LINKED_SHARE = 0.6
_MIN_LINKED_SHARE_NAMED = 0.25
_MAX_NAMED_SHARE = 0.25  # of the page
_MIN_REPEATED_SHARE = 0.7
_MIN_CONTENT_CHARACTERS = 500
_MAX_KEPT_SHARE = 0.3


def is_unseen(element: Any, tag: str) -> bool:
    """Tell whether an element is never text to read by its nature, such as a script."""
    if tag not in _UNSEEN:
        return False
    is_open = tag == "dialog" and "open" in element.attrib
    return not is_open and not (tag == "script" and (element.get("type") or "").startswith("math/tex"))


def is_hidden(element: Any, tag: str) -> bool:
    """Tell whether an element, with all that it contains, is not shown to readers."""
    if is_unseen(element, tag):
        return True
    if not element.attrib:
        return False
    if element.get("hidden", "until-found") != "until-found":
        return True
    # An open dialog hides all of the page from screen readers, and so it may have been saved.
    if element.get("aria-hidden", "").lower() == "true" and tag not in {"body", "main", "article"}:
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
    """Return the parts of a page that only lead elsewhere, and its requests for consent.

    A list of links to headings of the page repeats them. Other parts must look like boilerplate, and trafilatura must
    not count them as main content: lists of links outside ``main`` and ``article``, and parts with links and a name
    that says so.
    """
    lists = _Lists(tree)
    sure = frozenset([*_requests_for_consent(tree), *lists.of_contents])
    if not lists.around:
        return sure
    from trafilatura import bare_extraction  # noqa: PLC0415 - half a second of import

    page: Any = bare_extraction(text, include_comments=False, include_tables=True, favor_recall=True)
    kept = "" if page is None or page.body is None else _squeezed(page.body.itertext())
    if len(kept) < _MIN_CONTENT_CHARACTERS:
        return sure
    return sure | frozenset(element for element in lists.around if _share_within(element, kept) < _MAX_KEPT_SHARE)


def _requests_for_consent(tree: Any) -> Iterator[Any]:
    for element in tree.iter("div", "section", "aside", "form"):
        if _CONSENT.search(_names(element)):
            yield element


@dataclass(slots=True)
class _Counts:
    """How many letters an element has, how many of them in links, and how many in links to headings of the page."""

    letters: int = 0
    linked: int = 0
    repeated: int = 0
    links: int = 0

    def add(self, other: "_Counts") -> None:
        self.letters += other.letters
        self.linked += other.linked
        self.repeated += other.repeated
        self.links += other.links


class _Lists:
    """Finds the elements whose words are mostly links: ``around`` the main content, and tables of contents anywhere."""

    def __init__(self, tree: Any) -> None:
        self.around: list[Any] = []
        self.of_contents: list[Any] = []
        self._headings = {_squeezed(heading.itertext()) for heading in tree.iter(*_HEADINGS)}
        self._inside = Counter[str]()  # open links, headings and elements of content
        self._repeats = False  # the open link leads to a heading
        self._named: list[tuple[int, Any]] = []
        counts = [_Counts()]  # of each open element
        for event, element in etree.iterwalk(tree, events=("start", "end")):
            tag = _tag(element)
            role = _ROLES.get("main" if element.get("role") == "main" else tag, "")
            if event == "start":
                self._inside[role] += 1
                counts.append(_Counts(links=int(role == "link")))
                if role == "link":
                    leads_here = element.get("href", "").startswith("#")
                    self._repeats = leads_here and _squeezed(element.itertext()) in self._headings
                self._count(counts[-1], element.text)
                continue
            own = counts.pop()
            if tag in _CANDIDATES and own.linked:
                self._judge(element, own)
            self._inside[role] -= 1
            counts[-1].add(own)
            self._count(counts[-1], element.tail)
        most = _MAX_NAMED_SHARE * counts[0].letters
        self.around += [element for letters, element in self._named if letters <= most]

    def _judge(self, element: Any, counts: _Counts) -> None:
        is_list = counts.links >= _MIN_LINKS
        if is_list and counts.repeated >= _MIN_REPEATED_SHARE * counts.letters:
            self.of_contents.append(element)
        elif is_list and not self._inside["content"] and counts.linked >= _MIN_LINKED_SHARE * counts.letters:
            self.around.append(element)
        elif counts.linked >= _MIN_LINKED_SHARE_NAMED * counts.letters and _AROUND.search(_names(element)):
            self._named.append((counts.letters, element))

    def _count(self, counts: _Counts, text: str | None) -> None:
        letters = len("".join(text.split())) if text else 0
        is_linked = self._inside["link"] > 0 and not self._inside["heading"]
        counts.letters += letters
        counts.linked += letters if is_linked else 0
        counts.repeated += letters if is_linked and self._repeats else 0


def _share_within(element: Any, kept: str) -> float:
    pieces = [squeezed for piece in element.itertext() if (squeezed := "".join(piece.split()))]
    found = sum(len(piece) for piece in pieces if piece in kept)
    return found / (sum(map(len, pieces)) or 1)


def _squeezed(texts: Iterable[str]) -> str:
    return "".join("".join(texts).split()).rstrip("¶#")


def _names(element: Any) -> str:
    return f"{element.get('id', '')} {element.get('class', '')}"


def _tag(element: Any) -> str:
    return element.tag.lower() if isinstance(element.tag, str) else ""
