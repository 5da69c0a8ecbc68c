"""Scans a source folder for files, and opens them.

Every file found is either read or skipped with a reason. Names that begin with a dot are ignored. Links to folders
are not followed; links to files only if they stay inside the source folder.

The reasons of a scan are part of a generation's identity: changing their wording would make every index outdated.
"""

import hashlib
import os
import stat
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BufferedReader
from pathlib import Path

from qa_service.datatypes import Skipped, SourceFile
from qa_service.errors import SourceError

SYNONYMS_FILE = "synonyms.txt"
"""This file of a source folder is not a document; :mod:`synonyms` reads it."""
PINS_FILE = "answers.jsonl"
"""Nor is this one; :mod:`pins` reads it."""
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class SourceFolder:
    """The result of a scan: the files to read and the files ``left_out``, which are not opened, each in uri order."""

    files: tuple[SourceFile, ...]
    left_out: tuple[Skipped, ...]


class SkipFile(Exception):
    """Raised for a file that is not read; ``failed`` means that the user should look at it."""

    def __init__(self, reason: str, *, failed: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failed = failed


def scan_source(
    source: Path,
    extensions: Collection[str],
    *,
    max_file_bytes: int,
    include: Collection[str] = (),
    starters: Collection[str] = (),
) -> SourceFolder:
    """Return the files of a folder that have one of the extensions, each with the sha256 of its bytes.

    With patterns to ``include``, paths that match none of them are ignored; ``*`` matches any characters, slashes
    included. Files at the paths ``starters``, here or in the folder of a collection, are not documents, nor are
    ``synonyms.txt`` and ``answers.jsonl``. Raises :class:`SourceError` if the folder is missing or is a file.
    """
    root = source_root(source)
    files: list[SourceFile] = []
    left_out: list[Skipped] = []
    for found in _walk(root):
        if isinstance(found, Skipped):
            left_out.append(found)
            continue
        uri = _uri(root, found)
        if any(f"/{uri}".endswith(f"/{path}") for path in starters):
            left_out.append(Skipped(uri, "questions to start with, not a document", failed=False))
            continue
        if uri in {SYNONYMS_FILE, PINS_FILE}:
            continue
        if include and not any(fnmatchcase(uri, pattern) for pattern in include):
            continue
        try:
            files.append(SourceFile(uri, found.path, _identify(root, found, extensions, max_file_bytes)))
        except SkipFile as skip:
            left_out.append(Skipped(uri, skip.reason, skip.failed))
    return SourceFolder(
        tuple(sorted(files, key=lambda file: file.uri)),
        tuple(sorted(left_out, key=lambda item: item.uri)),
    )


def source_root(source: Path) -> Path:
    """Return the folder's real path. Raises :class:`SourceError` if it is missing or is a file."""
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
    """Return the path below ``root`` with forward slashes; bytes that are not UTF-8 become ``%XX``."""
    relative = os.path.relpath(os.fspath(path), root)
    data = os.fsencode(relative.replace(os.sep, "/"))
    return "".join(
        f"%{ord(character) - 0xDC00:02X}" if "\udc80" <= character <= "\udcff" else character
        for character in data.decode("utf-8", "surrogateescape")
    )


def _identify(root: Path, entry: os.DirEntry[str], extensions: Collection[str], max_file_bytes: int) -> str:
    """Return the sha256 of a file. Raises :class:`SkipFile` if it is not to be read."""
    if entry.is_symlink():
        target = os.path.realpath(entry.path)
        if not target.startswith(str(root) + os.sep):
            raise SkipFile("link that leads out of the source folder, not followed", failed=False)
    extension = extension_of(entry.name)
    if extension not in extensions:
        raise SkipFile(f"format {extension or 'without an ending'} is not read", failed=False)
    with open_regular_file(entry.path, max_file_bytes) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def extension_of(name: str) -> str:
    """Return the extension of a file name in lower case, with its dot."""
    return os.path.splitext(name)[1].lower()


@contextmanager
def open_regular_file(path: str, max_file_bytes: int) -> Iterator[BufferedReader]:
    """Open a regular file of at most ``max_file_bytes``. Raises :class:`SkipFile` for any other, and if it can't."""
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise SkipFile("not a regular file", failed=False)
            if status.st_size > max_file_bytes:
                raise SkipFile(
                    f"{status.st_size / _MEGABYTE:.1f} MB, over the limit of {max_file_bytes / _MEGABYTE:g} MB "
                    "(QA_MAX_FILE_MB)",
                    failed=True,
                )
            yield file
    except OSError as error:
        raise SkipFile(f"can't be read: {error.strerror}", failed=True) from error


def read_companion(source: Path, name: str, max_file_bytes: int) -> bytes | None:
    """Return the bytes of a file of the source folder that is not a document, or ``None`` if it is missing.

    Raises :class:`SkipFile` if it can't be read.
    """
    path = source / name
    if not path.exists():
        return None
    if not path.resolve().is_relative_to(source.resolve()):
        raise SkipFile("link that leads out of the source folder, not followed", failed=True)
    with open_regular_file(str(path), max_file_bytes) as file:
        return file.read(max_file_bytes + 1)
