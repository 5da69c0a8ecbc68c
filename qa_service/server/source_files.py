"""Files of a source folder, read, written and deleted over HTTP.

A file is received beside the documents, in a hidden folder that no scan enters, and then renamed, so that a build and
a reader see the old file or the new one. Folders are opened one below the other without following links: no path
leads out of the source folder, even if someone replaces a folder by a link meanwhile.
"""

import errno
import hashlib
import os
import re
import stat
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, lock_descriptor

from qa_service.errors import (
    BodyTooLarge,
    InvalidRequest,
    NotFound,
    PreconditionFailed,
    StorageError,
    StorageFull,
    UnreadableRequest,
)
from qa_service.io.durable import make_private_folder, storage_errors
from qa_service.server.threads import in_thread
from qa_service.settings import Settings

_UPLOADS = ".uploads"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_ENTITY_TAG = re.compile(r'(W/)?"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Condition:
    """The headers ``If-Match`` and ``If-None-Match`` of a request that changes a file."""

    match: str | None = None
    none_match: str | None = None

    def expect(self, current: str | None) -> None:
        """Raise :class:`PreconditionFailed` unless a file with this sha256, or a missing one, may be changed."""
        if self.match is not None and not _names(self.match, current, weakly=False):
            raise PreconditionFailed("the file is not the one that If-Match names; read it again, then change it")
        if self.none_match is not None and _names(self.none_match, current, weakly=True):
            raise PreconditionFailed("the file exists already; leave out If-None-Match to replace it")


def _names(header: str, current: str | None, *, weakly: bool) -> bool:
    if header.strip() == "*" or current is None:
        return current is not None
    return any(tag == current and (weakly or not weak) for weak, tag in _ENTITY_TAG.findall(header))


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that was stored."""

    sha256: str
    size: int
    created: bool


class SourceFiles:
    """The files of one source folder. Paths are names as ``document_paths.names_of`` returns them."""

    def __init__(self, settings: Settings) -> None:
        self._root = settings.source
        self._max_bytes = settings.max_file_mb * 1_000_000
        self._data = settings.data

    async def write(self, names: Sequence[str], body: AsyncIterator[bytes], condition: Condition) -> StoredFile:
        """Store a file, which appears once it is complete and on disk.

        Raises :class:`PreconditionFailed`, :class:`BodyTooLarge`, :class:`StorageFull`, :class:`InvalidRequest` if a
        folder or a link is in the way, and :class:`UnreadableRequest` if the body is empty.
        """
        upload = _Upload(self._root / _UPLOADS / uuid.uuid4().hex, self._max_bytes)
        try:
            await in_thread(self._open, upload)
            async for chunk in body:
                if chunk:
                    await in_thread(upload.add, chunk)
            return await in_thread(self._finish, upload, names, condition)
        finally:  # including a client that disconnects
            await in_thread(upload.discard)

    def read(self, names: Sequence[str]) -> bytes:
        """Return the content of a file. Raises :class:`NotFound`, or :class:`InvalidRequest` if it is too large."""
        with self._opened_folder(names[:-1]) as folder:
            return self._content(folder, names[-1])

    def delete(self, names: Sequence[str], condition: Condition) -> None:
        """Delete a file; its folder stays. Raises :class:`NotFound` or :class:`PreconditionFailed`."""
        with self._changing(), self._opened_folder(names[:-1]) as folder:
            status = _status(folder, names[-1])
            if status is None:
                raise _missing()
            condition.expect(self._sha256(folder, names[-1], condition))
            os.unlink(names[-1], dir_fd=folder)
            os.fsync(folder)

    def _open(self, upload: "_Upload") -> None:
        with self._changing(), _storing(upload.path):
            upload.open()

    def _finish(self, upload: "_Upload", names: Sequence[str], condition: Condition) -> StoredFile:
        if not upload.size:
            raise UnreadableRequest("the body is empty; send the content of the file")
        with _storing(self._root / "/".join(names)):
            upload.sync()
        with self._changing(), self._opened_folder(names[:-1], create=True) as folder:
            existed = _status(folder, names[-1]) is not None
            condition.expect(self._sha256(folder, names[-1], condition) if existed else None)
            with _storing(self._root / "/".join(names)):
                os.replace(upload.path, names[-1], dst_dir_fd=folder)
                os.fsync(folder)
        return StoredFile(upload.digest.hexdigest(), upload.size, created=not existed)

    def _sha256(self, folder: int, name: str, condition: Condition) -> str:
        """Return the sha256 of a file if a condition needs it, else any text."""
        if condition.match is None and condition.none_match is None:
            return ""
        return hashlib.sha256(self._content(folder, name)).hexdigest()

    def _content(self, folder: int, name: str) -> bytes:
        if _status(folder, name) is None:
            raise _missing()
        with open(os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder), "rb") as file:
            content = file.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise InvalidRequest("the file is over the limit of QA_MAX_FILE_MB; it is not read over HTTP")
        return content

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Lock out other requests, of all server processes, that change files."""
        with storage_errors(self._data):
            make_private_folder(self._data)
            lock = FileLock(self._data / "documents.lock", mode=0o600)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _opened_folder(self, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """Yield the descriptor of a folder below the source folder; make missing ones with ``create``."""
        with ExitStack() as opened:
            with _storing(self._root):
                folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY)
            opened.callback(os.close, folder)
            for name in names:
                if create:
                    with _storing(self._root / name), suppress(FileExistsError):
                        os.mkdir(name, dir_fd=folder)
                folder = _below(folder, name)
                opened.callback(os.close, folder)
            yield folder


class _Upload:
    """A file that is being received."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.size = 0
        self.digest = hashlib.sha256()
        self._max_bytes = max_bytes
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Create the file, locked while it is being received, and delete what killed servers left."""
        self.path.parent.mkdir(exist_ok=True)
        for other in self.path.parent.iterdir():
            with suppress(FileNotFoundError), other.open("rb+") as file:
                if lock_descriptor(file.fileno(), blocking=False):
                    other.unlink()
        self._file = self.path.open("xb")
        lock_descriptor(self._file.fileno(), blocking=False)

    def add(self, chunk: bytes) -> None:
        self.size += len(chunk)
        if self.size > self._max_bytes:
            raise too_large(self._max_bytes)
        if self._file is not None:
            with _storing(self.path):
                self._file.write(chunk)
        self.digest.update(chunk)

    def sync(self) -> None:
        """Force the file to disk. It stays open, and so locked, until it has its name."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())

    def discard(self) -> None:
        with suppress(OSError):  # a full disk fails again when the buffer is flushed
            if self._file is not None:
                self._file.close()
        with suppress(OSError):
            self.path.unlink()


def too_large(max_bytes: int) -> BodyTooLarge:
    """Return the error for a file over the limit; the rest of it is not received."""
    limit = max_bytes // 1_000_000
    return BodyTooLarge(
        f"the file is over the limit of {limit} MB (QA_MAX_FILE_MB); send a smaller one",
        headers={"Connection": "close"},
    )


def _missing() -> NotFound:
    return NotFound("no file has this path; GET /sources lists the documents that are indexed")


def _status(folder: int, name: str) -> os.stat_result | None:
    """Return the status of a regular file, or ``None`` if it is missing; anything else is in the way."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise InvalidRequest("the path leads to a folder or a link, not to a file; use another")
    return status


def _below(folder: int, name: str) -> int:
    try:
        return os.open(name, _FOLDER_FLAGS, dir_fd=folder)
    except FileNotFoundError:
        raise _missing() from None
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP}:
            raise InvalidRequest("the path leads through a file or a link, not through folders; use another") from None
        raise


@contextmanager
def _storing(path: Path) -> Iterator[None]:
    """Convert an ``OSError`` to :class:`StorageFull` or, with its path, to a :class:`StorageError`."""
    try:
        with storage_errors(path):
            yield
    except StorageError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno in _FULL:
            raise StorageFull("the file can't be stored, the disk is full; make room and send it again") from error
        raise
