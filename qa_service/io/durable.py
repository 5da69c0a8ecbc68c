"""Writing so that it survives a crash, and so that other accounts can't read it.

Data first, then names, each forced to disk in that order.
"""

import errno
import logging
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from filelock import FileLock, Timeout

from qa_service.errors import BuildInProgress, StorageError

_OWNER_FILE, _OWNER_FOLDER = 0o600, 0o700
_OTHERS = 0o077
_PARTIAL = ".partial"
Result = TypeVar("Result")
_logger = logging.getLogger(__name__)


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
    """Force a file that something else has result to disk."""
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


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of the one process that may write below an index folder, which is made if it is missing.

    Raises :class:`BuildInProgress` at once if another process holds it. The lock goes with its process, so a killed
    one leaves none behind.
    """
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"index folder {folder} is a file; name another with --index")
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "build.lock", timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise BuildInProgress(
                f"another process is building {folder}; wait for it to finish, then try again"
            ) from error
    try:
        yield
    finally:
        lock.release()


def remove_partial(folder: Path) -> None:
    """Remove the folders below one that :func:`write_folder` left when it was killed. The lock must be held."""
    with storage_errors(folder):
        for leftover in folder.glob("*" + _PARTIAL):
            _logger.warning("removing %s, left by a build that was killed", leftover)
            shutil.rmtree(leftover)


def write_folder(final: Path, write: Callable[[Path], Result]) -> Result:
    """Let ``write`` fill a folder beside ``final`` and give it that name, whole or not at all.

    A folder of that name is damaged, or it would have been used; readers keep what they have open.
    """
    partial = final.with_name(final.name + _PARTIAL)
    try:
        with storage_errors(partial):
            partial.mkdir(parents=True)
            result = write(partial)
            if final.exists():
                shutil.rmtree(final)
            partial.rename(final)
            sync_folder(final.parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result
