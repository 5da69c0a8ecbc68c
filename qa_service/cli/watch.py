"""Rebuilds the index whenever the documents change."""

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from watchfiles import Change, watch

from qa_service.cli.show import complain
from qa_service.errors import BuildInProgress, QAServiceError

if TYPE_CHECKING:
    from qa_service.datatypes import BuildReport

_POLL_MILLISECONDS = 1000


def build_on_changes(
    sources: Mapping[str, Path],
    build: Callable[[str], "BuildReport"],
    show: Callable[[Mapping[str, "BuildReport"]], object],
) -> int:
    """Build all collections now and after every change below a source folder; ``show`` the reports of each round.

    An error is printed once; the next change, such as a folder that reappears, starts the next round. A build is
    retried without a change if another process was building.
    """
    errors: dict[str, QAServiceError] = {}
    while True:
        due = True
        watched = _identities(sources.values())
        for changes in _changes_below(watched):  # the first set comes when watching has begun; it may be empty
            if due:
                reports = _build_all(sources, build, errors)
                due = any(isinstance(error, BuildInProgress) for error in errors.values())
                if reports:
                    show(reports)
            elif changes or _identities(sources.values()) != watched:
                break  # watch again: the system watches the inode of a folder, and stops when it vanishes


def _build_all(
    names: Iterable[str], build: Callable[[str], "BuildReport"], errors: dict[str, QAServiceError]
) -> dict[str, "BuildReport"]:
    """Build each collection; print an error unless it is the same as in the previous round."""
    reports = {}
    for name in names:
        try:
            reports[name] = build(name)
            errors.pop(name, None)
        except QAServiceError as error:
            if str(error) != str(errors.get(name)):
                complain(error.in_full())
            errors[name] = error
    return reports


def _changes_below(folders: Iterable[Path]) -> Iterator[set[tuple[Change, str]]]:
    with suppress(FileNotFoundError):  # a folder vanished meanwhile
        yield from watch(*folders, yield_on_timeout=True, rust_timeout=_POLL_MILLISECONDS)


def _identities(folders: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """Return device and inode of each existing folder."""
    found = {}
    for folder in folders:
        with suppress(OSError):
            status = folder.stat()
            if stat.S_ISDIR(status.st_mode):
                found[folder] = (status.st_dev, status.st_ino)
    return found
