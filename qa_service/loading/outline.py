"""The result of every reader: a text, its title, and its blocks with the headings above them."""

import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from qa_service.datatypes import Block, BlockKind, Dropped, Metadata, Offsets
from qa_service.loading.limits import Limits

_BLOCK_SEPARATOR = "\n\n"
_ROW_SEPARATOR = "\n"


@dataclass(frozen=True, slots=True)
class Outline:
    """A document's structure. ``title`` is ``None`` if the text has none; ``dropped`` is text that is not content."""

    title: str | None
    blocks: tuple[Block, ...]
    metadata: Metadata = field(default_factory=dict)
    dropped: tuple[Dropped, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """One document of a file: the text, to which all offsets refer, and its outline.

    ``pages`` are the offsets at which pages begin, for formats with pages, and ``page_lines`` the lines of each page,
    packed by ``text.page_lines``, in base64. ``url`` is the address that the document gives as its own; ``part`` names
    a document within a file of several, such as ``row=7`` or ``!/a.txt``, of which ``media_type`` may be another.
    """

    text: str
    outline: Outline
    url: str | None = None
    pages: tuple[int, ...] = ()
    part: str = ""
    warnings: tuple[str, ...] = ()
    page_lines: tuple[str, ...] = ()
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class SkippedPart:
    """A part of a file that gives no document, and the reason."""

    part: str
    reason: str
    failed: bool = True


class UnreadableError(ValueError):
    """Raised for a file that can't be read. The message continues a sentence whose subject is the file."""


# A sentence with another behind it, a sentence of four words or more, or a name with a value: "Phone: 555 0100".
_SAYS_MORE = re.compile(
    r"[^\W\d]{4}[.!?]\s+\S.*[^?\s]\s*\Z|(?:\S+\s+){3}\S*[.!]\s*\Z"
    r"|\A(?!(?:chapter|part|section|step|figure|table|appendix|lesson|unit|day|week|version)\b)[^:]{2,60}:\s.*[\d@]",
    re.IGNORECASE,
)
_MAX_TITLE_CHARACTERS = 300
_NO_LETTER = re.compile(r"[\W_]")


Reader = Callable[[bytes, Limits], Iterable[ParsedDocument | SkippedPart]]
"""Reads a file's bytes. Raises :class:`UnreadableError`."""


@dataclass(frozen=True, slots=True)
class _Heading:
    level: int
    start: int
    end: int
    sections: tuple[str, ...]
    """The headings above it."""


@dataclass(slots=True)
class OutlineBuilder:
    """Collects headings and blocks in reading order, and gives each block the path of headings above it.

    A heading before the first block is the title, and so is a topmost one with its words; it is part of no path. A
    heading is content too if nothing stands below it, or if it says more than a title does: "Fee: 20 euros". Words of
    the text that are neither in a block nor in a heading, and are not hidden, count as dropped.
    """

    text: str
    _title: str | None = None
    _path: list[tuple[int, str]] = field(default_factory=list)
    _blocks: list[Block] = field(default_factory=list)
    _group: int = 0
    _above: _Heading | None = None
    """The heading above this place if no block stands between."""
    _bodyless_group: int | None = None
    _explained: list[Offsets] = field(default_factory=list)
    _dropped: list[tuple[str, str]] = field(default_factory=list)

    def heading(self, level: int, words: str, start: int, end: int) -> None:
        """Begin a section whose heading is ``text[start:end]``. The topmost ``level`` is 1."""
        self.break_here()
        if not words:
            return
        self._explained.append((start, end))
        is_first = not self._blocks and self._above is None
        is_title = (is_first and self._title in {None, words}) or (level == 1 and words == self._title)
        if self._above is not None and self._above.level >= level:
            self._add_bodyless(self._above)
        self._path = [entry for entry in self._path if entry[0] < level]
        self._above = _Heading(level, start, end, self._sections())
        if is_title:
            self._title = words
            self._above = self._above if _says_more(words) else None
        else:
            self._path.append((level, words))

    def leave_sections(self, level: int = 1) -> None:
        """End the sections of this level and below: the next blocks are outside them, as a page's footer is."""
        self.break_here()
        if self._above is not None and self._above.level >= level:
            self._add_bodyless(self._above)
            self._above = None
        self._path = [entry for entry in self._path if entry[0] < level]

    def break_here(self) -> None:
        """End the group: no passage will span the blocks before and after this place."""
        self._group += 1

    def block(self, start: int, end: int, kind: BlockKind = "paragraph") -> None:
        """Add ``text[start:end]``, without surrounding white space and byte order mark."""
        start, end = self._trimmed(start, end)
        if start == end:
            return
        above, self._above = self._above, None
        if above is not None and _says_more(self.text[above.start : above.end]):
            self._add(above.start, above.end, "paragraph", self._sections(), self._group)
        self._add(start, end, kind, self._sections(), self._group)

    def hide(self, start: int, end: int) -> None:
        """Note that a person does not see ``text[start:end]``, such as a comment, or that it is counted as dropped."""
        self._explained.append((start, end))

    def drop(self, kind: str, text: str) -> None:
        """Count a text that a person sees, but that is not content; ``kind`` is a noun such as "running title"."""
        self._dropped.append((kind, text))

    def outline(self, metadata: Metadata | None = None) -> Outline:
        """Return the outline; a title in the metadata takes precedence over the first heading."""
        self.break_here()
        if self._above is not None:
            self._add_bodyless(self._above)
        metadata = metadata or {}
        title = metadata.get("title")
        return Outline(
            title if isinstance(title, str) and title else self._title,
            tuple(self._blocks),
            metadata,
            _counted([*self._dropped, *(("other text", text) for text in self._unexplained())]),
        )

    def _add_bodyless(self, heading: _Heading) -> None:
        """Make a heading that has nothing below it a block of the section around it."""
        last = self._blocks[-1] if self._blocks else None
        joins = last is not None and (last.group, last.section_path) == (self._bodyless_group, heading.sections)
        self._bodyless_group = self._bodyless_group if joins else self._group - 1
        self._add(heading.start, heading.end, "paragraph", heading.sections, self._bodyless_group or 0)

    def _add(self, start: int, end: int, kind: BlockKind, sections: tuple[str, ...], group: int) -> None:
        self._blocks.append(Block(start, end, kind, sections, group))

    def _sections(self) -> tuple[str, ...]:
        return tuple(words for _, words in self._path)

    def _trimmed(self, start: int, end: int) -> Offsets:
        content = self.text[start:end]
        start += len(content) - len(content.lstrip(" \t\r\n\f\v\ufeff"))
        end -= len(content) - len(content.rstrip())
        return start, max(start, end)

    def _unexplained(self) -> Iterator[str]:
        """Yield the parts of the text that are in no block, heading or hidden span."""
        position = 0
        blocks = [(block.start, block.end) for block in self._blocks]
        for start, end in [*sorted([*blocks, *self._explained]), (len(self.text), len(self.text))]:
            if start > position:
                yield self.text[position:start]
            position = max(position, end)


def _counted(dropped: Iterable[tuple[str, str]]) -> tuple[Dropped, ...]:
    counts: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for kind, text in dropped:
        if number := letters_of(text):
            counts[kind] += 1
            characters[kind] += number
    return tuple(Dropped(kind, count, characters[kind]) for kind, count in counts.items())


def _says_more(words: str) -> bool:
    return len(words) > _MAX_TITLE_CHARACTERS or _SAYS_MORE.search(words) is not None


def letters_of(text: str) -> int:
    """Return the number of letters and digits of a text."""
    return len(text) - len(_NO_LETTER.findall(text))


@dataclass(frozen=True, slots=True)
class _Piece:
    text: str
    separator: str
    """Stands before the text, unless it is the first."""
    write: Callable[[OutlineBuilder, int, int], None]
    """Adds the piece to the outline, given its offsets."""


def table_row(cells: Sequence[str]) -> str:
    """Return a row in the notation of Markdown, in which every cell keeps its place.

    A bar within a cell is escaped. A row whose first cell is empty begins with a bar, since a row may do so anyway.
    """
    row = " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells)
    return f"| {row}" if len(cells) > 1 and row.startswith(" ") else row


@dataclass(slots=True)
class TextBuilder:
    """Writes the text of a document in a binary or markup format: a paragraph for each heading, block and table."""

    _pieces: list[_Piece] = field(default_factory=list)
    _length: int = 0
    _dropped: list[tuple[str, str]] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)

    def heading(self, level: int, words: str) -> None:
        """Add a heading. The topmost ``level`` is 1."""
        words = " ".join(words.split())
        self._add(words, lambda outline, start, end: outline.heading(max(1, level), words, start, end))

    def block(self, text: str, kind: BlockKind = "paragraph", page_breaks: Iterable[int] = ()) -> None:
        """Add a block; ``page_breaks`` are the offsets in it at which pages begin."""
        self.pages.extend(self._next(_BLOCK_SEPARATOR) + offset for offset in page_breaks)
        self._add(text, lambda outline, start, end: outline.block(start, end, kind))

    def drop(self, kind: str, text: str) -> None:
        """Count a text that a person sees, but that is not content; ``kind`` is a noun such as "running title"."""
        self._dropped.append((kind, text))

    def table(self, rows: Sequence[Sequence[str]], *, has_header: bool = False, page_rows: Container[int] = ()) -> None:
        """Add a table: a line and a block for each row that is not blank, and a rule below the header, the first row.

        The rule is no block: it is part of the text, as in Markdown, but nothing that is looked for. Pages begin at the
        rows whose indices are in ``page_rows``.
        """
        separator = _BLOCK_SEPARATOR
        for number, cells in enumerate(rows):
            if number in page_rows:
                self.page(separator)
            if not any(map(str.strip, cells)):
                continue
            self._add(table_row(cells), lambda outline, start, end: outline.block(start, end, "table_row"), separator)
            separator = _ROW_SEPARATOR
            if has_header and not number and len(rows) > 1:
                self._add(" | ".join(["---"] * len(cells)), lambda _outline, _start, _end: None, separator)

    def page(self, separator: str = _BLOCK_SEPARATOR) -> None:
        """Begin a page before the next heading or block."""
        self.pages.append(self._next(separator))

    def leave_sections(self, level: int = 1) -> None:
        """Let the blocks below belong to no section of this level."""
        self._pieces.append(_Piece("", "", lambda outline, _start, _end: outline.leave_sections(level)))

    def _next(self, separator: str) -> int:
        return self._length + len(separator) if self._length else 0

    def _add(
        self, text: str, write: Callable[[OutlineBuilder, int, int], None], separator: str = _BLOCK_SEPARATOR
    ) -> None:
        if text.strip():
            self._pieces.append(_Piece(text, separator if self._length else "", write))
            self._length += len(self._pieces[-1].separator) + len(text)

    def document(
        self, *, title: str | None = None, url: str | None = None, metadata: Metadata | None = None
    ) -> ParsedDocument:
        """Return the document. Its title is the first heading unless one is given."""
        text = "".join(piece.separator + piece.text for piece in self._pieces)
        builder = OutlineBuilder(
            text, " ".join(title.split()) if title and title.strip() else None, _dropped=self._dropped
        )
        position = 0
        for piece in self._pieces:
            start = position + len(piece.separator)
            position = start + len(piece.text)
            piece.write(builder, start, position)
        return ParsedDocument(text, builder.outline(metadata), url, tuple(self.pages))
