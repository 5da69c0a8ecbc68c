"""READ THIS FIRST. The two ways through the house: build an index, ask it a question.

::

    build   folder -> documents -> passages -> vectors -> a generation of the index
    ask     question -> vector -> scored passages -> an answer with citations
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from qa_service.citations import CitationId, CitedQuote, Verdict, check
from qa_service.datatypes import (
    Answer,
    AskOptions,
    BuildReport,
    Completeness,
    SourceDocument,
    Stage,
)
from qa_service.embedding import Embedder, QuestionCache, QuestionEmbedding
from qa_service.errors import IndexCorrupt, NotFound, SourceError
from qa_service.index import Generations, Index
from qa_service.index.disk import IndexFolder
from qa_service.index.locations import generations_of, publish
from qa_service.indexing.build import Progress, contents_of, write
from qa_service.indexing.cluster import remove_shards
from qa_service.loading import (
    SourceChangedError,
)
from qa_service.retrieval import DocumentRank, RetrievalResult, Retriever, cite, open_reranker
from qa_service.retrieval.confidence import calibration_of
from qa_service.retrieval.fitting import calibrate_unlabelled
from qa_service.retrieval.reranking import MAXSIM
from qa_service.settings import Settings
from qa_service.splitting import embedding_text
from qa_service.text.cleaning import MAX_QUESTION_CHARACTERS, check_question, embeddable

_DEFAULTS = AskOptions()
_SAME_TEXT = 0.95
"""Cosine above which two vectors may be of one text, embedded by one model in different precisions."""


def build(settings: Settings, embedder: Embedder, progress: Progress = lambda *_: None) -> BuildReport:
    """Bring the index up to date with the source folder.

    Where files, settings and model are those of the current generation, nothing is written. The old
    generation serves until the new one is whole on disk.
    """
    started = time.monotonic()
    for last_try in (False, False, True):
        try:
            return _build(settings, embedder, progress, started)
        except SourceChangedError as error:
            if last_try:
                raise SourceError(f"{error} changes while it is being indexed; try again when it rests") from error
    raise AssertionError("the last try returns or raises")


def _build(settings: Settings, embedder: Embedder, progress: Progress, started: float) -> BuildReport:
    folder = IndexFolder(settings.index)
    contents, source = contents_of(settings, embedder)
    with folder.building():
        if up_to_date := folder.is_intact(contents.generation_id()):
            folder.point_to(contents.generation_id())
        else:
            with folder.open_current_or_none() as previous:
                added = folder.add(
                    contents.generation_id(),
                    lambda path: write(path, contents, source, embedder, previous, settings, progress),
                )
            calibrate_unlabelled(folder, added, embedder)
            remove_shards(settings.index)
        if settings.store == "milvus":
            publish(settings, folder, lambda index: _answerer(settings, embedder, index, folder).self_test())
        folder.delete_old(settings.keep_generations)
        manifest = folder.manifest(contents.generation_id())
    return BuildReport(
        index_version=manifest.generation,
        changed=not up_to_date,
        files=len(manifest.sources) + len(manifest.left_out),
        documents=manifest.documents,
        passages=manifest.passages,
        vectors=manifest.vectors,
        skipped=tuple(item.skipped() for item in manifest.skipped),
        warnings=manifest.warnings,
        completeness=Completeness(**manifest.completeness.model_dump()),
        seconds=time.monotonic() - started,
    )


def open_answerer(
    settings: Settings, embedder: Embedder, generations: Generations | None = None
) -> "tuple[QuestionAnswerer, str | None]":
    """Open the current index and return what answers from it, and what is wrong if it is not the current one."""
    where = generations or generations_of(settings)
    opened = where.open_current(embedder.identity)
    return _answerer(settings, embedder, opened.index, where), opened.degraded


def _answerer(settings: Settings, embedder: Embedder, index: Index, generations: Generations) -> "QuestionAnswerer":
    retriever = Retriever(
        index,
        calibration_of(generations, index.manifest),
        late_interaction=settings.rerank == MAXSIM,
        max_per_document=settings.max_per_document,
        lexical_weight=settings.lexical_weight,
        reranker=open_reranker(settings.rerank, allow_download=settings.allow_download),
    )
    return QuestionAnswerer(
        index,
        embedder,
        retriever,
        top_k=settings.top_k,
        min_confidence=settings.min_confidence,
        cache_mb=settings.cache_mb,
        published=settings.published,
    )


class QuestionAnswerer:
    """Answers questions from one open index. Use it from one thread at a time; another may call :meth:`embed`."""

    def __init__(
        self,
        index: Index,
        embedder: Embedder,
        retriever: Retriever,
        *,
        top_k: int,
        min_confidence: float,
        cache_mb: int,
        published: str = "",
    ) -> None:
        self.index = index
        self.embedder = embedder
        self._retriever = retriever
        self.question_cache = QuestionCache(embedder, cache_mb * 1_000_000)
        self._published = published
        self._top_k = top_k
        self._min_confidence = min_confidence

    def ask(
        self, question: str, options: AskOptions = _DEFAULTS, *, embedding: QuestionEmbedding | None = None
    ) -> Answer:
        """Return the passages that answer best, with citations, and whether they are likely to answer at all.

        A question that was checked and embedded before comes with its ``embedding``.
        Raises :class:`InvalidRequest` for a question with nothing to read in it, or over 2,000 characters.
        """
        stages: list[Stage] = []
        if embedding is None:
            check_question(question)
            with _timed("embed", stages):
                embedding = self.embed([question])[0]
        with _timed("retrieve", stages):
            retrieved = self._retrieve(question, embedding, options)
        with _timed("cite", stages):
            results = cite(self.index, retrieved.results, self._published)
        confidence = retrieved.confidence
        threshold = self._min_confidence if options.min_confidence is None else options.min_confidence
        return Answer(
            question=question,
            results=results,
            best=retrieved.best,
            confidence=confidence,
            answerable=None if confidence is None else bool(results) and confidence >= threshold,
            index_version=self.index.generation,
            stages=tuple(stages),
        )

    def retrieve(self, question: str, options: AskOptions = _DEFAULTS) -> RetrievalResult:
        """Return the ranked passages of a question without citations, and the evidence for them."""
        check_question(question)
        return self._retrieve(question, self.embed([question])[0], options)

    def _retrieve(self, question: str, embedding: QuestionEmbedding, options: AskOptions) -> RetrievalResult:
        top_k = options.top_k or self._top_k
        return self._retriever.retrieve(
            embeddable(question), embedding, top_k, options.filters, explain=options.explain
        )

    def embed(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        """Return the embeddings of questions: those asked lately from memory, the others together."""
        return self.question_cache.embed([embeddable(question) for question in questions])

    def document_rank(self, question: str, document: str) -> DocumentRank:
        """Tell where the best passage of a document, named by id or uri, stands for a question, and what beat it."""
        check_question(question)
        found = self.index.document(document) or self.index.document_by_uri(document)
        if found is None:
            raise NotFound(f"no document {document!r} in the index; name it by its path below the source folder")
        passages = np.array(self.index.overlapping(found.id, 0, len(found.text)))
        return self._retriever.document_rank(embeddable(question), self.embed([question])[0], passages)

    def document(self, document_id: str) -> SourceDocument:
        """Return a document as it was indexed. Raises :class:`NotFound`."""
        document = self.index.document(document_id)
        if document is None:
            raise NotFound("no document of that id in the index; ids stand in the citations of an answer")
        return document

    def citation(self, identifier: str) -> Verdict:
        """Tell what became of the quote that a permalink names. Raises :class:`NotFound` if it was never cited here."""
        wanted = CitationId.parse(identifier)
        found = None if wanted is None else self.index.cited_passage(wanted.passage_id)
        if wanted is None or found is None or wanted.end > len(found[2]):
            raise NotFound("no citation of that id; ids stand in the permalinks of answers")
        uri, start, text = found
        return self.verify(CitedQuote(uri, start + wanted.start, text[wanted.start : wanted.end]))

    def verify(self, cited: CitedQuote) -> Verdict:
        """Tell whether a quote stands in the documents as they were indexed: in its own, or else in another."""
        return check(cited, self.index.document_by_uri(cited.uri), self.index.document_holding)

    def self_test(self) -> None:
        """Embed the first passage anew and expect the vector that the index has of it; ask a question.

        Raises :class:`IndexCorrupt` if model and index do not fit together after all.
        """
        if not len(self.index):
            raise IndexCorrupt("the index holds no passages; rebuild with `qa-service index`")
        passage = self.index.passage(0)
        vector = self.embedder.embed_passages([embedding_text(passage.context, passage.text)]).vectors[0]
        cosine = float(self.index.vectors(np.array([0]))[0] @ vector)
        if cosine < _SAME_TEXT:
            raise IndexCorrupt(
                f"self-test failed: the first passage's vector has cosine {cosine:.3f} with that of the index; "
                "rebuild with `qa-service index`"
            )
        self.ask(passage.text[:MAX_QUESTION_CHARACTERS], AskOptions(top_k=1))


@contextmanager
def _timed(name: str, stages: list[Stage]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    stages.append(Stage(name, start, time.perf_counter()))
