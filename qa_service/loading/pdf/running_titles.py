"""Titles and numbers that run through the pages of a PDF, told by their place.

A line is a running title if the same text stands at the same height on at least three pages, most pages have such a
line at that height, and it lies beyond the body of the pages. Its numbers may differ if they count the pages. The
first copy stays. A line that repeats inside the body, such as the heading of a form, is content.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from qa_service.loading.pdf.segments import Page, Segment, turned

_MIN_PAGES = 3
_MIN_PAGE_SHARE = 0.5
_MIN_BEYOND_SHARE = 2 / 3
_MIN_OTHER_LINES = 3
_SAME_HEIGHT = 2.5
_OVERLAP = 0.3
_HEADER_DISTANCE = 1.0
_MOSTLY = 0.8
# A number that counts pages is near the page's own number, unless the document is long.
_MAX_OFFSET, _LONG_DOCUMENT = 30, 10
_NUMBER = re.compile(r"\d+")
_DIGITS = "\uffff"  # no character; stands for a number in the text that is compared
_ROMAN = re.compile(r"[ivxlc]+\Z", re.IGNORECASE)
_PAGE_WORDS = re.compile(
    r"(?:"
    r"page|pages|pg|p|pp|of|seite|seiten|s|von|pagina|pág|pag|pagine|página|de|di|sur|van|sida|side|av|strona"
    r"|str|z|стр|страница|из|oldal|sivu|sayfa|trang|หน้า|页|頁|共|第|ページ|쪽"
    r")\Z"
)
_SET_APART = re.compile(r"(?:\A|[|·•–—/-]\s*)\uffff\s*(?:\Z|[|·•–—/-])")


@dataclass(slots=True)
class RunningTitles:
    """The first copies, which stay, each with the pages that have one; and how many lines of each kind were skipped."""

    kept: list[tuple[Segment, frozenset[int]]]
    titles: int = 0
    numbers: int = 0


@dataclass(slots=True)
class _Place:
    """A segment with the page edge that is nearer to it, and its distance from that edge."""

    segment: Segment
    page: int
    edge: str
    distance: float
    key: str


def set_aside(pages: Sequence[Page]) -> RunningTitles:
    """Remove running titles and page numbers from the segments of pages; return the first copies."""
    groups = _repeated([_place(page, segment) for page in pages for segment in page.segments])
    candidates = [place for group in groups for place in group]
    chosen = {id(place.segment): place for place in _beyond_the_body(pages, candidates)}
    found = RunningTitles([])
    copies: dict[str, set[int]] = defaultdict(set)
    for place in chosen.values():
        copies[place.key].add(place.page)
    for page in pages:
        for place in [chosen[id(segment)] for segment in page.segments if id(segment) in chosen]:
            if _is_page_number(place.key):
                found.numbers += 1
            elif page.number == min(copies[place.key]):
                found.kept.append((place.segment, frozenset(copies[place.key])))
            else:
                found.titles += 1
        page.segments = [segment for segment in page.segments if id(segment) not in chosen]
    return found


def _place(page: Page, segment: Segment) -> _Place:
    _, bottom, _, top = turned(page.box, segment.angle)
    above, below = top - segment.middle, segment.middle - bottom
    edge = "watermark" if segment.angle % 90 else "top" if above < below else "bottom"
    plain = segment.text.replace(_DIGITS, "")
    key = _DIGITS if _ROMAN.match(plain) else _NUMBER.sub(_DIGITS, plain)
    return _Place(segment, page.number, edge, 0.0 if edge == "watermark" else min(above, below), key)


def _repeated(places: Sequence[_Place]) -> list[list[_Place]]:
    """Return groups of places with the same text at the same height on at least three pages."""
    alike: dict[tuple[str, str, int], list[_Place]] = defaultdict(list)
    for place in places:
        alike[place.edge, place.key, place.segment.angle].append(place)
    found = []
    for (_, key, _), group in alike.items():
        for members in _at_one_height(group):
            if _DIGITS not in key or _counts_pages(key, members):
                found.append(members)
            else:
                found += _of_one_text(members)
    return found


def _at_one_height(group: Sequence[_Place]) -> Iterator[list[_Place]]:
    """Yield the places that stand at the same height on at least three pages."""
    heights: dict[int, list[_Place]] = defaultdict(list)
    for place in group:
        heights[round(place.distance / _SAME_HEIGHT)].append(place)
    for height in sorted(heights, key=lambda height: -len(heights[height])):
        members = [place for step in (0, -1, 1) for place in heights.pop(height + step, ())]
        if len({place.page for place in members}) >= _MIN_PAGES:
            yield members


def _of_one_text(group: Sequence[_Place]) -> Iterator[list[_Place]]:
    """Yield the places whose numbers are the same, too."""
    texts: dict[str, list[_Place]] = defaultdict(list)
    for place in group:
        place.key = place.segment.text
        texts[place.key].append(place)
    yield from (same for same in texts.values() if len({place.page for place in same}) >= _MIN_PAGES)


def _counts_pages(key: str, group: Sequence[_Place]) -> bool:
    """Tell whether a number of a line counts the pages; its other numbers must stay the same."""
    rows = [(place.page, _numbers(place.segment.text)) for place in sorted(group, key=lambda place: place.page)]
    if len({len(numbers) for _, numbers in rows}) > 1:
        return False
    counting = 0
    for position in range(len(rows[0][1])):
        values = [(page, numbers[position]) for page, numbers in rows]
        pairs = list(pairwise(values))
        steady = sum(one[1] == other[1] for one, other in pairs)
        stepped = sum(other[1] - one[1] == other[0] - one[0] for one, other in pairs)
        near = max(page for page, _ in rows) >= _LONG_DOCUMENT or all(
            abs(value - page - 1) <= _MAX_OFFSET for page, value in values
        )
        if stepped >= _MOSTLY * len(pairs) and near:
            counting += 1
        elif steady < _MOSTLY * len(pairs):
            return False
    return counting > 0 and (_is_page_number(key) or _SET_APART.search(key) is not None)


def _numbers(text: str) -> list[int]:
    if _ROMAN.match(text):
        values = [{"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}[letter] for letter in text.lower()]
        following = [*values[1:], 0]
        return [sum(-one if one < other else one for one, other in zip(values, following, strict=True))]
    return [int(number[:9]) for number in _NUMBER.findall(text)]


def _is_page_number(key: str) -> bool:
    """Tell whether a line says nothing but the number of its page."""
    return _DIGITS in key and all(_PAGE_WORDS.match(word.casefold()) for word in re.findall(r"[^\W\d_]+", key))


def _beyond_the_body(pages: Sequence[Page], candidates: Sequence[_Place]) -> list[_Place]:
    """Return the candidates at heights that most pages use for such lines and hardly one for its body."""
    ids = {id(place.segment) for place in candidates}
    bodies = [_Body(page, [part for part in page.segments if id(part) not in ids]) for page in pages if page.segments]
    by_page = {body.page.number: body for body in bodies}
    heights: dict[tuple[str, int], list[_Place]] = defaultdict(list)
    for place in candidates:
        heights[place.edge, round(place.distance / _SAME_HEIGHT)].append(place)
    found = []
    for (edge, height), places in heights.items():
        near = [place for step in (-1, 0, 1) for place in heights.get((edge, height + step), ())]
        if len({place.page for place in near}) < max(_MIN_PAGES, _MIN_PAGE_SHARE * len(bodies)):
            continue
        sample = places[0]
        for is_above in (True, False):
            beyond = {body.page.number for body in bodies if body.is_beyond(sample, above=is_above)}
            if len(beyond) >= _MIN_BEYOND_SHARE * len(bodies):
                found += [
                    place
                    for place in places
                    if place.page in beyond
                    and by_page[place.page].is_full()
                    and not by_page[place.page].continues(place, near)
                ]
                break
    return found


class _Body:
    """The lines of a page that do not repeat."""

    def __init__(self, page: Page, lines: Sequence[Segment]) -> None:
        self.page = page
        self._lines = lines
        self._extents: dict[tuple[str, int], tuple[float, float]] = {}

    def is_full(self) -> bool:
        """Tell whether the page has enough lines beside its running titles."""
        return len({round(line.middle) for line in self._lines}) >= _MIN_OTHER_LINES

    def continues(self, place: _Place, near: Sequence[_Place]) -> bool:
        """Tell whether a line of several parts stands right above the body: the header of a table."""
        row = [other for other in near if other.page == place.page]
        size = place.segment.size
        return len(row) > 1 and any(
            line.angle == place.segment.angle
            and max(line.bottom - place.segment.top, place.segment.bottom - line.top) < _HEADER_DISTANCE * size
            for line in self._lines
        )

    def is_beyond(self, place: _Place, *, above: bool) -> bool:
        """Tell whether the height of a line lies above, or below, all of the body."""
        if place.edge == "watermark":
            return True
        first, last = self._extent(place.edge, place.segment.angle)
        height = (place.segment.top - place.segment.bottom) * (0.5 - _OVERLAP)
        is_first = place.distance + height <= first
        is_last = place.distance - height >= last
        return is_first if above == (place.edge == "top") else is_last

    def _extent(self, edge: str, angle: int) -> tuple[float, float]:
        """Return the least and greatest distance of the body from an edge of the page."""
        known = self._extents.get((edge, angle))
        if known is None:
            _, bottom, _, top = turned(self.page.box, angle)
            lines = [line for line in self._lines if line.angle == angle]
            spans = [
                (top - line.top, top - line.bottom) if edge == "top" else (line.bottom - bottom, line.top - bottom)
                for line in lines
            ]
            known = (
                min((low for low, _ in spans), default=math.inf),
                max((high for _, high in spans), default=-math.inf),
            )
            self._extents[edge, angle] = known
        return known
