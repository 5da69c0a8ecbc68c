"""What an index of a source folder is made from, and how its generation is written."""

from collections.abc import Callable
from pathlib import Path

from qa_service.embedding import Embedder
from qa_service.errors import SettingsError, SourceError
from qa_service.index import Contents, Manifest
from qa_service.index.disk import OpenIndex
from qa_service.index.words import languages
from qa_service.indexing.cluster import build_shards
from qa_service.indexing.draft import Draft
from qa_service.loading import (
    FORMATS,
    READERS_VERSION,
    ParserProcess,
    SourceFolder,
    limits_of,
    read_documents,
    scan_source,
)
from qa_service.settings import Settings
from qa_service.splitting import Splitter, SplitterSettings, split

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


def contents_of(settings: Settings, embedder: Embedder) -> tuple[Contents, SourceFolder]:
    """Look through the source folder; return what an index of it is made from, and its files."""
    if settings.language not in languages():
        raise SettingsError(f"QA_LANGUAGE is {settings.language!r}; it must be one of {', '.join(languages())}")
    limits = limits_of(settings)
    source = scan_source(settings.source, FORMATS, max_file_bytes=limits.file_bytes, include=settings.include)
    contents = Contents.of(
        embedder.identity,
        embedder.dimension,
        _splitter_settings(settings, embedder),
        source.files,
        source.left_out,
        # A file is read alike with more time or memory, unless it failed: then it is read again anyway.
        readers=str(
            (READERS_VERSION, limits.pages, limits.expanded_bytes, limits.row_text, limits.row_title, limits.row_id)
        ),
        language=settings.language,
        token_vectors=settings.token_vectors,
    )
    return contents, source


def write(
    path: Path,
    contents: Contents,
    source: SourceFolder,
    embedder: Embedder,
    previous: OpenIndex | None,
    settings: Settings,
    progress: Progress,
) -> Manifest:
    """Write the generation of a source folder into ``path``, reusing the previous one; return its manifest."""
    splitter = Splitter(contents.splitter.settings(), embedder.count_tokens)
    draft = Draft(path, contents, embedder, previous)
    limits = limits_of(settings)
    if settings.engine == "ray":
        new = [file for file in source.files if not draft.can_reuse(file)]
        draft.use_shards(build_shards(settings, contents, new, embedder, draft.codec, progress))
    with ParserProcess(limits) as parser:
        for done, file in enumerate(source.files, start=1):
            if not draft.reuse_file(file):
                for found in read_documents(file, limits, parser):
                    draft.add(split(found, splitter))
            progress("reading documents", done, len(source.files))
    if not draft.documents:
        reasons = "; ".join(f"{item.uri}: {item.reason}" for item in draft.skipped[:3]) or "it holds no files"
        raise SourceError(f"no usable document in {settings.source} ({reasons}); put {', '.join(FORMATS)} files there")
    if not settings.allow_skips:
        draft.expect_few_failures(settings.max_failed_percent)
    return draft.finish(
        batch_size=settings.batch_size,
        progress=lambda done, passages: progress("embedding passages", done, passages),
    )


def _splitter_settings(settings: Settings, embedder: Embedder) -> SplitterSettings:
    return SplitterSettings(settings.passage_tokens, embedder.window, settings.overlap_tokens)
