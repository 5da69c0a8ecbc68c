"""Bodies of the blocks of a text."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from qa_service.datatypes import Mark, Run, ShownBlock, ShownKind


class RunBody(BaseModel):
    """Characters that are shown, all with the same marks."""

    start: int = Field(description="Offset in `text`, in code points.")
    end: int = Field(description="Offset of the character after the run.")
    marks: list[Mark] = Field([], description="How the characters are set; `math` stands as it is written.")


class TableRowBody(BaseModel):
    """A row of a table."""

    header: bool = Field(description="Whether the row names the columns.")
    cells: list[list[RunBody]] = Field(description="The runs of each cell.")


class BlockBody(BaseModel):
    """A block of a text. Characters in no run are markup, which is not shown. Fields without a value are absent."""

    kind: ShownKind = Field(description="How the block is set. An `item` is one of a list.")
    start: int = Field(description="Offset in `text`, in code points.")
    end: int = Field(description="Offset of the character after the block.")
    level: int | None = Field(None, description="Level of a heading, 1 to 6; depth of an item or quote, from 1.")
    marker: str | None = Field(
        None, description="What stands before an item: `•`, or a number as written; none if it continues an item."
    )
    language: str | None = Field(None, description="Language of code, as the document names it.")
    runs: list[RunBody] | None = Field(None, description="The text; none for a table or rule. In order, no overlap.")
    rows: list[TableRowBody] | None = Field(None, description="The rows of a table.")


def block_bodies(blocks: Sequence[ShownBlock]) -> list[dict[str, Any]]:
    """Return blocks in the shape of :class:`BlockBody`."""
    return [_block_body(block) for block in blocks]


def _block_body(block: ShownBlock) -> dict[str, Any]:
    body: dict[str, Any] = {"kind": block.kind, "start": block.start, "end": block.end}
    body |= {
        name: value
        for name, value in (("level", block.level), ("marker", block.marker), ("language", block.language))
        if value
    }
    if block.kind == "table":
        body["rows"] = [
            {"header": row.is_header, "cells": [_run_bodies(cell) for cell in row.cells]} for row in block.rows
        ]
    elif block.kind != "rule":
        body["runs"] = _run_bodies(block.runs)
    return body


def _run_bodies(runs: Sequence[Run]) -> list[dict[str, Any]]:
    return [
        {"start": run.start, "end": run.end, "marks": list(run.marks)}
        if run.marks
        else {"start": run.start, "end": run.end}
        for run in runs
    ]
