"""A part of a document's blocks: what a passage shows, in the passage's own offsets."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter

from qa_service.datatypes import Run, ShownBlock, ShownRow


def clip(blocks: Sequence[ShownBlock], start: int, end: int) -> tuple[ShownBlock, ...]:
    """Return what blocks in order show between two offsets, in offsets from ``start``."""
    if start >= end:
        return ()
    first = bisect_right(blocks, start, key=attrgetter("end"))
    last = bisect_left(blocks, end, key=attrgetter("start"))
    return tuple(shown for block in blocks[first:last] for shown in [_clipped(block, start, end)] if _is_shown(shown))


def moved(block: ShownBlock, by: int, least: int) -> ShownBlock:
    """Return a block in offsets that are larger by a number; it begins at ``least`` or behind."""
    if by == 0 and block.start >= least:
        return block
    return replace(
        block,
        start=max(block.start + by, least),
        end=block.end + by,
        runs=_runs_moved(block.runs, by),
        rows=tuple(ShownRow(tuple(_runs_moved(cell, by) for cell in row.cells), row.is_header) for row in block.rows),
    )


def _runs_moved(runs: Sequence[Run], by: int) -> tuple[Run, ...]:
    return tuple(Run(run.start + by, run.end + by, run.marks) for run in runs)


def _is_shown(block: ShownBlock) -> bool:
    return bool(block.runs or block.rows or block.kind == "rule")


def _clipped(block: ShownBlock, start: int, end: int) -> ShownBlock:
    rows = (ShownRow(tuple(_runs(cell, start, end) for cell in row.cells), row.is_header) for row in block.rows)
    return replace(
        block,
        start=max(block.start, start) - start,
        end=min(block.end, end) - start,
        runs=_runs(block.runs, start, end),
        rows=tuple(row for row in rows if any(row.cells)),
        marker=block.marker if block.start >= start else "",
    )


def _runs(runs: Sequence[Run], start: int, end: int) -> tuple[Run, ...]:
    return tuple(
        Run(max(run.start, start) - start, min(run.end, end) - start, run.marks)
        for run in runs
        if run.start < end and run.end > start
    )
