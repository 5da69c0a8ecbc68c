"""What every format function returns: the title and the blocks under their headings."""

from collections.abc import Callable
from dataclasses import dataclass, field

from qa_service.datatypes import Block, BlockKind, Metadata


@dataclass(frozen=True, slots=True)
class Outline:
    """A document's structure. ``title`` is ``None`` where the text has none of its own."""

    title: str | None
    blocks: tuple[Block, ...]
    metadata: Metadata = field(default_factory=dict)


Format = Callable[[str], Outline]


@dataclass(slots=True)
class OutlineBuilder:
    """Collects headings and blocks in reading order and keeps the path of headings above a block.

    The first heading, if nothing stands before it, is the title and not part of any section path.
    """

    text: str
    _title: str | None = None
    _path: list[tuple[int, str]] = field(default_factory=list)
    _blocks: list[Block] = field(default_factory=list)
    _group: int = 0

    def heading(self, level: int, words: str) -> None:
        """Open a section. ``level`` counts from 1, the topmost."""
        self.break_here()
        if not words:
            return
        if self._title is None and not self._blocks:
            self._title = words
            return
        self._path = [entry for entry in self._path if entry[0] < level]
        self._path.append((level, words))

    def break_here(self) -> None:
        """Keep what follows out of the passage before: a heading, or a line that was dropped."""
        self._group += 1

    def block(self, start: int, end: int, kind: BlockKind = "paragraph") -> None:
        """Add ``text[start:end]`` without the white space and byte order mark around it."""
        content = self.text[start:end]
        start += len(content) - len(content.lstrip(" \t\r\n\f\v\ufeff"))
        end -= len(content) - len(content.rstrip())
        if start < end:
            self._blocks.append(Block(start, end, kind, tuple(words for _, words in self._path), self._group))

    def outline(self, metadata: Metadata | None = None) -> Outline:
        """Return what was collected; a title in the metadata goes before the first heading."""
        metadata = metadata or {}
        title = metadata.get("title")
        return Outline(title if isinstance(title, str) and title else self._title, tuple(self._blocks), metadata)
