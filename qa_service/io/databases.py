"""SQLite files that only their owner can read, and their errors."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qa_service.errors import StorageError
from qa_service.io.durable import make_private, make_private_file, make_private_folder


def make_private_database(path: Path) -> None:
    """Let only the owner read a database; SQLite creates the files beside it with the same permissions."""
    make_private_folder(path.parent)
    make_private_file(path)
    for suffix in ("-wal", "-shm"):
        make_private(path.with_name(path.name + suffix))


@contextmanager
def database_errors(path: Path) -> Iterator[None]:
    """Convert the errors of SQLite and of the system to a :class:`StorageError` that names the file."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise StorageError(f"{path}: {error}; check the disk's space and permissions") from error
