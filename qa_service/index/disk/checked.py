"""Compares the files of a generation with their hashes, and notes it, so that opening it again does not read them.

The note is ``checked.json`` in the generation's folder. It holds for a file as long as the machine runs and the file's
device, inode, size and times are the same: any process that writes to a file, replaces it or copies it changes one of
them. It is not part of the generation. If it is missing or can't be written, all files are read.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from qa_service.errors import IndexCorrupt
from qa_service.index.manifest import FileEntry
from qa_service.io import strict_json
from qa_service.io.durable import storage_errors

CHECKED = "checked.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_SETTLED_NS = 2_000_000_000
"""A file that changed so shortly before it was read could change again without another time."""
_IN_THREADS_BYTES = 50_000_000
_REBUILD = "rebuild with `qa-service index`"
Result = TypeVar("Result")


def check_files(folder: Path, entries: Mapping[str, FileEntry], *, read_all: bool) -> None:
    """Compare the files' sizes and sha256 with the manifest's entries. Raises :class:`IndexCorrupt`.

    Files that are noted are not read, unless ``read_all`` is given.
    """
    checked = _CheckedFiles(folder)

    def check(name: str) -> None:
        path, entry = folder / name, entries[name]
        with storage_errors(path):
            try:
                descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
            except FileNotFoundError as error:
                raise IndexCorrupt(f"{path} is missing; {_REBUILD}") from error
            with open(descriptor, "rb") as file:
                status = os.fstat(descriptor)
                if status.st_size != entry.bytes:
                    raise IndexCorrupt(
                        f"{path} has {status.st_size} bytes, the manifest says {entry.bytes}; {_REBUILD}"
                    )
                if not read_all and checked.holds(name, status, entry.sha256):
                    return
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != entry.sha256:
            raise IndexCorrupt(f"{path} has sha256 {digest}, the manifest says {entry.sha256}; {_REBUILD}")
        checked.add(name, status, digest)

    _for_each(check, sorted(entries), sum(entry.bytes for entry in entries.values()))
    checked.save()


def hash_files(folder: Path, counts: Mapping[str, int]) -> dict[str, FileEntry]:
    """Return the manifest's entries of new files, and note that they are intact."""
    checked = _CheckedFiles(folder)

    def entry(name: str) -> FileEntry:
        with (folder / name).open("rb") as file:
            status = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        checked.add(name, status, digest)
        return FileEntry(bytes=status.st_size, sha256=digest, count=counts[name])

    names = sorted(counts)
    entries = _for_each(entry, names, sum((folder / name).stat().st_size for name in names))
    checked.save()
    return dict(zip(names, entries, strict=True))


def _for_each(function: Callable[[str], Result], names: Sequence[str], size: int) -> list[Result]:
    """Return a function's results for files of ``size`` bytes together, or raise the first exception."""
    if size < _IN_THREADS_BYTES:
        return list(map(function, names))
    with ThreadPoolExecutor() as pool:
        return list(pool.map(function, names))


class _CheckedFiles:
    """The files of a folder that are known to have the contents of a hash."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / CHECKED
        self._boot = _boot()
        self._files: dict[str, list[object]] = {}
        self._changed = False
        with suppress(OSError, ValueError, KeyError, TypeError):
            content = strict_json.loads(self._path.read_bytes())
            if self._boot and content["boot"] == self._boot:
                self._files = dict(content["files"])

    def holds(self, name: str, status: os.stat_result, sha256: str) -> bool:
        """Tell whether a file with this status is known to have this hash."""
        return self._files.get(name) == _entry(status, sha256)

    def add(self, name: str, status: os.stat_result, sha256: str) -> None:
        """Note that a file has a hash; ``status`` is from before it was read."""
        if status.st_ctime_ns + _SETTLED_NS < time.time_ns():
            self._files[name] = _entry(status, sha256)
            self._changed = True

    def save(self) -> None:
        """Write the note, if it changed and the folder can be written."""
        if self._changed and self._boot:
            temporary = self._path.with_name(f"{CHECKED}.{os.getpid()}.tmp")
            with suppress(OSError):
                temporary.write_text(json.dumps({"boot": self._boot, "files": self._files}), encoding="utf-8")
                temporary.replace(self._path)


def _entry(status: os.stat_result, sha256: str) -> list[object]:
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, sha256]


def _boot() -> str:
    """Return the id of the machine's boot; empty where the system has none."""
    with suppress(OSError):
        return _BOOT.read_text(encoding="ascii").strip()
    return ""
