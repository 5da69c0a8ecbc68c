"""A file -> its documents, or the reason why it holds none."""

import hashlib
import re
from collections.abc import Iterator
from itertools import islice

import regex

from qa_service.datatypes import Document, Skipped, SourceFile
from qa_service.loading.folder import SkipFile, opened_file, suffix_of
from qa_service.loading.formats import FORMATS
from qa_service.loading.outline import Extracted, Limits, Refused, UnreadableError
from qa_service.loading.parser_process import ParserProcess
from qa_service.text.cleaning import BIDI_CONTROLS

_SECRET = re.compile(
    r"(?P<aws>\bAKIA[0-9A-Z]{16}\b)|(?P<private>-----BEGIN [A-Z ]*PRIVATE KEY-----)|(?P<github>\bgh[pousr]_\w{36}\b)"
)
# For who hands the passages on to a model that writes.
_ORDER = re.compile(
    r"\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+)?(?:the\s+|your\s+)?(?:previous|prior|above|earlier)\s+"
    r"(?:instructions|prompts?|rules)\b",
    re.IGNORECASE,
)
_KINDS = {"aws": "an AWS access key", "private": "a private key", "github": "a GitHub token"}
_MOST_SECRETS = 5
_MIXED = regex.compile(r"\b(?=\w*\p{Latin})(?=\w*[\p{Cyrillic}\p{Greek}])\w+\b")


class SourceChangedError(Exception):
    """A file is not what it was when the folder was looked through."""


def read_file(file: SourceFile, limits: Limits) -> bytes:
    """Return a file's bytes, one more than the limit at most. Raises :class:`SkipFile`."""
    with opened_file(file.path, limits.file_bytes) as opened:
        return opened.read(limits.file_bytes + 1)


def read_documents(
    file: SourceFile, limits: Limits, parser: ParserProcess, data: bytes | None = None
) -> Iterator[Document | Skipped]:
    """Yield the documents that a file holds, and what of it holds none and why.

    ``data`` is what it holds, if that was read already. Raises :class:`SourceChangedError` if the file is not what it
    was.
    """
    try:
        yield from _documents(file, read_file(file, limits) if data is None else data, limits, parser)
    except SkipFile as skip:
        yield Skipped(file.uri, skip.reason, skip.failed)
    except UnreadableError as error:
        yield Skipped(file.uri, str(error), failed=True)
    except RecursionError:
        yield Skipped(file.uri, "nested too deeply", failed=True)


def _documents(file: SourceFile, data: bytes, limits: Limits, parser: ParserProcess) -> Iterator[Document | Skipped]:
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise SourceChangedError(file.uri)
    if not data.strip(b" \t\r\n\f\v").removeprefix(b"\xef\xbb\xbf").strip(b" \t\r\n\f\v"):
        raise SkipFile("empty", failed=False)
    suffix = suffix_of(file.path)
    form = FORMATS[suffix]
    for part in parser.read(suffix, data) if form.apart else form.read(data, limits):
        yield _document(file, form.media_type, part)


def _document(file: SourceFile, media_type: str, part: Extracted | Refused) -> Document | Skipped:
    uri = f"{file.uri}#{part.part}" if part.part else file.uri
    if isinstance(part, Refused):
        return Skipped(uri, part.reason, failed=True)
    outline = part.outline
    if not outline.blocks:
        return Skipped(uri, "no content below its headings" if part.text.strip() else "no text in it", failed=False)
    return Document(
        id=hashlib.sha256(uri.encode()).hexdigest()[:16],
        uri=uri,
        source=file.uri,
        media_type=media_type,
        url=part.url,
        pages=part.pages,
        title=outline.title or uri.rsplit("/", 1)[-1],
        title_is_heading=outline.title is not None,
        text=part.text,
        sha256=file.sha256,
        blocks=outline.blocks,
        metadata=outline.metadata,
        warnings=(*part.warnings, *_warnings(part.text)),
    )


def _warnings(text: str) -> Iterator[str]:
    if nul := text.count("\0"):
        yield f"{nul} NUL characters, hidden from the model"
    if mixed := len(_MIXED.findall(text)):
        yield f"{mixed} words mix letters of several alphabets that look alike"
    for order in islice(_ORDER.finditer(text), 1):
        line = text.count("\n", 0, order.start()) + 1
        yield f"line {line}: speaks to a language model; here it is text like any other"
    for secret in islice(_SECRET.finditer(text), _MOST_SECRETS):
        yield f"line {text.count(chr(10), 0, secret.start()) + 1}: {_KINDS[secret.lastgroup or '']}, which all may read"
    if bidi := len(BIDI_CONTROLS.findall(text)):
        yield f"{bidi} bidirectional controls, hidden from the model"
