"""Text recognition (OCR): a page of pictures -> segments with their places. Needs the extra ``qa-service[ocr]``.

Tesseract reads with all languages whose data is installed; the same version gives the same text for the same page.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median
from typing import Any

from pypdfium2 import raw

from qa_service.loading.pdf.engine import data_folder, languages
from qa_service.loading.pdf.segments import EVEN_STOPS, Box, Page, Segment, turned

_DPI = 300
_MAX_PIXELS = 12_000_000  # a page of A3 and larger ones get fewer dots per inch
_MIN_CONFIDENCE = 50.0  # of 100; lines below are specks and parts of pictures
_LARGE = 1.3  # height of a heading, in heights of the page's lines
_LONG = 10  # in heights of a line
_WIDE_GAP = 1.5  # in heights of a line
_MAX_DEPTH = 5  # of pictures in forms of a page

Word = tuple[str, Box]
"""A word with its box in points, in the coordinates of the page turned so that its line runs to the right."""


@dataclass(frozen=True, slots=True)
class RecognizedLine:
    """A line as Tesseract found it, its height, and the angle at which it is read."""

    words: Sequence[Word]
    height: float
    angle: int = 0


def has_pictures(opened: Any) -> bool:
    """Tell whether a page shows a picture."""
    return next(opened.get_objects(filter=[raw.FPDF_PAGEOBJ_IMAGE], max_depth=_MAX_DEPTH), None) is not None


def recognize(opened: Any, page: Page) -> list[Segment]:
    """Return the lines of a page as it is displayed, in reading order."""
    width, height = opened.get_size()
    scale = min(_DPI / 72, math.sqrt(_MAX_PIXELS / max(1.0, width * height)))
    bitmap = opened.render(scale=scale, force_bitmap_format=raw.FPDFBitmap_Gray)
    pixels = bitmap.to_numpy().tobytes()
    api = _tesseract()
    try:
        api.SetImageBytes(pixels, bitmap.width, bitmap.height, 1, len(pixels) // bitmap.height)
        api.SetSourceResolution(round(72 * scale))
        api.Recognize()
        return segments_of(list(_lines(api.GetIterator(), page, scale)), page)
    finally:
        api.Clear()


def segments_of(lines: Sequence[RecognizedLine], page: Page) -> list[Segment]:
    """Return lines as segments of a page, and note the page's slope.

    The height of lines varies with their letters: only a much larger one has a type size of its own.
    """
    if not lines:
        return []
    page.slope = median(slopes) if (slopes := [_slope(line) for line in lines if _is_long(line)]) else 0.0
    usual = median(line.height for line in lines)
    found = []
    for line in lines:
        size = round(line.height if line.height > _LARGE * usual else usual, 1)
        for words in _parted(line.words, _WIDE_GAP * line.height):
            found.append(_segment(words, page, size, line.angle))
            found[-1].order = len(found)
            if line.angle != page.upright:  # a box is parted from left to right, as the line does not run
                found[-1].parts = tuple(_segment([word], page, size, line.angle) for word in words)
    return found


def _is_long(line: RecognizedLine) -> bool:
    """Tell whether a line is so long that descenders hardly change its slope."""
    return line.words[-1][1][0] - line.words[0][1][0] > _LONG * line.height


def _slope(line: RecognizedLine) -> float:
    (_, first), (_, last) = line.words[0], line.words[-1]
    return (first[1] - last[1]) / (last[0] - first[0])


def _parted(words: Sequence[Word], wide: float) -> Iterator[list[Word]]:
    """Yield the parts of a line between wide gaps, as in a table."""
    part: list[Word] = []
    for word in words:
        if part and word[1][0] - part[-1][1][2] > wide:
            yield part
            part = []
        part.append(word)
    yield part


def _segment(words: Sequence[Word], page: Page, size: float, angle: int) -> Segment:
    """Return words as a segment, placed as if the page lay straight."""
    left, right = min(box[0] for _, box in words), max(box[2] for _, box in words)
    falls = [page.slope * (box[0] + box[2]) / 2 for _, box in words]
    bottom = min(box[1] + fall for (_, box), fall in zip(words, falls, strict=True))
    top = max(box[3] + fall for (_, box), fall in zip(words, falls, strict=True))
    text = " ".join(word for word, _ in words)
    return Segment(text, left, bottom, right, top, size, page.number, 0, angle, _stops(words, left, right))


def _stops(words: Sequence[Word], low: float, high: float) -> tuple[float, ...]:
    """Return the shares of the width at which each sixteenth of the letters begins, and the last ends."""
    edges: list[float] = []
    for word, (left, _, right, _) in words:
        edges += [left + (right - left) * letter / len(word) for letter in range(len(word))]
        edges.append(right)  # the space behind it begins here
    width = high - low or 1.0
    return tuple((edges[round(stop * (len(edges) - 1))] - low) / width for stop in EVEN_STOPS)


def _lines(found: Any, page: Page, scale: float) -> Iterator[RecognizedLine]:
    from tesserocr import RIL, iterate_level  # noqa: PLC0415 - an extra

    page_left, _, _, page_top = turned(page.box, page.upright)
    words: list[Word] = []
    is_read, height, turn = False, 0.0, 0
    for word in iterate_level(found, RIL.WORD) if found else ():
        if word.Empty(RIL.WORD):
            continue  # a picture or a rule
        if word.IsAtBeginningOf(RIL.TEXTLINE):
            is_read = word.Confidence(RIL.TEXTLINE) >= _MIN_CONFIDENCE
            height = word.RowAttributes()["row_height"] / scale
            turn = -90 * word.Orientation()[0] % 360  # it counts quarter turns to the right
        text = "".join(word.GetUTF8Text(RIL.WORD).split())
        box = word.BoundingBox(RIL.WORD)
        if is_read and text and box:
            left, upper, right, lower = (edge / scale for edge in box)
            place = (page_left + left, page_top - lower, page_left + right, page_top - upper)
            words.append((text, turned(place, turn)))
        if words and word.IsAtFinalElement(RIL.TEXTLINE, RIL.WORD):
            yield RecognizedLine(words, height, (page.upright + turn) % 360)
            words = []


@cache
def _tesseract() -> Any:
    from tesserocr import PSM, PyTessBaseAPI  # noqa: PLC0415 - an extra

    return PyTessBaseAPI(path=str(data_folder()), lang=languages(), psm=PSM.AUTO_OSD)
