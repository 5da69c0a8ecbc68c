"""The file of an export: a tar archive of regular files, compressed by Zstandard, whose first member lists the others.

The headers of a member follow from its name and size alone. A reader compares each with what it must be by the list, so
that links, devices, other paths, and sizes that are not in the list can't occur: nothing is parsed but the list itself.
The file ends with a frame that other programs skip: the sha256 of everything before it.
"""

import hashlib
import os
import shutil
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from qa_service.archiving.contents import CONTENTS, MAX_CONTENTS_BYTES, ArchiveContents, ArchivedFile, parse_contents
from qa_service.errors import InputError, SourceError, StorageError
from qa_service.io.durable import OWNER_FILE, storage_errors, sync_folder

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_BLOCK = tarfile.BLOCKSIZE
_END = bytes(2 * _BLOCK)
_COPY_BYTES = 1 << 20
_FEED_BYTES = 1 << 10
"""A block of Zstandard takes at least four bytes and holds up to 128 kB, so that these become 32 MB at most."""
_FRAME_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: 6,
    zstd.CompressionParameter.checksum_flag: 1,
}
_MAX_WINDOW: Mapping[int, int] = {zstd.DecompressionParameter.window_log_max: 27}
_SKIPPED = (0x184D2A50).to_bytes(4, "little") + (32).to_bytes(4, "little")
_TRAILER_BYTES = len(_SKIPPED) + 32
_AGAIN = "it was cut short or changed; copy it again, or export again"


def _header(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size = size
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


def _padding(size: int) -> bytes:
    return bytes(-size % _BLOCK)


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """Open a new private file to write; it gets its name when it is complete and forced to disk, or leaves nothing."""
    partial = path.with_name(path.name + ".partial")
    with storage_errors(path):
        if path.exists():
            raise StorageError(f"{path} exists; name another file or remove it")
        try:
            with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_FILE), "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.rename(path)
            sync_folder(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def write_archive(file: BinaryIO, contents: ArchiveContents, paths: Sequence[Path]) -> None:
    """Write the files of ``contents``, which lie at ``paths``.

    Raises :class:`SourceError` if one differs from the list by now.
    """
    hashed = _HashedFile(file)
    with zstd.ZstdFile(cast("BinaryIO", hashed), "w", options=_FRAME_OPTIONS) as target:
        listed = contents.to_bytes()
        target.write(_header(CONTENTS, len(listed)) + listed + _padding(len(listed)))
        for entry, path in zip(contents.files, paths, strict=True):
            target.write(_header(entry.name, entry.bytes))
            digest, left = hashlib.sha256(), entry.bytes
            with open(path, "rb") as source:
                while block := source.read(min(_COPY_BYTES, left)):
                    target.write(block)
                    digest.update(block)
                    left -= len(block)
                if left or source.read(1) or digest.hexdigest() != entry.sha256:
                    raise SourceError(f"{path} changed during the export; export again")
            target.write(_padding(entry.bytes))
        target.write(_END)
    file.write(_SKIPPED + hashed.sha256.digest())


class _HashedFile:
    """A file whose bytes are hashed as they are written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Write and hash data."""
        self.sha256.update(data)
        return self._file.write(data)


class _Frame:
    """Reads the Zstandard frame of an export, which must be complete, and compares the hash behind it."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._left = os.fstat(file.fileno()).st_size - _TRAILER_BYTES
        self._sha256 = hashlib.sha256()
        self.name = name
        self._frame = zstd.ZstdDecompressor(options=_MAX_WINDOW)
        self._ready = bytearray()

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes. Raises :class:`InputError` at the end of the frame."""
        while len(self._ready) < size:
            if not self._more():
                raise InputError(f"{self.name} ends too early: {_AGAIN}")
        found = bytes(self._ready[:size])
        del self._ready[:size]
        return found

    def expect(self, wanted: bytes, what: str) -> None:
        """Raise :class:`InputError` unless the next bytes are the wanted ones."""
        if self.read(len(wanted)) != wanted:
            raise InputError(f"{self.name}: {what} is not what its list says: {_AGAIN}")

    def finish(self) -> None:
        """Raise :class:`InputError` unless only the hash of everything follows."""
        while not self._ready and self._more():
            pass
        trailer = _SKIPPED + self._sha256.digest()
        complete = self._frame.eof and not self._frame.unused_data and not self._left and not self._ready
        if not complete or self._file.read(_TRAILER_BYTES + 1) != trailer:
            raise InputError(f"{self.name} does not end where it should: {_AGAIN}")

    def _more(self) -> bool:
        data = b"" if self._frame.eof else self._file.read(min(_FEED_BYTES, max(0, self._left)))
        if not data:
            return False
        self._left -= len(data)
        self._sha256.update(data)
        try:
            self._ready += self._frame.decompress(data)
        except zstd.ZstdError as error:
            raise InputError(f"{self.name} is not intact ({error}): {_AGAIN}") from error
        return True


def read_archive(path: Path, folder_for: Callable[[ArchiveContents], dict[str, Path]]) -> ArchiveContents:
    """Unpack an export into folders, and return its contents once everything was compared with its list.

    ``folder_for`` returns for the contents the folder of each part (``source``, ``index``, ``data``); parts without one
    are compared, but not written. Raises :class:`InputError`, and :class:`StorageError` if the disk is too small.
    """
    with storage_errors(path), open(path, "rb") as file:
        frame = _Frame(file, str(path))
        contents = _read_contents(frame, str(path))
        folders = folder_for(contents)
        _check_space(contents, folders)
        for entry in contents.files:
            part, _, name = entry.name.partition("/")
            _copy_file(frame, entry, folders[part] / name if part in folders else None)
        frame.expect(_END, "its end")
        frame.finish()
    return contents


def _read_contents(frame: _Frame, name: str) -> ArchiveContents:
    first = frame.read(_BLOCK)
    try:
        size = tarfile.TarInfo.frombuf(first, "utf-8", "strict").size
    except (tarfile.HeaderError, UnicodeDecodeError) as error:
        raise InputError(f"{name} is not an export of qa-service ({error}); name one") from error
    if not 0 < size <= MAX_CONTENTS_BYTES or first != _header(CONTENTS, size):
        raise InputError(f"{name} is not an export of qa-service: it does not begin with {CONTENTS}; name one")
    listed = frame.read(size)
    frame.expect(_padding(size), CONTENTS)
    return parse_contents(listed, name)


def _check_space(contents: ArchiveContents, folders: dict[str, Path]) -> None:
    for part, folder in folders.items():
        wanted = sum(file.bytes for file in contents.files if file.name.startswith(part + "/"))
        free = shutil.disk_usage(folder).free
        if wanted > free:
            raise StorageError(f"{folder} has {free} bytes free, {part} takes {wanted}; free some or name another disk")


def _copy_file(frame: _Frame, entry: ArchivedFile, path: Path | None) -> None:
    frame.expect(_header(entry.name, entry.bytes), entry.name)
    digest, left = hashlib.sha256(), entry.bytes
    with _created(path) as target:
        while left:
            block = frame.read(min(_COPY_BYTES, left))
            digest.update(block)
            left -= len(block)
            if target is not None:
                target.write(block)
    if digest.hexdigest() != entry.sha256:
        raise InputError(f"{frame.name}: {entry.name} has another hash than its list says: {_AGAIN}")
    frame.expect(_padding(entry.bytes), entry.name)


@contextmanager
def _created(path: Path | None) -> Iterator[BinaryIO | None]:
    if path is None:
        yield None
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
