"""What travels between the rooms: array types and frozen values, without behaviour. Imports nothing of ours.

All offsets are half-open ``[start, end)``. ``char`` counts Unicode code points, ``utf16`` UTF-16 code
units (what JavaScript counts), ``byte`` bytes of the text in UTF-8, ``line`` lines from 1, inclusive.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float32]
    """Vectors, cosines, scores."""
    Float64Array = NDArray[np.float64]
    Float16Array = NDArray[np.float16]
    IntArray = NDArray[np.int64]
    """Passage numbers, offsets, counts."""
    Int32Array = NDArray[np.int32]
    """Ids of terms and of tokens."""
    Int8Array = NDArray[np.int8]
    ByteArray = NDArray[np.uint8]
    BoolArray = NDArray[np.bool_]
else:  # the client imports this module, and must not load numpy
    FloatArray = Float64Array = Float16Array = IntArray = Int32Array = Int8Array = ByteArray = BoolArray = Any

BlockKind = Literal["paragraph", "list_item", "table_row", "code"]
Offsets = tuple[int, int]
Metadata = Mapping[str, str | tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of content that a document's format marks as one piece, with the headings above it.

    ``group`` grows by one at every heading or dropped line: blocks of different groups never share
    a passage.
    """

    start: int
    end: int
    kind: BlockKind
    section_path: tuple[str, ...]
    group: int


@dataclass(frozen=True, slots=True)
class Document:
    """One source file: its text as decoded, untouched, and where its content stands in it."""

    id: str
    uri: str
    title: str
    title_is_heading: bool
    """Whether ``title`` stands in the document; a title made from a file name is never embedded."""
    text: str
    sha256: str
    """Of the file's bytes."""
    blocks: tuple[Block, ...]
    source: str = ""
    """The uri of the file that it comes from; a file of rows holds many documents."""
    media_type: str = "text/plain"
    url: str | None = None
    """Where the document says that it is published."""
    pages: tuple[int, ...] = ()
    """The offsets at which pages begin, of formats that have pages."""
    metadata: Metadata = field(default_factory=dict)
    """What the document says of itself in its front matter, all values as text."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the source folder in a format that is read: ``uri`` is its path there, ``sha256`` of its bytes."""

    uri: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was found and not indexed. ``failed`` means that the user should look at it."""

    uri: str
    reason: str
    failed: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Where a span of a document stands, in every unit that a client may count in."""

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
    """A span of a document: what is embedded, found and cited.

    ``number`` is its id in the vector store. ``context`` is the heading line that is embedded before
    the text and never returned as text. ``sentences`` are offsets within ``text``.
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
    """A document as the index keeps it: what citations point into."""

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
        """Return the number, from 1, of the page that holds a character, of formats that have pages."""
        return bisect_right(self.pages, position) or None


@dataclass(frozen=True, slots=True)
class Scores:
    """The signals behind a rank; ``None`` where a signal took no part.

    ``dense`` is cosine, -1..1; ``lexical`` BM25, from 0; ``rerank`` what the reranker gave.
    """

    dense: float
    lexical: float | None
    rerank: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a passage has its rank: its ranks in both legs, and the question's terms that stand in it."""

    dense_rank: int | None
    lexical_rank: int | None
    matched_terms: tuple[str, ...]
    fused: float


@dataclass(frozen=True, slots=True)
class ComparisonFilter:
    """Compares an attribute with values: several for ``in`` and ``nin``, else one. A boolean is its name as text."""

    key: str
    operator: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    values: tuple[str | float, ...]


@dataclass(frozen=True, slots=True)
class CompoundFilter:
    """Filters that must all hold, or of which one must."""

    operator: Literal["and", "or"]
    filters: "tuple[AttributeFilter, ...]"


AttributeFilter = ComparisonFilter | CompoundFilter


@dataclass(frozen=True, slots=True)
class Filters:
    """Which passages may be results. Every filter that is given must hold; within one, any value does.

    ``sections`` are headings anywhere in the section path; ``metadata`` compares as text. ``attributes`` can say more.
    """

    document_ids: tuple[str, ...] = ()
    path_prefixes: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    attributes: AttributeFilter | None = None


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How a question is to be answered. ``None`` stands for the default of the service.

    ``top_k`` is the number of results and ``min_confidence`` the confidence from which on a question counts as
    answerable. ``explain`` adds to each result why it has its rank.
    """

    top_k: int | None = None
    min_confidence: float | None = None
    filters: Filters | None = None
    explain: bool = False


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage with its rank (from 1), its scores, and where in it the best sentence stands.

    ``score`` is the fused one, 0..1 among the candidates of one question; ``confidence`` compares
    between questions.
    """

    rank: int
    passage: Passage
    score: float
    confidence: float | None
    scores: Scores
    quote: Offsets
    explanation: Explanation | None


@dataclass(frozen=True, slots=True)
class Citation:
    """Everything needed to find a passage again and to show that it is unchanged."""

    document_id: str
    title: str
    uri: str
    section_path: tuple[str, ...]
    position: Position
    page: int | None
    """The page on which the quote begins, from 1, of formats that have pages."""
    quote: str
    quote_start: int
    quote_end: int
    url: str
    """Where a reader finds the quote; without a host, a path of this service."""
    permalink: str
    """The id of ``/cite/{id}``."""
    document_sha256: str
    passage_sha256: str


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """One result of an answer: a scored passage and the citation that proves it."""

    scored: ScoredPassage
    citation: Citation


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of answering a question, by its name and the seconds of ``time.perf_counter`` it began and ended at."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its ranked, cited passages.

    ``confidence`` is the estimated probability, 0..1, that the results hold the answer; ``None`` when
    the model in use has no calibration. ``answerable`` compares it with the threshold in force.
    """

    question: str
    results: tuple[CitedPassage, ...]
    best: int
    """The place in ``results`` of the passage whose quote answers best."""
    confidence: float | None
    answerable: bool | None
    index_version: str
    stages: tuple[Stage, ...] = field(default=(), compare=False)
    """The parts of the work, in order, with their times."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """The figures that tell whether a build lost anything: both pairs should be x of x, and 0 lost.

    Characters are those that a reader sees; tokens are counted as the model counts them.
    """

    content_characters: int
    covered_characters: int
    tokens: int
    tokens_lost: int


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build found, did and left out.

    Each file is a document, or many where its rows are documents, or skipped; ``vectors == passages`` always.
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
