"""Builds on a Ray cluster give the index of one machine, also after machines or the builder are lost."""

import os
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import FakeEmbedder, Run
from processes import PATIENCE, eventually
from ray_nodes import two_nodes

from qa_service.datatypes import AskOptions, SourceFile
from qa_service.embedding import OPENVINO_INT8, OnnxEmbedder, TwoRuntimeEmbedder, open_runtime
from qa_service.embedding.choose import embedder_to_build
from qa_service.embedding.interface import unit_length
from qa_service.errors import (
    IndexCorrupt,
    IndexIncompatible,
    ModelChanged,
    ModelCorrupt,
    RemoteError,
    SettingsError,
    SourceError,
)
from qa_service.index.disk import IndexFolder, OpenIndex
from qa_service.indexing.cluster import ray_pipeline
from qa_service.indexing.cluster.shards import group_files, sample_files
from qa_service.indexing.cluster.stages import BuildPlan, BuiltShard, EmbedStage, PortableModel, SplitStage, read_shard
from qa_service.loading import Limits, SourceChangedError
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings, load_settings

Files = Callable[[dict[str, str | bytes]], Path]
GAVE_UP = "Ray did not start:"
ADVICE = "try again, or set QA_ENGINE=local to build without it"
REFUSED = ("09.jsonl#line=1", "09.jsonl#line=2")
SUBJECTS = ("river", "mountain", "harbour", "railway", "orchard", "library", "bridge", "museum", "market", "castle")


def documents(count: int) -> dict[str, str | bytes]:
    """Return ``count`` Markdown files, a few unreadable ones, and one with many rows."""
    texts: dict[str, str | bytes] = {
        f"{number:02d}.md": f"# The {subject} {number}\n\nThe {subject} was opened in {1800 + number}. It is visited "
        f"by {number * 37} people a year.\n\n## Repair\n\nIts {SUBJECTS[number % 7]} side was repaired by hand."
        for number in range(count)
        for subject in [SUBJECTS[number % len(SUBJECTS)]]
    }
    rows = "".join(f'{{"id": "{number}", "text": "Row {number} names the fox."}}\n' for number in range(4))
    broken = {"05-empty.txt": "", "07-broken.pdf": b"%PDF-1.4 no", "08.jsonl": rows + '{"id": "x"\n', "99.txt": " \n"}
    return {**texts, **broken, "09.jsonl": '{"id": "x"\n{"id": "y"\n'}


class FakeCluster:
    """Runs every stage in this process, in place of Ray; plans, files and shards are pickled between the stages."""

    def __init__(self, embedder: FakeEmbedder) -> None:
        self.embedder = embedder
        self.shards = 0
        self.max_shards: int | None = None
        self.spoil: Callable[[BuiltShard], BuiltShard] = lambda shard: shard

    def built_shards(
        self, plan: BuildPlan, model: PortableModel, groups: Sequence[Sequence[SourceFile]]
    ) -> Iterator[BuiltShard]:
        """Build shards, the last group first; fail after ``max_shards``."""
        assert model.exported is None
        for group in reversed(groups):
            if self.shards == self.max_shards:
                raise RemoteError("the Ray cluster failed")
            plan, files = pickle.loads(pickle.dumps((plan, group)))  # noqa: S301 - what was made one line above
            shard: Any = read_shard(files, plan.limits)
            for stage in (SplitStage, EmbedStage):
                shard = pickle.loads(pickle.dumps(stage(plan, self.embedder)(shard)))  # noqa: S301
            self.shards += 1
            yield self.spoil(shard)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, fake: FakeEmbedder) -> FakeCluster:
    """Replace Ray; the stages share the embedder of the test."""
    found = FakeCluster(fake)
    monkeypatch.setattr(ray_pipeline, "connected", lambda _: nullcontext())
    monkeypatch.setattr(ray_pipeline, "built_shards", found.built_shards)
    return found


@pytest.fixture
def clustered(settings: Settings, tmp_path: Path) -> Settings:
    """Return the settings of the same build on a cluster, in shards of about three documents."""
    return settings.model_copy(update={"engine": "ray", "shard_kb": 0.5, "index": tmp_path / "cluster"})


def opened(settings: Settings) -> OpenIndex:
    return IndexFolder(settings.index).open_current(None).index


def ids(index: OpenIndex) -> list[str]:
    return [row[0] for row in index.passages._connection.execute("SELECT id FROM passages ORDER BY number")]


def compare(one: Settings, several: Settings, *, least_cosine: float = 1 - 1e-6) -> int:
    """Assert that two indexes are equal; return how many passages they have."""
    here, there = opened(one), opened(several)
    assert ids(here) == ids(there)
    every = np.arange(len(here))
    cosines = (unit_length(here.vectors(every)) * unit_length(there.vectors(every))).sum(axis=1)
    assert cosines.min() >= least_cosine
    assert here.words.vocabulary() == there.words.vocabulary()
    assert here.words.spellings.dump() == there.words.spellings.dump()
    assert here.words.synonyms == there.words.synonyms
    assert (here.words.by_passage() != there.words.by_passage()).nnz == 0
    assert here.tokens is not None
    assert there.tokens is not None
    np.testing.assert_array_equal(here.tokens.ids, there.tokens.ids)
    np.testing.assert_array_equal(here.tokens.sentences, there.tokens.sentences)
    same, other = (index.manifest.model_dump(exclude={"created_at", "files"}) for index in (here, there))
    assert same == other
    assert not (several.index / "shards").exists()
    here.close()
    there.close()
    return len(every)


def interrupt(settings: Settings, cluster: FakeCluster, after: int) -> None:
    """Let one build fail after so many shards."""
    cluster.max_shards = after
    with pytest.raises(RemoteError, match="failed"):
        build(settings, cluster.embedder)
    cluster.max_shards = None


def test_a_cluster_builds_the_same_index_as_one_machine(
    folder: Files, settings: Settings, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """The same passages, vectors, words, skipped files with reasons, and answers."""
    folder(documents(24))
    reports = [build(each, fake) for each in (settings, clustered)]
    assert cluster.shards > 5
    assert compare(settings, clustered) > 40
    same, other = (replace(report, seconds=0) for report in reports)
    assert same == other
    assert {item.uri for item in other.skipped} == {
        "05-empty.txt",
        "07-broken.pdf",
        "08.jsonl#line=5",
        "99.txt",
        *REFUSED,
    }
    answers = [
        open_answerer(each, fake)[0].ask("When was the harbour opened?", AskOptions(top_k=3))
        for each in (settings, clustered)
    ]
    quotes = [[result.citation.quote for result in answer.results] for answer in answers]
    assert quotes[0][0] == quotes[1][0]
    assert set(quotes[0]) == set(quotes[1])  # the other harbours are equally good answers


def test_an_interrupted_build_continues_from_its_finished_shards(
    folder: Files, settings: Settings, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """No passage of a finished shard is embedded again; until the end there is no current index."""
    folder(documents(24))
    build(settings, fake)
    whole = fake.embedded
    interrupt(clustered, cluster, 4)
    assert not (clustered.index / "current").exists()
    assert 0 < fake.embedded - whole < whole
    build(clustered, fake)
    assert fake.embedded == 2 * whole
    compare(settings, clustered)


def test_finished_shards_are_reused_after_files_changed(
    folder: Files, settings: Settings, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """Although shards would now end elsewhere; only changed files are built again."""
    source = folder(documents(24))
    interrupt(clustered, cluster, 4)
    before = fake.embedded
    folder({"00-first.md": "# First\n\nA new beginning.", "20.md": "# Changed\n\nAnother text."})
    (source / "03.md").unlink()
    build(clustered, fake)
    again = fake.embedded - before
    fake.embedded = 0
    build(settings, fake)
    assert again < 0.8 * fake.embedded
    compare(settings, clustered)


def test_a_damaged_shard_is_built_again(
    folder: Files, settings: Settings, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """One changed byte is enough; a partial folder, left by a killed build, is removed."""
    folder(documents(24))
    interrupt(clustered, cluster, 6)
    shards = sorted((clustered.index / "shards/generations").iterdir())
    victim = shards[1] / "vectors.faiss"
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    (shards[0].parent / "0123456789abcdef.partial").mkdir()
    build(clustered, fake)
    build(settings, fake)
    compare(settings, clustered)


@pytest.mark.parametrize("change", [{"passage_tokens": 20}, {"language": "none"}, {"token_vectors": False}])
def test_shards_of_other_settings_are_not_reused(
    folder: Files,
    settings: Settings,
    clustered: Settings,
    cluster: FakeCluster,
    fake: FakeEmbedder,
    change: dict[str, Any],
) -> None:
    """Their passages, terms or token vectors would differ."""
    folder(documents(12))
    interrupt(clustered, cluster, 2)
    build(clustered.model_copy(update=change), fake)
    build(settings.model_copy(update=change), fake)
    one, several = opened(settings), opened(clustered)
    assert ids(one) == ids(several)
    assert one.words.vocabulary() == several.words.vocabulary()
    assert (several.tokens is None) == ("token_vectors" in change)


def test_documents_of_the_current_generation_are_not_sent_to_the_cluster(
    folder: Files, clustered: Settings, settings: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """Only a changed file is; its token vectors are written with the codec of the others."""
    folder(documents(12))
    build(clustered, fake)
    codec = opened(clustered).tokens
    before, cluster.shards = fake.embedded, 0
    folder({"04.md": "# New\n\nThe lighthouse was painted red. It can be seen from far away."})
    build(clustered, fake)
    assert (cluster.shards, fake.embedded - before) == (1, 1)
    again = opened(clustered).tokens
    assert codec is not None
    assert again is not None
    assert codec.codec.same_as(again.codec)
    build(settings, fake)
    compare(settings, clustered)


def test_shards_with_another_codec_are_not_reused(
    folder: Files, settings: Settings, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """As after a generation was built in between, without them."""
    folder(documents(24))
    interrupt(clustered, cluster, 3)
    shutil.move(clustered.index / "shards", settings.index / "shards")
    folder({"50.md": "# Alone\n\nSomething about whales, of all things."})
    build(clustered, fake)
    shutil.move(settings.index / "shards", clustered.index / "shards")
    folder({"51.md": "# More\n\nSomething about seals as well."})
    build(clustered, fake)
    build(settings, fake)
    compare(settings, clustered)


def test_a_build_starts_again_if_a_file_changes_meanwhile(
    folder: Files, settings: Settings, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """The index holds the new content."""
    source = folder(documents(24))

    def spoil(shard: BuiltShard) -> BuiltShard:
        if cluster.shards == 2:
            (source / "01.md").write_text("# Changed\n\nWhile others were read.", encoding="utf-8")
            cluster.shards += 1
        return shard

    cluster.spoil = spoil
    build(clustered, fake)
    build(settings, fake)
    compare(settings, clustered)


def test_a_shard_that_contradicts_its_manifest_is_refused(
    folder: Files, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """One of other files, one with a path outside its folder, one with a file missing; no index is built."""
    folder(documents(24))

    def without_vectors(shard: BuiltShard) -> BuiltShard:
        return replace(shard, data={name: data for name, data in shard.data.items() if name != "vectors.faiss"})

    def elsewhere(shard: BuiltShard) -> BuiltShard:
        manifest = shard.data["manifest.json"].replace(b'"vectors.faiss"', b'"../../outside"')
        return replace(shard, data={**shard.data, "manifest.json": manifest, "../../outside": b"x"})

    def of_others(shard: BuiltShard) -> BuiltShard:
        return replace(shard, files=[replace(file, sha256="0" * 64) for file in shard.files])

    for spoil in (without_vectors, elsewhere, of_others):
        cluster.spoil = spoil
        with pytest.raises(IndexCorrupt):
            build(clustered, fake)
        assert not (clustered.index / "current").exists()
    assert not list(clustered.index.parent.rglob("outside"))


def test_shards_of_a_model_without_token_vectors_have_none(
    folder: Files, settings: Settings, clustered: Settings, cluster: FakeCluster
) -> None:
    """Nor has the index."""
    cluster.embedder = plain = FakeEmbedder(tokens=False)
    folder(documents(12))
    for each in (settings, clustered):
        build(each, plain)
    one, several = opened(settings), opened(clustered)
    assert ids(one) == ids(several)
    assert several.tokens is None


def test_a_cluster_build_without_a_document_is_an_error(
    folder: Files, clustered: Settings, cluster: FakeCluster, fake: FakeEmbedder
) -> None:
    """The same as on one machine."""
    folder({"empty.txt": "", "blank.md": " \n"})
    with pytest.raises(SourceError, match="no usable document"):
        build(clustered, fake)


def test_large_files_are_sampled_only_if_small_ones_do_not_suffice(
    folder: Files,
) -> None:
    """A file larger than a shard is a shard by itself."""
    source = folder({"a.txt": "a" * 60, "b.txt": "b" * 60, "c.txt": "c" * 500, "d.txt": "d" * 400, "e.txt": "e" * 10})
    files = [SourceFile(path.name, str(path), path.stem * 64) for path in sorted(source.iterdir())]
    assert [file.uri for file in sample_files(files, 100)] == ["a.txt", "b.txt"]
    assert [file.uri for file in sample_files(files[2:], 100)] == ["d.txt", "e.txt"]
    groups = [[file.uri for file in group] for group in group_files(files, 100)]
    assert groups == [["a.txt"], ["b.txt"], ["c.txt"], ["d.txt"], ["e.txt"]]
    with pytest.raises(SourceChangedError):
        read_shard([replace(files[0], path=str(source / "gone"))], Limits())


def test_a_machine_with_another_version_or_model_is_refused(
    tmp_path: Path, exported_models: Path, fake: FakeEmbedder
) -> None:
    """Before it does any work."""
    shutil.copytree(exported_models, tmp_path / "ix/models")
    settings = load_settings(index=tmp_path / "ix", runtime="int8")
    embedder = embedder_to_build(settings)
    model = PortableModel.of(embedder, settings)
    assert isinstance(model.open(), OnnxEmbedder)
    counting = model.open(only_to_count=True)
    assert counting.count_tokens(["Two words."]) == embedder.count_tokens(["Two words."])
    with pytest.raises(ModelCorrupt):
        counting.embed_passages(["Two words."])
    with pytest.raises(ModelChanged, match="same on all"):
        replace(model, identity=fake.identity).open()
    named = PortableModel.of(fake, settings)
    assert named.exported is None
    with pytest.raises(ModelChanged, match="torch fp32"):
        named.open()
    plan = BuildPlan(None, Limits(), 1, None, version="0.0.1")  # type: ignore[arg-type]
    for stage in (SplitStage, EmbedStage):
        with pytest.raises(IndexIncompatible, match=r"0\.0\.1"):
            stage(plan, fake)


def test_the_cluster_gets_the_model_export_for_passages(settings: Settings, exports: dict[str, Path]) -> None:
    """The export for questions is not sent."""
    embedder = TwoRuntimeEmbedder(open_runtime(exports["int8"]), open_runtime(exports[OPENVINO_INT8], threads=2))
    there = PortableModel.of(embedder, settings).open()
    assert there.runtime == embedder.runtime
    mine, theirs = (each.embed_passages(["A short text.", "Another."]).vectors for each in (embedder, there))
    assert (mine * theirs).sum(axis=1).min() > 1 - 1e-3


def test_a_missing_ray_and_an_invalid_address_are_wrong_settings(
    run: Run, here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the extra to install, or the setting."""
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, error = run("index", *here, "--engine", "ray")
    assert code == SettingsError.exit_code
    assert "qa-service[ray]" in error
    code, _, error = run("index", *here, "--engine", "ray", "--address", "ray://there:10001")
    assert code == SettingsError.exit_code
    assert "QA_RAY_ADDRESS" in error


def test_a_ray_that_does_not_start_is_reported_in_one_line(
    run: Run, here: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it raises: it has no class of its own for this."""

    class NoRay:
        def init(self, **_: object) -> None:
            raise Exception("Traceback of a process\nthe raylet failed")  # noqa: TRY002 - as Ray does

    monkeypatch.setitem(sys.modules, "ray", NoRay())
    code, _, error = run("index", *here, "--engine", "ray")
    assert code == RemoteError.exit_code
    assert error.splitlines() == [f"error: {GAVE_UP} the raylet failed; {ADVICE}"]


@pytest.mark.needs("ray")
def test_a_real_ray_that_does_not_start_is_reported_in_one_line(here: list[str]) -> None:
    """Here it is given no time to."""
    command = [sys.executable, "-m", "qa_service", "index", *here, "--engine", "ray"]
    environment = {**os.environ, "RAY_gcs_server_port_wait_time_s": "0"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == RemoteError.exit_code, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {GAVE_UP} Timed out waiting for file")
    assert line.endswith(ADVICE)


def test_ray_is_not_imported_without_a_cluster_build() -> None:
    """Nor is pyarrow."""
    code = "import sys, qa_service.pipeline, qa_service.cli; print({'ray', 'pyarrow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.needs("ray")
def test_a_build_on_real_ray_gives_the_same_index(folder: Files, tmp_path: Path, exported_models: Path) -> None:
    """On a cluster of this machine alone, with the real model and the command line."""
    source = folder(documents(12))
    one, clustered = (
        load_settings(source=source, index=tmp_path / name, runtime="int8", allow_skips=True)
        for name in ("one", "cluster")
    )
    for each in (one, clustered):
        shutil.copytree(exported_models, each.index / "models")
    report = build(one, embedder_to_build(one))
    command = [sys.executable, "-m", "qa_service", "index", "--source", source, "--index", clustered.index]
    environment = {**os.environ, "QA_SHARD_KB": "0.8", "QA_RUNTIME": "int8", "QA_ALLOW_SKIPS": "true"}
    environment["RAY_gcs_server_port_wait_time_s"] = str(int(PATIENCE))

    def run_ray() -> "subprocess.CompletedProcess[str]":
        arguments = [*command, "--engine", "ray"]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)

    while GAVE_UP in (done := run_ray()).stderr:
        pass  # on a busy machine: Ray gives its processes half a minute to start, which no setting changes
    assert done.returncode == 0, done.stderr
    assert f"{report.passages} passages, {report.vectors} vectors" in done.stdout
    assert compare(one, clustered, least_cosine=1 - 1e-3) == report.passages == 28


@pytest.mark.proof
@pytest.mark.filterwarnings("default")  # Ray's own
@pytest.mark.needs("ray")
def test_a_shard_that_ends_every_process_ends_the_build(
    folder: Files,
    tmp_path: Path,
    exported_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """After a few retries, as the machine might have been at fault; nothing hangs."""
    tried = tmp_path / "tried"

    class Fatal(ray_pipeline._RayStage):  # local, so that it is pickled by value: workers can't import this module
        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            with tried.open("a") as file:
                file.write("x")
            os._exit(1)

    monkeypatch.setattr(ray_pipeline, "_RayEmbedStage", Fatal)
    settings = load_settings(source=folder(documents(6)), index=tmp_path / "index", runtime="int8", engine="ray")
    settings = settings.model_copy(update={"shard_kb": 0.8, "allow_skips": True})
    shutil.copytree(exported_models, settings.index / "models")
    with pytest.raises(RemoteError, match="kept for the next build"):
        build(settings, embedder_to_build(settings))
    assert len(tried.read_text()) == 5
    record_property("figure", "a shard that crashes its process crashed 5 processes, then the build stopped")


@pytest.mark.proof
@pytest.mark.needs("ray", "ip", "root")
def test_a_build_survives_the_loss_of_the_builder_and_of_a_machine(
    tmp_path: Path, folder: Files, exported_models: Path, record_property: Callable[[str, object], None]
) -> None:
    """Two nodes in networks of their own: a new builder continues for a killed one; a build outlives a killed node."""
    texts = {f"{number:03d}.txt": "\n\n".join(_paragraphs(number)) for number in range(14)}
    source = folder({**texts, **documents(6)})
    one = load_settings(source=source, index=tmp_path / "one")
    for name in ("one", "machine", "builder"):
        shutil.copytree(exported_models, tmp_path / name / "models")
    one = one.model_copy(update={"runtime": "int8"})
    build(one, embedder_to_build(one))
    began = time.monotonic()
    figures = []
    with two_nodes(tmp_path, {"QA_SHARD_KB": "50", "QA_RUNTIME": "int8"}) as nodes:
        for name in ("builder", "machine"):
            clustered = load_settings(source=source, index=tmp_path / name)
            command = [
                sys.executable,
                "-m",
                "qa_service",
                "index",
                "--source",
                str(source),
                "--index",
                str(clustered.index),
            ]
            command += ["--engine", "ray", "--address", nodes.address, "--allow-skips"]
            process = nodes.on_head(*command)
            kept = _wait_for_shards(clustered.index, 5, process)
            if name == "builder":
                os.killpg(process.pid, 9)
                process.communicate()
                kept = len(_shards(clustered.index))
                process = nodes.on_head(*command)
                _wait_for_shards(clustered.index, kept + 1, process)
            else:
                nodes.kill_worker()
            out, _ = process.communicate()
            assert process.returncode == 0, out[-3000:]
            passages = compare(one, clustered, least_cosine=1 - 1e-3)
            figures.append(f"{name} killed after {kept} shards")
    took = time.monotonic() - began
    figure = f"{passages} passages, {'; '.join(figures)}; both indexes equal that of one machine; {took:.0f} s"
    record_property("figure", figure)


def _paragraphs(seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    words = [f"{first}{last}" for first in SUBJECTS for last in ("", "s", "side", "keeper", "wall")]
    return [" ".join(generator.choice(words, 12)).capitalize() + "." for _ in range(550)]


def _shards(index: Path) -> list[Path]:
    return [path for path in (index / "shards/generations").glob("*") if not path.suffix]


def _wait_for_shards(index: Path, count: int, process: "subprocess.Popen[str]") -> int:
    eventually(lambda: len(_shards(index)) >= count or process.poll() is not None)
    assert process.poll() is None, process.stdout.read()[-3000:] if process.stdout else ""
    return len(_shards(index))
