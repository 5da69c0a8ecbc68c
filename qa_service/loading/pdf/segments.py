"""A piece of a line of a PDF page, with its place."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from qa_service.text.page_lines import STOPS

Box = tuple[float, float, float, float]
"""Left, bottom, right and top in points; y grows upwards."""
Gap = tuple[float, float]
"""The left and right edge of a gap between two columns."""
EVEN_STOPS = tuple(stop / STOPS for stop in range(STOPS + 1))
_MIN_SPARE_ROOM = 0.5


@dataclass(slots=True)
class Segment:
    """Text on one baseline without a wide gap.

    Its place is in the coordinates of the page turned by ``angle`` degrees, so that the text runs to the right.
    ``order`` grows in the order in which the file draws the page.
    """

    text: str
    left: float
    bottom: float
    right: float
    top: float
    size: float
    page: int
    order: float
    angle: int = 0
    stops: tuple[float, ...] = EVEN_STOPS
    """The shares of its width at which each sixteenth of its letters begins, and the last one ends."""
    is_ruled: bool = False
    """Whether a vertical rule stands right before it."""
    parts: tuple["Segment", ...] = ()
    """The segments that were joined to this one."""

    @property
    def middle(self) -> float:
        """Half of its height on the page."""
        return (self.bottom + self.top) / 2

    @property
    def center(self) -> float:
        """Half of its width on the page."""
        return (self.left + self.right) / 2


@dataclass(slots=True)
class Line:
    """Segments that are read as one line."""

    segments: list[Segment]

    def as_segment(self) -> Segment:
        """Return the line as one segment, in the type size of most of its letters."""
        if len(self.segments) == 1:
            return self.segments[0]
        first = self.segments[0]
        return Segment(
            " ".join(part.text for part in self.segments),
            min(part.left for part in self.segments),
            min(part.bottom for part in self.segments),
            max(part.right for part in self.segments),
            max(part.top for part in self.segments),
            max(self.segments, key=lambda part: len(part.text)).size,
            first.page,
            first.order,
            first.angle,
            is_ruled=min(self.segments, key=lambda part: part.left).is_ruled,
            parts=tuple(self.segments),
        )


@dataclass(slots=True)
class Page:
    """The segments of a page, by the angle at which they are read.

    ``box`` is its visible part; ``upright`` is the angle of text that stands upright when the page is displayed.
    """

    number: int
    box: Box
    upright: int = 0
    segments: list[Segment] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """Texts of annotations that have no place in the lines of the page."""
    is_recognized: bool = False
    """Whether its text was read from a picture."""
    slope: float = 0.0
    """How far its lines fall, in points a point, if it was scanned askew; segments are placed as if it lay straight."""


def turned(box: Box, angle: int) -> Box:
    """Return a box in the coordinates of a page turned by ``-angle`` degrees.

    At right angles the result is exact; otherwise it is a box of the same size around the turned centre.
    """
    left, bottom, right, top = box
    match angle % 360:
        case 0:
            return box
        case 90:
            return bottom, -right, top, -left
        case 180:
            return -right, -top, -left, -bottom
        case 270:
            return -top, left, -bottom, right
    x, y = (left + right) / 2, (bottom + top) / 2
    sine, cosine = math.sin(math.radians(-angle)), math.cos(math.radians(-angle))
    x, y = x * cosine - y * sine, x * sine + y * cosine
    half = min(right - left, top - bottom) / 2
    return x - half, y - half, x + half, y + half


def column_of(segment: Segment, gaps: Sequence[Gap]) -> int:
    """Return the number of the column in which a segment begins."""
    return sum(1 for low, high in gaps if segment.left >= (low + high) / 2)


def fits(line: Segment, following: Segment, right: float) -> bool:
    """Tell whether the first word of the next line would have fitted behind a line; then the line was ended by will."""
    word = len(following.text.split(maxsplit=1)[0]) + 1 if following.text else 0
    width = word * (following.right - following.left) / max(1, len(following.text))
    return line.right + width + _MIN_SPARE_ROOM * line.size <= right


def displayed(segment: Segment, page: Page) -> Box:
    """Return the left, upper, right and lower edge of a segment, from the upper left corner of the displayed page."""
    fall, spread = page.slope * segment.center, abs(page.slope) * (segment.right - segment.left) / 2
    box = (segment.left, segment.bottom - fall - spread, segment.right, segment.top - fall + spread)
    left, bottom, right, top = turned(box, page.upright - segment.angle)
    page_left, _, _, page_top = turned(page.box, page.upright)
    return left - page_left, page_top - top, right - page_left, page_top - bottom
