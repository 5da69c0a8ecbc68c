"""Models as they were exported to be run without torch, kept beside an index; they can be made again."""

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
        """Return the folder of an exported model, or ``None`` if there is none of that name."""
        folder = self._folder / name
        return folder if folder.is_dir() else None

    def add(self, name: str, write: Callable[[Path], None]) -> None:
        """Let ``write`` fill a folder and give it its name, in place of a damaged one of the same name.

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
        """Take over the exported models of another index folder that are missing here, which spares their export."""
        for model in sorted((other / "models").glob("[!.]*")):
            if self.find(model.name) is None and model.is_dir():
                self.add(model.name, partial(_link_files, model))


def _link_files(source: Path, target: Path) -> None:
    """Put the files of a folder, which never change, into another one; copies where the disk knows no links."""
    for file in sorted(source.iterdir()):
        try:
            os.link(file, target / file.name)
        except OSError:
            shutil.copyfile(file, target / file.name)
