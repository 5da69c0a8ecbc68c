"""Reads an export into empty folders: everything is unpacked and compared before anything gets its place."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from qa_service.archiving.container import read_archive
from qa_service.archiving.contents import ArchiveContents
from qa_service.errors import IndexProblem, InputError, StorageError
from qa_service.index.disk import IndexFolder
from qa_service.index.manifest import FORMAT_VERSION
from qa_service.io.durable import locked, make_private, make_private_folder, storage_errors, sync_folder
from qa_service.settings import Settings

_STAGING = ".importing"
_logger = logging.getLogger(__name__)


def import_service(settings: Settings, path: Path, *, with_index: bool = True) -> ArchiveContents:
    """Unpack an export into the folders of the settings, which must have none of its files; return its contents.

    If anything fails, the folders are as they were. Raises :class:`InputError` if the export is not intact or its
    index has another format (without ``with_index``, it is left to be built), and :class:`StorageError`.
    """
    targets = {"source": settings.source, "data": settings.data}
    if with_index:
        targets["index"] = settings.index
    with ExitStack() as stack:
        stack.enter_context(locked(settings.index))

        def prepare(contents: ArchiveContents) -> dict[str, Path]:
            if with_index and contents.index_format != FORMAT_VERSION:
                raise InputError(
                    f"{path} has an index of format {contents.index_format}, this program reads {FORMAT_VERSION}; "
                    "import it with --without-index, then build with `qa-service index`"
                )
            _check_targets(contents, targets)
            return {part: stack.enter_context(_staging(folder, part)) for part, folder in targets.items()}

        contents = read_archive(path, prepare)
        if with_index:
            _check_index(targets["index"] / _STAGING, contents)
            IndexFolder(targets["index"] / _STAGING).point_to(contents.generation)
        for file in (targets["data"] / _STAGING).iterdir():
            make_private(file)
        _install(targets)
    return contents


def unpack_read_only(path: Path, folder: Path) -> ArchiveContents:
    """Unpack documents and index of an export below an empty folder, to be served from there."""

    def prepare(contents: ArchiveContents) -> dict[str, Path]:
        if contents.index_format != FORMAT_VERSION:
            raise InputError(
                f"{path} has an index of format {contents.index_format}, this program reads {FORMAT_VERSION}; import "
                "it with `qa-service import --without-index`, build the index, and export again"
            )
        parts = {part: folder / part for part in ("source", "index")}
        for own in parts.values():
            own.mkdir()
        return parts

    contents = read_archive(path, prepare)
    _check_index(folder / "index", contents)
    IndexFolder(folder / "index").point_to(contents.generation)
    return contents


def _check_targets(contents: ArchiveContents, targets: dict[str, Path]) -> None:
    """Raise :class:`StorageError` if an import would touch files that are there."""
    for part, folder in targets.items():
        if folder.exists() and not folder.is_dir():
            raise StorageError(f"{folder} is a file; name a folder for {part}")
        names = {file.name.split("/")[1] for file in contents.files if file.name.startswith(part + "/")}
        taken = {entry.name for entry in folder.iterdir()} - {_STAGING} if folder.exists() else set()
        if part != "source":
            taken &= names | {"current"}
        if taken:
            raise StorageError(
                f"{folder} has {min(taken)} already, and nothing is replaced; name another folder with --{part}"
            )


@contextmanager
def _staging(folder: Path, part: str) -> Iterator[Path]:
    """Return an empty folder within ``folder``, on its disk; afterwards it is removed, and ``folder`` if it was new."""
    path = folder / _STAGING
    new = not folder.exists()
    with storage_errors(folder):
        if part == "data":
            make_private_folder(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            _logger.warning("removing %s, left by a killed import", path)
            shutil.rmtree(path)
        path.mkdir(0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        if new:
            with suppress(OSError):  # it has the files of the import
                folder.rmdir()


def _check_index(folder: Path, contents: ArchiveContents) -> None:
    """Open the unpacked generation, which compares all of its files with its manifest."""
    try:
        IndexFolder(folder).open_generation(contents.generation).close()
    except IndexProblem as error:
        raise InputError(f"the index of the export can't be opened: {error}") from error


def _install(targets: dict[str, Path]) -> None:
    """Move everything from staging to its place; if that fails, remove what was moved."""
    moved: list[Path] = []
    try:
        for folder in targets.values():
            with storage_errors(folder):
                for entry in sorted((folder / _STAGING).iterdir(), key=lambda entry: (entry.name == "current", entry)):
                    entry.rename(folder / entry.name)
                    moved.append(folder / entry.name)
                sync_folder(folder)
    except BaseException:
        for path in moved:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        raise
