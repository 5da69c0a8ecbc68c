"""READ THIS FIRST. The two flows of the service: build an index, and ask it a question.

::

    build(settings, embedder)

        source folder -> documents -> passages -> vectors, words, tokens -> a generation of the index
                         loading/     splitting/  embedding/                index/, indexing/

    open_answerer(settings, embedder)  ->  QuestionAnswerer.ask(question)

        question -> wordings   -> vectors    -> candidates, fused and reranked -> quotes, confidence -> an Answer
                    questions/    embedding/    retrieval/                        retrieval/            with citations

An index is a sequence of *generations*: each is built as a whole, never changes, and is replaced by the next one.
Settings, errors and the values that the rooms exchange are in ``settings/``, ``errors.py`` and ``datatypes/``;
HTTP (``server/``) and the command line (``cli/``) call what is here.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import numpy as np

from qa_service.citations import CitationId, CitedQuote, Verdict, address_of, check, link, view_path
from qa_service.datatypes import (
    Answer,
    AskOptions,
    BuildReport,
    CitedPassage,
    IntArray,
    Offsets,
    Reason,
    SourceDocument,
    Stage,
    UnderstoodQuestion,
)
from qa_service.embedding import Embedder, QuestionCache
from qa_service.errors import IndexCorrupt, NotFound, SourceError
from qa_service.index import Generations, Index, Manifest
from qa_service.index.disk import IndexFolder
from qa_service.index.locations import generations_of, publish
from qa_service.indexing.build import Progress, build_generation, gather_inputs
from qa_service.indexing.cluster import remove_shards
from qa_service.loading import SourceChangedError
from qa_service.questions import AS_TYPED_STEPS, Interpreter
from qa_service.reading import open_reader
from qa_service.rendering import BlockCache
from qa_service.retrieval import (
    AnswerReader,
    DocumentRank,
    Query,
    Ranker,
    RetrievalResult,
    Retriever,
    cite,
    open_reranker,
)
from qa_service.retrieval.confidence import best_calibration, is_built_in
from qa_service.retrieval.fitting import calibrate_unlabelled
from qa_service.retrieval.pins import PinFinder
from qa_service.retrieval.reranking import MAXSIM
from qa_service.retrieval.verdict import Thresholds, conclude
from qa_service.settings import Settings
from qa_service.splitting import embedding_text
from qa_service.text.cleaning import check_question

_DEFAULT_OPTIONS = AskOptions()
_SAME_TEXT_COSINE = 0.95
"""The least cosine of two vectors of one text, embedded by one model in different precisions."""
_TEST_QUESTION_CHARACTERS = 100
_BUILD_TRIES = 3


def build(settings: Settings, embedder: Embedder, progress: Progress = lambda *_: None) -> BuildReport:
    """Bring the index up to date with the source folder.

    Nothing is written if files, settings and model are those of the current generation. The current generation
    serves until the new one is complete on disk. If a file changes during the build, the build starts again, up
    to three times in all.
    """
    started = time.monotonic()
    for attempt in range(1, _BUILD_TRIES + 1):
        try:
            manifest, changed = _build(settings, embedder, progress)
            break
        except SourceChangedError as error:
            if attempt == _BUILD_TRIES:
                raise SourceError(f"{error} keeps changing during the build; try again later") from error
    return BuildReport(
        index_version=manifest.generation,
        changed=changed,
        files=len(manifest.sources) + len(manifest.left_out),
        documents=manifest.documents,
        passages=manifest.passages,
        vectors=manifest.vectors,
        skipped=manifest.skipped,
        warnings=manifest.warnings,
        completeness=manifest.completeness,
        seconds=time.monotonic() - started,
    )


def _build(settings: Settings, embedder: Embedder, progress: Progress) -> tuple[Manifest, bool]:
    """Make the generation of the source folder the current one; return its manifest, and whether it is new.

    A generation is opened at most once here, since opening it reads all of its files to compare their hashes.
    """
    folder = IndexFolder(settings.index)
    inputs = gather_inputs(settings, embedder)
    generation = inputs.contents.generation_id()
    with folder.building(), folder.open_or_none(generation) as existing:
        if existing is not None:
            folder.point_to(generation)
            manifest = existing.manifest
        else:
            with folder.open_or_none() as current:
                manifest = folder.add(generation, lambda path: build_generation(path, inputs, current, progress))
            remove_shards(settings.index)
        calibrates = existing is None and not is_built_in(manifest.model.weights_sha256)
        publishes = settings.store == "milvus"
        if calibrates or publishes:
            opened = closing(folder.open_generation(generation)) if existing is None else nullcontext(existing)
            with opened as index:
                if calibrates:
                    calibrate_unlabelled(folder, index, embedder)
                if publishes:
                    publish(settings, folder, index, lambda at: _answerer(settings, embedder, at, folder).self_test())
        folder.keep_source(settings.source)
        folder.delete_old(settings.keep_generations)
        return manifest, existing is None


def open_answerer(
    settings: Settings, embedder: Embedder, generations: Generations | None = None
) -> "tuple[QuestionAnswerer, str | None]":
    """Open the current generation for questions; also return the problem if an older one had to be opened."""
    where = generations or generations_of(settings)
    opened = where.open_current(embedder.identity)
    return _answerer(settings, embedder, opened.index, where), opened.degraded


def _answerer(settings: Settings, embedder: Embedder, index: Index, generations: Generations) -> "QuestionAnswerer":
    reader = open_reader(settings.reader, index.manifest.model.weights_sha256)
    retriever = Retriever(
        index,
        best_calibration(generations, index.manifest, "" if reader is None else settings.reader),
        ranker=Ranker(
            index,
            late_interaction=settings.rerank == MAXSIM,
            reranker=open_reranker(settings.rerank, allow_download=settings.allow_download),
            lexical_weight=settings.lexical_weight,
        ),
        answers=None if reader is None else AnswerReader(reader, settings.reader),
        max_per_document=settings.max_per_document,
    )
    return QuestionAnswerer(index, embedder, retriever, settings)


class QuestionAnswerer:
    """Answers questions from one open index.

    Not thread-safe, except that :meth:`prepare` may run in a second thread.
    """

    def __init__(self, index: Index, embedder: Embedder, retriever: Retriever, settings: Settings) -> None:
        self.index = index
        self.embedder = embedder
        self.retriever = retriever
        self._pins = PinFinder(index, settings.top_k, settings.max_per_document)
        self._interpreter = Interpreter(index, embedder.whole_words(), settings.question_steps)
        self._literal_interpreter = Interpreter(index, (), AS_TYPED_STEPS.intersection(settings.question_steps))
        self.question_cache = QuestionCache(embedder, settings.cache_mb * 1_000_000)
        self._settings = settings
        self._blocks = BlockCache(partial(_document, index))  # without a cycle: a replaced index is freed at once

    @property
    def reader_mode(self) -> str:
        """How the reader reads, ``quick`` or ``careful``; empty if there is none for this index."""
        return self.retriever.reader_mode

    def ask(self, question: str, options: AskOptions = _DEFAULT_OPTIONS, *, query: Query | None = None) -> Answer:
        """Return the best passages with citations, and whether they are likely to contain the answer.

        Pass the ``query`` of a question that was already checked and prepared. Otherwise a question that is
        blank or longer than 2,000 characters is an :class:`InvalidRequest`.
        """
        stages: list[Stage] = []
        if query is None:
            check_question(question)
            with _timed("embed", stages):
                query = self.prepare([(question, options)])[0]
        with _timed("retrieve", stages):
            query = query.admitted(self.index, options.filters)
            retrieved = self._pins.put_first(question, query, options, self._retrieve(query, options))
        with _timed("cite", stages):
            results = cite(self.index, retrieved.results, self._settings.published)
            if options.blocks:
                results = tuple(map(self._with_blocks, results))
        conclusion = conclude(query.text, retrieved, self.index, Thresholds.of(self._settings, options))
        return Answer(
            question=question,
            results=results,
            quotes=conclusion.quotes,
            confidence=retrieved.confidence,
            verdict=conclusion.verdict,
            index_version=self.index.generation,
            reason=conclusion.reason,
            understood=_with_language(query.understood, conclusion.reason),
            pinned=retrieved.pinned,
            vector=query.wordings[0].embedding.vector,
            stages=tuple(stages),
        )

    def _with_blocks(self, result: CitedPassage) -> CitedPassage:
        place = result.citation.position
        return replace(
            result, blocks=self._blocks.clipped(result.citation.document_id, place.start_char, place.end_char)
        )

    def retrieve(
        self, question: str, options: AskOptions = _DEFAULT_OPTIONS, *, without: IntArray | None = None
    ) -> RetrievalResult:
        """Return the ranked passages without citations, and the evidence that they contain the answer.

        Passages with numbers in ``without`` are left out.
        """
        check_question(question)
        return self._retrieve(self.prepare([(question, options)])[0], options, without)

    def _retrieve(self, query: Query, options: AskOptions, without: IntArray | None = None) -> RetrievalResult:
        top_k = options.top_k or self._settings.top_k
        return self.retriever.retrieve(query, top_k, options.filters, without=without, explain=options.explain)

    def prepare(self, asked: Sequence[tuple[str, AskOptions]]) -> list[Query]:
        """Return questions as understood, with the embeddings of their wordings, which are computed together."""
        understood = [self.understand(text, options) for text, options in asked]
        embeddings = iter(self.question_cache.embed([text for one in understood for text in one.wordings]))
        return [Query.of(one, [next(embeddings) for _ in one.wordings]) for one in understood]

    def understand(self, question: str, options: AskOptions = _DEFAULT_OPTIONS) -> UnderstoodQuestion:
        """Return a question as it is asked of the documents."""
        interpreter = self._literal_interpreter if options.as_typed else self._interpreter
        return interpreter.understand(question, options.history, filtered=options.filters is not None)

    def document_rank(self, question: str, document: str) -> DocumentRank:
        """Return the rank of a document's best passage, and the passages before it.

        ``document`` is an id or a uri. Raises :class:`NotFound`.
        """
        check_question(question)
        found = self.index.document(document) or self.index.document_by_uri(document)
        if found is None:
            raise NotFound(f"no document {document!r} in the index; give its path below the source folder")
        passages = np.array(self.index.overlapping(found.id, 0, len(found.text)))
        return self.retriever.document_rank(self.prepare([(question, _DEFAULT_OPTIONS)])[0], passages)

    def document(self, document_id: str) -> SourceDocument:
        """Return a document as it was indexed. Raises :class:`NotFound`."""
        return _document(self.index, document_id)

    def published_link(self, document: SourceDocument, place: Offsets) -> str | None:
        """Return the URL of a span where its document is published, or ``None``."""
        published = self._settings.published
        address = address_of(document, published)
        url = link(document, place, published)
        is_view = url == view_path(document.id, place) or place[0] >= place[1]
        return address if address is None or is_view else url

    def citation(self, identifier: str) -> Verdict:
        """Return whether the quote of a permalink still stands. Raises :class:`NotFound` for an unknown permalink."""
        wanted = CitationId.parse(identifier)
        found = None if wanted is None else self.index.cited_passage(wanted.passage_id)
        if wanted is None or found is None or wanted.end > len(found[2]):
            raise NotFound("no citation has this id; use the `permalink` of a citation")
        uri, start, text = found
        return self.verify(CitedQuote(uri, start + wanted.start, text[wanted.start : wanted.end]))

    def verify(self, cited: CitedQuote) -> Verdict:
        """Return whether a quote stands in its document as indexed, or else in another document."""
        return check(cited, self.index.document_by_uri(cited.uri), self.index.document_holding)

    def self_test(self) -> None:
        """Compare a vector with that of the index, load the reader, ask a question.

        Raises :class:`IndexCorrupt` if model and index do not belong together.
        """
        for step in self.self_test_steps():
            step()

    def self_test_steps(self) -> tuple[Callable[[], object], ...]:
        """Return the steps of the self-test, each of which takes about as long as a question."""
        question = self.index.passage(0).text[:_TEST_QUESTION_CHARACTERS] if len(self.index) else ""
        return self._compare_vector, self.retriever.load_reader, partial(self.ask, question, AskOptions(top_k=1))

    def _compare_vector(self) -> None:
        if not len(self.index):
            raise IndexCorrupt("the index contains no passages; rebuild with `qa-service index`")
        passage = self.index.passage(0)
        vector = self.embedder.embed_passages([embedding_text(passage.context, passage.text)]).vectors[0]
        cosine = float(self.index.vectors(np.array([0]))[0] @ vector)
        if cosine < _SAME_TEXT_COSINE:
            raise IndexCorrupt(
                f"self-test failed: the first passage, embedded again, has cosine {cosine:.3f} with its vector in the "
                "index; rebuild with `qa-service index`"
            )


def _document(index: Index, document_id: str) -> SourceDocument:
    document = index.document(document_id)
    if document is None:
        raise NotFound("no document has this id; use the `document_id` of a citation")
    return document


def _with_language(understood: UnderstoodQuestion, reason: Reason | None) -> UnderstoodQuestion:
    """Return a question with its language if that is why it is not answered."""
    language = reason.subject if reason is not None and reason.kind == "other_language" else None
    return understood if language is None else replace(understood, language=language)


@contextmanager
def _timed(name: str, stages: list[Stage]) -> Iterator[None]:
    start = time.perf_counter()
    yield
    stages.append(Stage(name, start, time.perf_counter()))
