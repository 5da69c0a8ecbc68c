"""A file -> its documents, or the reason why it has none."""

import base64
import hashlib
import re
from collections.abc import Iterator
from itertools import islice

import regex

from qa_service.datatypes import Document, Skipped, SourceFile
from qa_service.loading.archive_members import joined
from qa_service.loading.folder import SkipFile, extension_of, open_regular_file
from qa_service.loading.formats import FORMATS, parts_of
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, SkippedPart, UnreadableError, letters_of
from qa_service.loading.parser_process import ParserProcess
from qa_service.text.cleaning import BIDI_CONTROLS
from qa_service.text.secrets import SECRET

# Matters to those who pass the passages on to a generative model.
_PROMPT_INJECTION = re.compile(
    r"\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:the\s+|your\s+)?(?:previous|prior|above|earlier)\s+"
    r"(?:instructions|prompts?|rules)\b",
    re.IGNORECASE,
)
_SECRET_KINDS = {"aws": "an AWS access key", "private": "a private key", "github": "a GitHub token"}
_MAX_SECRET_WARNINGS = 5
_MIN_KEPT_SHARE = 0.98
_MIXED_ALPHABETS = regex.compile(r"\b(?=\w*\p{Latin})(?=\w*[\p{Cyrillic}\p{Greek}])\w+\b")


class SourceChangedError(Exception):
    """Raised for a file whose content is no longer that of the scan; the message is its uri."""


def read_file(file: SourceFile, limits: Limits) -> bytes:
    """Return a file's bytes, at most one more than the limit. Raises :class:`SkipFile`."""
    with open_regular_file(file.path, limits.file_bytes) as opened:
        return opened.read(limits.file_bytes + 1)


def read_documents(
    file: SourceFile, limits: Limits, parser: ParserProcess, data: bytes | None = None
) -> Iterator[Document | Skipped]:
    """Yield the documents of a file, and the parts that are skipped with their reasons.

    ``data`` is the file's content, if it was already read. Raises :class:`SourceChangedError` if that is not the
    content of the scan.
    """
    try:
        yield from _documents(file, read_file(file, limits) if data is None else data, limits, parser)
    except SkipFile as skip:
        yield Skipped(file.uri, skip.reason, skip.failed)
    except UnreadableError as error:
        yield Skipped(file.uri, str(error), failed=True)


def _documents(file: SourceFile, data: bytes, limits: Limits, parser: ParserProcess) -> Iterator[Document | Skipped]:
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise SourceChangedError(file.uri)
    if not data.strip(b" \t\r\n\f\v").removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\f\v"):
        raise SkipFile("empty", failed=False)
    suffix = extension_of(file.path)
    file_format = FORMATS[suffix]
    part = None
    for part in parser.read(suffix, data) if file_format.isolated else parts_of(suffix, data, limits):
        yield _document(file, file_format.media_type, part)
    if part is None:
        raise SkipFile("no content, such as rows below a header", failed=False)


def _document(file: SourceFile, media_type: str, part: ParsedDocument | SkippedPart) -> Document | Skipped:
    uri = joined(file.uri, part.part)
    if isinstance(part, SkippedPart):
        return Skipped(uri, part.reason, part.failed)
    outline = part.outline
    if not outline.blocks:
        return Skipped(uri, "no content below its headings" if part.text.strip() else "no text", failed=False)
    return Document(
        id=hashlib.sha256(uri.encode()).hexdigest()[:16],
        uri=uri,
        source=file.uri,
        media_type=part.media_type or media_type,
        url=part.url,
        pages=part.pages,
        page_lines=tuple(map(base64.b64decode, part.page_lines)),
        title=outline.title or uri.rsplit("/", 1)[-1],
        title_is_heading=outline.title is not None,
        text=part.text,
        sha256=file.sha256,
        blocks=outline.blocks,
        metadata=outline.metadata,
        dropped=outline.dropped,
        warnings=(*part.warnings, *_losses(part), *_warnings(part.text)),
    )


def _losses(part: ParsedDocument) -> Iterator[str]:
    """Yield a warning if less than ``_MIN_KEPT_SHARE`` of the text that a person sees is content."""
    outline = part.outline
    kept = sum(letters_of(part.text[block.start : block.end]) for block in outline.blocks)
    lost = sum(dropped.characters for dropped in outline.dropped)
    if kept < _MIN_KEPT_SHARE * (kept + lost):
        names = ", ".join(
            f"{dropped.count} {dropped.kind}{'' if dropped.count == 1 else 's'} ({dropped.characters} characters)"
            for dropped in sorted(outline.dropped, key=lambda dropped: -dropped.characters)
        )
        yield f"{kept / (kept + lost):.1%} of its text is content; dropped: {names}"


def _warnings(text: str) -> Iterator[str]:
    if nul := text.count("\0"):
        yield f"{nul} NUL characters, hidden from the model"
    if mixed := len(_MIXED_ALPHABETS.findall(text)):
        yield f"{mixed} words mix look-alike letters of several alphabets"
    for match in islice(_PROMPT_INJECTION.finditer(text), 1):
        line = text.count("\n", 0, match.start()) + 1
        yield f"line {line}: looks like an instruction to a language model; it is indexed as ordinary text"
    for secret in islice(SECRET.finditer(text), _MAX_SECRET_WARNINGS):
        line = text.count("\n", 0, secret.start()) + 1
        yield f"line {line}: contains {_SECRET_KINDS[secret.lastgroup or '']}, visible to every reader of the index"
    if bidi := len(BIDI_CONTROLS.findall(text)):
        yield f"{bidi} bidirectional controls, hidden from the model"
