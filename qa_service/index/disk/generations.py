"""The index folder: generations, the pointer to the current one, and the build lock.

::

    index/
    ├── current                  the id of the current generation, 16 hexadecimal digits
    ├── build.lock               locked during a build
    ├── source                   the folder of documents of the last build
    ├── calibration.json         confidence constants, written by `qa-service calibrate`
    ├── calibration-unlabelled.json  the same, fitted by a build for a model without any
    ├── models/<name>/           an exported model, if the cache of the machine can't be written
    ├── shards/                  finished shards of a cluster build, an index folder of its own
    └── generations/
        ├── <id>/                never changed once it has this name
        └── <id>.partial/        a running or killed build; the next build removes it
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
_MAX_PATH_BYTES = 65_536
_logger = logging.getLogger(__name__)


class IndexFolder:
    """An index folder. Nothing is read or created before a method is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pointer = path / "current"
        self._generations = path / "generations"
        self._source = path / "source"
        self._calibration = {True: path / "calibration.json", False: path / "calibration-unlabelled.json"}

    @contextmanager
    def building(self) -> Iterator[None]:
        """Hold the build lock; clean up after killed builds.

        Raises :class:`BuildInProgress` at once if another process holds it.
        """
        with locked(self.path):
            with storage_errors(self._generations):
                self._generations.mkdir(exist_ok=True)
            remove_partial(self._generations)
            yield

    def add(self, generation: str, write: Callable[[Path], Manifest]) -> Manifest:
        """Write a generation as :meth:`write` does and make it current.

        Call inside :meth:`building`. If anything fails, the current generation stays current.
        """
        manifest = self.write(generation, write)
        self.point_to(generation)
        return manifest

    def write(self, generation: str, write: Callable[[Path], Manifest]) -> Manifest:
        """Have ``write`` fill the folder of a generation, which appears complete or not at all.

        The current generation stays current. Call inside :meth:`building`.
        """
        return write_folder(self._generations / generation, write)

    def keep_source(self, source: Path) -> None:
        """Write down the folder of documents, unless it is the one of the last build. Call inside :meth:`building`."""
        absolute = source.resolve()
        if self.source() != absolute:
            with storage_errors(self._source):
                replace_file(self._source, os.fsencode(absolute))

    def source(self) -> Path | None:
        """Return the folder of documents of the last build, or ``None`` if there was none that wrote it down."""
        with suppress(OSError):
            return Path(os.fsdecode(self._source.read_bytes()[:_MAX_PATH_BYTES]))
        return None

    def delete(self, generation: str) -> None:
        """Delete a generation. Call inside :meth:`building`."""
        with storage_errors(self._generations):
            shutil.rmtree(self._generations / generation)

    def point_to(self, generation: str) -> None:
        """Make an existing generation current."""
        with storage_errors(self._pointer):
            replace_file(self._pointer, (generation + "\n").encode())

    def open_generation(self, generation: str) -> OpenIndex:
        """Open a generation without comparing its model. Raises :class:`IndexProblem`."""
        return OpenIndex.open(self._generations / generation, None)

    def is_intact(self, generation: str) -> bool:
        """Tell whether a generation exists and is undamaged: opens it, which compares hashes."""
        with self.open_or_none(generation) as index:
            return index is not None

    def current_id(self) -> str:
        """Return the id of the current generation.

        Raises :class:`IndexMissing` if no index was built here, :class:`IndexCorrupt` if no build wrote this pointer.
        """
        with storage_errors(self._pointer):
            if not self.path.exists():
                raise IndexMissing(f"no index at {self.path}; build it with `qa-service index`")
            if not self.path.is_dir():
                raise IndexMissing(f"index {self.path} is a file; pass a folder with --index")
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
            raise IndexCorrupt(f"{self._pointer} does not contain a generation id; rebuild with `qa-service index`")
        return name

    def current_pointer(self) -> tuple[str, int]:
        """Return the id of the current generation, and the pointer's modification time in nanoseconds."""
        with storage_errors(self._pointer):
            return self.current_id(), self._pointer.stat().st_mtime_ns

    def open_current(self, identity: ModelIdentity | None) -> OpenResult:
        """Open the current generation, or else the newest intact one.

        A fallback is reported as degraded and logged as an error. Without a fallback, the current generation's error
        is raised. ``None`` skips the comparison of models.
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
    def open_or_none(self, generation: str | None = None) -> Iterator[OpenIndex | None]:
        """Open a generation, by default the current one; yield ``None`` if it is missing or damaged."""
        index = None
        with suppress(QAServiceError):
            index = self.open_generation(self.current_id() if generation is None else generation)
        try:
            yield index
        finally:
            if index is not None:
                index.close()

    def verify(self) -> Manifest:
        """Read all files of the current generation, compare them with its manifest, and return the manifest.

        Raises :class:`IndexCorrupt`, which names the damaged file.
        """
        index = OpenIndex.open(self._generations / self.current_id(), None, read_all=True)
        index.close()
        return index.manifest

    def manifest_before(self, generation: str) -> Manifest | None:
        """Return the manifest of the newest generation older than this one, or ``None``."""
        for name in self._older_than(generation):
            with suppress(QAServiceError):
                return self.manifest(name)
        return None

    def rollback(self) -> str:
        """Make the newest intact generation before the current one current; return its id.

        Raises :class:`IndexMissing` if there is none.
        """
        with self.building():
            current = self.current_id()
            for name in self._older_than(current):
                if self.is_intact(name):
                    self.point_to(name)
                    return name
        raise IndexMissing(f"{self.path} has no intact generation older than {current}; see QA_KEEP_GENERATIONS")

    def delete_old(self, keep: int) -> None:
        """Delete all but the newest ``keep`` generations; the current one always stays."""
        current = self.current_id()
        others = [generation for generation in self.list_ids() if generation != current]
        for generation in others[keep - 1 :]:
            self.delete(generation)

    def calibration(self, weights_sha256: str, *, token_vectors: bool, labels: bool) -> dict[str, float] | None:
        """Return the confidence constants that were fitted for an index of this model, or ``None``.

        With ``labels``, those fitted to labelled questions; else those that the build fitted without labels.
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
                    _logger.warning("%s is for another model and is not used", path)
                return None
            return {str(name): float(value) for name, value in content["constants"].items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise IndexCorrupt(
                f"{path} is not a valid calibration: {error}; remove it or run `qa-service calibrate` again"
            ) from error

    def write_calibration(
        self, weights_sha256: str, constants: dict[str, float], *, token_vectors: bool, labels: bool
    ) -> None:
        """Store the confidence constants of a model; they stay when the generation is deleted."""
        content = {"weights_sha256": weights_sha256, "token_vectors": token_vectors, "constants": constants}
        path = self._calibration[labels]
        with storage_errors(path):
            replace_file(path, (json.dumps(content, indent=1) + "\n").encode())

    def manifest(self, generation: str) -> Manifest:
        """Return the manifest of a generation."""
        return read_manifest(self._generations / generation)

    def _older_than(self, generation: str) -> list[str]:
        ids = self.list_ids()
        return ids[ids.index(generation) + 1 :] if generation in ids else ids

    def list_ids(self) -> list[str]:
        """Return the ids of all complete generations (those with a manifest), newest first."""
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
