"""Writing so that it survives a crash, and so that other accounts can't read it.

Data first, then names, each forced to disk in that order.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qa_service.errors import StorageError

_OWNER_FILE, _OWNER_FOLDER = 0o600, 0o700
_OTHERS = 0o077


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into a :class:`StorageError` that names the path and the error."""
    try:
        yield
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        raise StorageError(
            f"{error.filename or path}: {error.strerror or error} ({name}); check the disk's space and permissions"
        ) from error


def write_file(path: Path, data: bytes) -> None:
    """Write a new file and force it to disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Force a file that something else has written to disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


sync_folder = sync_file  # a folder's entries are forced out the same way on POSIX


def replace_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Put ``data`` in place of a file at once: readers find the old content or the new, whole.

    With ``private`` only the owner can read the file, at any moment.
    """
    temporary = path.with_name(path.name + ".tmp")
    if private:
        make_private_file(temporary)
    write_file(temporary, data)
    temporary.replace(path)
    sync_folder(path.parent)


def make_private_file(path: Path) -> None:
    """Create an empty file that only its owner can read and write, or make the file that is there so."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_FILE))
    except FileExistsError:
        make_private(path)


def make_private_folder(path: Path) -> None:
    """Create a folder that only its owner can enter, and those above it; the ones that are there stay as they are."""
    if not path.exists():
        make_private_folder(path.parent)
        path.mkdir(_OWNER_FOLDER, exist_ok=True)


def make_private(path: Path) -> None:
    """Take the rights of all but the owner from a file or folder, unless it is another account's or missing."""
    with suppress(FileNotFoundError, PermissionError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & _OTHERS:
            path.chmod(mode & ~_OTHERS)
