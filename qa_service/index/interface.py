"""The operations of an index and of its generations, on disk or in Milvus."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qa_service.datatypes import Expansion, Filters, FloatArray, Int32Array, IntArray, Metadata, Passage, SourceDocument
from qa_service.embedding import ModelIdentity, TokenEmbeddings
from qa_service.index.manifest import Manifest
from qa_service.index.pins import Pins
from qa_service.index.tokens import Similarities
from qa_service.index.words import Spellings, Synonyms

_QUOTE_CHARACTERS = 500  # of a quote, searched by their terms
_QUOTE_CANDIDATES = 50  # passages


class WordMatch(Protocol):
    """The BM25 match of a question with the passages."""

    @property
    def weights(self) -> dict[str, float]:
        """The idf of each of the question's terms."""

    def best(self, depth: int, selected: Any = None) -> IntArray:
        """Return the numbers of the ``depth`` best passages, best first, ties by number.

        Passages without any of the terms are left out. ``selected`` limits the choice, in a form that the backend
        chooses; only :meth:`Index.find` passes it.
        """

    def scores(self, numbers: IntArray) -> FloatArray:
        """Return the BM25 scores of passages, given by increasing numbers."""


class WordIndex(Protocol):
    """The lexical signal: the terms of the passages, scored by BM25."""

    def match(self, question: str, expansions: Sequence[Expansion] = ()) -> WordMatch | None:
        """Match a question with the passages; ``None`` if it shares no term with any of them.

        A passage with all words of a synonym has the score of the phrase of the ``expansions``, if that is more than
        it has for the phrase's own words. Weights are those of the question's terms.
        """

    def weights(self, question: str) -> dict[str, float]:
        """Return the idf of each term of a question; a term that no passage holds has the largest possible idf."""

    def ids(self, wanted: Iterable[str]) -> dict[str, int]:
        """Return the ids of the terms that occur in any passage."""

    def terms(self, text: str) -> set[str]:
        """Return the distinct terms of a text, in the language of this index."""

    def holds(self, passage: int, term: int) -> bool:
        """Tell whether a passage, including its title and headings, holds the term with this id."""

    @property
    def spellings(self) -> Spellings:
        """The words of the passages as they are spelled."""

    @property
    def synonyms(self) -> Synonyms:
        """The acronyms and synonyms of the collection."""


@dataclass(frozen=True, slots=True)
class OpenResult:
    """An open index; ``degraded`` says why it is not the current one, if it is not."""

    index: "Index"
    degraded: str | None


class Generations(Protocol):
    """All generations of an index in one location, and the pointer to the current one."""

    def current_pointer(self) -> tuple[str, int]:
        """Return the id of the current generation, and the time in nanoseconds since when it is current."""

    def open_current(self, identity: ModelIdentity | None) -> OpenResult:
        """Open the current generation, to be used with a model; ``None`` skips the comparison of models."""

    def manifest_before(self, generation: str) -> Manifest | None:
        """Return the manifest of the newest generation older than this one, or ``None``."""

    def calibration(self, weights_sha256: str, *, token_vectors: bool, labels: bool) -> dict[str, float] | None:
        """Return the confidence constants that were fitted for an index of this model, or ``None``.

        With ``labels``, those fitted to labelled questions; else those that the build fitted without labels.
        """

    def rollback(self) -> str:
        """Make the newest intact generation before the current one current; return its id."""


class Index(ABC):
    """An open generation of passages; it never changes. Not thread-safe: one call at a time."""

    manifest: Manifest
    generation: str
    words: WordIndex

    @property
    @abstractmethod
    def has_tokens(self) -> bool:
        """Whether there are token vectors."""

    @property
    @abstractmethod
    def pins(self) -> Pins:
        """The pinned answers."""

    @abstractmethod
    def find(
        self, vector: FloatArray, match: WordMatch | None, depth: int, filters: Filters | None
    ) -> tuple[IntArray, IntArray]:
        """Return the candidates for a question: the ``depth`` nearest to its vector (d,), and as many best by words.

        Both are numbers of passages that pass the filters, best first. ``match`` comes from :attr:`words`; with
        ``None`` there are no candidates by words. Raises :class:`InvalidRequest` if a filter does not fit this index.
        """

    @abstractmethod
    def vectors(self, numbers: IntArray) -> FloatArray:
        """Return the unit vectors (n, d) of n passages."""

    @abstractmethod
    def similarities(self, question: TokenEmbeddings, numbers: IntArray) -> Similarities:
        """Return the cosines of a question's tokens with those of the passages. Needs token vectors."""

    @abstractmethod
    def token_rows(self, number: int) -> Int32Array:
        """Return the token range (sentences, 2) of each sentence of a passage. Needs token vectors."""

    @abstractmethod
    def passage(self, number: int) -> Passage:
        """Return the passage with a number."""

    @abstractmethod
    def sentence_terms(self, number: int) -> list[Int32Array]:
        """Return the term ids of each sentence of a passage, in text order."""

    @abstractmethod
    def document(self, document_id: str) -> SourceDocument | None:
        """Return the document with an id, or ``None``."""

    @abstractmethod
    def documents_without_text(self, document_ids: Iterable[str]) -> dict[str, SourceDocument]:
        """Return documents by id, with empty texts: citations need no more, and large texts are not read."""

    @abstractmethod
    def page_lines(self, pages: Iterable[tuple[str, int]]) -> dict[tuple[str, int], bytes]:
        """Return the packed lines of pages, given by document id and number; pages without any are missing."""

    @abstractmethod
    def front_matter(self, document_ids: Iterable[str]) -> dict[str, Metadata]:
        """Return the front matter of documents, by id."""

    @abstractmethod
    def document_id_at(self, uri: str) -> str | None:
        """Return the id of the document at a path below the source folder, or ``None``."""

    @abstractmethod
    def list_documents(self, after: str, limit: int) -> list[SourceDocument]:
        """Return up to ``limit`` documents with ids after ``after``, by id, with empty texts."""

    @abstractmethod
    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield the path and the text of every document."""

    @abstractmethod
    def cited_passage(self, identifier: str) -> tuple[str, int, str] | None:
        """Return a passage's document uri, first character and text, by its id; retired passages are included."""

    @abstractmethod
    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        """Return the numbers of the passages that overlap ``[start, end)``."""

    @abstractmethod
    def spans(self, document_id: str, start: int = 0, end: int = 2**62) -> list[tuple[int, int]]:
        """Return the start and end of each passage that overlaps ``[start, end)``, in order."""

    @abstractmethod
    def sections(self, document_id: str) -> list[tuple[int, tuple[str, ...]]]:
        """Return the first character and the section path of each passage of a document, in order."""

    @abstractmethod
    def close(self) -> None:
        """Release memory and files."""

    def document_without_text(self, document_id: str) -> SourceDocument:
        """Return a document with an empty text."""
        return self.documents_without_text([document_id])[document_id]

    def document_by_uri(self, uri: str) -> SourceDocument | None:
        """Return the document at a path below the source folder, or ``None``."""
        document_id = self.document_id_at(uri)
        return None if document_id is None else self.document(document_id)

    def document_holding(self, text: str) -> SourceDocument | None:
        """Return a document with a passage that contains a text verbatim, looked for among the best 50 by BM25."""
        match = self.words.match(text[:_QUOTE_CHARACTERS])
        for number in [] if match is None else match.best(_QUOTE_CANDIDATES):
            passage = self.passage(int(number))
            if text in passage.text:
                return self.document(passage.document_id)
        return None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of passages."""
