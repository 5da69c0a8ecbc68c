"""Durable citations: ids derived from content, links to the quoted words, and verdicts on old quotes.

The id of a passage is a hash of its document's path, its position and its text, so it is the same in every generation
that contains the passage. Each generation also records the passages that earlier ones had, so that an old citation can
be resolved and its quote found exact, moved, changed or gone.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote, urljoin

from qa_service.datatypes import Offsets, SourceDocument

State = Literal["exact", "moved", "changed", "gone"]

_CITATION = re.compile(r"([0-9a-f]{16})\.(\d{1,9})-(\d{1,9})\Z")
_LONG_QUOTE_CHARACTERS = 300
_CONTEXT_WORDS, _EDGE_WORDS = 5, 6
_RENDERED = {"text/markdown", "text/mdx", "text/x-rst", "text/asciidoc", "text/org"}
_PATH = "{path}"
_FOLDER_PAGE = re.compile(r"(?:\A|/)(?:_?index|readme)\Z", re.IGNORECASE)
# Also signs that site generators replace by typographic ones, and numbers and signs of list items.
_MARKUP = re.compile(r"[*_`\[\](){}<>|#\\~&\"'$^=+@/!]|--|\.\.|\A(?:[-•]|\d+[.])\Z")
_MIN_FRAGMENT_CHARACTERS = 12
_CELL_BORDER = re.compile(r"(?<!\S)\|(?!\S)")  # a bar in a cell is escaped
_MIN_SIMILARITY = 50  # of 100
_SEARCH_CHARACTERS = 4000
"""How far around its old place the changed version of a quote is searched, and how much of a text is compared."""


@dataclass(frozen=True, slots=True)
class CitationId:
    """The id in a permalink: the passage's id, and the offsets of the quote in the passage's text."""

    passage_id: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.passage_id}.{self.start}-{self.end}"

    @classmethod
    def parse(cls, text: str) -> "CitationId | None":
        """Return the parsed id, or ``None`` if ``text`` is not a valid one."""
        match = _CITATION.match(text)
        found = None if match is None else cls(match[1], int(match[2]), int(match[3]))
        return found if found is not None and found.start < found.end else None


@dataclass(frozen=True, slots=True)
class CitedQuote:
    """A quote as it was cited, with its document and its first character there."""

    uri: str
    start: int
    quote: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a quote still stands.

    ``place`` is the span of the quote now, or of the text that replaced it if it ``changed``. ``document_id`` and
    ``uri`` name the document of that span; ``now`` is its text.
    """

    state: State
    quote: str
    document_id: str | None = None
    uri: str | None = None
    place: Offsets | None = None
    now: str | None = None


def passage_id(uri: str, start: int, text: str) -> str:
    """Return 16 hexadecimal digits of a hash of a passage's document, position and text."""
    return hashlib.sha256(f"{uri}\0{start}\0{text}".encode()).hexdigest()[:16]


def check(cited: CitedQuote, own: SourceDocument | None, holding: Callable[[str], SourceDocument | None]) -> Verdict:
    """Return whether a quote stands at its place, elsewhere in its ``own`` document as it is now, or in another one.

    ``holding`` finds a document that contains a text. If there is none, the most similar sentence near the old place
    counts as the changed quote, unless it is too different.
    """
    # Other documents are searched only if the quote is no longer in its own.
    for find in (lambda _: own, holding):
        document = find(cited.quote)
        place = None if document is None else _nearest(document.text, cited.quote, cited.start)
        if document is not None and place is not None:
            state: State = "exact" if document is own and place == cited.start else "moved"
            span = (place, place + len(cited.quote))
            return Verdict(state, cited.quote, document.id, document.uri, span, cited.quote)
    alike = None if own is None else _most_alike(cited, own.text)
    if own is None or alike is None:
        return Verdict("gone", cited.quote)
    return Verdict("changed", cited.quote, own.id, own.uri, alike, own.text[slice(*alike)])


def _nearest(text: str, wanted: str, start: int) -> int | None:
    """Return the offset of the occurrence of ``wanted`` that is nearest to ``start``."""
    before = text.rfind(wanted, 0, start + len(wanted))
    after = text.find(wanted, start)
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - start)) if found else None


def _most_alike(cited: CitedQuote, text: str) -> Offsets | None:
    """Return the span of the sentence most similar to a quote, near the quote's old place."""
    from rapidfuzz import fuzz  # noqa: PLC0415 - the client has this module, and does without

    first = max(0, cited.start - _SEARCH_CHARACTERS)
    wanted = cited.quote[:_SEARCH_CHARACTERS]
    best: tuple[float, Offsets] | None = None
    for match in re.finditer(r"[^\n]+", text[first : cited.start + len(cited.quote) + _SEARCH_CHARACTERS]):
        for sentence in re.finditer(r"\S.*?(?:[.!?](?=\s)|$)", match.group()):
            likeness = fuzz.ratio(wanted, sentence.group()[:_SEARCH_CHARACTERS], score_cutoff=_MIN_SIMILARITY)
            if likeness > (0 if best is None else best[0]):
                start = first + match.start() + sentence.start()
                best = (likeness, (start, start + len(sentence.group())))
    return None if best is None else best[1]


def link(document: SourceDocument, place: Offsets, published: str) -> str:
    """Return the URL of a span of a document.

    A published page gets a text fragment and a published PDF a page number. Any other document is linked to this
    service's own view. A document of which :func:`is_page` is true must include its text.
    """
    address = (address_of(document, published) or "").partition("#")[0]
    if address and document.media_type == "text/html":
        return f"{address}#:~:text={text_fragment(document.text, place)}"
    if address and document.media_type == "application/pdf":
        return f"{address}#page={document.page(place[0])}"
    if address and document.media_type in _RENDERED:
        fragment = _rendered_fragment(document.text[slice(*place)])
        return f"{address}#:~:text={fragment}" if fragment else address
    return view_path(document.id, place)


def is_page(document: SourceDocument, published: str) -> bool:
    """Return whether a document is published as a web page."""
    is_shown = document.media_type == "text/html" or document.media_type in _RENDERED
    return is_shown and address_of(document, published) is not None


def address_of(document: SourceDocument, published: str) -> str | None:
    """Return the address at which a document is published: its own, or one below ``published``, or ``None``.

    ``published`` is the base URL of the source folder. With ``{path}`` in the place of a file's path without its
    ending, it is also that of the pages that a site generator makes from Markdown and the like.
    """
    base, has_pages, rest = published.partition(_PATH)
    if document.url is not None and (published or not document.url.startswith("/")):
        return urljoin(base, document.url)
    if not published or (document.media_type in _RENDERED and not has_pages):
        return None
    if document.media_type not in _RENDERED:
        return base.rstrip("/") + "/" + quote(document.source)
    path = document.source.rpartition(".")[0]
    if rest.startswith("/"):  # a folder for each page; the page of a folder itself has its address
        path = _FOLDER_PAGE.sub("", path)
    return base + (quote(path) + rest if path else rest.lstrip("/"))


def view_path(document_id: str, place: Offsets) -> str:
    """Return the path of this service's own view of a document, which scrolls to a span and highlights it."""
    return f"/sources/{document_id}/view?start={place[0]}&end={place[1]}#quote"


def preview_path(document_id: str, place: Offsets) -> str:
    """Return the path of the text around a span of a document."""
    return f"/sources/{document_id}/preview?start_char={place[0]}&end_char={place[1]}"


def text_fragment(text: str, place: Offsets) -> str:
    """Return the text directive ``[prefix-,]start[,end][,-suffix]`` of a span (WICG, *URL Fragment Text Directives*).

    Long spans are named by their first and last words; so are table rows, because the page does not have our cell
    separator. Prefix and suffix are added if the span occurs more than once.
    """
    start, end = place
    wanted = text[start:end]
    cells = _cells(wanted)
    words = " ".join(cells).split()
    if len(cells) > 1:
        span = [cells[0], cells[-1]]
    elif len(wanted) > _LONG_QUOTE_CHARACTERS:
        span = [" ".join(words[:_EDGE_WORDS]), " ".join(words[-_EDGE_WORDS:])]
    else:
        span = [" ".join(words)]
    parts = [_escaped(part) for part in span]
    if text.count(wanted) > 1:
        before = " ".join(_cells(text[:start].rpartition("\n")[2])).split()[-_CONTEXT_WORDS:]
        after = " ".join(_cells(text[end:].partition("\n")[0])).split()[:_CONTEXT_WORDS]
        parts = [
            *([_escaped(" ".join(before)) + "-"] if before else []),
            *parts,
            *(["-" + _escaped(" ".join(after))] if after else []),
        ]
    return ",".join(parts)


def _rendered_fragment(quoted: str) -> str:
    """Return the text directive of the longest run of words without markup, which a rendered page has too."""
    runs: list[list[str]] = [[]]
    for line in quoted.splitlines():
        for word in line.split():
            if _MARKUP.search(word):
                runs.append([])
            else:
                runs[-1].append(word)
        runs.append([])
    words = max(runs, key=lambda run: len(" ".join(run)))
    text = " ".join(words)
    if len(text) < _MIN_FRAGMENT_CHARACTERS:
        return ""
    if len(words) > 2 * _EDGE_WORDS and len(text) > _LONG_QUOTE_CHARACTERS:
        return f"{_escaped(' '.join(words[:_EDGE_WORDS]))},{_escaped(' '.join(words[-_EDGE_WORDS:]))}"
    return _escaped(text)


def _cells(row: str) -> list[str]:
    """Return the words of the cells of a row that are not empty, or of a text that is no row."""
    if "|" not in row:
        return [row]
    cells = (cell.strip().replace("\\|", "|") for cell in _CELL_BORDER.split(row))
    return [cell for cell in cells if cell]


def _escaped(words: str) -> str:
    """Percent-encode the special characters of a text directive; the hyphen is one, though not in URLs."""
    return quote(words, safe="").replace("-", "%2D")
