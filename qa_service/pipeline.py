"""READ THIS FIRST. The two ways through the house: build an index, ask it a question.

::

    build   folder -> documents -> passages -> vectors -> a generation of the index
    ask     question -> vector -> scored passages -> an answer with citations
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qa_service.cleaning import embeddable, is_blank
from qa_service.datatypes import (
    Answer,
    BuildReport,
    Citation,
    CitedPassage,
    Completeness,
    Document,
    Passage,
    ScoredPassage,
    SourceDocument,
)
from qa_service.embedding import Embedder, embed_in_batches
from qa_service.errors import IndexCorrupt, InvalidRequest, NotFound
from qa_service.index import Contents, IndexFolder, Manifest, OpenIndex, write_generation
from qa_service.loading import LoadedFolder, load_folder
from qa_service.retrieval import retrieve
from qa_service.settings import Settings
from qa_service.splitting import Splitter, SplitterSettings, completeness, embedded_sentences, embedding_text

MAX_QUESTION_CHARACTERS = 2000
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def build(settings: Settings, embedder: Embedder, progress: Progress = lambda *_: None) -> BuildReport:
    """Bring the index up to date with the source folder.

    Where documents, settings and model are those of the current generation, nothing is written. The old
    generation serves until the new one is whole on disk.
    """
    started = time.monotonic()
    folder = IndexFolder(settings.index)
    contents, loaded = contents_of(settings, embedder)
    with folder.building():
        if up_to_date := folder.whole(contents.generation_id()):
            folder.point_to(contents.generation_id())
        else:
            splitter = Splitter(_splitter_settings(settings, embedder), embedder.count_tokens)
            passages = _split_all(splitter, loaded.documents, progress)
            folder.add(
                contents.generation_id(),
                lambda path: _write(path, contents, loaded.documents, passages, embedder, settings, progress),
            )
        folder.reap(settings.keep_generations)
        manifest = folder.manifest(contents.generation_id())
    return BuildReport(
        index_version=manifest.generation,
        changed=not up_to_date,
        files=loaded.files,
        documents=len(manifest.documents),
        passages=manifest.passages,
        skipped=loaded.skipped,
        warnings=tuple(f"{document.uri}: {text}" for document in loaded.documents for text in document.warnings),
        completeness=Completeness(**manifest.completeness.model_dump()),
        seconds=time.monotonic() - started,
    )


def contents_of(settings: Settings, embedder: Embedder) -> tuple[Contents, LoadedFolder]:
    """Read the source folder; return what an index of it is made from, and the documents themselves."""
    loaded = load_folder(settings.source, max_file_bytes=settings.max_file_mb * 1_000_000)
    splitter = _splitter_settings(settings, embedder)
    contents = Contents.of(embedder.identity, embedder.dimension, splitter, loaded.documents, loaded.skipped)
    return contents, loaded


class QuestionAnswerer:
    """Answers questions from one open index. Use it from one thread at a time."""

    def __init__(self, index: OpenIndex, embedder: Embedder, *, top_k: int, min_confidence: float) -> None:
        self.index = index
        self._embedder = embedder
        self._top_k = top_k
        self._min_confidence = min_confidence

    def ask(self, question: str, top_k: int | None = None, min_confidence: float | None = None) -> Answer:
        """Return the passages that answer best, with citations, and whether they are likely to answer at all.

        Raises :class:`InvalidRequest` for a question with nothing to read in it, or over 2,000 characters.
        """
        check_question(question)
        vector = self._embedder.embed_question(embeddable(question))
        scored = retrieve(self.index, vector, top_k or self._top_k)
        confidence = scored[0].confidence if scored else 0.0
        threshold = self._min_confidence if min_confidence is None else min_confidence
        return Answer(
            question=question,
            results=tuple(CitedPassage(passage, self._cite(passage)) for passage in scored),
            confidence=confidence,
            answerable=None if confidence is None else confidence >= threshold,
            index_version=self.index.version,
        )

    def document(self, document_id: str) -> SourceDocument:
        """Return a document as it was indexed. Raises :class:`NotFound`."""
        document = self.index.document(document_id)
        if document is None:
            raise NotFound("no document of that id in the index; ids stand in the citations of an answer")
        return document

    def self_test(self) -> None:
        """Ask for the first passage by its own text and expect the vector that the index has of it.

        Raises :class:`IndexCorrupt` if model and index do not fit together after all.
        """
        if not len(self.index):
            raise IndexCorrupt("the index holds no passages; rebuild with `qa-service index`")
        passage, _ = self.index.passage(0)
        text = embedding_text(passage.context, passage.text)
        vectors = self._embedder.embed_passages([text], [[]]).passages
        _, scores = self.index.store.search(vectors, 1)
        self.ask(passage.text[:MAX_QUESTION_CHARACTERS], 1)
        if scores[0][0] < 0.99:  # noqa: PLR2004 - equal but for rounding
            raise IndexCorrupt(
                f"self-test failed: a passage finds itself with cosine {scores[0][0]:.3f}; rebuild with "
                "`qa-service index`"
            )

    def _cite(self, scored: ScoredPassage) -> Citation:
        passage = scored.passage
        document = self.index.document_without_text(passage.document_id)
        start, end = scored.quote
        return Citation(
            document_id=document.id,
            title=document.title,
            uri=document.uri,
            section_path=passage.section_path,
            position=passage.position,
            quote=passage.text[start:end],
            quote_start=start,
            quote_end=end,
            document_sha256=document.sha256,
            passage_sha256=hashlib.sha256(passage.text.encode()).hexdigest(),
        )


def check_question(question: str) -> None:
    """Raise :class:`InvalidRequest` if a text can't be asked."""
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise InvalidRequest(
            f"the question has {len(question)} characters, the most is {MAX_QUESTION_CHARACTERS}; shorten it"
        )
    if "\0" in question:
        raise InvalidRequest("the question holds a NUL character; remove it")
    if any("\ud800" <= character <= "\udfff" for character in question):
        raise InvalidRequest("the question holds half a character (a lone surrogate); send whole characters")
    if is_blank(question):
        raise InvalidRequest("the question is empty; write one")


def _splitter_settings(settings: Settings, embedder: Embedder) -> SplitterSettings:
    return SplitterSettings(passage_tokens=settings.passage_tokens, window=embedder.window)


def _split_all(splitter: Splitter, documents: Sequence[Document], progress: Progress) -> list[Passage]:
    passages: list[Passage] = []
    for done, document in enumerate(documents, start=1):
        passages.extend(splitter.split(document, first_number=len(passages)))
        progress("splitting documents", done, len(documents))
    return passages


def _write(
    path: Path,
    contents: Contents,
    documents: Sequence[Document],
    passages: Sequence[Passage],
    embedder: Embedder,
    settings: Settings,
    progress: Progress,
) -> Manifest:
    texts = [embedding_text(passage.context, passage.text) for passage in passages]
    tokens = embedder.count_tokens(texts)
    embeddings = embed_in_batches(
        embedder,
        texts,
        [embedded_sentences(passage) for passage in passages],
        tokens,
        settings.batch_size,
        lambda done: progress("embedding passages", done, len(passages)),
    )
    figures = completeness(documents, passages, tokens, embedder.window)
    return write_generation(path, contents, documents, passages, embeddings, figures)
