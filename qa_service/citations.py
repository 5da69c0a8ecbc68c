"""Citations that stay: ids made of content, links that land on the words, and whether a quote still stands.

The id of a passage is made of its document's path, its place and its text, so that it means the same in every
generation that holds it. Each generation also keeps the passages that it no longer has, so that an old citation
can be told to have moved, changed or gone.
"""

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from rapidfuzz import fuzz

from qa_service.datatypes import Offsets, SourceDocument

State = Literal["exact", "moved", "changed", "gone"]

_CITATION = re.compile(r"([0-9a-f]{16})\.(\d{1,9})-(\d{1,9})\Z")
_LONG_QUOTE = 300
_CONTEXT_WORDS, _EDGE_WORDS = 5, 6
_CELLS = " | "
_LIKENESS = 50  # of 100
_COMPARED = 4000


@dataclass(frozen=True, slots=True)
class CitationId:
    """What a permalink names: a passage by its id, and the quote by its offsets in the passage's text."""

    passage_id: str
    start: int
    end: int

    def __str__(self) -> str:
        return f"{self.passage_id}.{self.start}-{self.end}"

    @classmethod
    def parse(cls, text: str) -> "CitationId | None":
        """Return the id that a text is, or ``None`` if it is none."""
        match = _CITATION.match(text)
        found = None if match is None else cls(match[1], int(match[2]), int(match[3]))
        return found if found is not None and found.start < found.end else None


@dataclass(frozen=True, slots=True)
class CitedQuote:
    """A quote as it was cited: in which document, and at which character."""

    uri: str
    start: int
    quote: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a quote. ``place`` is where it stands now, or what stands in its stead if it ``changed``.

    ``document_id`` and ``uri`` name the document of that place; ``now`` is the text there.
    """

    state: State
    quote: str
    document_id: str | None = None
    uri: str | None = None
    place: Offsets | None = None
    now: str | None = None


def passage_id(uri: str, start: int, text: str) -> str:
    """Return 16 hexadecimal digits made of a passage's document, place and text."""
    return hashlib.sha256(f"{uri}\0{start}\0{text}".encode()).hexdigest()[:16]


def check(cited: CitedQuote, own: SourceDocument | None, holding: Callable[[str], SourceDocument | None]) -> Verdict:
    """Tell whether a quote stands where it stood, elsewhere in its ``own`` document as it is now, or in another.

    ``holding`` finds a document that holds a text. Where none does, the sentence near its place that is most like it
    is what it changed to, if one is at all like it.
    """
    # Another document is looked for only if the quote has left its own.
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
    """Return the offset at which a text stands that is nearest to ``start``."""
    before = text.rfind(wanted, 0, start + len(wanted))
    after = text.find(wanted, start)
    found = [place for place in (before, after) if place >= 0]
    return min(found, key=lambda place: abs(place - start)) if found else None


def _most_alike(cited: CitedQuote, text: str) -> Offsets | None:
    """Return the line of a text that is most like a quote, searched around where the quote stood."""
    first = max(0, cited.start - _COMPARED)
    wanted = cited.quote[:_COMPARED]
    best: tuple[float, Offsets] | None = None
    for match in re.finditer(r"[^\n]+", text[first : cited.start + len(cited.quote) + _COMPARED]):
        for sentence in re.finditer(r"\S.*?(?:[.!?](?=\s)|$)", match.group()):
            likeness = fuzz.ratio(wanted, sentence.group()[:_COMPARED], score_cutoff=_LIKENESS)
            if likeness > (0 if best is None else best[0]):
                start = first + match.start() + sentence.start()
                best = (likeness, (start, start + len(sentence.group())))
    return None if best is None else best[1]


def link(document: SourceDocument, place: Offsets, published: str) -> str:
    """Return where a reader finds a span of a document, on the words themselves where that can be told.

    A web page by a text fragment and a PDF by its page, if it is known where they are published: by what the
    document says itself, or below the address ``published``. Everything else in this service's own view. An HTML
    document must come with its text.
    """
    address = document.url or (published.rstrip("/") + "/" + quote(document.source) if published else None)
    if address is not None and document.media_type == "text/html":
        return f"{address.partition('#')[0]}#:~:text={text_fragment(document.text, place)}"
    if address is not None and document.media_type == "application/pdf":
        return f"{address.partition('#')[0]}#page={document.page(place[0])}"
    return view_path(document.id, place)


def view_path(document_id: str, place: Offsets) -> str:
    """Return the path of this service's own view of a document, which scrolls to a span and marks it."""
    return f"/sources/{document_id}/view?start={place[0]}&end={place[1]}#quote"


def text_fragment(text: str, place: Offsets) -> str:
    """Return a text directive ``[prefix-,]start[,end][,-suffix]`` for a span, after the WICG's text fragments.

    Long spans, and rows of a table, whose cells are parted here and not on the page, are named by their first and
    last words. Words around it are added where the span stands more than once.
    """
    start, end = place
    wanted = text[start:end]
    cells = wanted.split(_CELLS)
    words = wanted.split()
    if len(cells) > 1:
        span = [cells[0], cells[-1]]
    elif len(wanted) > _LONG_QUOTE:
        span = [" ".join(words[:_EDGE_WORDS]), " ".join(words[-_EDGE_WORDS:])]
    else:
        span = [" ".join(words)]
    parts = [_escaped(part) for part in span]
    if text.count(wanted) > 1:
        before = text[:start].rpartition("\n")[2].replace(_CELLS, " ").split()[-_CONTEXT_WORDS:]
        after = text[end:].partition("\n")[0].replace(_CELLS, " ").split()[:_CONTEXT_WORDS]
        parts = [
            *([_escaped(" ".join(before)) + "-"] if before else []),
            *parts,
            *(["-" + _escaped(" ".join(after))] if after else []),
        ]
    return ",".join(parts)


def _escaped(words: str) -> str:
    """Percent-encode all that has a meaning in a text directive: the hyphen too, which URLs leave alone."""
    return quote(words, safe="").replace("-", "%2D")
