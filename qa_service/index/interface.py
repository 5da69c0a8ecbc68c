"""What can be asked of an index, wherever it lies: in a folder of this machine, or in a store that others share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from qa_service.datatypes import Filters, FloatArray, Int32Array, IntArray, Metadata, Passage, SourceDocument
from qa_service.embedding import ModelIdentity, TokenEmbeddings
from qa_service.index.manifest import Manifest
from qa_service.index.tokens import Similarities

_LOOKED_FOR, _LOOKED_THROUGH = 500, 50  # characters of a quote, and passages


class WordMatch(Protocol):
    """How a question's words meet the passages. ``weights`` is the idf of each of its terms."""

    @property
    def weights(self) -> dict[str, float]:
        """The idf of each of the question's terms."""

    def best(self, depth: int, selected: Any = None) -> IntArray:
        """Return the numbers of the ``depth`` best passages, best first, ties by number.

        ``selected`` limits the choice, in a form that the backend chooses; only :meth:`Index.find` passes it.
        """

    def scores(self, numbers: IntArray) -> FloatArray:
        """Return the BM25 scores of some passages, which come in the order of their numbers."""


class WordIndex(Protocol):
    """The lexical leg: which passages hold which terms."""

    def match(self, question: str) -> WordMatch | None:
        """Return how a question meets the passages; ``None`` if it shares no term with any of them."""

    def weights(self, question: str) -> dict[str, float]:
        """Return the idf of each of a question's terms; one that no passage holds has the largest there is."""

    def ids(self, wanted: Iterable[str]) -> dict[str, int]:
        """Return the ids of those terms that stand in some passage."""

    def terms(self, text: str) -> set[str]:
        """Return the set of a text's terms, as this index sees them."""

    def holds(self, passage: int, term: int) -> bool:
        """Tell whether a passage, its title and headings included, holds the term of an id."""


@dataclass(frozen=True, slots=True)
class OpenResult:
    """An open index, and what is wrong if it is not the one that should have been opened."""

    index: "Index"
    degraded: str | None


class Generations(Protocol):
    """The generations of an index in one place, and which of them is in force."""

    def current_pointer(self) -> tuple[str, int]:
        """Return the id of the current generation, and when it was made the current one, in nanoseconds."""

    def open_current(self, identity: ModelIdentity | None) -> OpenResult:
        """Open the current generation for a model."""

    def manifest_before(self, generation: str) -> Manifest | None:
        """Return the manifest of the newest generation that is older than another; ``None`` if there is none."""

    def calibration(self, weights_sha256: str, *, token_vectors: bool, labels: bool) -> dict[str, float] | None:
        """Return the constants that were fitted to an index of such a model, or ``None``."""

    def rollback(self) -> str:
        """Make the newest whole generation that is older than the current one the current one; return its id."""


class Index(ABC):
    """A generation of passages that never changes. One thread at a time may be inside a method."""

    manifest: Manifest
    generation: str
    words: WordIndex

    @property
    @abstractmethod
    def has_tokens(self) -> bool:
        """Whether there are token vectors."""

    @abstractmethod
    def find(
        self, vector: FloatArray, match: WordMatch | None, depth: int, filters: Filters | None
    ) -> tuple[IntArray, IntArray]:
        """Return the numbers of the ``depth`` nearest passages to a vector (d,), and of the best by their words.

        Both are best first, of the passages that pass the filters. ``match`` is from :attr:`words`; with ``None`` no
        passage is found by its words. Raises :class:`InvalidRequest` if a filter has no meaning in this index.
        """

    @abstractmethod
    def vectors(self, numbers: IntArray) -> FloatArray:
        """Return the unit vectors (n, d) of n passages."""

    @abstractmethod
    def similarities(self, question: TokenEmbeddings, numbers: IntArray) -> Similarities:
        """Return the cosines of a question's tokens with those of some passages. Only with token vectors."""

    @abstractmethod
    def token_rows(self, number: int) -> Int32Array:
        """Return the row ranges (sentences, 2) of a passage's sentences among its tokens. Only with token vectors."""

    @abstractmethod
    def passage(self, number: int) -> Passage:
        """Return a passage."""

    @abstractmethod
    def sentence_terms(self, number: int) -> list[Int32Array]:
        """Return the ids of the terms in each sentence of a passage, as they stand there."""

    @abstractmethod
    def document(self, document_id: str) -> SourceDocument | None:
        """Return a document, or ``None`` if there is none of that id."""

    @abstractmethod
    def documents_without_text(self, document_ids: Iterable[str]) -> dict[str, SourceDocument]:
        """Return documents with empty texts, by id: all that citations need, without reading large ones."""

    @abstractmethod
    def front_matter(self, document_ids: Iterable[str]) -> dict[str, Metadata]:
        """Return the front matter of documents, by id."""

    @abstractmethod
    def document_id_at(self, uri: str) -> str | None:
        """Return the id of the document at a path below the source folder, or ``None``."""

    @abstractmethod
    def list_documents(self, after: str, limit: int) -> list[SourceDocument]:
        """Return the documents whose ids come after one, by id, without their texts."""

    @abstractmethod
    def texts(self) -> Iterator[tuple[str, str]]:
        """Yield path and text of every document."""

    @abstractmethod
    def cited_passage(self, identifier: str) -> tuple[str, int, str] | None:
        """Return document's uri, first character and text of the passage of an id, one retired included."""

    @abstractmethod
    def overlapping(self, document_id: str, start: int, end: int) -> list[int]:
        """Return the numbers of the passages that share a character with ``[start, end)``."""

    @abstractmethod
    def spans(self, document_id: str, start: int = 0, end: int = 2**62) -> list[tuple[int, int]]:
        """Return first character and end of the passages that share a character with ``[start, end)``, in order."""

    @abstractmethod
    def close(self) -> None:
        """Free what is held."""

    def document_without_text(self, document_id: str) -> SourceDocument:
        """Return a document's id, uri, title and hash, with an empty text."""
        return self.documents_without_text([document_id])[document_id]

    def document_by_uri(self, uri: str) -> SourceDocument | None:
        """Return the document at a path below the source folder, or ``None``."""
        document_id = self.document_id_at(uri)
        return None if document_id is None else self.document(document_id)

    def document_holding(self, text: str) -> SourceDocument | None:
        """Return a document that has a passage which holds a text, word for word, among those that share its terms."""
        match = self.words.match(text[:_LOOKED_FOR])
        for number in [] if match is None else match.best(_LOOKED_THROUGH):
            passage = self.passage(int(number))
            if text in passage.text:
                return self.document(passage.document_id)
        return None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of passages."""
