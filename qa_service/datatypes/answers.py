"""Questions' options, scored passages, citations and answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from qa_service.datatypes.arrays import FloatArray
from qa_service.datatypes.blocks import ShownBlock
from qa_service.datatypes.documents import Offsets, PageBox, Passage, Position
from qa_service.datatypes.questions import Turn, UnderstoodQuestion

AnswerVerdict = Literal["answered", "uncertain", "not_found"]
OFF_TOPIC = 0.02
"""Below this confidence, results have nothing to do with the question."""
MAX_HEADINGS = 3
ReasonKind = Literal["missing_term", "missing_number", "conflict", "follow_up", "other_language"]


@dataclass(frozen=True, slots=True)
class Scores:
    """The signals behind a rank; ``None`` for a signal that was not used.

    ``dense`` is the cosine, -1..1; ``lexical`` is BM25, from 0; ``rerank`` is MaxSim or the reranker's score;
    ``reading`` is the reader's logit that the quote answers the question.
    """

    dense: float
    lexical: float | None
    rerank: float | None
    reading: float | None = None


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

    ``top_k`` is the number of results. ``min_confidence`` is the confidence from which a question counts as answered,
    ``min_uncertain`` the one from which the best quote is given at all. ``explain`` adds to each result an explanation
    of its rank, ``blocks`` its text as blocks. ``history`` holds the questions before it in a conversation, oldest
    first; it matters only to a question that leans on them. ``as_typed`` leaves the words of the question as they are:
    neither spelling, synonyms nor history change what is searched for.
    """

    top_k: int | None = None
    min_confidence: float | None = None
    min_uncertain: float | None = None
    filters: Filters | None = None
    explain: bool = False
    blocks: bool = False
    history: tuple[Turn, ...] = ()
    as_typed: bool = False


@dataclass(frozen=True, slots=True)
class ScoredPassage:
    """A passage with its rank (from 1), its scores, and the offsets of its quote: its best sentence, or several.

    ``score`` is the fused score, 0..1 among the candidates of one question, plus the reader's part if the quote was
    read. ``confidence`` is comparable between questions. ``spans`` are the words within the quote that answer.
    """

    rank: int
    passage: Passage
    score: float
    confidence: float | None
    scores: Scores
    quote: Offsets
    explanation: Explanation | None
    spans: tuple[Offsets, ...] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """Sentences of a result that answer a question, or a part of it.

    ``result`` is the index of the result, ``place`` the offsets in its passage's text. ``spans`` are the exact words.
    """

    result: int
    place: Offsets
    spans: tuple[Offsets, ...] = ()


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
    boxes: tuple[PageBox, ...] = ()
    """Where the quote stands on its pages, a box a line; empty for formats without pages."""
    ocr: bool = False
    """Whether the quote was read from a picture of its page, where letters can be mistaken."""


@dataclass(frozen=True, slots=True)
class CitedPassage:
    """One result of an answer: a scored passage and its citation."""

    scored: ScoredPassage
    citation: Citation
    blocks: tuple[ShownBlock, ...] | None = None
    """The passage as a page shows it, in offsets of its text; ``None`` if not wanted."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of answering a question, with the readings of ``time.perf_counter`` at its start and end."""

    name: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a question is not answered, or not with certainty.

    ``kind`` names the reason for programs, ``message`` states it for people. ``subject`` is the word, number or
    language that it is about. ``results`` are the indices of the results that it is about.
    """

    kind: ReasonKind
    message: str
    subject: str = ""
    results: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """A question with its ranked, cited passages.

    ``confidence`` is the estimated probability, 0..1, that the results contain the answer; ``None`` if the model has
    no calibration, and so is ``verdict`` then. ``verdict`` is ``answered`` if the confidence reaches the first
    threshold, ``uncertain`` if it reaches the second one.
    """

    question: str
    results: tuple[CitedPassage, ...]
    quotes: tuple[Quote, ...]
    """The best quote, and others if it does not answer all of the question, or if a document contradicts it."""
    confidence: float | None
    verdict: AnswerVerdict | None
    index_version: str
    reason: Reason | None = None
    understood: UnderstoodQuestion | None = None
    """The question as it was asked of the documents."""
    pinned: bool = False
    """Whether a person chose the quotes for this question; then it counts as answered."""
    vector: FloatArray | None = field(default=None, compare=False, repr=False)
    """The vector (d,) of the question, to compare it with others."""
    stages: tuple[Stage, ...] = field(default=(), compare=False)
    """The steps of the work, in order."""

    @property
    def best(self) -> int:
        """The index in ``results`` of the passage with the best quote."""
        return self.quotes[0].result if self.quotes else 0

    @property
    def answerable(self) -> bool | None:
        """True if the verdict is ``answered``; ``None`` without a verdict."""
        return None if self.verdict is None else self.verdict == "answered"

    @property
    def is_shown(self) -> bool:
        """Whether the best quote is given as the answer: not if the documents are unlikely to contain one."""
        return bool(self.results) and self.verdict != "not_found"

    @property
    def is_off_topic(self) -> bool:
        """Whether the results have nothing to do with the question."""
        return _is_off_topic(self.confidence)

    @property
    def nearest_headings(self) -> tuple[Citation, ...]:
        """A citation from each of the nearest sections, if the question is neither answered nor off topic."""
        if self.verdict not in {"uncertain", "not_found"} or self.is_off_topic:
            return ()
        sections: dict[tuple[str, tuple[str, ...]], Citation] = {}
        for result in self.results:
            if not _is_off_topic(result.scored.confidence):
                citation = result.citation
                sections.setdefault((citation.document_id, citation.section_path), citation)
        return tuple(sections.values())[:MAX_HEADINGS]


def _is_off_topic(confidence: float | None) -> bool:
    return confidence is not None and confidence < OFF_TOPIC
