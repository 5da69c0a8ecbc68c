"""Stores exported models, which run without torch, in the index folder; they can be exported again at any time."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qa_service.io.durable import locked, remove_partial, storage_errors, sync_file, write_folder


class ExportedModels:
    """The exported models of an index folder, each a folder below ``models/``."""

    def __init__(self, index: Path) -> None:
        self._index = index
        self._folder = index / "models"

    def find(self, name: str) -> Path | None:
        """Return the folder of an exported model, or ``None`` if there is none with this name."""
        folder = self._folder / name
        return folder if folder.is_dir() else None

    def add(self, name: str, write: Callable[[Path], None]) -> None:
        """Let ``write`` fill a new folder, and give it its name, replacing a damaged one.

        Raises :class:`BuildInProgress` if another process builds.
        """

        def write_and_sync(folder: Path) -> None:
            write(folder)
            for file in folder.iterdir():
                sync_file(file)

        with locked(self._index):
            with storage_errors(self._folder):
                self._folder.mkdir(exist_ok=True)
            remove_partial(self._folder)
            write_folder(self._folder / name, write_and_sync)

    def reuse(self, other: Path) -> None:
        """Link the exported models of another index folder that are missing here, instead of exporting them again."""
        for model in sorted((other / "models").glob("[!.]*")):
            if self.find(model.name) is None and model.is_dir():
                self.add(model.name, partial(_link_files, model))


def _link_files(source: Path, target: Path) -> None:
    """Link the files of a folder, which never change, into another; copy them on file systems without links."""
    for file in sorted(source.iterdir()):
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copyfile(file, target / file.name)
