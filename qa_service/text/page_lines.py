"""The lines of a document on its pages: packed page by page for storage, and the boxes of a span of the text.

A line is stored with its box and with the place of every sixteenth of its letters, between which letters are assumed to
be equally wide: a quote that begins inside a line is marked to within a letter. Coordinates are points from the upper
left corner of the page as it is displayed.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from qa_service.datatypes import PageBox

STOPS = 16
"""Equal parts of a line's letters; a line has one stop more."""
_LINE = struct.Struct(f"<IH4h{STOPS + 1}B")
_RECORD = np.dtype([("start", "<u4"), ("length", "<u2"), ("box", "<i2", 4), ("stops", "u1", STOPS + 1)])
_UNITS = 2  # per point: a page of the largest size, 14,400 points, fits
_MAX_STOP = 255
_MAX_LENGTH = 65_535
_MAX_COORDINATE = 32_767


@dataclass(frozen=True, slots=True)
class PageLine:
    """A line of a page: its first character and length in the document's text, its box, and its stops.

    ``stops`` are the shares of the width, 0..1, at which each sixteenth of the letters begins, and the last one ends.
    """

    start: int
    length: int
    box: tuple[float, float, float, float]
    stops: Sequence[float]


def packed(lines: Iterable[PageLine], *, recognized: bool = False) -> bytes:
    """Return the lines of a page in a compact form; deflating it would save little.

    One byte more says that the text of the page was recognized in a picture.
    """
    records = b"".join(
        _LINE.pack(
            line.start,
            min(line.length, _MAX_LENGTH),
            *(max(-_MAX_COORDINATE, min(_MAX_COORDINATE, round(_UNITS * x))) for x in line.box),
            *(round(_MAX_STOP * max(0.0, min(1.0, stop))) for stop in line.stops),
        )
        for line in lines
    )
    return records + b"\1" * recognized


def is_recognized(data: bytes) -> bool:
    """Tell from its packed lines whether the text of a page was recognized in a picture (OCR)."""
    return len(data) % _RECORD.itemsize == 1


def boxes_in(data: bytes, page: int, start: int, end: int) -> list[PageBox]:
    """Return the boxes of ``[start, end)`` on a page, one a line, from its packed lines."""
    lines = np.frombuffer(data, _RECORD, len(data) // _RECORD.itemsize)
    overlapping = (lines["start"] < end) & (lines["start"] + lines["length"] > start)
    found = []
    columns = (lines[name][overlapping].tolist() for name in lines.dtype.names or ())
    for first, length, (left, top, right, bottom), stops in zip(*columns, strict=True):
        edges = [_place((place - first) / length, stops) for place in (max(start, first), min(end, first + length))]
        x = [(left + (right - left) * edge) / _UNITS for edge in edges]
        found.append(PageBox(page, min(x), top / _UNITS, max(x), bottom / _UNITS))
    return found


def _place(share: float, stops: Sequence[int]) -> float:
    """Return the share of a line's width at which a share of its letters ends."""
    number = min(int(share * STOPS), STOPS - 1)
    part = share * STOPS - number
    return (stops[number] + (stops[number + 1] - stops[number]) * part) / _MAX_STOP
