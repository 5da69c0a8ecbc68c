"""Stores exported models, which run without torch; they can be exported again at any time.

They lie in a cache of the machine, which all indexes share. If it can't be written, as in a read-only home or on a
full disk, they are stored in the index folder, or else in a temporary folder until this process ends.
"""

import atexit
import logging
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from qa_service.errors import ModelCorrupt, StorageError
from qa_service.io.durable import locked_in_turn, remove_partial, storage_errors, sync_file, write_folder

Model = TypeVar("Model")
_logger = logging.getLogger(__name__)


class ExportedModels:
    """Exported models by name, each a folder below ``models/`` of the cache or of an index folder.

    Processes may share the folders: a model is complete or missing, and whoever adds one waits for others.
    """

    def __init__(self, cache: Path, index: Path) -> None:
        self._folders = (cache / "models", index / "models")
        self._unwritable: set[Path] = set()

    def find(self, name: str, opened: Callable[[Path], Model], *, warn: bool = True) -> Model | None:
        """Return a model as ``opened`` returns it, or ``None`` if it is missing or damaged.

        ``opened`` raises :class:`ModelCorrupt` for a damaged folder.
        """
        for folder in self._folders:
            if (folder / name).is_dir():
                try:
                    return opened(folder / name)
                except ModelCorrupt as error:
                    if warn:
                        _logger.warning("%s; it is exported again", error)
        return None

    def add(self, name: str, opened: Callable[[Path], Model], write: Callable[[Path], None]) -> Model:
        """Have ``write`` fill a new folder, replacing a damaged one, and return it ``opened``.

        If another process has added the model meanwhile, that one is returned.
        """

        def write_and_sync(folder: Path) -> None:
            write(folder)
            for file in folder.iterdir():
                sync_file(file)

        for folder in self._folders:
            try:
                with locked_in_turn(folder):
                    found = self.find(name, opened, warn=False)
                    if found is not None:
                        return found
                    remove_partial(folder)
                    write_folder(folder / name, write_and_sync)
                return opened(folder / name)
            except StorageError as error:
                if folder not in self._unwritable:
                    _logger.warning("the exported model can't be stored: %s, or set QA_CACHE_DIR", error)
                self._unwritable.add(folder)
        return self._add_for_this_process(opened, write)

    @staticmethod
    def _add_for_this_process(opened: Callable[[Path], Model], write: Callable[[Path], None]) -> Model:
        with storage_errors(Path(tempfile.gettempdir())):
            folder = Path(tempfile.mkdtemp(prefix="qa-service-model-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            write(folder)
        _logger.warning("the exported model is in %s until this process ends", folder)
        return opened(folder)
