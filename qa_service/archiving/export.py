"""Writes an export: the files of the source folder, the current generation, calibration, feedback, keys if asked."""

import hashlib
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from qa_service.archiving.container import new_file, write_archive
from qa_service.archiving.contents import ArchiveContents, ArchivedFile, checked_name
from qa_service.errors import SourceError, StorageError
from qa_service.index import MANIFEST
from qa_service.index.disk import IndexFolder
from qa_service.index.manifest import FileEntry
from qa_service.io.durable import storage_errors
from qa_service.loading import source_root
from qa_service.server.feedback import FEEDBACK
from qa_service.server.keys import KEYS
from qa_service.settings import Settings, default_of, settings_that_change

CALIBRATIONS = ("calibration.json", "calibration-unlabelled.json")


def export_service(settings: Settings, path: Path, *, keys: bool, data: bool = True) -> tuple[ArchiveContents, int]:
    """Write an export to a new file; return its contents and how many files of the source folder have no usable name.

    No build runs meanwhile. Raises :class:`StorageError` if the file exists, :class:`SourceError` if a document changes
    meanwhile.
    """
    folder = IndexFolder(settings.index)
    folder.current_id()  # reports a missing index before a lock creates its folder
    with folder.building(), tempfile.TemporaryDirectory() as scratch, storage_errors(path):
        manifest = folder.verify()
        generation = settings.index / "generations" / manifest.generation
        found = dict(_source_files(source_root(settings.source)))
        named = {name: file for name, file in found.items() if _is_usable(name)}
        inside = f"index/generations/{manifest.generation}/"
        checked = {inside + name: entry for name, entry in manifest.files.items()}
        named |= {inside + name: generation / name for name in (*sorted(manifest.files), MANIFEST)}
        named |= {f"index/{name}": settings.index / name for name in CALIBRATIONS if (settings.index / name).is_file()}
        if data and (settings.data / FEEDBACK).is_file():
            named[f"data/{FEEDBACK}"] = _snapshot(settings.data / FEEDBACK, Path(scratch) / FEEDBACK)
        if data and keys and (settings.data / KEYS).is_file():
            named[f"data/{KEYS}"] = settings.data / KEYS
        contents = ArchiveContents(
            generation=manifest.generation,
            settings=_settings_of_index(settings),
            files=tuple(_listed(name, file, checked.get(name)) for name, file in named.items()),
        )
        with new_file(path) as target:
            write_archive(target, contents, list(named.values()))
    return contents, sum(name not in named for name in found)


def _source_files(root: Path) -> Iterator[tuple[str, Path]]:
    """Yield the regular files of a source folder by their names in the export, in order, as a build would see them."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            path = Path(folder, name)
            inside = not path.is_symlink() or path.resolve().is_relative_to(root)
            if not name.startswith(".") and inside and path.is_file():
                yield "source/" + path.relative_to(root).as_posix(), path


def _is_usable(name: str) -> bool:
    try:
        checked_name(name)
    except ValueError:  # also a name that is not UTF-8
        return False
    return True


def _listed(name: str, path: Path, checked: FileEntry | None) -> ArchivedFile:
    if checked is not None:
        return ArchivedFile(name=name, bytes=checked.bytes, sha256=checked.sha256)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return ArchivedFile(name=name, bytes=file.tell(), sha256=digest)
    except FileNotFoundError as error:
        raise SourceError(f"{path} disappeared during the export; export again") from error


def _snapshot(database: Path, copy: Path) -> Path:
    """Copy a database that may be in use, with all that is committed."""
    try:
        with closing(sqlite3.connect(database, timeout=10)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
    except sqlite3.Error as error:
        raise StorageError(f"{database}: {error}; check the disk's space and permissions") from error
    return copy


def _settings_of_index(settings: Settings) -> dict[str, str]:
    """Return the settings that an index depends on and that are not the default, as text."""
    return {
        name: str(getattr(settings, name))
        for name in settings_that_change("index")
        if getattr(settings, name) != default_of(name)
    }
