"""Writing so that it survives a crash: data first, then names, each forced to disk in that order."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_service.errors import StorageError


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


def replace_file(path: Path, data: bytes) -> None:
    """Put ``data`` in place of a file at once: readers find the old content or the new, whole."""
    temporary = path.with_name(path.name + ".tmp")
    write_file(temporary, data)
    temporary.replace(path)
    sync_folder(path.parent)
