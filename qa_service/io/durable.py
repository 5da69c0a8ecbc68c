"""Crash-safe and private files, crash-safe folders, and the lock of an index folder.

Data is forced to disk first, then the name that makes it visible.
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

OWNER_FILE, _OWNER_FOLDER = 0o600, 0o700
OTHER_ACCOUNTS = 0o077
"""The permissions of all accounts but the owner, as a mode and as a umask."""
_PARTIAL = ".partial"
_TURN_SECONDS = 600
Result = TypeVar("Result")
_logger = logging.getLogger(__name__)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Convert an ``OSError`` to a :class:`StorageError` that names the path and the error."""
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
    """Force to disk a file that other code wrote."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


sync_folder = sync_file  # POSIX syncs a folder's entries the same way


def replace_file(path: Path, data: bytes, *, private: bool = False) -> None:
    """Replace a file atomically: readers see the old content or the new.

    With ``private``, only the owner can ever read the file.
    """
    temporary = path.with_name(path.name + ".tmp")
    if private:
        make_private_file(temporary)
    write_file(temporary, data)
    temporary.replace(path)
    sync_folder(path.parent)


def make_private_file(path: Path) -> None:
    """Create an empty file that only its owner can read and write, or restrict the existing file."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_FILE))
    except FileExistsError:
        make_private(path)


def make_private_folder(path: Path) -> None:
    """Create a folder and its missing parents, for their owner only; existing folders are left as they are."""
    if not path.exists():
        make_private_folder(path.parent)
        path.mkdir(_OWNER_FOLDER, exist_ok=True)


def make_private(path: Path) -> None:
    """Remove all permissions but the owner's from a file or folder, unless it is missing or of another account."""
    with suppress(FileNotFoundError, PermissionError):
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & OTHER_ACCOUNTS:
            path.chmod(mode & ~OTHER_ACCOUNTS)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the build lock of an index folder, which is created if it is missing.

    Only the process with the lock may write below the folder. Raises :class:`BuildInProgress` at once if another
    process holds it. The operating system releases the lock of a killed process.
    """
    with storage_errors(folder):
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"index folder {folder} is a file; pass a folder with --index")
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


@contextmanager
def locked_in_turn(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that processes share, after those who came before; the folder is created if missing.

    Raises :class:`StorageError` if the folder can't be written, or the lock is not released in ten minutes.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / "lock", timeout=_TURN_SECONDS)
        try:
            lock.acquire()
        except Timeout as error:
            raise StorageError(
                f"another process has held {folder / 'lock'} for {_TURN_SECONDS} s; end it, then try again"
            ) from error
    try:
        yield
    finally:
        lock.release()


def remove_partial(folder: Path) -> None:
    """Remove the partial folders of a killed :func:`write_folder`. Call with the lock held."""
    with storage_errors(folder):
        for leftover in folder.glob("*" + _PARTIAL):
            _logger.warning("removing %s, left by a killed build", leftover)
            shutil.rmtree(leftover)


def write_folder(final: Path, write: Callable[[Path], Result]) -> Result:
    """Have ``write`` fill a temporary folder, then rename it to ``final``: it appears complete or not at all.

    An existing folder of that name is replaced; it is damaged, or it would have been used. Readers keep open files.
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
