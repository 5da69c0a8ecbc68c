"""The characters of a PDF page that a person sees, as segments of lines."""

import ctypes
import math
import re
from collections.abc import Container, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any

from pypdfium2 import raw

from qa_service.loading.pdf.rules import Rules, rules_of
from qa_service.loading.pdf.segments import EVEN_STOPS, Box, Segment, turned
from qa_service.loading.pdf.visibility import hidden_objects

# A gap of this many type sizes parts two segments, if it is that much wider than the gaps between their words.
_WIDE_GAP = 1.0
_WIDER_THAN_WORDS = 2.0
_MIN_MARKED_LETTERS, _MAX_MARK_DIGITS = 3, 2
_MARK_SIZE, _MARK_RISE = 0.85, 0.2
_EVEN, _MIN_EVEN_GAPS = 0.15, 3
_LINE_SHIFT = 0.5
_RIGHT_ANGLE_TOLERANCE = 3
_EDGE_TOLERANCE = 1.0
_FIRST_SURROGATE, _LAST_SURROGATE, _LAST_CHARACTER = 0xD800, 0xDFFF, 0x10FFFF
_TOUCHING = 0.1
_LEADERS = re.compile(r"\s*(?:\.\s?){5,}\s*")  # dots that lead to a page number
# PDFium's codes for a hyphen at a line end; bullets of the fonts Symbol and Wingdings; ligatures.
_CHARACTERS = {
    **dict.fromkeys((0x02, 0xFFFE), "-"),
    **dict(zip(range(0xFB00, 0xFB07), ("ff", "fi", "fl", "ffi", "ffl", "st", "st"), strict=True)),
    **dict(zip(map(ord, "\uf0b7\uf0a7\uf0d8\uf0fc\uf0a8\uf06f\uf076\uf0e0"), "•▪➢✓□□❖→", strict=True)),
}


@dataclass(slots=True)
class _Style:
    """The type size and direction of a word."""

    size: float
    angle: int
    is_hidden: bool


@dataclass(slots=True)
class _Run:
    """The characters of a segment that is being collected."""

    style: _Style
    letters: list[str] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    word_gaps: list[float] = field(default_factory=list)

    def part_words(self, character: str, box: Box) -> None:
        """Note the gap before a new word, and part a footnote mark from its word."""
        if self.letters[-1] == " ":
            self.word_gaps.append(box[0] - self.boxes[-1][2])
        elif _parts_footnote_mark(self, character, box):
            self.letters.append(" ")

    @property
    def size(self) -> float:
        """The type size of its middle letter: the first can be a bullet."""
        return sorted(self.sizes)[len(self.sizes) // 2]

    def segment(self, page: int, order: int, rules: Rules) -> Segment:
        """Return the run as a segment."""
        lefts, bottoms, rights, tops = zip(*self.boxes, strict=True)
        text = _LEADERS.sub(" … ", "".join(self.letters)).strip()
        box = min(lefts), min(bottoms), max(rights), max(tops)
        stops = self._stops(box[0], box[2])
        is_ruled = not self.style.angle and rules.between(box[0] - self.size, box[0], (box[1] + box[3]) / 2)
        return Segment(text, *box, self.size, page, order, self.style.angle, stops, is_ruled)

    def _stops(self, left: float, right: float) -> tuple[float, ...]:
        """Return the shares of the width at which each sixteenth of the letters begins, and the last ends."""
        edges: list[float] = []
        place = 0
        is_reversed = len(self.boxes) > 1 and self.boxes[-1][0] < self.boxes[0][0]
        before, behind = (2, 0) if is_reversed else (0, 2)
        for letter in self.letters:
            if letter == " ":
                edges.append(self.boxes[place - 1][behind])
            else:
                edges.append(self.boxes[place][before])
                place += 1
        edges.append(self.boxes[-1][behind])
        width = right - left or 1.0
        return tuple((edges[round(stop * (len(edges) - 1))] - left) / width for stop in EVEN_STOPS)


def segments_of(page: Any, number: int, visible: Box) -> list[Segment]:
    """Return the segments of a page in the order of the file, without text that is off the page or invisible."""
    textpage = page.get_textpage()
    try:
        rules = rules_of(page)
        runs = list(_runs(textpage.raw, visible, hidden_objects(page), rules))
    finally:
        textpage.close()
    return [run.segment(number, order, rules) for order, run in enumerate(_without_stretched_gaps(runs, rules))]


def _without_stretched_gaps(runs: list[_Run], rules: Rules) -> Iterator[_Run]:
    """Yield runs; those of a justified line, whose words all stand far apart, are joined."""
    line: list[_Run] = []
    for run in [*runs, None]:
        if run and (not line or _follows(line[-1], run, rules)):
            line.append(run)
            continue
        gaps = [gap for member in line for gap in member.word_gaps]
        yield from _joined(line, _WIDER_THAN_WORDS * median(gaps) if gaps else _stretched_gap(line))
        line = [run] if run else []


def _stretched_gap(line: list[_Run]) -> float:
    """Return a width above all gaps of a line of single words with equal gaps, else 0."""
    gaps = [run.boxes[0][0] - before.boxes[-1][2] for before, run in pairwise(line)]
    words = sum(any(map(str.isalpha, run.letters)) for run in line)
    is_even = len(gaps) >= _MIN_EVEN_GAPS and max(gaps) - min(gaps) <= _EVEN * line[0].size
    return max(gaps) + 1 if is_even and words > len(line) / 2 else 0.0


def _follows(before: _Run, run: _Run, rules: Rules) -> bool:
    _, bottom, right, top = before.boxes[-1]
    box = run.boxes[0]
    size = max(run.style.size, 1.0)
    is_beside = abs((box[1] + box[3]) - (bottom + top)) / 2 <= _LINE_SHIFT * size and box[0] >= right
    if not is_beside or run.style.angle != before.style.angle:
        return False
    return not _is_ruled_off(before.boxes[-1], box, run.style, rules)


def _joined(line: list[_Run], narrow: float) -> Iterator[_Run]:
    collected: _Run | None = None
    for run in line:
        if collected and run.boxes[0][0] - collected.boxes[-1][2] < narrow:
            collected.letters += [" ", *run.letters]
            collected.sizes += run.sizes
            collected.boxes += run.boxes
            continue
        if collected:
            yield collected
        collected = run
    if collected:
        yield collected


def _runs(textpage: Any, visible: Box, hidden: Container[int], rules: Rules) -> Iterator[_Run]:
    run: _Run | None = None
    before: _Style | None = None
    for character, box, style in _characters(textpage, visible, hidden):
        if box is None or style is None:
            before = None
            if character in "\r\n" and run:
                yield run
                run = None
            elif run and run.letters[-1] != " ":
                run.letters.append(" ")
            continue
        # Most letters follow the one before in a word: the others need a closer look.
        if run and not (style is before and _touches(run.boxes[-1], box)):
            if not _continues(run, box, style) or _is_ruled_off(run.boxes[-1], box, style, rules):
                yield run
                run = None
            else:
                run.part_words(character, box)
        run = run or _Run(style)
        run.letters.append(character)
        run.boxes.append(box)
        run.sizes.append(style.size)
        before = style
    if run:
        yield run


def _characters(textpage: Any, visible: Box, hidden: Container[int]) -> Iterator[tuple[str, Box | None, _Style | None]]:
    """Yield visible characters with their boxes in the direction of reading, and white space without."""
    style: _Style | None = None
    rectangle = raw.FS_RECTF()
    pointer = ctypes.byref(rectangle)
    # Twice the bounds of the middle of a visible character.
    left, bottom = (2 * (edge - _EDGE_TOLERANCE) for edge in visible[:2])
    right, top = (2 * (edge + _EDGE_TOLERANCE) for edge in visible[2:])
    for index in range(raw.FPDFText_CountChars(textpage)):
        code = raw.FPDFText_GetUnicode(textpage, index)
        character = _CHARACTERS.get(code) or (chr(code) if code < _FIRST_SURROGATE else _character(code))
        if character.isspace():
            style = None  # it is looked up for each word
            yield character, None, None
            continue
        raw.FPDFText_GetLooseCharBox(textpage, index, pointer)
        box = rectangle.left, rectangle.bottom, rectangle.right, rectangle.top
        style = style or _style(textpage, index, hidden)
        if not style.is_hidden and left <= box[0] + box[2] <= right and bottom <= box[1] + box[3] <= top:
            yield character, turned(box, style.angle) if style.angle else box, style


def _touches(before: Box, box: Box) -> bool:
    """Tell whether a letter of the same height stands right behind another."""
    if before[1] != box[1] or before[3] != box[3]:
        return False
    near = _TOUCHING * (box[3] - box[1])
    return -near <= box[0] - before[2] <= near


def _parts_footnote_mark(run: _Run, character: str, box: Box) -> bool:
    """Tell whether a small raised number meets a word: behind it, or before it at the beginning of a note."""
    if character.isdigit():
        word = run.letters[-_MIN_MARKED_LETTERS:]
        return len(word) == _MIN_MARKED_LETTERS and all(map(str.isalpha, word)) and _is_raised(box, run.boxes[-1])
    return len(run.letters) <= _MAX_MARK_DIGITS and run.letters[-1].isdigit() and _is_raised(run.boxes[-1], box)


def _is_raised(small: Box, large: Box) -> bool:
    height = large[3] - large[1]
    return small[3] - small[1] < _MARK_SIZE * height and small[1] - large[1] > _MARK_RISE * height


def _character(code: int) -> str:
    return chr(code) if _LAST_SURROGATE < code <= _LAST_CHARACTER else "\ufffd"


def _style(textpage: Any, index: int, hidden: Container[int]) -> _Style:
    matrix = raw.FS_MATRIX()
    size = raw.FPDFText_GetFontSize(textpage, index)
    angle = 0
    if raw.FPDFText_GetMatrix(textpage, index, matrix):
        size *= math.hypot(matrix.c, matrix.d)
        angle = round(math.degrees(math.atan2(matrix.b, matrix.a))) % 360
        nearest = 90 * round(angle / 90)
        angle = nearest % 360 if abs(angle - nearest) <= _RIGHT_ANGLE_TOLERANCE else angle
    is_hidden = bool(hidden) and _address(raw.FPDFText_GetTextObject(textpage, index)) in hidden
    return _Style(round(size, 1), angle, is_hidden)


def _address(pointer: Any) -> int:
    return ctypes.addressof(pointer.contents) if pointer else 0


def _is_ruled_off(before: Box, box: Box, style: _Style, rules: Rules) -> bool:
    """Tell whether a rule stands between a letter and the next."""
    return not style.angle and before[2] < box[0] and rules.between(before[2], box[0], (box[1] + box[3]) / 2)


def _continues(run: _Run, box: Box, style: _Style) -> bool:
    """Tell whether a character belongs to a segment: on its baseline, beside its last character to either side."""
    left, bottom, right, top = run.boxes[-1]
    size = max(run.style.size, 1.0)
    if style.angle != run.style.angle or abs((box[1] + box[3]) - (bottom + top)) / 2 > _LINE_SHIFT * size:
        return False
    return max(box[0] - right, left - box[2]) <= _WIDE_GAP * size
