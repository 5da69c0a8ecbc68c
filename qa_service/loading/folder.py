"""Which files a source folder holds, and why some of them are not documents.

Every file found is either a document or skipped with a reason. Names that begin with a dot are not
looked at. Links to folders are not followed; links to files only if they stay inside the folder.
"""

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from qa_service.cleaning import BIDI_CONTROLS
from qa_service.datatypes import Document, Skipped
from qa_service.errors import SourceError
from qa_service.loading.decoding import UndecodableError, decode
from qa_service.loading.markdown import parse_markdown
from qa_service.loading.outline import Format
from qa_service.loading.plaintext import parse_plain_text

FORMATS: dict[str, Format] = {
    ".txt": parse_plain_text,
    ".text": parse_plain_text,
    ".md": parse_markdown,
    ".markdown": parse_markdown,
}
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class LoadedFolder:
    """All documents by uri, and all files that are none."""

    documents: tuple[Document, ...]
    skipped: tuple[Skipped, ...]

    @property
    def files(self) -> int:
        """Number of files found."""
        return len(self.documents) + len(self.skipped)


class _SkipFile(Exception):
    def __init__(self, reason: str, *, failed: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failed = failed


def load_folder(source: Path, *, max_file_bytes: int) -> LoadedFolder:
    """Read every document below ``source``, in the order of their uris.

    Raises :class:`SourceError` if the folder is missing, is no folder, or holds no usable document.
    """
    root = source_root(source)
    documents: list[Document] = []
    skipped: list[Skipped] = []
    for found in _walk(root):
        if isinstance(found, Skipped):
            skipped.append(found)
            continue
        try:
            documents.append(_read(root, found, max_file_bytes))
        except _SkipFile as skip:
            skipped.append(Skipped(_uri(root, found), skip.reason, skip.failed))
    if not documents:
        reasons = "; ".join(f"{item.uri}: {item.reason}" for item in skipped[:3]) or "it holds no files"
        raise SourceError(f"no usable document in {source} ({reasons}); put {', '.join(sorted(FORMATS))} files there")
    return LoadedFolder(
        tuple(sorted(documents, key=lambda document: document.uri)),
        tuple(sorted(skipped, key=lambda item: item.uri)),
    )


def source_root(source: Path) -> Path:
    """Return the folder's real path. Raises :class:`SourceError` if it is missing or no folder."""
    if not source.exists():
        raise SourceError(f"source folder {source} does not exist; create it or name another with --source")
    if not source.is_dir():
        raise SourceError(f"source {source} is a file, not a folder; name the folder that holds it")
    return source.resolve()


def _walk(root: Path) -> Iterator[os.DirEntry[str] | Skipped]:
    pending = [str(root)]
    while pending:
        folder = pending.pop()
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError as error:
            yield Skipped(_uri(root, folder), f"folder can't be listed: {error.strerror}", failed=True)
            continue
        for entry in listed:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            elif entry.is_symlink() and os.path.isdir(entry.path):
                yield Skipped(_uri(root, entry), "link to a folder, not followed", failed=False)
            else:
                yield entry


def _uri(root: Path, path: "str | os.PathLike[str]") -> str:
    """Return the path below ``root`` with forward slashes; bytes that are no UTF-8 become ``%XX``."""
    relative = os.path.relpath(os.fspath(path), root)
    data = os.fsencode(relative.replace(os.sep, "/"))
    return "".join(
        f"%{ord(character) - 0xDC00:02X}" if "\udc80" <= character <= "\udcff" else character
        for character in data.decode("utf-8", "surrogateescape")
    )


def _read(root: Path, entry: os.DirEntry[str], max_file_bytes: int) -> Document:
    suffix = os.path.splitext(entry.name)[1].lower()
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not target.startswith(str(root) + os.sep):
            raise _SkipFile("link that leads out of the source folder, not followed", failed=False)
    parse = FORMATS.get(suffix)
    if parse is None:
        raise _SkipFile(f"format {suffix or 'without an ending'} is not read", failed=False)
    text, sha256 = _read_text(entry.path, max_file_bytes)
    if not text.strip(" \t\r\n\f\v\ufeff"):
        raise _SkipFile("empty", failed=False)
    try:
        outline = parse(text)
    except RecursionError as error:
        raise _SkipFile("nested too deeply", failed=True) from error
    if not outline.blocks:
        raise _SkipFile("no content below its headings", failed=False)
    uri = _uri(root, entry)
    return Document(
        id=hashlib.sha256(uri.encode()).hexdigest()[:16],
        uri=uri,
        title=outline.title or uri.rsplit("/", 1)[-1],
        title_is_heading=outline.title is not None,
        text=text,
        sha256=sha256,
        blocks=outline.blocks,
        metadata=outline.metadata,
        warnings=tuple(_warnings(text)),
    )


def _read_text(path: str, max_file_bytes: int) -> tuple[str, str]:
    try:
        # Without O_NONBLOCK, opening a named pipe waits for a writer that may never come.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise _SkipFile("not a regular file", failed=False)
            data = file.read(max_file_bytes + 1) if status.st_size <= max_file_bytes else None
    except OSError as error:
        raise _SkipFile(f"can't be read: {error.strerror}", failed=True) from error
    if data is None or len(data) > max_file_bytes:
        raise _SkipFile(
            f"{status.st_size / _MEGABYTE:.1f} MB, over the limit of {max_file_bytes / _MEGABYTE:g} MB "
            "(QA_MAX_FILE_MB)",
            failed=True,
        )
    try:
        return decode(data), hashlib.sha256(data).hexdigest()
    except UndecodableError as error:
        raise _SkipFile(str(error), failed=True) from error


def _warnings(text: str) -> Iterator[str]:
    if nul := text.count("\0"):
        yield f"{nul} NUL characters, hidden from the model"
    if bidi := len(BIDI_CONTROLS.findall(text)):
        yield f"{bidi} bidirectional controls, hidden from the model"
