"""The blocks of a passage in a terminal: tables as tables, markup as styles."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from qa_service.cli.show import printable
from qa_service.datatypes import CitedPassage, Mark, Offsets, Run, ShownBlock

if TYPE_CHECKING:
    from rich.console import RenderableType

_STYLES: dict[Mark, str] = {"strong": "bold", "emphasis": "italic", "strike": "strike", "code": "cyan"}
_QUOTE = "black on yellow"


def terminal_blocks(result: CitedPassage) -> "Iterator[RenderableType]":
    """Yield the blocks of a result; the quote is marked, and the exact words in it are bold."""
    passage = _Passage(result.scored.passage.text, result.scored.quote, result.scored.spans)
    for block in result.blocks or ():
        yield passage.table(block) if block.rows else passage.block(block)


class _Passage:
    def __init__(self, text: str, quote: Offsets, spans: Sequence[Offsets]) -> None:
        self._text = text
        self._quote = quote
        self._spans = spans
        self._edges = sorted({*quote, *(edge for span in spans for edge in span)})

    def block(self, block: ShownBlock) -> Text:
        shown = self._runs(block.runs, joined=block.kind != "code")
        if block.kind == "heading":
            shown.stylize("bold")
        elif block.kind == "item":
            shown = Text("  " * (block.level - 1) + f"{block.marker or ' '} ").append_text(shown)
        elif block.kind == "quote":
            shown = Text("> " * block.level).append_text(shown)
        return shown if block.kind != "rule" else Text("---", "dim")

    def table(self, block: ShownBlock) -> Table:
        table = Table(box=box.SIMPLE_HEAD, show_header=block.rows[0].is_header, pad_edge=False)
        for number in range(max(len(row.cells) for row in block.rows)):
            cells = block.rows[0].cells if block.rows[0].is_header else ()
            table.add_column(self._runs(cells[number]) if number < len(cells) else "")
        for row in block.rows[block.rows[0].is_header :]:
            table.add_row(*map(self._runs, row.cells))
        return table

    def _runs(self, runs: Sequence[Run], *, joined: bool = True) -> Text:
        shown = Text()
        for run in runs:
            edges = [run.start, *(edge for edge in self._edges if run.start < edge < run.end), run.end]
            for start, end in pairwise(edges):
                words = printable(self._text[start:end])
                shown.append(" ".join(words.split("\n")) if joined else words, self._style(run, start))
        return shown

    def _style(self, run: Run, place: int) -> str:
        styles = [_STYLES[mark] for mark in run.marks if mark in _STYLES]
        if self._quote[0] <= place < self._quote[1]:
            styles.append(_QUOTE)
        if any(start <= place < end for start, end in self._spans):
            styles.append("bold")
        return " ".join(dict.fromkeys(styles))
