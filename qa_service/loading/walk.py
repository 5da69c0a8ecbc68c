"""Walks the tree of a page, and tells a :class:`Flow` its text, headings, lists, code and tables."""

import re
from collections.abc import Callable
from typing import Any

from lxml import etree

from qa_service.loading.flow import Flow
from qa_service.loading.pieces import words_of

_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details", "dialog", "dir"),
    *("div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "header", "hgroup", "hr", "html"),
    *("legend", "li", "main", "menu", "nav", "ol", "p", "search", "section", "select", "summary", "table", "tbody"),
    *("td", "textarea", "tfoot", "th", "thead", "tr", "ul"),
}
_PARTING = {"br", "button", "label", "optgroup", "option", "output"}
_VERBATIM = {"pre", "listing", "xmp"}
_MAX_HEADING = 6  # below it are the summaries of details: headings of what these open
_TABLE_PARTS = {"table", "tr", "td", "th"}
_BOLD = {"b", "strong"}
_STYLED_BLOCK = re.compile(r"display\s*:\s*(inline-)?(?:block|flex|grid|table|list-item)\b", re.IGNORECASE)
_PERMALINKS = {"¶", "#", "§", "🔗"}
_LINE_NUMBERED = re.compile(r"\b(?:linenos?|line-?num(?:ber)?s?|lnum|gutter)\b", re.IGNORECASE)
_NUMBERS = re.compile(r"[\s\d]*\Z")
_MAX_PAIR_CHARACTERS = 200
_PAIRED = {"div", "span", "b", "strong"}


class Walk:
    """Reads one tree. ``skips`` tells of an element and its tag whether it is left out with all that it contains."""

    def __init__(self, flow: Flow, skips: Callable[[Any, str], bool]) -> None:
        self._flow = flow
        self._skips = skips
        self._verbatim = self._items = self._details = 0
        self._tables: list[Any] = []  # open tables and cells
        self._closing: dict[Any, str] = {}
        self._inline: set[Any] = set()

    def read(self, tree: Any) -> None:
        """Walk without recursion: how deeply elements nest has no limit."""
        walk = etree.iterwalk(tree, events=("start", "end"))
        skipped = None
        for event, element in walk:
            tag = element.tag.lower().rpartition(":")[2] if isinstance(element.tag, str) else ""
            if event == "start":
                if self._is_left_out(element, tag):
                    words: str | None = ""
                else:
                    words = words_of(element, tag)
                if words is None:
                    self._start(element, tag)
                    words = element.text
                else:
                    skipped = element
                    walk.skip_subtree()
                self._flow.text(words)
                continue
            if element is skipped:
                skipped = None
            else:
                self._end(element, tag)
            self._flow.text(element.tail)
        self._flush()

    def _is_left_out(self, element: Any, tag: str) -> bool:
        if not tag or tag == "del" or self._skips(element, tag):
            return True
        if tag == "a" and element.get("href", "").startswith("#"):
            return "".join(element.itertext()).strip() in _PERMALINKS
        return bool(_LINE_NUMBERED.search(element.get("class", "")) and _NUMBERS.match("".join(element.itertext())))

    def _flush(self) -> None:
        self._flow.end("list_item" if self._items else "paragraph")

    def _border(self) -> None:
        """End a paragraph, or a line of code."""
        if not self._verbatim:
            self._flush()
        elif self._flow.ends_with() not in {"", "\n"}:
            self._flow.text("\n")

    def _start(self, element: Any, tag: str) -> None:
        if element in self._inline:
            self._flow.text(" ")
        elif tag in _VERBATIM:
            self._border()
            self._verbatim += 1
        elif tag in _TABLE_PARTS and self._starts_table_part(element, tag):
            pass
        elif tag in _BLOCKS or heading_level(element, tag) or styled_as_block(element) == "block":
            self._border()
            self._items += tag == "li"
            self._details += tag == "details"
            self._inline.update(paired(element, tag))
        elif tag == "br":
            self._flow.text("\n" if self._verbatim else " ")
        elif tag in _PARTING or styled_as_block(element) or is_second_link(element, tag):
            self._flow.text(" ")
        elif tag in _BOLD:
            self._flow.bold += 1
        elif tag == "sup":
            self._start_superscript(element)

    def _starts_table_part(self, element: Any, tag: str) -> bool:
        if tag == "table":
            self._flush()
            self._flow.start_table(is_layout=element.get("role") in {"presentation", "none"})
        elif not self._tables or self._tables[-1].tag.lower() != "table":
            return False
        elif tag == "tr":
            self._flush()
            self._flow.start_row(is_header=element.getparent().tag == "thead")
            return True
        else:
            spans = (_number(element.get("colspan")), _number(element.get("rowspan")))
            self._flow.start_cell(*spans, is_header=tag == "th")
        self._tables.append(element)
        return True

    def _start_superscript(self, element: Any) -> None:
        """Part notes and exponents from the number before them: 1990[1], 10^6."""
        words = "".join(element.itertext()).strip()
        is_link = element.find(".//a") is not None or element.getparent().tag == "a"
        if words.isdigit() and is_link:
            self._flow.text("[")
            self._closing[element] = "]"
        elif words[:1].isdigit() and self._flow.ends_with().isdigit():
            self._flow.text("^")

    def _end(self, element: Any, tag: str) -> None:
        level = self._level(element, tag)
        if self._tables and self._tables[-1] is element:
            self._tables.pop()
            self._flush()
            (self._flow.end_table if tag == "table" else self._flow.end_cell)()
        elif tag in _VERBATIM:
            self._verbatim -= 1
            if not self._verbatim:
                self._flow.end("code")
        elif tag == "dt" and (definition := short_definition(element)) is not None:
            self._flow.name()
            self._inline.add(definition)
        elif element in self._inline and tag != "dd":
            self._inline.discard(element)
            self._flow.text(" ")
        elif level and not self._verbatim:
            self._flow.end(level=level)
        elif tag in _BLOCKS or styled_as_block(element) == "block":
            self._end_block(tag)
        elif tag in _BOLD:
            self._flow.bold -= 1
        elif tag in _PARTING or styled_as_block(element):
            self._flow.text("" if tag == "br" else " ")
        else:
            self._flow.text(self._closing.pop(element, ""))

    def _level(self, element: Any, tag: str) -> int:
        is_summary = tag == "summary" and self._details and not self._tables
        return _MAX_HEADING + self._details if is_summary else heading_level(element, tag)

    def _end_block(self, tag: str) -> None:
        self._border()
        self._items -= tag == "li"
        if tag == "details":
            self._flow.end_section(_MAX_HEADING + self._details)
            self._details -= 1


def heading_level(element: Any, tag: str) -> int:
    """Return the level of a heading; 0 for other elements."""
    if len(tag) == 2 and tag[0] == "h" and tag[1] in "123456":  # noqa: PLR2004 - h1 to h6
        return int(tag[1])
    return max(1, _number(element.get("aria-level", "2"))) if element.get("role") == "heading" else 0


def styled_as_block(element: Any) -> str:
    """Return ``block`` or ``inline-block`` if the element's style says so."""
    style = element.get("style")
    found = _STYLED_BLOCK.search(style) if style else None
    return "" if found is None else f"{found[1] or ''}block"


def is_second_link(element: Any, tag: str) -> bool:
    """Tell whether a link follows another one without anything between them."""
    before = element.getprevious() if tag == "a" else None
    return before is not None and before.tag == "a" and not before.tail


def paired(element: Any, tag: str) -> list[Any]:
    """Return the two halves of a name and its value, such as ``<div><div>Table</div><div>9</div></div>``."""
    if tag != "div" or len(element) != 2 or (element.text or "").strip():  # noqa: PLR2004 - two halves
        return []
    halves = list(element)
    if any(half.tag not in _PAIRED or (half.tail or "").strip() for half in halves):
        return []
    return halves if sum(map(_short_length, halves)) <= _MAX_PAIR_CHARACTERS else []


def short_definition(term: Any) -> Any:
    """Return the definition of a term if both are short, and it is the only one."""
    definition = term.getnext()
    if definition is None or definition.tag != "dd":
        return None
    another = definition.getnext()
    if another is not None and another.tag == "dd":
        return None
    return definition if _short_length(term) + _short_length(definition) <= _MAX_PAIR_CHARACTERS else None


def _short_length(element: Any) -> int:
    """Return the number of characters of an element without blocks in it; too many for others."""
    length = len(element.text or "")
    for child in element.iterdescendants():
        length += len(child.text or "") + len(child.tail or "")
        if length > _MAX_PAIR_CHARACTERS or child.tag in _BLOCKS or heading_level(child, str(child.tag)):
            return _MAX_PAIR_CHARACTERS + 1
    return length


def _number(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < len("100000") else 1
