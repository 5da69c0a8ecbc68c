"""Builds a generation from a source folder: gathers its inputs, then adds the documents of one file after another."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from qa_service.embedding import Embedder
from qa_service.errors import SettingsError, SourceError
from qa_service.index import Contents, Manifest
from qa_service.index.disk import OpenIndex
from qa_service.index.manifest import ModelEntry, SourceEntry
from qa_service.index.words import languages
from qa_service.indexing.cluster import build_shards
from qa_service.indexing.draft import MAX_COPIED_PASSAGES, Draft
from qa_service.loading import (
    FORMATS,
    READERS_VERSION,
    ParserProcess,
    PinFile,
    SourceFolder,
    SynonymFile,
    limits_of,
    ocr_engine,
    read_documents,
    read_pins,
    read_synonyms,
    scan_source,
)
from qa_service.settings import Settings
from qa_service.splitting import Splitter, SplitterSettings, split

Progress = Callable[[str, int, int], None]
"""Called with the name of the step, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class BuildInputs:
    """The inputs of a generation. Equal ``contents`` always give the same generation."""

    settings: Settings
    embedder: Embedder
    source: SourceFolder
    synonyms: SynonymFile
    pins: PinFile
    contents: Contents


def gather_inputs(settings: Settings, embedder: Embedder) -> BuildInputs:
    """Scan the source folder. Raises :class:`SettingsError` and :class:`SourceError`."""
    if settings.language not in languages():
        raise SettingsError(f"QA_LANGUAGE is {settings.language!r}; it must be one of {', '.join(languages())}")
    limits = limits_of(settings)
    source = scan_source(
        settings.source,
        FORMATS,
        max_file_bytes=limits.file_bytes,
        include=settings.include,
        starters=settings.starter_paths,
    )
    synonyms = read_synonyms(settings.source, limits.file_bytes)
    pins = read_pins(settings.source, limits.file_bytes)
    contents = Contents(
        model=ModelEntry.of(embedder),
        language=settings.language,
        token_vectors=settings.token_vectors,
        splitter=SplitterSettings(settings.passage_tokens, embedder.window, settings.overlap_tokens),
        # Time and memory limits do not count: a file that is read within them is read alike with more of either, and
        # one that failed is read again anyway.
        readers=str(
            (
                *(READERS_VERSION, limits.pages, limits.expanded_bytes),
                *(limits.row_text, limits.row_title, limits.row_id),
                *(limits.ocr, limits.ocr_pages, ocr_engine() if limits.ocr == "auto" else ""),
            )
        ),
        sources=SourceEntry.of(source.files),
        left_out=source.left_out,
        synonyms=synonyms.sha256,
        pins=pins.sha256,
    )
    return BuildInputs(settings, embedder, source, synonyms, pins, contents)


def build_generation(
    path: Path,
    inputs: BuildInputs,
    current: OpenIndex | None,
    progress: Progress,
    *,
    max_copied_passages: int = MAX_COPIED_PASSAGES,
) -> Manifest:
    """Write a generation into ``path``, reusing the current one; return its manifest.

    Raises :class:`SourceError` without a document, :class:`TooManyFailed`, and :class:`SourceChangedError` if a file
    changes meanwhile.
    """
    settings = inputs.settings
    draft = Draft(path, inputs.contents, inputs.embedder, current, max_copied_passages=max_copied_passages)
    if settings.engine == "ray":
        new = [file for file in inputs.source.files if not draft.can_reuse(file)]
        draft.use_shards(build_shards(settings, inputs.contents, new, inputs.embedder, draft.codec, progress))
    _add_documents(draft, inputs, progress)
    if not draft.documents:
        reasons = "; ".join(f"{item.uri}: {item.reason}" for item in draft.skipped[:3]) or "it holds no files"
        raise SourceError(f"no usable document in {settings.source} ({reasons}); put {', '.join(FORMATS)} files there")
    if not settings.allow_skips:
        draft.expect_few_failures(settings.max_failed_percent)
    return draft.finish(
        batch_size=settings.batch_size,
        progress=lambda done, passages: progress("embedding passages", done, passages),
        synonyms=inputs.synonyms,
        pins=inputs.pins,
    )


def _add_documents(draft: Draft, inputs: BuildInputs, progress: Progress) -> None:
    files, limits = inputs.source.files, limits_of(inputs.settings)
    splitter = Splitter(inputs.contents.splitter, inputs.embedder.count_tokens)
    with ParserProcess(limits) as parser:
        for done, file in enumerate(files, start=1):
            if not draft.reuse_file(file):
                for found in read_documents(file, limits, parser):
                    draft.add(split(found, splitter))
            progress("reading documents", done, len(files))
