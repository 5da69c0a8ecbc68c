"""Segments of a page -> lines and rows of tables, in reading order.

The order of the file is the reading order, except where the page shows another one: a block whose rows have gaps
above each other is a table, which is read row by row, or columns of running text, which are read one after the other.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise

from qa_service.loading.pdf.marks import MARK
from qa_service.loading.pdf.segments import Gap, Line, Segment, column_of, fits
from qa_service.loading.pdf.tables import TableRow, rows_of

Item = Line | TableRow

_SAME_LINE = 0.4
_MIN_GAP = 0.8
_MAX_ROW_DISTANCE = 3.5
_FARTHER, _SPARE_DISTANCE = 1.5, 0.5
_MAX_CROSSING_SHARE = 0.34
_MIN_TEXT_LINES = 3
_MIN_TEXT_WORDS = 3.0
_MIN_TEXT_CHARACTERS = 12.0
_MIN_FULL_SHARE = 0.5
_MIN_LOWER_SHARE = 0.3
_MAX_CHUNK_LINES = 1.5
_MAX_UNIT_LETTERS = 4
_MAX_LABEL_GAP = 4.0
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff]")
_Row = list[Segment]


def arrange(segments: Sequence[Segment]) -> list[Item]:
    """Return the lines and table rows of a page in reading order; text in the page's main direction comes first."""
    letters: Counter[int] = Counter()
    segments = _with_labels(segments)
    for segment in segments:
        letters[segment.angle] += len(segment.text)
    return [
        item
        for angle, _ in letters.most_common()
        for item in _arrange([segment for segment in segments if segment.angle == angle])
    ]


def _with_labels(segments: Sequence[Segment]) -> list[Segment]:
    """Return segments; the mark of a list item is joined to the text beside it."""
    found: list[Segment] = []
    for segment in sorted(segments, key=lambda part: part.order):
        label = found[-1] if found else None
        if label and MARK.match(label.text) and _is_beside(label, segment, _MAX_LABEL_GAP):
            found[-1] = Line([label, segment]).as_segment()
        else:
            found.append(segment)
    return found


def _arrange(segments: Sequence[Segment]) -> list[Item]:
    pieces: list[tuple[float, Item]] = []
    used: set[int] = set()
    for block in _blocks(_rows(segments)):
        found = _read_block(block)
        pieces.extend(found)
        used.update(id(segment) for _, item in found for segment in item.segments)
    rest = [segment for segment in segments if id(segment) not in used]
    pieces.extend((line.segments[0].order, line) for line in _lines(rest))
    return [item for _, item in sorted(pieces, key=lambda piece: piece[0])]


def _rows(segments: Sequence[Segment]) -> list[_Row]:
    """Return segments that stand beside each other, from the top, each row from the left."""
    rows: list[_Row] = []
    for segment in sorted(segments, key=lambda part: -part.middle):
        first = rows[-1][0] if rows else None
        if first and abs(first.middle - segment.middle) <= _SAME_LINE * min(first.size, segment.size):
            rows[-1].append(segment)
        else:
            rows.append([segment])
    return [sorted(row, key=lambda part: part.left) for row in rows]


def _lines(segments: Sequence[Segment]) -> Iterator[Line]:
    """Yield lines in the order of the file: segments one after the other on a baseline are one line."""
    line: list[Segment] = []
    for segment in sorted(segments, key=lambda part: part.order):
        if line and not _is_beside(line[-1], segment):
            yield Line(line)
            line = []
        line.append(segment)
    if line:
        yield Line(line)


def _is_beside(before: Segment, segment: Segment, max_gap: float = math.inf) -> bool:
    """Tell whether a segment goes on with the line of the one before, at most so many type sizes away."""
    size = min(before.size, segment.size)
    if abs(before.middle - segment.middle) > _SAME_LINE * size:
        return False
    to_the_left = segment.right <= before.left + size and _RIGHT_TO_LEFT.search(segment.text) is not None
    return -size <= segment.left - before.right <= max_gap * segment.size or to_the_left


def _blocks(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Yield runs of rows that have a gap above each other, at least two of them with text on both sides of it."""
    place = 0
    while place < len(rows):
        block = [rows[place]]
        gaps = _gaps(block)
        while gaps and place + len(block) < len(rows):
            row = rows[place + len(block)]
            if not (_is_near(block, row) and _shares_gap(row, gaps)):
                break
            block.append(row)
            gaps = _gaps(block)
        while len(block) > 1 and len(block[-1]) == 1 and not _belongs_to_cell(block):
            block.pop()
        if sum(len(row) > 1 for row in block) > 1 and _gaps(block):
            yield block
            place += len(block)
        else:
            place += 1


def _is_near(block: Sequence[_Row], row: _Row) -> bool:
    """Tell whether a row stands below a block, hardly farther than its rows from each other, nor to the left of it."""
    left = min(above[0].left for above in block)
    if len(row) == 1 and row[0].left < left - row[0].size:
        return False
    distance = _distance(block[-1], row)
    known = [_distance(above, below) for above, below in pairwise(block)]
    usual = max(known) if len(known) > 1 else _MAX_ROW_DISTANCE
    return distance <= min(_MAX_ROW_DISTANCE, _FARTHER * usual + _SPARE_DISTANCE)


def _distance(above: _Row, below: _Row) -> float:
    """Return the free height between two rows, in type sizes."""
    space = min(segment.bottom for segment in above) - max(segment.top for segment in below)
    return space / max(segment.size for segment in above + below)


def _shares_gap(row: _Row, gaps: Sequence[Gap]) -> bool:
    """Tell whether a row leaves a gap free: with text on both sides of it, or all within one column."""
    is_free = [not any(part.left < low and part.right > high for part in row) for low, high in gaps]
    if len(row) == 1:
        return all(is_free)
    return any(
        free and row[0].left < low and row[-1].right > high for free, (low, high) in zip(is_free, gaps, strict=True)
    )


def _belongs_to_cell(block: Sequence[_Row]) -> bool:
    """Tell whether the file draws the last row, a single segment, before the end of the row above, or right behind."""
    (last,) = block[-1]
    orders = [part.order for row in block[:-1] for part in row]
    if last.order < max(orders):
        return True
    above = max((part for row in block[:-1] for part in row), key=lambda part: part.order)
    return above.left < last.right and last.left < above.right and not fits(above, last, max(above.right, last.right))


def _gaps(rows: Sequence[_Row]) -> list[Gap]:
    """Return the ranges that at most a third of the rows cross, those with several segments counted."""
    counted = [row for row in rows if len(row) > 1] or list(rows)
    allowed = int(len(counted) * _MAX_CROSSING_SHARE)
    edges: list[tuple[float, int, bool]] = []
    for row in counted:
        for part in row:
            edges += [(part.left, 1, part.is_ruled), (part.right, -1, False)]
    width = _MIN_GAP * max((part.size for row in counted for part in row), default=0.0)
    found: list[Gap] = []
    depth, start = 0, None
    for x, step, is_ruled in sorted(edges):
        before, depth = depth, depth + step
        if before > allowed >= depth:
            start = x
        elif before <= allowed < depth and start is not None:
            if x - start >= width or (is_ruled and x > start):
                found.append((start, x))
            start = None
    return found


def _read_block(rows: Sequence[_Row]) -> list[tuple[float, Item]]:
    """Return the items of a block with their places in the order; nothing if the order of the file is as good."""
    gaps = _gaps(rows)
    segments = [part for row in rows for part in row]
    for gap in sorted(gaps, key=lambda gap: gap[0] - gap[1]):
        sides = [part for part in segments if part.right <= gap[1]], [part for part in segments if part.left >= gap[0]]
        if not all(sides) or len(sides[0]) + len(sides[1]) != len(segments):
            continue
        one_by_one = _is_drawn_by_columns(*sides)
        texts = [_is_running_text(side) for side in sides]
        if all(texts) and not one_by_one and not _is_drawn_by_cells(segments, gap):
            return _columns(sides)
        if any(texts) and one_by_one:
            return [(item.segments[0].order, item) for side in sides for item in _arrange(side)]
    by_columns = all(
        _is_drawn_by_columns(
            [part for part in segments if part.center < low], [part for part in segments if part.center > high]
        )
        for low, high in gaps
    )
    if by_columns and len(gaps) == 1 and not _has_labels_or_numbers(segments, gaps[0]):
        return []
    first = min(part.order for part in segments)
    return [(first, row) for row in rows_of(segments, gaps, by_columns=by_columns)]


def _columns(sides: tuple[list[Segment], list[Segment]]) -> list[tuple[float, Item]]:
    """Return columns one after the other, which the file draws row by row."""
    first = min(part.order for side in sides for part in side)
    from_right = sum(1 for side in sides for part in side if _RIGHT_TO_LEFT.search(part.text))
    ordered = sides[::-1] if 2 * from_right > len(sides[0]) + len(sides[1]) else sides
    return [(first, item) for side in ordered for item in _arrange(side)]


def _is_drawn_by_columns(left: Sequence[Segment], right: Sequence[Segment]) -> bool:
    if not left or not right:
        return False
    orders = [part.order for part in left], [part.order for part in right]
    return max(orders[0]) < min(orders[1]) or max(orders[1]) < min(orders[0])


def _is_drawn_by_cells(segments: Sequence[Segment], gap: Gap) -> bool:
    """Tell whether the file draws several lines on one side of a gap, then several on the other, and so on."""
    sides = [column_of(part, [gap]) for part in sorted(segments, key=lambda part: part.order)]
    chunks = 1 + sum(one != other for one, other in pairwise(sides))
    return chunks > 2 and len(sides) / chunks >= _MAX_CHUNK_LINES  # noqa: PLR2004 - both sides, then again


def _is_running_text(segments: Sequence[Segment]) -> bool:
    """Tell whether lines are those of paragraphs: several words, cut where the next would not fit."""
    lines = [Line(row).as_segment() for row in _rows(segments)]
    if len(lines) < _MIN_TEXT_LINES:
        return False
    words = sum(len(line.text.split()) for line in lines) / len(lines)
    characters = sum(len(line.text) for line in lines) / len(lines)
    is_cased = any(character.islower() for line in lines for character in line.text)
    if characters < _MIN_TEXT_CHARACTERS or (is_cased and words < _MIN_TEXT_WORDS):
        return False
    right = max(line.right for line in lines)
    full = sum(not fits(line, after, right) for line, after in pairwise(lines))
    lower = sum(line.text[0].islower() for line in lines[1:])
    return full >= _MIN_FULL_SHARE * (len(lines) - 1) and (not is_cased or lower >= _MIN_LOWER_SHARE * (len(lines) - 1))


def _has_labels_or_numbers(segments: Sequence[Segment], gap: Gap) -> bool:
    """Tell whether most cells on the left of a gap end with a colon, or most on one side are numbers."""
    sides = [part for part in segments if part.left < gap[1]], [part for part in segments if part.left >= gap[1]]
    labels = sum(part.text.endswith(":") for part in sides[0])
    return 2 * labels > len(sides[0]) or any(2 * sum(map(_is_number, side)) > len(side) for side in sides)


def _is_number(part: Segment) -> bool:
    letters = sum(character.isalpha() for character in part.text)
    return letters <= _MAX_UNIT_LETTERS and any(character.isdigit() for character in part.text)
