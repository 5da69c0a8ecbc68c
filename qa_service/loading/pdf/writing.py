"""Lines and rows of tables of all pages -> paragraphs, list items and headings."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from qa_service.loading.outline import TextBuilder
from qa_service.loading.pdf.joining import count_words, joined
from qa_service.loading.pdf.layout import Item
from qa_service.loading.pdf.marks import BULLET, DOUBTFUL_BULLET
from qa_service.loading.pdf.segments import Line, Page, Segment, displayed, fits
from qa_service.loading.pdf.tables import TableRow, has_header
from qa_service.text.page_lines import PageLine, packed

_HEADING_SIZE_RATIO = 1.15  # type size of a heading, in sizes of the body
# A gap above this share of a line's height begins a new paragraph, or a new heading.
_PARAGRAPH_GAP_RATIO, _HEADING_GAP_RATIO = 0.75, 0.3
_WIDER_THAN_USUAL = 0.35
_DOUBLE_SPACE, _MIN_GAPS = 1.1, 8
_SAME_SIZE_RATIO = 0.1
_FULL_LINE_RATIO = 0.8
_MAX_HEADING_CHARACTERS = 200
_MAX_HEADINGS_OF_A_SIZE = 2
_NEAR_LINES = 6
_MAX_BETWEEN = 2_000  # characters between two segments: those of running titles and notes, of rules and bars
_SENTENCE_ENDS = (".", "!", "?", ":", "”", '"', "…", "。", "！", "？", "：")
_HYPHENS = ("-", "\u2010", "\u2013", "\u2014", "\u00ad")


@dataclass(frozen=True, slots=True)
class RunningTitle:
    """A line that runs through pages, and the numbers of the pages that have it."""

    text: str
    pages: frozenset[int]


@dataclass(slots=True)
class PageItems:
    """A page with its lines and rows; ``titles`` and the page's notes are added at its end."""

    page: Page
    items: Sequence[Item]
    titles: Sequence[RunningTitle] = ()

    @property
    def number(self) -> int:
        """The number of the page, from 0."""
        return self.page.number


@dataclass(slots=True)
class _Paragraph:
    lines: list[Segment]
    text: str = ""
    breaks: list[int] = field(default_factory=list)

    @property
    def is_list_item(self) -> bool:
        return BULLET.match(self.text) is not None or DOUBTFUL_BULLET.match(self.text) is not None


class Writer:
    """Writes a document: each page once, in order."""

    def __init__(self, pages: Sequence[PageItems]) -> None:
        self._pages = pages
        self._builder = TextBuilder()
        lines = [item.as_segment() for page in pages for item in page.items if isinstance(item, Line)]
        self._words = count_words(line.text for line in lines)
        self._body = _body_size(lines)
        sizes = {line.size for line in lines if line.size >= self._body * _HEADING_SIZE_RATIO}
        self._levels = sorted(sizes, reverse=True)
        self._gap = max(_PARAGRAPH_GAP_RATIO, _usual_gap(lines, self._body) + _WIDER_THAN_USUAL)
        self._headings: list[_Paragraph] = []
        self._table: list[tuple[int, list[str], list[Segment]]] = []
        self._has_blocks = False
        self._written: list[Segment] = []

    def write(self) -> TextBuilder:
        """Write all pages; return the builder with the text. To be called once."""
        paragraph: list[Segment] = []
        titles: list[RunningTitle] = []
        for page, following in zip(self._pages, [*self._pages[1:], None], strict=True):
            lines = _segments(page)
            for place, line in enumerate(lines):
                if isinstance(line, TableRow):
                    self._finish(paragraph)
                    self._add_row(line, page.number)
                    continue
                if paragraph and self._starts_paragraph(paragraph, line, _right_edge(lines, place)):
                    self._finish(paragraph)
                paragraph.append(line)
            titles = self._end_page(page, following, paragraph, [*titles, *page.titles])
        self._finish(paragraph)
        self._write_table()
        self._write_headings(followed=False)
        return self._builder

    def _end_page(
        self, page: PageItems, following: PageItems | None, paragraph: list[Segment], titles: Sequence[RunningTitle]
    ) -> list[RunningTitle]:
        """Write the notes and running titles of a page; return the titles that are kept for the next page instead.

        A paragraph that goes on there is not interrupted: they stand before it, or else its first part ends here.
        """
        goes_on = False
        if paragraph and following and following.items:
            lines = _segments(following)
            first = lines[0]
            goes_on = isinstance(first, Segment) and not self._starts_paragraph(paragraph, first, _right_edge(lines, 0))
        later = [title for title in titles if goes_on and following and following.number in title.pages]
        added = [*(title.text for title in titles if title not in later), *page.page.notes]
        if not added:
            return later
        if not goes_on or paragraph[0].page < page.number:
            self._finish(paragraph)
        self._write_table()
        self._write_headings(followed=True)
        self._begin_page(page.number)
        for text in added:
            self._builder.block(text)
        self._has_blocks = True
        return later

    def _begin_page(self, number: int) -> None:
        while len(self._builder.pages) <= number:
            self._builder.page()

    def _add_row(self, row: TableRow, number: int) -> None:
        """Add a row to the table, or begin one: with other columns, or where the header is repeated."""
        cells = [self._joined(cell)[0] for cell in row.cells]
        header = self._table[0][1] if self._table else cells
        if len(cells) != len(header) or (len(self._table) > 1 and cells == header):
            self._write_table()
        self._table.append((number, cells, row.segments))

    def _write_table(self) -> None:
        rows, self._table = self._table, []
        if not rows:
            return
        self._write_headings(followed=True)
        self._begin_page(rows[0][0])
        pages = []
        for place, (number, _, segments) in enumerate(rows):
            pages += [place] * (number - (rows[place - 1][0] if place else number))
            self._written += segments
        cells = [row for _, row, _ in rows]
        self._builder.table(cells, has_header=has_header(cells), page_rows=pages)
        self._has_blocks = True

    def _starts_paragraph(self, paragraph: Sequence[Segment], line: Segment, right: float) -> bool:
        """Tell whether a line begins a new paragraph."""
        before = paragraph[-1]
        if abs(line.size - before.size) > _SAME_SIZE_RATIO * before.size or line.angle != before.angle:
            return True
        is_marked = DOUBTFUL_BULLET.match(line.text) is not None
        if BULLET.match(line.text) or (is_marked and DOUBTFUL_BULLET.match(paragraph[0].text)):
            return True
        ended = before.text.endswith(_SENTENCE_ENDS)
        if line.page != before.page or line.top > before.top:  # a new page or column
            return ended or not line.text[:1].islower()
        gap = (before.bottom - line.top) / (line.top - line.bottom or 1)
        is_large = line.size >= self._body * _HEADING_SIZE_RATIO
        if gap > (_HEADING_GAP_RATIO if is_large else self._gap):
            return True
        is_short = before.right - line.left < _FULL_LINE_RATIO * (right - line.left)
        if ended and (is_short or is_marked):
            return True
        is_lower = line.text[:1].islower() and not is_marked
        return not (is_large or is_lower or before.text.endswith(_HYPHENS)) and fits(before, line, right)

    def _joined(self, lines: Sequence[Segment]) -> tuple[str, list[int]]:
        """Return the text of lines, and the offsets in it at which pages begin after that of the first line."""
        text, page = "", lines[0].page if lines else 0
        breaks: list[int] = []
        for line in lines:
            text, joint = joined(text, line.text, self._words)
            text += joint
            breaks += [len(text)] * (line.page - page)
            page = line.page
            text += line.text
        return text, breaks

    def _finish(self, lines: list[Segment]) -> None:
        """Write the paragraph; one that looks like a heading is kept until it is known whether text stands below it."""
        if not lines:
            return
        self._write_table()
        text, breaks = self._joined(lines)
        paragraph = _Paragraph(list(lines), text, breaks)
        lines.clear()
        if paragraph.lines[0].size in self._levels and len(text) <= _MAX_HEADING_CHARACTERS:
            self._headings.append(paragraph)
            return
        self._write_headings(followed=True)
        self._write_block(paragraph)

    def _write_headings(self, *, followed: bool) -> None:
        """Write the headings that wait; those with no text below before a heading of their size are paragraphs."""
        waiting, self._headings = self._headings, []
        sizes = [heading.lines[0].size for heading in waiting]
        is_start = not self._has_blocks
        for place, heading in enumerate(waiting):
            is_title = is_start and not place
            is_content = not followed or (any(size >= sizes[place] for size in sizes[place + 1 :]) and not is_title)
            is_content = is_content or sizes.count(sizes[place]) > _MAX_HEADINGS_OF_A_SIZE
            if is_content:
                self._write_block(heading)
            else:
                self._begin_page(heading.lines[-1].page)
                self._written += heading.lines
                self._builder.heading(self._levels.index(sizes[place]) + 1, heading.text)

    def _write_block(self, paragraph: _Paragraph) -> None:
        self._begin_page(paragraph.lines[0].page)
        self._written += paragraph.lines
        self._builder.block(paragraph.text, "list_item" if paragraph.is_list_item else "paragraph", paragraph.breaks)
        self._has_blocks = True

    def page_lines(self, text: str) -> tuple[bytes, ...]:
        """Return the packed lines of each page, whose segments are looked for in the text one after the other."""
        lines: list[list[PageLine]] = [[] for _ in self._pages]
        end = 0
        for segment in (part for whole in self._written for part in whole.parts or (whole,)):
            wanted = segment.text.rstrip("".join(_HYPHENS)) or segment.text
            start = text.find(wanted, end, end + len(wanted) + _MAX_BETWEEN)
            if start < 0:
                continue  # its white space or a bar is written in another way
            end = start + len(wanted)
            box = displayed(segment, self._pages[segment.page].page)
            lines[segment.page].append(PageLine(start, len(wanted), box, segment.stops))
        return tuple(
            packed(own, recognized=page.page.is_recognized) for own, page in zip(lines, self._pages, strict=True)
        )


def _body_size(lines: Sequence[Segment]) -> float:
    """Return the type size that covers the largest area."""
    areas: dict[float, float] = defaultdict(float)
    for line in lines:
        areas[line.size] += len(line.text) * line.size**2
    return max(areas, key=lambda size: areas[size], default=0.0)


def _usual_gap(lines: Sequence[Segment], body: float) -> float:
    """Return the median gap between lines of the body below each other, in heights of a line, at most double space."""
    gaps = [
        (before.bottom - line.top) / (line.top - line.bottom or 1)
        for before, line in pairwise(lines)
        if before.page == line.page and before.size == line.size == body and line.top < before.bottom + body / 2
    ]
    return min(median(gaps), _DOUBLE_SPACE) if len(gaps) >= _MIN_GAPS else 0.0


def _segments(page: PageItems) -> list[Segment | TableRow]:
    return [item.as_segment() if isinstance(item, Line) else item for item in page.items]


def _right_edge(lines: Sequence[Segment | TableRow], place: int) -> float:
    """Return the right edge of the lines around one, of those that stand above or below it."""
    own = lines[place]
    near = lines[max(0, place - _NEAR_LINES) : place + _NEAR_LINES]
    return max(
        line.right
        for line in near
        if isinstance(line, Segment)
        and isinstance(own, Segment)
        and line.angle == own.angle
        and (line is own or (line.left < own.right and own.left < line.right and line.size <= own.size * 1.1))
    )
