"""The blocks of a text as a page shows them: headings, items, tables, with the characters that are not markup."""

from dataclasses import dataclass
from typing import Literal

ShownKind = Literal["heading", "paragraph", "item", "code", "table", "quote", "rule"]
Mark = Literal["strong", "emphasis", "code", "strike", "math", "image"]


@dataclass(frozen=True, slots=True)
class Run:
    """Characters of a text that are shown, all with the same marks."""

    start: int
    end: int
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A row of a table: the runs of each cell."""

    cells: tuple[tuple[Run, ...], ...]
    is_header: bool = False


@dataclass(frozen=True, slots=True)
class ShownBlock:
    """A block of a text. Its runs are in order and do not overlap; characters in no run are markup.

    ``level`` is that of a heading, or the depth of an item or quote, from 1; else 0. An item without ``marker``
    continues the one before. Only a table has ``rows``, and no runs.
    """

    kind: ShownKind
    start: int
    end: int
    runs: tuple[Run, ...] = ()
    level: int = 0
    marker: str = ""
    language: str = ""
    rows: tuple[ShownRow, ...] = ()
