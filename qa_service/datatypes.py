"""Values that the rooms exchange: array types and frozen dataclasses without behaviour. Imports no other room.

All offsets are half-open, ``[start, end)``. ``char`` counts Unicode code points, ``utf16`` UTF-16 code units (as
JavaScript does) and ``byte`` bytes of UTF-8; ``line`` counts lines from 1, both ends inclusive.
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
    """A paragraph, list item, table row or code block of a document, with the headings above it.

    ``group`` grows by one at every heading or dropped line; blocks of different groups never share a passage.
    """

    start: int
    end: int
    kind: BlockKind
    section_path: tuple[str, ...]
    group: int


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
    metadata: Metadata = field(default_factory=dict)
    """The front matter, all values as text."""
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
class Scores:
    """The signals behind a rank; ``None`` for a signal that was not used.

    ``dense`` is the cosine, -1..1; ``lexical`` is BM25, from 0; ``rerank`` is MaxSim or the reranker's score.
    """

    dense: float
    lexical: float | None
    rerank: float | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a passage has its rank: its ranks by vectors and by words, and the question's terms that it contains."""

    dense_rank: int | None
    lexical_rank: int | None
    matched_terms: tuple[str, ...]
    fused: float


@dataclass(frozen=True, slots=True)
class ComparisonFilter:
    """Compares an attribute with one value, or with several for ``in`` and ``nin``. A boolean is its name as text."""

    key: str
    operator: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
    values: tuple[str | float, ...]


@dataclass(frozen=True, slots=True)
class CompoundFilter:
    """A conjunction (``and``) or disjunction (``or``) of filters."""

    operator: Literal["and", "or"]
    filters: "tuple[AttributeFilter, ...]"


AttributeFilter = ComparisonFilter | CompoundFilter


@dataclass(frozen=True, slots=True)
class Filters:
    """Restricts the passages that may be results. Every given filter must match, by any one of its values.

    ``sections`` are headings anywhere in the section path; ``metadata`` is compared as text. ``attributes`` is a
    Boolean expression.
    """

    document_ids: tuple[str, ...] = ()
    path_prefixes: tuple[str, ...] = ()
    sections: tuple[str, ...] = ()
    metadata: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    attributes: AttributeFilter | None = None


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How to answer a question; ``None`` stands for the default of the service or no filter.

    ``top_k`` is the number of results. ``min_confidence`` is the confidence from which a question counts as
    answerable. ``explain`` adds to each result an explanation of its rank.
    """

    top_k: int | None = None
    min_confidence: float | None = None
    filters: Filters | None = None
    explain: bool = False


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage with its rank (from 1), its scores, and the offsets of its best sentence, the quote.

    ``score`` is the fused score, 0..1 among the candidates of one question. ``confidence`` is comparable between
    questions.
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
    """Everything needed to find a passage and its quote again, and to prove that they are unchanged."""

    document_id: str
    title: str
    uri: str
    section_path: tuple[str, ...]
    position: Position
    page: int | None
    """The page on which the quote begins, from 1, for formats with pages."""
    quote: str
    quote_start: int
    quote_end: int
    url: str
    """Where a reader finds the quote: a published page, or a path of this service."""
    permalink: str
    """The id in ``/cite/{id}``."""
    document_sha256: str
    passage_sha256: str


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """One result of an answer: a scored passage and its citation."""

    scored: ScoredPassage
    citation: Citation


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of answering a question, with the readings of ``time.perf_counter`` at its start and end."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its ranked, cited passages.

    ``confidence`` is the estimated probability, 0..1, that the results contain the answer; ``None`` if the model has
    no calibration. ``answerable`` is whether it reaches the threshold.
    """

    question: str
    results: tuple[CitedPassage, ...]
    best: int
    """The index in ``results`` of the passage with the best quote."""
    confidence: float | None
    answerable: bool | None
    index_version: str
    stages: tuple[Stage, ...] = field(default=(), compare=False)
    """The steps of the work, in order."""

    @property
    def is_shown(self) -> bool:
        """Whether the best quote is given as the answer: not if the documents are unlikely to contain one."""
        return bool(self.results) and self.answerable is not False


@dataclass(frozen=True, slots=True)
class Completeness:
    """Whether a build lost content: all content characters should be covered, and no tokens lost.

    Characters are those visible to a reader; tokens are those of the embedding model.
    """

    content_characters: int
    covered_characters: int
    tokens: int
    tokens_lost: int


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
