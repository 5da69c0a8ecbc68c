"""Divides the files of a build into shards, has the missing ones built, and keeps the finished ones on disk.

Each shard is a generation of its own in ``shards/``, so that an interrupted build goes on where it was. The token
vectors of all shards are written with one codec.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from qa_service.datatypes import Skipped, SourceFile
from qa_service.embedding import Embedder
from qa_service.errors import IndexIncompatible, QAServiceError
from qa_service.index import MANIFEST, Contents, Manifest, parse_manifest
from qa_service.index.disk import IndexFolder
from qa_service.index.tokens import Codec
from qa_service.indexing.cluster import ray_pipeline
from qa_service.indexing.cluster.stages import BuildPlan, BuiltShard, EmbedStage, PortableModel, SplitStage, read_shard
from qa_service.indexing.reuse import FinishedShards
from qa_service.io.durable import storage_errors, write_file
from qa_service.loading import SourceChangedError, limits_of
from qa_service.settings import Settings

_MAX_FILES_PER_SHARD = 500
_BYTES_PER_KB = 1000
Progress = Callable[[str, int, int], None]


def build_shards(
    settings: Settings,
    contents: Contents,
    files: Sequence[SourceFile],
    embedder: Embedder,
    codec: Codec | None,
    progress: Progress,
) -> FinishedShards:
    """Have the cluster build shards of ``files``, except those that are in shards of an interrupted build.

    Token vectors are written with the ``codec``; without one, a shard of sample files is built here first and fits it.
    Call this while holding the lock of the index folder. Raises :class:`SourceChangedError`, :class:`RemoteError`, and
    the errors of the stages.
    """
    folder, size = IndexFolder(_folder(settings.index)), int(settings.shard_kb * _BYTES_PER_KB)
    with folder.building(), ray_pipeline.connected(settings.ray_address):
        checkpoints = _Checkpoints(folder, contents, embedder.runtime, codec)
        missing = checkpoints.missing(files)
        plan = BuildPlan(contents.of_part(()), limits_of(settings), settings.batch_size, checkpoints.codec)
        if missing and contents.token_vectors and checkpoints.codec is None:
            sample = read_shard(sample_files(missing, size), plan.limits)
            sample_shard = EmbedStage(plan, embedder)(
                SplitStage(plan, embedder)(sample),
                lambda done, passages: progress("embedding a sample", done, passages),
            )
            checkpoints.add(sample_shard)
            missing = checkpoints.missing(files)
            plan = replace(plan, codec=checkpoints.codec)
        groups = list(group_files(missing, size))
        if groups:
            for done, shard in enumerate(
                ray_pipeline.built_shards(plan, PortableModel.of(embedder, settings), groups), start=1
            ):
                checkpoints.add(shard)
                progress("building shards", done, len(groups))
    return FinishedShards(folder, checkpoints.shard_of(files), checkpoints.skipped)


def remove_shards(index: Path) -> None:
    """Remove all finished shards, once a generation holds their documents."""
    if (folder := _folder(index)).exists():
        with storage_errors(folder):
            shutil.rmtree(folder)


def _folder(index: Path) -> Path:
    return index / "shards"


class _Checkpoints:
    """The finished shards on disk, each verified by its hashes when it is found or added.

    Shards that are damaged, or that this build would write differently, are removed. All have the same ``codec``: the
    one given, or else that of the shards found, or else that of the first shard added.
    """

    def __init__(self, folder: IndexFolder, contents: Contents, runtime: str, codec: Codec | None) -> None:
        self._folder = folder
        self._contents = contents
        self._runtime = runtime
        self._names: dict[tuple[str, str], str] = {}
        self.codec = codec
        self.skipped: dict[str, list[Skipped]] = {}
        """The files without a document, by uri, and why."""
        for name in folder.list_ids():
            try:
                self._register(name)
            except QAServiceError:
                folder.delete(name)

    def missing(self, files: Sequence[SourceFile]) -> list[SourceFile]:
        """Return the files that are in no shard yet."""
        return [file for file in files if _key(file) not in self._names and file.uri not in self.skipped]

    def shard_of(self, files: Sequence[SourceFile]) -> dict[str, str]:
        """Return the name of each file's shard, by uri."""
        return {file.uri: self._names[_key(file)] for file in files if _key(file) in self._names}

    def add(self, shard: BuiltShard) -> None:
        """Write a shard to disk. Raises :class:`IndexProblem` if it differs from its manifest or from this build."""
        if not shard.data:
            for file in shard.files:
                self.skipped[file.uri] = [item for item in shard.skipped if f"{item.uri}#".startswith(f"{file.uri}#")]
            return

        def write(path: Path) -> Manifest:
            manifest = parse_manifest(shard.data.get(MANIFEST, b""), "a shard")
            for name in (*manifest.files, MANIFEST):  # the manifest is parsed, so these are safe file names
                write_file(path / name, shard.data.get(name, b""))
            return manifest

        name = self._contents.of_part(shard.files).generation_id()
        self._folder.write(name, write)
        self._register(name)

    def _register(self, name: str) -> None:
        with closing(self._folder.open_generation(name)) as index:
            found = index.manifest
            like = found.like(self._contents) and found.reads_like(self._contents)
            if not like or found.embedded_by != self._runtime:
                raise IndexIncompatible(f"shard {name} has another model, or other settings of reading")
            own = None if index.tokens is None else index.tokens.codec
            if own is not None and self.codec is not None and not self.codec.same_as(own):
                raise IndexIncompatible(f"shard {name} has another codec of token vectors")
            self.codec = self.codec or own
            for source in found.sources:
                self._names[source.uri, source.sha256] = name


def sample_files(files: Sequence[SourceFile], enough: int) -> list[SourceFile]:
    """Return a pseudo-random but fixed sample of files, of ``enough`` bytes together to fit a codec.

    Files that alone have more than that are taken only if the others do not suffice, smallest first.
    """
    sizes = {file: _size(file) for file in sorted(files, key=lambda file: file.sha256)}
    small = [file for file, size in sizes.items() if size <= enough]
    large = sorted((file for file, size in sizes.items() if size > enough), key=sizes.__getitem__)
    chosen: list[SourceFile] = []
    total = 0
    for file in (*small, *large):
        if total >= enough:
            break
        chosen.append(file)
        total += sizes[file]
    return sorted(chosen, key=lambda file: file.uri)


def group_files(files: Sequence[SourceFile], max_bytes: int) -> Iterator[list[SourceFile]]:
    """Yield the files of each shard, of at most ``max_bytes`` together; a larger file is a shard by itself."""
    group: list[SourceFile] = []
    total = 0
    for file in files:
        size = _size(file)
        if group and (total + size > max_bytes or len(group) == _MAX_FILES_PER_SHARD):
            yield group
            group, total = [], 0
        group.append(file)
        total += size
    if group:
        yield group


def _size(file: SourceFile) -> int:
    try:
        return os.path.getsize(file.path)
    except OSError as error:
        raise SourceChangedError(file.uri) from error


def _key(file: SourceFile) -> tuple[str, str]:
    return file.uri, file.sha256
