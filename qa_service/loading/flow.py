"""Text, borders and cells in reading order -> paragraphs, headings and tables -> the text of a document.

Readers of HTML, EPUB and DOCX walk their trees and tell :class:`Flow` what begins and ends. No step recurses: neither
elements nor tables nest too deeply for it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from qa_service.datatypes import BlockKind
from qa_service.loading.grid import Cell, Paragraph, Part, Row, Rows, SectionEnd, Table, arranged
from qa_service.loading.outline import TextBuilder


@dataclass(slots=True)
class Flow:
    """Collects the parts of a document; text inside a cell becomes part of its table."""

    parts: list[Part] = field(default_factory=list)
    dropped: list[tuple[str, str]] = field(default_factory=list)
    """Kind and text of what people see, but what is not content."""
    bold: int = 0
    """How many elements that make text bold are open."""
    _pieces: list[str] = field(default_factory=list)
    _tables: list[Table] = field(default_factory=list)
    _cells: list[Cell] = field(default_factory=list)

    def text(self, words: str | None) -> None:
        """Add text to the paragraph; white space as it stands in the file."""
        if words:
            self._pieces.append(words)
            if self._cells and not self.bold and not words.isspace():
                self._cells[-1].is_bold = False

    def name(self) -> None:
        """Make the text so far the name of what follows: ``Phone: 555 0100``."""
        words = "".join(self._pieces).rstrip()
        self._pieces[:] = [words + (": " if words[-1:] not in {"", *":.,;?!–—-"} else " ")]

    def pending(self) -> str:
        """Return the paragraph so far."""
        return "".join(self._pieces)

    def drop(self) -> None:
        """Forget the paragraph so far."""
        self._pieces.clear()

    def ends_with(self) -> str:
        """Return the last character of the paragraph so far, or nothing."""
        return self._pieces[-1][-1] if self._pieces else ""

    def end(self, kind: BlockKind = "paragraph", level: int = 0) -> None:
        """End the paragraph, if one has begun; with a ``level`` it is a heading."""
        words = "".join(self._pieces)
        self._pieces.clear()
        words = words.strip("\n").rstrip() if kind == "code" else " ".join(words.split())
        if words.strip():
            self._sink().append(Paragraph(words, kind, level))

    def end_section(self, level: int) -> None:
        """End the sections of a level and below."""
        self._sink().append(SectionEnd(level))

    def start_table(self, *, is_layout: bool = False) -> None:
        """Begin a table. One for layout is read as if its cells were paragraphs."""
        self.end()
        self._tables.append(Table(is_layout=is_layout))

    def start_row(self, *, is_header: bool = False) -> None:
        """Begin a row."""
        self._tables[-1].rows.append(Row(is_header=is_header))

    def start_cell(self, columns: int = 1, rows: int = 1, *, is_header: bool = False, continues: bool = False) -> None:
        """Begin a cell; one that ``continues`` has the text of the cell above."""
        self.end()
        if not self._tables[-1].rows:
            self.start_row()
        cell = Cell(columns=columns, rows=rows, is_header=is_header, continues=continues)
        self._tables[-1].rows[-1].cells.append(cell)
        self._cells.append(cell)

    def end_cell(self) -> None:
        """End a cell, and its last paragraph."""
        self.end()
        self._cells.pop()

    def end_table(self) -> None:
        """End a table. Text between its cells, as its caption, stands before it."""
        self.end()
        self._sink().append(self._tables.pop())

    def write(self, builder: TextBuilder) -> None:
        """Write all parts."""
        self.end()
        for kind, text in self.dropped:
            builder.drop(kind, text)
        waiting: list[Iterator[Part | Rows]] = [iter(self.parts)]
        while waiting:
            part = next(waiting[-1], None)
            if part is None:
                waiting.pop()
            elif isinstance(part, Table):
                waiting.append(arranged(part))
            elif isinstance(part, Rows):
                builder.table(part.rows, has_header=part.has_header)
            elif isinstance(part, SectionEnd):
                builder.leave_sections(part.level)
            elif part.level:
                builder.heading(part.level, part.words)
            else:
                builder.block(part.words, part.kind)

    def _sink(self) -> list[Part]:
        """Return where paragraphs go: the innermost cell, or the document."""
        return self._cells[-1].parts if self._cells else self.parts
