"""A build spread over machines: the same as on one, whatever is lost on the way."""

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
from ray_nodes import can_be, two_nodes

from qa_service.datatypes import AskOptions, SourceFile
from qa_service.embedding import OPENVINO_INT8, OnnxEmbedder, TwoRuntimeEmbedder, open_runtime
from qa_service.embedding.choose import embedder_to_build
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
from qa_service.indexing.cluster import shards as cluster_shards
from qa_service.indexing.cluster.stages import BuildPlan, BuiltShard, EmbedStage, PortableModel, SplitStage, read_shard
from qa_service.loading import Limits, SourceChangedError
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings, load_settings

Files = Callable[[dict[str, str | bytes]], Path]
REFUSED = ("09.jsonl#line=1", "09.jsonl#line=2")
SUBJECTS = ("river", "mountain", "harbour", "railway", "orchard", "library", "bridge", "museum", "market", "castle")


def documents(count: int) -> dict[str, str | bytes]:
    """Return so many documents, a few of them not to be read, and one with many rows."""
    texts: dict[str, str | bytes] = {
        f"{number:02d}.md": f"# The {subject} {number}\n\nThe {subject} was opened in {1800 + number}. It is visited "
        f"by {number * 37} people a year.\n\n## Repair\n\nIts {SUBJECTS[number % 7]} side was repaired by hand."
        for number in range(count)
        for subject in [SUBJECTS[number % len(SUBJECTS)]]
    }
    rows = "".join(f'{{"id": "{number}", "text": "Row {number} names the fox."}}\n' for number in range(4))
    broken = {"05-empty.txt": "", "07-broken.pdf": b"%PDF-1.4 no", "08.jsonl": rows + '{"id": "x"\n', "99.txt": " \n"}
    return {**texts, **broken, "09.jsonl": '{"id": "x"\n{"id": "y"\n'}


class Machines:
    """In the place of a cluster: every stage in this process, all that goes between them packed as it would be."""

    def __init__(self, embedder: FakeEmbedder) -> None:
        self.embedder = embedder
        self.shards = 0
        self.most: int | None = None
        self.spoil: Callable[[BuiltShard], BuiltShard] = lambda shard: shard

    def built_shards(
        self, plan: BuildPlan, model: PortableModel, groups: Sequence[Sequence[SourceFile]]
    ) -> Iterator[BuiltShard]:
        """Build as the function of the same name does, last group first; fail after ``most`` shards."""
        assert model.exported is None
        for group in reversed(groups):
            if self.shards == self.most:
                raise RemoteError("the Ray cluster failed")
            plan, files = pickle.loads(pickle.dumps((plan, group)))  # noqa: S301 - what was made one line above
            shard: Any = read_shard(files, plan.limits)
            for stage in (SplitStage, EmbedStage):
                shard = pickle.loads(pickle.dumps(stage(plan, self.embedder)(shard)))  # noqa: S301
            self.shards += 1
            yield self.spoil(shard)


@pytest.fixture
def machines(monkeypatch: pytest.MonkeyPatch, fake: FakeEmbedder) -> Machines:
    """Return machines that share the embedder of the test, for shards of three documents or so."""
    found = Machines(fake)
    monkeypatch.setattr(ray_pipeline, "connected", lambda _: nullcontext())
    monkeypatch.setattr(ray_pipeline, "built_shards", found.built_shards)
    return found


@pytest.fixture
def apart(settings: Settings, tmp_path: Path) -> Settings:
    """Return the settings of the same build by a cluster."""
    return settings.model_copy(update={"engine": "ray", "shard_kb": 0.5, "index": tmp_path / "apart"})


def opened(settings: Settings) -> OpenIndex:
    return IndexFolder(settings.index).open_current(None).index


def ids(index: OpenIndex) -> list[str]:
    return [row[0] for row in index.passages._connection.execute("SELECT id FROM passages ORDER BY number")]


def compare(one: Settings, several: Settings, *, least_cosine: float = 1 - 1e-6) -> int:
    """Assert that two indexes hold the same; return how many passages they have."""
    here, there = opened(one), opened(several)
    assert ids(here) == ids(there)
    every = np.arange(len(here))
    assert (here.vectors(every) * there.vectors(every)).sum(axis=1).min() >= least_cosine
    assert here.words.vocabulary() == there.words.vocabulary()
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


def interrupt(settings: Settings, machines: Machines, after: int) -> None:
    """Have a build fail after so many shards; the next one does not."""
    machines.most = after
    with pytest.raises(RemoteError, match="failed"):
        build(settings, machines.embedder)
    machines.most = None


def test_the_index_is_that_of_one_machine(
    folder: Files, settings: Settings, apart: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """Passages, vectors, words, what was skipped and why, and the answers."""
    folder(documents(24))
    reports = [build(each, fake) for each in (settings, apart)]
    assert machines.shards > 5
    assert compare(settings, apart) > 40
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
        for each in (settings, apart)
    ]
    quotes = [[result.citation.quote for result in answer.results] for answer in answers]
    assert quotes[0] == quotes[1]


def test_an_interrupted_build_goes_on_where_it_was(
    folder: Files, settings: Settings, apart: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """Nothing is embedded twice but what was under way; before, no index is in force."""
    folder(documents(24))
    build(settings, fake)
    whole = fake.embedded
    interrupt(apart, machines, 4)
    assert not (apart.index / "current").exists()
    assert 0 < fake.embedded - whole < whole
    build(apart, fake)
    assert fake.embedded == 2 * whole
    compare(settings, apart)


def test_what_is_left_is_of_use_though_other_files_have_come(
    folder: Files, settings: Settings, apart: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """Where one shard ends is not what counts; a file that has changed is built again."""
    source = folder(documents(24))
    interrupt(apart, machines, 4)
    before = fake.embedded
    folder({"00-first.md": "# First\n\nA new beginning.", "20.md": "# Changed\n\nAnother text."})
    (source / "03.md").unlink()
    build(apart, fake)
    again = fake.embedded - before
    fake.embedded = 0
    build(settings, fake)
    assert again < 0.8 * fake.embedded
    compare(settings, apart)


def test_a_damaged_shard_is_built_again(
    folder: Files, settings: Settings, apart: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """One byte is enough; half a folder, left by a kill, is removed."""
    folder(documents(24))
    interrupt(apart, machines, 6)
    shards = sorted((apart.index / "shards/generations").iterdir())
    victim = shards[1] / "vectors.faiss"
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    (shards[0].parent / "0123456789abcdef.partial").mkdir()
    build(apart, fake)
    build(settings, fake)
    compare(settings, apart)


@pytest.mark.parametrize("change", [{"passage_tokens": 20}, {"language": "none"}, {"token_vectors": False}])
def test_shards_of_other_settings_are_not_used(
    folder: Files, settings: Settings, apart: Settings, machines: Machines, fake: FakeEmbedder, change: dict[str, Any]
) -> None:
    """They are removed."""
    folder(documents(12))
    interrupt(apart, machines, 2)
    build(apart.model_copy(update=change), fake)
    build(settings.model_copy(update=change), fake)
    one, several = opened(settings), opened(apart)
    assert ids(one) == ids(several)
    assert one.words.vocabulary() == several.words.vocabulary()
    assert (several.tokens is None) == ("token_vectors" in change)


def test_what_the_generation_before_has_is_not_sent_out(
    folder: Files, apart: Settings, settings: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """A changed file alone is; its token vectors are in the code of the others."""
    folder(documents(12))
    build(apart, fake)
    codec = opened(apart).tokens
    before, machines.shards = fake.embedded, 0
    folder({"04.md": "# New\n\nThe lighthouse was painted red. It can be seen from far away."})
    build(apart, fake)
    assert (machines.shards, fake.embedded - before) == (1, 1)
    again = opened(apart).tokens
    assert codec is not None
    assert again is not None
    assert codec.codec.same_as(again.codec)
    build(settings, fake)
    compare(settings, apart)


def test_shards_in_another_code_are_not_used(
    folder: Files, settings: Settings, apart: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """As when a generation was built in between, without them."""
    folder(documents(24))
    interrupt(apart, machines, 3)
    shutil.move(apart.index / "shards", settings.index / "shards")
    folder({"50.md": "# Alone\n\nSomething about whales, of all things."})
    build(apart, fake)
    shutil.move(settings.index / "shards", apart.index / "shards")
    folder({"51.md": "# More\n\nSomething about seals as well."})
    build(apart, fake)
    build(settings, fake)
    compare(settings, apart)


def test_a_file_that_changes_meanwhile_is_looked_at_again(
    folder: Files, settings: Settings, apart: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """The build begins anew, with what stands in it then."""
    source = folder(documents(24))

    def spoil(shard: BuiltShard) -> BuiltShard:
        if machines.shards == 2:
            (source / "01.md").write_text("# Changed\n\nWhile others were read.", encoding="utf-8")
            machines.shards += 1
        return shard

    machines.spoil = spoil
    build(apart, fake)
    build(settings, fake)
    compare(settings, apart)


def test_a_shard_that_is_not_what_it_says_is_refused(
    folder: Files, apart: Settings, machines: Machines, fake: FakeEmbedder
) -> None:
    """One of other files, one that names files elsewhere, one with a file missing: no index comes of it."""
    folder(documents(24))

    def without_vectors(shard: BuiltShard) -> BuiltShard:
        return replace(shard, data={name: data for name, data in shard.data.items() if name != "vectors.faiss"})

    def elsewhere(shard: BuiltShard) -> BuiltShard:
        manifest = shard.data["manifest.json"].replace(b'"vectors.faiss"', b'"../../outside"')
        return replace(shard, data={**shard.data, "manifest.json": manifest, "../../outside": b"x"})

    def of_others(shard: BuiltShard) -> BuiltShard:
        return replace(shard, files=[replace(file, sha256="0" * 64) for file in shard.files])

    for spoil in (without_vectors, elsewhere, of_others):
        machines.spoil = spoil
        with pytest.raises(IndexCorrupt):
            build(apart, fake)
        assert not (apart.index / "current").exists()
    assert not list(apart.index.parent.rglob("outside"))


def test_a_model_without_token_vectors(folder: Files, settings: Settings, apart: Settings, machines: Machines) -> None:
    """Its shards have none, nor has the index."""
    machines.embedder = plain = FakeEmbedder(tokens=False)
    folder(documents(12))
    for each in (settings, apart):
        build(each, plain)
    one, several = opened(settings), opened(apart)
    assert ids(one) == ids(several)
    assert several.tokens is None


def test_a_folder_without_a_document(folder: Files, apart: Settings, machines: Machines, fake: FakeEmbedder) -> None:
    """Is told as ever."""
    folder({"empty.txt": "", "blank.md": " \n"})
    with pytest.raises(SourceError, match="no usable document"):
        build(apart, fake)


def test_large_files_are_the_sample_only_if_small_ones_do_not_suffice(
    folder: Files,
) -> None:
    """What the codec is fitted to is enough, and no more than that."""
    source = folder({"a.txt": "a" * 60, "b.txt": "b" * 60, "c.txt": "c" * 500, "d.txt": "d" * 400, "e.txt": "e" * 10})
    files = [SourceFile(path.name, str(path), path.stem * 64) for path in sorted(source.iterdir())]
    assert [file.uri for file in cluster_shards._sample(files, 100)] == ["a.txt", "b.txt"]
    assert [file.uri for file in cluster_shards._sample(files[2:], 100)] == ["d.txt", "e.txt"]
    groups = [[file.uri for file in group] for group in cluster_shards._groups(files, 100)]
    assert groups == [["a.txt"], ["b.txt"], ["c.txt"], ["d.txt"], ["e.txt"]]
    with pytest.raises(SourceChangedError):
        read_shard([replace(files[0], path=str(source / "gone"))], Limits())


def test_other_versions_and_models_are_refused(tmp_path: Path, exported_models: Path, fake: FakeEmbedder) -> None:
    """Both on the machine that has them, before it does any work."""
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


def test_passages_go_to_the_export_that_is_made_for_them(settings: Settings, exports: dict[str, Path]) -> None:
    """Also on other machines; the one for questions stays here."""
    embedder = TwoRuntimeEmbedder(open_runtime(exports["int8"]), open_runtime(exports[OPENVINO_INT8], threads=2))
    there = PortableModel.of(embedder, settings).open()
    assert there.runtime == embedder.runtime
    mine, theirs = (each.embed_passages(["A short text.", "Another."]).vectors for each in (embedder, there))
    assert (mine * theirs).sum(axis=1).min() > 1 - 1e-3


def test_without_ray(run: Run, here: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is named; an address that can be none is a wrong setting."""
    monkeypatch.setitem(sys.modules, "ray", None)
    code, _, error = run("index", *here, "--engine", "ray")
    assert code == SettingsError.exit_code
    assert "qa-service[ray]" in error
    code, _, error = run("index", *here, "--engine", "ray", "--address", "ray://there:10001")
    assert code == SettingsError.exit_code
    assert "QA_RAY_ADDRESS" in error


def test_one_machine_does_not_import_ray() -> None:
    """Nor anything that comes with it."""
    code = "import sys, qa_service.pipeline, qa_service.cli; print({'ray', 'pyarrow'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_build_by_ray_itself(folder: Files, tmp_path: Path, exported_models: Path) -> None:
    """On a cluster of this machine, with the real model: the same as without, and nothing said but what is always."""
    source = folder(documents(12))
    one, apart = (
        load_settings(source=source, index=tmp_path / name, runtime="int8", allow_skips=True)
        for name in ("one", "apart")
    )
    for each in (one, apart):
        shutil.copytree(exported_models, each.index / "models")
    report = build(one, embedder_to_build(one))
    done = subprocess.run(
        [sys.executable, "-m", "qa_service", "index", "--source", source, "--index", apart.index, "--engine", "ray"],
        env={**os.environ, "QA_SHARD_KB": "0.8", "QA_RUNTIME": "int8", "QA_ALLOW_SKIPS": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{report.passages} passages, {report.vectors} vectors" in done.stdout
    assert compare(one, apart, least_cosine=1 - 1e-3) == report.passages == 28


@pytest.mark.proof
@pytest.mark.filterwarnings("default")  # Ray's own
def test_work_that_ends_every_machine_ends_the_build(
    folder: Files,
    tmp_path: Path,
    exported_models: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Callable[[str, object], None],
) -> None:
    """It is tried some times more, as if the machine had been at fault; then the build says so, and nothing hangs."""
    tried = tmp_path / "tried"

    class Fatal(ray_pipeline._RayStage):  # one of a module would be looked up there by the workers
        def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
            with tried.open("a") as file:
                file.write("x")
            os._exit(1)

    monkeypatch.setattr(ray_pipeline, "_RayEmbedStage", Fatal)
    settings = load_settings(source=folder(documents(6)), index=tmp_path / "index", runtime="int8", engine="ray")
    settings = settings.model_copy(update={"shard_kb": 0.8, "allow_skips": True})
    shutil.copytree(exported_models, settings.index / "models")
    with pytest.raises(RemoteError, match="kept for the next try"):
        build(settings, embedder_to_build(settings))
    assert len(tried.read_text()) == 5
    record_property("figure", "a shard that ends its process ended 5, then the build")


@pytest.mark.proof
@pytest.mark.skipif(not can_be(), reason="needs Ray, and the right to make networks")
def test_a_machine_and_then_the_builder_are_lost(
    tmp_path: Path, folder: Files, exported_models: Path, record_property: Callable[[str, object], None]
) -> None:
    """Two nodes in networks of their own. The builder is killed: the next one goes on. A node is: the build ends."""
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
            apart = load_settings(source=source, index=tmp_path / name)
            command = [
                sys.executable,
                "-m",
                "qa_service",
                "index",
                "--source",
                str(source),
                "--index",
                str(apart.index),
            ]
            command += ["--engine", "ray", "--address", nodes.address, "--allow-skips"]
            process = nodes.on_head(*command)
            kept = _wait_for_shards(apart.index, 5, process)
            if name == "builder":
                os.killpg(process.pid, 9)
                process.communicate()
                kept = len(_shards(apart.index))
                process = nodes.on_head(*command)
                _wait_for_shards(apart.index, kept + 1, process)
            else:
                nodes.kill_worker()
            out, _ = process.communicate(timeout=900)
            assert process.returncode == 0, out[-3000:]
            passages = compare(one, apart, least_cosine=1 - 1e-3)
            figures.append(f"{name} killed after {kept} shards")
    took = time.monotonic() - began
    record_property("figure", f"{passages} passages, {'; '.join(figures)}; both equal to one machine's; {took:.0f} s")


def _paragraphs(seed: int) -> list[str]:
    generator = np.random.default_rng(seed)
    words = [f"{first}{last}" for first in SUBJECTS for last in ("", "s", "side", "keeper", "wall")]
    return [" ".join(generator.choice(words, 12)).capitalize() + "." for _ in range(550)]


def _shards(index: Path) -> list[Path]:
    return [path for path in (index / "shards/generations").glob("*") if not path.suffix]


def _wait_for_shards(index: Path, count: int, process: "subprocess.Popen[str]") -> int:
    ends = time.monotonic() + 600
    while len(_shards(index)) < count:
        assert process.poll() is None, process.stdout.read()[-3000:] if process.stdout else ""
        assert time.monotonic() < ends
        time.sleep(0.5)
    return len(_shards(index))
