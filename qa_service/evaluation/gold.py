"""Finds the gold of a question: references -> spans of documents -> the passages that an index should return.

Gold is spans of documents, not passages, so it survives a change of the splitter. A passage is relevant if it shares a
character with a reference. If the references are whole documents, documents are ranked. Gold that no passage covers
stays in the qrels under a name that no result has, so it counts as missed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote

from cachetools import LRUCache

from qa_service.evaluation.question import LineProblem, Question, Reference
from qa_service.index import Index

EXTENSIONS = (".md", ".txt", ".html", ".pdf")
_CACHED_TEXTS = 1000
_MIN_LOOSE_CHARACTERS = 20
"""Least number of characters of a text that is also searched for with different white space."""


@dataclass(frozen=True, slots=True)
class Text:
    """A document: its path below the source folder, and its text."""

    uri: str
    text: str


class Corpus(Protocol):
    """The documents and passages that questions are evaluated on."""

    version: str
    """The id of the index."""

    def text(self, uri: str) -> Text | None:
        """Return the document at a path, or ``None``."""

    def texts(self) -> Iterator[Text]:
        """Yield all documents."""

    def has(self, uri: str) -> bool:
        """Tell whether there is a document at a path."""

    def passages(self, uri: str, start: int, end: int) -> list[tuple[int, int]]:
        """Return the spans of the passages of a document that share a character with ``[start, end)``."""


class IndexCorpus:
    """The corpus of an open index."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.version = index.generation

    def text(self, uri: str) -> Text | None:
        """Return the document at a path, or ``None``."""
        document = self._index.document_by_uri(uri)
        return None if document is None else Text(uri, document.text)

    def texts(self) -> Iterator[Text]:
        """Yield all documents."""
        for uri, text in self._index.texts():
            yield Text(uri, text)

    def has(self, uri: str) -> bool:
        """Tell whether there is a document at a path."""
        return self._index.document_id_at(uri) is not None

    def passages(self, uri: str, start: int, end: int) -> list[tuple[int, int]]:
        """Return the spans of the passages of a document that share a character with ``[start, end)``."""
        document_id = self._index.document_id_at(uri)
        return [] if document_id is None else self._index.spans(document_id, start, end)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters ``start`` to ``end`` (exclusive) of the document at ``uri``."""

    uri: str
    start: int
    end: int

    @property
    def name(self) -> str:
        """The name of a passage in run and qrels; it depends on the place alone and has no white space."""
        return f"{document_name(self.uri)}#{self.start}-{self.end}"


def document_name(uri: str) -> str:
    """Return the name of a document in run and qrels."""
    return quote(uri, safe="/")


@dataclass(frozen=True, slots=True)
class Gold:
    """The relevant passages of a question, or the relevant documents if ``whole``.

    ``relevant`` maps their names to grades. ``spans`` holds, for each reference, the places that it may mean.
    """

    relevant: dict[str, int] = field(default_factory=dict)
    spans: tuple[tuple[Span, ...], ...] = ()
    whole: bool = False


class GoldFinder:
    """Finds the gold of questions in a corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._places: LRUCache[str, tuple[Span, ...]] = LRUCache(_CACHED_TEXTS)

    def with_gold(
        self, questions: Iterable[Question | LineProblem], problems: list[LineProblem]
    ) -> Iterator[tuple[Question, Gold]]:
        """Yield each question with its gold; add unusable lines to ``problems``."""
        for item in questions:
            if isinstance(item, LineProblem):
                problems.append(item)
                continue
            try:
                gold = self.gold_of(item.references)
            except ValueError as error:
                problems.append(LineProblem(item.line, str(error)))
                continue
            yield item, gold

    def gold_of(self, references: Iterable[Reference]) -> Gold:
        """Return the gold of references. Raises ``ValueError`` if the documents do not contain it."""
        references = tuple(references)
        if any(reference.whole for reference in references):
            grades = {document_name(self._document_of(reference)): reference.relevance for reference in references}
            return Gold(grades, whole=True)
        relevant: dict[str, int] = {}
        alternatives = tuple(self._spans(reference) for reference in references)
        for reference, spans in zip(references, alternatives, strict=True):
            for span in spans:
                passages = self._corpus.passages(span.uri, span.start, span.end)
                names = [Span(span.uri, *passage).name for passage in passages] or [f"uncovered:{span.name}"]
                for name in names:
                    relevant[name] = max(reference.relevance, relevant.get(name, 0))
        return Gold(relevant, alternatives)

    def _document_of(self, reference: Reference) -> str:
        """Return the path of a document, which is named by its path, with or without its extension, or by its row."""
        name = reference.document or ""
        row = f"corpus.jsonl#id={quote(name, safe='')}"
        for uri in (name, row, *(name + ending for ending in EXTENSIONS)):
            if self._corpus.has(uri):
                return uri
        raise ValueError(f"document {name!r} is not in the index")

    def _spans(self, reference: Reference) -> tuple[Span, ...]:
        start, end, content = reference.start_index, reference.end_index, reference.content
        if reference.within is not None:
            if start is None or end is None or (content is not None and reference.within[start:end] != content):
                raise ValueError("the answer is not at its offset in the paragraph")
            return tuple(
                Span(place.uri, place.start + start, place.start + end) for place in self._anywhere(reference.within)
            )
        if reference.document is None:
            return self._anywhere(content or "")
        document = self._corpus.text(reference.document)
        if document is None:
            raise ValueError(f"document {reference.document!r} is not in the index")
        if start is None or end is None:
            places = tuple(_exactly(document, content or ""))
            if not places:
                raise ValueError(f"reference content is not in {reference.document!r}")
            return places
        if end > len(document.text):
            raise ValueError(f"reference ends at {end}, but {reference.document!r} has {len(document.text)} characters")
        if content is not None and document.text[start:end] != content:
            raise ValueError(f"reference content differs from {start}-{end} of {reference.document!r}")
        return (Span(reference.document, start, end),)

    def _anywhere(self, content: str) -> tuple[Span, ...]:
        """Return the places of a text in all documents; if there is none, ignore differences in white space."""
        if content not in self._places:
            places = tuple(span for document in self._corpus.texts() for span in _exactly(document, content))
            if not places and len(content) >= _MIN_LOOSE_CHARACTERS:
                pattern = re.compile(r"\s+".join(map(re.escape, content.split())))
                places = tuple(
                    Span(document.uri, *found.span())
                    for document in self._corpus.texts()
                    for found in pattern.finditer(document.text)
                )
            self._places[content] = places
        if not self._places[content]:
            raise ValueError("its text is not in any document")
        return self._places[content]


def _exactly(document: Text, content: str) -> Iterator[Span]:
    position = document.text.find(content)
    while position >= 0:
        yield Span(document.uri, position, position + len(content))
        position = document.text.find(content, position + len(content))
