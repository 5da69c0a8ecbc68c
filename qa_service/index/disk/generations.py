"""The index folder: generations, the pointer to the current one, and the lock of the one builder.

::

    index/
    ├── current                  16 hexadecimal digits: the generation in force
    ├── build.lock               held while a build runs
    ├── calibration.json         constants of confidence, if `qa-service calibrate` was run
    ├── calibration-unlabelled.json  the same as a build found them, for a model that has none by itself
    ├── models/<name>/           a model as it was exported to be served; can be made anew
    ├── shards/                  what a build on many machines has so far, an index folder of its own
    └── generations/
        ├── <id>/                never changed once it stands under this name
        └── <id>.partial/        a build under way, or killed: the next build removes it
"""

import json
import logging
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from qa_service.embedding import ModelIdentity
from qa_service.errors import IndexCorrupt, IndexMissing, IndexProblem, QAServiceError
from qa_service.index.disk.index import OpenIndex, read_manifest
from qa_service.index.interface import OpenResult
from qa_service.index.manifest import MANIFEST, Manifest
from qa_service.io import strict_json
from qa_service.io.durable import locked, remove_partial, replace_file, storage_errors, write_folder

_GENERATION = re.compile(r"[0-9a-f]{16}\Z")
_logger = logging.getLogger(__name__)


class IndexFolder:
    """The folder ``index/``. Nothing is read or made before a method is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pointer = path / "current"
        self._generations = path / "generations"
        self._calibration = {True: path / "calibration.json", False: path / "calibration-unlabelled.json"}

    @contextmanager
    def building(self) -> Iterator[None]:
        """Hold the lock of the one builder; clean up after killed builds.

        Raises :class:`BuildInProgress` at once if another process holds it.
        """
        with locked(self.path):
            with storage_errors(self._generations):
                self._generations.mkdir(exist_ok=True)
            remove_partial(self._generations)
            yield

    def add(self, generation: str, write: Callable[[Path], Manifest]) -> Manifest:
        """Let ``write`` fill a folder, give it its name, and make it the current generation.

        To be called inside :meth:`building`. If anything fails, the current generation stays in force.
        """
        manifest = self.write(generation, write)
        self.point_to(generation)
        return manifest

    def write(self, generation: str, write: Callable[[Path], Manifest]) -> Manifest:
        """Let ``write`` fill a folder and give it its name, whole or not at all; which one is current stays as it is.

        To be called inside :meth:`building`.
        """
        return write_folder(self._generations / generation, write)

    def delete(self, generation: str) -> None:
        """Remove a generation by its id. To be called inside :meth:`building`."""
        with storage_errors(self._generations):
            shutil.rmtree(self._generations / generation)

    def point_to(self, generation: str) -> None:
        """Make a generation that is on disk the current one."""
        with storage_errors(self._pointer):
            replace_file(self._pointer, (generation + "\n").encode())

    def open_generation(self, generation: str) -> OpenIndex:
        """Open a generation by its id, whatever model it is of. Raises :class:`IndexProblem`."""
        return OpenIndex.open(self._generations / generation, None)

    def is_intact(self, generation: str) -> bool:
        """Tell whether a generation is on disk and undamaged."""
        try:
            self.open_generation(generation).close()
        except QAServiceError:
            return False
        return True

    def current_id(self) -> str:
        """Return the id of the current generation.

        Raises :class:`IndexMissing` if nothing was ever built here, :class:`IndexCorrupt` if the pointer
        can't be what a build wrote.
        """
        with storage_errors(self._pointer):
            if not self.path.exists():
                raise IndexMissing(f"no index at {self.path}; build it with `qa-service index`")
            if not self.path.is_dir():
                raise IndexMissing(f"index {self.path} is a file; name the folder with --index")
            if self._pointer.is_symlink() or (self._pointer.exists() and not self._pointer.is_file()):
                raise IndexCorrupt(f"{self._pointer} is not a plain file; rebuild with `qa-service index`")
            if not self._pointer.exists():
                if any(self.list_ids()):
                    raise IndexCorrupt(f"{self._pointer} is missing; rebuild with `qa-service index`")
                raise IndexMissing(f"no index in {self.path}; build it with `qa-service index`")
            with self._pointer.open("rb") as file:
                content = file.read(64)
        name = content.removesuffix(b"\n").decode("ascii", "replace")
        if not _GENERATION.match(name):
            raise IndexCorrupt(f"{self._pointer} names no generation; rebuild with `qa-service index`")
        return name

    def current_pointer(self) -> tuple[str, int]:
        """Return the id of the current generation, and when it was made the current one, in nanoseconds."""
        with storage_errors(self._pointer):
            return self.current_id(), self._pointer.stat().st_mtime_ns

    def open_current(self, identity: ModelIdentity | None) -> OpenResult:
        """Open the current generation, or else the newest whole one.

        A generation opened in place of the current one is reported as degraded and logged as an error,
        never silently. With none to fall back on, the current one's own error is raised.
        """
        try:
            return OpenResult(OpenIndex.open(self._generations / self.current_id(), identity), None)
        except IndexMissing:
            raise
        except IndexProblem as error:
            for generation in self.list_ids():
                try:
                    index = OpenIndex.open(self._generations / generation, identity)
                except QAServiceError:
                    continue
                reason = f"serving generation {generation} instead of the current one: {error}"
                _logger.error("%s", reason)  # noqa: TRY400 - the message says it all
                return OpenResult(index, reason)
            raise

    @contextmanager
    def open_current_or_none(self) -> Iterator[OpenIndex | None]:
        """Open the current generation for the build of the next one; ``None`` if there is none that is whole."""
        index = None
        with suppress(QAServiceError):
            index = self.open_generation(self.current_id())
        try:
            yield index
        finally:
            if index is not None:
                index.close()

    def verify(self) -> Manifest:
        """Compare every byte of the current generation with its manifest, and return that.

        Raises :class:`IndexCorrupt`, naming the file.
        """
        index = self.open_generation(self.current_id())
        index.close()
        return index.manifest

    def manifest_before(self, generation: str) -> Manifest | None:
        """Return the manifest of the newest generation that is older than another; ``None`` if there is none."""
        for name in self._older_than(generation):
            with suppress(QAServiceError):
                return self.manifest(name)
        return None

    def rollback(self) -> str:
        """Make the newest whole generation that is older than the current one the current one; return its id.

        Raises :class:`IndexMissing` if there is none.
        """
        with self.building():
            current = self.current_id()
            for name in self._older_than(current):
                if self.is_intact(name):
                    self.point_to(name)
                    return name
        raise IndexMissing(f"{self.path} holds no whole generation older than {current}; see QA_KEEP_GENERATIONS")

    def delete_old(self, keep: int) -> None:
        """Remove all but the newest ``keep`` generations; the current one always stays."""
        current = self.current_id()
        others = [generation for generation in self.list_ids() if generation != current]
        for generation in others[keep - 1 :]:
            self.delete(generation)

    def calibration(self, weights_sha256: str, *, token_vectors: bool, labels: bool) -> dict[str, float] | None:
        """Return the constants that were fitted to an index of such a model, or ``None``.

        ``labels`` asks for those fitted to questions whose answers are known, else for those of the build.
        """
        path = self._calibration[labels]
        with storage_errors(path):
            if not path.is_file():
                return None
            data = path.read_bytes()
        try:
            content = strict_json.loads(data)
            if content["weights_sha256"] != weights_sha256 or content["token_vectors"] is not token_vectors:
                if labels:
                    _logger.warning("%s is for another model; it is not used", path)
                return None
            return {str(name): float(value) for name, value in content["constants"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexCorrupt(f"{path} is no calibration: {error}; remove it or calibrate again") from error

    def write_calibration(
        self, weights_sha256: str, constants: dict[str, float], *, token_vectors: bool, labels: bool
    ) -> None:
        """Keep constants for indexes of a model; they outlive the generation."""
        content = {"weights_sha256": weights_sha256, "token_vectors": token_vectors, "constants": constants}
        path = self._calibration[labels]
        with storage_errors(path):
            replace_file(path, (json.dumps(content, indent=1) + "\n").encode())

    def manifest(self, generation: str) -> Manifest:
        """Return the manifest of a generation."""
        return read_manifest(self._generations / generation)

    def _older_than(self, generation: str) -> list[str]:
        """Return the generations that have a manifest and are older than another, newest first."""
        ids = self.list_ids()
        return ids[ids.index(generation) + 1 :] if generation in ids else ids

    def list_ids(self) -> list[str]:
        """Return the generations that have a manifest, newest first."""
        if not self._generations.is_dir():
            return []
        found = [
            (os.stat(entry.path + "/" + MANIFEST).st_mtime_ns, entry.name)
            for entry in os.scandir(self._generations)
            if _GENERATION.match(entry.name)
            and entry.is_dir(follow_symlinks=False)
            and os.path.isfile(entry.path + "/" + MANIFEST)
        ]
        return [name for _, name in sorted(found, reverse=True)]
