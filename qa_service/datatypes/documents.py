"""Documents, passages and the report of a build."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

BlockKind = Literal["paragraph", "list_item", "table_row", "code"]
Offsets = tuple[int, int]
Metadata = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, list item, table row or code block of a document, with the headings above it.

    ``group`` grows by one at every heading or dropped line; blocks of different groups never share a passage.
    """

    start: int
    end: int
    kind: BlockKind
    section_path: tuple[str, ...]
    group: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """Text of a document that is not part of its content.

    ``count`` is the number of pieces of this ``kind`` (a singular noun, such as "running title"), ``characters`` the
    number of letters and digits in them.
    """

    kind: str
    count: int
    characters: int


@dataclass(frozen=True, slots=True)
class Document:
    """A document of the source folder: its text as decoded, unchanged, and the positions of its content."""

    id: str
    uri: str
    title: str
    title_is_heading: bool
    """Whether ``title`` occurs in the document; a title made from a file name is never embedded."""
    text: str
    sha256: str
    """Hash of the file's bytes."""
    blocks: tuple[Block, ...]
    source: str = ""
    """The uri of its file; a file of rows contains many documents."""
    media_type: str = "text/plain"
    url: str | None = None
    """The address of publication that the document itself names."""
    pages: tuple[int, ...] = ()
    """Offsets of the first characters of pages, for formats with pages."""
    page_lines: tuple[bytes, ...] = ()
    """The lines of each page with their boxes, packed by ``text.page_lines``; empty if they are unknown."""
    metadata: Metadata = field(default_factory=dict)
    """The front matter, all values as text."""
    dropped: tuple[Dropped, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source folder in a supported format; ``uri`` is its path below that folder."""

    uri: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was not indexed; ``failed`` if it needs the user's attention."""

    uri: str
    reason: str
    failed: bool


@dataclass(frozen=True, slots=True)
class PageBox:
    """A box on a page, from 1, in points from the upper left corner of the page as it is displayed."""

    page: int
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True)
class SynonymRule:
    """A line of ``synonyms.txt``: a question with one of ``phrases`` also asks for ``others``.

    Without ``others``, all phrases mean the same.
    """

    phrases: tuple[str, ...]
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Position:
    """A span of a document in code points, UTF-16 code units, bytes and lines."""

    start_char: int
    end_char: int
    start_utf16: int
    end_utf16: int
    start_byte: int
    end_byte: int
    start_line: int
    end_line: int


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of a document: the unit that is embedded, retrieved and cited.

    ``number`` is its id in the index. ``context`` is the heading line that is embedded before the text, but not part
    of it. ``sentences`` are offsets within ``text``.
    """

    number: int
    document_id: str
    text: str
    section_path: tuple[str, ...]
    context: str
    position: Position
    sentences: tuple[Offsets, ...]


@dataclass(frozen=True, slots=True)
class SourceDocument:
    """A document as stored in the index; citations point into its text."""

    id: str
    uri: str
    title: str
    sha256: str
    source: str
    media_type: str
    url: str | None
    pages: tuple[int, ...]
    text: str

    def page(self, position: int) -> int | None:
        """Return the number, from 1, of the page with this character; ``None`` for formats without pages."""
        return bisect_right(self.pages, position) or None


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether a build lost content: all content characters should be covered, and no tokens lost.

    Characters are those visible to a reader; tokens are those of the embedding model. ``text_characters`` are those of
    the content and of the text that is not content, such as running titles; 0 in indexes of earlier versions.
    """

    content_characters: int
    covered_characters: int
    tokens: int
    tokens_lost: int
    text_characters: int = 0


@dataclass(frozen=True, slots=True)
class BuildReport:
    """The result of a build.

    Each file is one document, or many if its rows are documents, or skipped. ``vectors == passages`` always.
    """

    index_version: str
    changed: bool
    files: int
    documents: int
    passages: int
    vectors: int
    skipped: tuple[Skipped, ...]
    warnings: tuple[str, ...]
    completeness: Completeness
    seconds: float
