"""The stages of building a shard: read, split, embed. They know nothing of Ray, and run on any machine."""

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from qa_service import __version__
from qa_service.datatypes import Skipped, SourceFile
from qa_service.embedding import (
    Embedder,
    ExportedEmbedder,
    ModelIdentity,
    SentenceTransformerEmbedder,
    TwoRuntimeEmbedder,
    find_model,
    open_runtime,
)
from qa_service.errors import IndexIncompatible, ModelChanged
from qa_service.index import Contents
from qa_service.index.tokens import Codec
from qa_service.indexing.draft import Draft
from qa_service.loading import Limits, ParserProcess, SkipFile, SourceChangedError, read_documents, read_file
from qa_service.settings import Settings
from qa_service.splitting import SplitDocument, Splitter, split


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """Settings and versions that all shards of a build have in common."""

    contents: Contents
    """The contents of the generation, without its files."""
    limits: Limits
    batch_size: int
    codec: Codec | None
    version: str = __version__


@dataclass(frozen=True, slots=True)
class PortableModel:
    """A model to be opened on another machine: the files of an exported one, or the name of one installed there."""

    name: str
    allow_download: bool
    identity: ModelIdentity
    runtime: str
    exported: Mapping[str, bytes] | None

    @classmethod
    def of(cls, embedder: Embedder, settings: Settings) -> "PortableModel":
        """Return the model with which an embedder embeds passages."""
        passages = embedder.passages if isinstance(embedder, TwoRuntimeEmbedder) else embedder
        files = passages.files() if isinstance(passages, ExportedEmbedder) else None
        return cls(settings.model, settings.allow_download, passages.identity, passages.runtime, files)

    def open(self, *, only_to_count: bool = False) -> Embedder:
        """Open the model for one thread. With ``only_to_count``, load the tokenizer but not the graph.

        Raises :class:`ModelProblem` if the model is not installed or is a different one.
        """
        embedder = self._opened(only_to_count=only_to_count)
        if (embedder.identity, embedder.runtime) != (self.identity, self.runtime):
            raise ModelChanged(
                f"{self.name} is a different model, or run in a different way ({embedder.runtime}), on a machine of "
                "the cluster; install the same on all"
            )
        return embedder

    def _opened(self, *, only_to_count: bool) -> Embedder:
        if self.exported is None:
            return SentenceTransformerEmbedder(find_model(self.name, allow_download=self.allow_download))
        folder = Path(tempfile.mkdtemp(prefix="qa-service-model-"))
        try:
            for name, data in self.exported.items():
                (folder / name).write_bytes(data)
            exported = open_runtime(folder, threads=1)
            exported.count_tokens([""])
            if not only_to_count:
                exported.load()
        finally:
            shutil.rmtree(folder)
        return exported


@dataclass(frozen=True, slots=True)
class ReadShard:
    """The files of a shard with their bytes."""

    files: Sequence[SourceFile]
    data: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class SplitShard:
    """The files of a shard with their documents and passages."""

    files: Sequence[SourceFile]
    found: Sequence[SplitDocument | Skipped]


@dataclass(frozen=True, slots=True)
class BuiltShard:
    """A built shard: its files and the bytes of their generation, by file name (empty if none held a document)."""

    files: Sequence[SourceFile]
    data: Mapping[str, bytes]
    skipped: Sequence[Skipped]


def read_shard(files: Sequence[SourceFile], limits: Limits) -> ReadShard:
    """Read the files of a shard. Raises :class:`SourceChangedError` if one can no longer be read."""
    data = []
    for file in files:
        try:
            data.append(read_file(file, limits))
        except SkipFile as skip:
            raise SourceChangedError(file.uri) from skip
    return ReadShard(files, data)


class SplitStage:
    """Parses files into documents and splits these into passages. Raises :class:`SourceChangedError`."""

    def __init__(self, plan: BuildPlan, embedder: Embedder) -> None:
        check_version(plan)
        self._limits = plan.limits
        self._splitter = Splitter(plan.contents.splitter, embedder.count_tokens)

    def __call__(self, shard: ReadShard) -> SplitShard:
        """Parse and split one shard."""
        with ParserProcess(self._limits) as parser:
            found = [
                split(document, self._splitter)
                for file, data in zip(shard.files, shard.data, strict=True)
                for document in read_documents(file, self._limits, parser, data)
            ]
        return SplitShard(shard.files, found)


class EmbedStage:
    """Embeds passages, and writes a generation of them."""

    def __init__(self, plan: BuildPlan, embedder: Embedder) -> None:
        check_version(plan)
        self._plan = plan
        self._embedder = embedder

    def __call__(self, shard: SplitShard, progress: Callable[[int, int], None] = lambda *_: None) -> BuiltShard:
        """Embed one shard."""
        skipped = [item for item in shard.found if isinstance(item, Skipped)]
        if len(skipped) == len(shard.found):
            return BuiltShard(shard.files, {}, skipped)
        with tempfile.TemporaryDirectory(prefix="qa-service-shard-") as scratch:
            folder = Path(scratch)
            draft = Draft(folder, self._plan.contents.of_part(shard.files), self._embedder, None, self._plan.codec)
            for item in shard.found:
                draft.add(item)
            draft.finish(batch_size=self._plan.batch_size, progress=progress)
            data = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        return BuiltShard(shard.files, data, skipped)


def check_version(plan: BuildPlan) -> None:
    """Raise :class:`IndexIncompatible` on a machine with another version of this program."""
    if plan.version != __version__:
        raise IndexIncompatible(
            f"the build runs qa-service {plan.version}, a machine of the cluster {__version__}; install the same on all"
        )
