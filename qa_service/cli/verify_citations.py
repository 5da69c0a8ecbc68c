"""Checks the citations in a file against the current source folder."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from qa_service.citations import CitedQuote, Verdict, check
from qa_service.datatypes import Document, SourceDocument, SourceFile
from qa_service.errors import InputError
from qa_service.io import strict_json
from qa_service.loading import FORMATS, ParserProcess, limits_of, read_documents, scan_source
from qa_service.settings import Settings

_CITED = TypeAdapter(CitedQuote)


def verify_file(path: Path, settings: Settings) -> Iterator[Verdict]:
    """Yield a verdict for each citation of a JSON Lines file, in order.

    A line is a citation, or an answer with its results. Raises :class:`InputError` for any other line.
    """
    limits = limits_of(settings)
    folder = scan_source(settings.source, FORMATS, max_file_bytes=limits.file_bytes, starters=settings.starter_paths)
    with ParserProcess(limits) as parser:
        unread = {file.uri: file for file in folder.files}
        documents: dict[str, SourceDocument] = {}

        def read(file: SourceFile) -> None:
            del unread[file.uri]
            for found in read_documents(file, limits, parser):
                if isinstance(found, Document):
                    documents[found.uri] = _as_indexed(found)

        def own(uri: str) -> SourceDocument | None:
            for name in (uri, uri.rpartition("#")[0]):
                if name in unread:
                    read(unread[name])
            return documents.get(uri)

        def holding(text: str) -> SourceDocument | None:
            for file in tuple(unread.values()):
                read(file)
            return next((document for document in documents.values() if text in document.text), None)

        for cited in _citations(path):
            yield check(cited, own(cited.uri), holding)


def _as_indexed(found: Document) -> SourceDocument:
    return SourceDocument(
        *(found.id, found.uri, found.title, found.sha256, found.source, found.media_type),
        *(found.url, found.pages, found.text),
    )


def _citations(path: Path) -> Iterator[CitedQuote]:
    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}; name a JSON Lines file") from error
    for number, line in enumerate(data.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            entry: Any = strict_json.loads(line)
            for citation in [result["citation"] for result in entry["results"]] if "results" in entry else [entry]:
                start = citation["start_char"] + citation.get("quote_start", 0)
                yield _CITED.validate_python({"uri": citation["uri"], "start": start, "quote": citation["quote"]})
        except (ValueError, ValidationError, KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}, line {number}: neither a citation nor an answer ({type(error).__name__})"
            ) from error
