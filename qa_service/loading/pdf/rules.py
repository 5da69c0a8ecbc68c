"""Vertical rules of a PDF page, which part the columns of tables."""

import ctypes
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import Any

from pypdfium2 import raw

_MAX_SEGMENTS = 5_000  # of all paths of a page; a chart or a map has more
_MAX_WIDTH = 1.0
_MIN_HEIGHT = 5.0


class Rules:
    """The vertical rules of a page, by their place."""

    def __init__(self, lines: Sequence[tuple[float, float, float]] = ()) -> None:
        self._lines = sorted(lines)

    def between(self, left: float, right: float, height: float) -> bool:
        """Tell whether a rule stands between two places at a height."""
        place = bisect_left(self._lines, (left,))
        while place < len(self._lines) and self._lines[place][0] <= right:
            if self._lines[place][1] <= height <= self._lines[place][2]:
                return True
            place += 1
        return False


def rules_of(page: Any) -> Rules:
    """Return the vertical rules among the paths of a page: lines, and edges of rectangles."""
    lines: list[tuple[float, float, float]] = []
    spare = _MAX_SEGMENTS
    for index in range(min(raw.FPDFPage_CountObjects(page.raw), _MAX_SEGMENTS)):
        item = raw.FPDFPage_GetObject(page.raw, index)
        if raw.FPDFPageObj_GetType(item) != raw.FPDF_PAGEOBJ_PATH:
            continue
        spare -= raw.FPDFPath_CountSegments(item)
        if spare < 0:
            return Rules()
        lines += _vertical(item)
    return Rules(lines)


def _vertical(path: Any) -> Iterator[tuple[float, float, float]]:
    """Yield place, lower and upper end of the vertical lines of a path."""
    matrix = raw.FS_MATRIX()
    raw.FPDFPageObj_GetMatrix(path, matrix)
    x, y = ctypes.c_float(), ctypes.c_float()
    before = first = (0.0, 0.0)
    for index in range(raw.FPDFPath_CountSegments(path)):
        segment = raw.FPDFPath_GetPathSegment(path, index)
        raw.FPDFPathSegment_GetPoint(segment, x, y)
        point = (
            matrix.a * x.value + matrix.c * y.value + matrix.e,
            matrix.b * x.value + matrix.d * y.value + matrix.f,
        )
        kind = raw.FPDFPathSegment_GetType(segment)
        if kind == raw.FPDF_SEGMENT_MOVETO:
            first = point
        elif kind == raw.FPDF_SEGMENT_LINETO and _is_vertical(before, point):
            yield point[0], min(before[1], point[1]), max(before[1], point[1])
        before = point
        if raw.FPDFPathSegment_GetClose(segment) and _is_vertical(point, first):
            yield first[0], min(first[1], point[1]), max(first[1], point[1])


def _is_vertical(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) <= _MAX_WIDTH and abs(one[1] - other[1]) >= _MIN_HEIGHT
