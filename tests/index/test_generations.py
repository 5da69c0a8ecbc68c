"""The index folder: intact or refused by name, swapped atomically, one build at a time, no files left behind."""

import errno
import json
import os
import random
import re
import shutil
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial, partialmethod
from pathlib import Path

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder

from qa_service.datatypes import FloatArray
from qa_service.embedding.models import DEFAULT_WEIGHTS
from qa_service.errors import (
    BuildInProgress,
    IndexCorrupt,
    IndexIncompatible,
    IndexMissing,
    IndexProblem,
    ModelChanged,
    StorageError,
)
from qa_service.index.disk import IndexFolder, OpenIndex
from qa_service.index.manifest import FORMAT_VERSION, MANIFEST, data_files
from qa_service.index.vectors.faiss import FaissStore
from qa_service.index.words import BM25Index
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
DATA_FILES = data_files(token_vectors=True)
FILES = (MANIFEST, *DATA_FILES)


@pytest.fixture
def built(folder: Write, settings: Settings, fake: FakeEmbedder) -> Path:
    """Return the folder of the one generation of an index."""
    folder(TWO_DOCUMENTS)
    return settings.index / "generations" / build(settings, fake).index_version


def open_current(settings: Settings, embedder: FakeEmbedder | None = None) -> OpenIndex:
    return IndexFolder(settings.index).open_current((embedder or FakeEmbedder()).identity).index


def change_manifest(generation: Path, change: Callable[[dict[str, object]], object]) -> None:
    content = json.loads((generation / MANIFEST).read_text())
    change(content)
    (generation / MANIFEST).write_text(json.dumps(content), encoding="utf-8")


def test_an_index_opens_as_it_was_built(built: Path, settings: Settings) -> None:
    """Documents, passages, sentences: counts, order and places."""
    index = open_current(settings)
    assert index.generation == built.name
    assert [entry.uri for entry in index.manifest.sources] == ["sea.txt", "zoo/animals.md"]
    first = index.passage(0)
    assert first.text.startswith("The whale swims")
    document = index.document(first.document_id)
    assert document is not None
    assert document.text == TWO_DOCUMENTS["sea.txt"]
    assert index.overlapping(first.document_id, 0, 3) == [0]
    assert index.overlapping(first.document_id, 10_000, 10_001) == []
    assert index.document("nothing") is None
    assert index.tokens is not None
    assert len(index.tokens.sentences) == sum(len(index.passage(number).sentences) for number in range(len(index)))


def test_the_same_documents_are_the_same_generation(built: Path, settings: Settings, folder: Write) -> None:
    """Nothing is embedded without a change; a change is noticed even if size and time stay."""
    fake = FakeEmbedder()
    report = build(settings, fake)
    assert (report.changed, fake.embedded, report.index_version) == (False, 0, built.name)
    changed = str(TWO_DOCUMENTS["sea.txt"]).replace("whale", "shark")
    status = (settings.source / "sea.txt").stat()
    folder({"sea.txt": changed})
    os.utime(settings.source / "sea.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    report = build(settings, fake)
    assert report.changed
    assert report.index_version != built.name


def test_a_build_hashes_each_file_of_a_generation_once(
    hashed: Counter[int], built: Path, settings: Settings, folder: Write
) -> None:
    """A new generation is hashed when it is written, and again only if it is opened to calibrate a model."""

    def times(generation: str) -> set[int]:
        path = settings.index / "generations" / generation
        return {hashed[(path / name).stat().st_ino] for name in DATA_FILES}

    assert times(built.name) == {2}
    hashed.clear()
    build(settings, FakeEmbedder())
    assert times(built.name) == {1}
    hashed.clear()
    folder({"new.txt": "A goat climbs.\n"})
    new = build(settings, FakeEmbedder(weights=DEFAULT_WEIGHTS)).index_version
    assert (times(built.name), times(new)) == ({1}, {1})


def test_two_builds_of_the_same_documents_are_equal_byte_for_byte(
    built: Path, settings: Settings, tmp_path: Path
) -> None:
    """Except for the time in the manifest."""
    other = settings.model_copy(update={"index": tmp_path / "other"})
    build(other, FakeEmbedder())
    again = other.index / "generations" / built.name
    for name in DATA_FILES:
        assert (built / name).read_bytes() == (again / name).read_bytes(), name
    one, two = (json.loads((path / MANIFEST).read_text()) for path in (built, again))
    del one["created_at"], two["created_at"]
    assert one == two


def test_an_index_searched_by_codes_answers_as_one_searched_exactly(
    folder: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It is built, opened, asked and reused by the next build."""
    chance = random.Random(7)
    texts = [" ".join(f"w{chance.randrange(300)}" for _ in range(10)) for _ in range(1200)]
    folder({f"{number:04}.txt": f"{text}." for number, text in enumerate(texts)})
    plain = settings.model_copy(update={"index": tmp_path / "plain"})
    build(plain, FakeEmbedder())
    monkeypatch.setattr(FaissStore, "choose_index", partialmethod(FaissStore.choose_index, exact_up_to=1000))
    build(settings, FakeEmbedder())
    assert open_current(plain).manifest.vector_index.kind == "flat"
    chosen = open_current(settings).manifest.vector_index
    assert chosen.kind == "pq"
    assert chosen.recall_at_10 >= 0.99

    def uris(answerer: QuestionAnswerer, question: str) -> list[str]:
        return [result.citation.uri for result in answerer.ask(question).results]

    large, small = (open_answerer(own, FakeEmbedder())[0] for own in (settings, plain))
    questions = [" ".join(chance.sample(text.split(), 4)) for text in chance.sample(texts, 20)]
    assert sum(uris(large, question) == uris(small, question) for question in questions) >= 19
    folder({"0000.txt": "Something else."})
    fake = FakeEmbedder()
    build(settings, fake)
    assert fake.embedded == 1
    assert open_current(settings).manifest.vector_index.kind == "pq"
    assert uris(open_answerer(settings, FakeEmbedder())[0], "something else")[0] == "0000.txt"


def test_a_deleted_document_is_gone_after_the_next_build(built: Path, settings: Settings) -> None:
    """Its passages too."""
    (settings.source / "sea.txt").unlink()
    build(settings, FakeEmbedder())
    index = open_current(settings)
    assert index.document_by_uri("sea.txt") is None
    assert all("whale" not in index.passage(number).text for number in range(len(index)))


# Missing, foreign or partial files


@pytest.mark.parametrize("make", [lambda path: None, lambda path: path.mkdir(), lambda path: path.write_text("x")])
def test_the_error_for_a_missing_index_says_how_to_build_one(make: Callable[[Path], object], tmp_path: Path) -> None:
    """Missing, empty, or a file."""
    make(tmp_path / "index")
    with pytest.raises(IndexMissing, match="index"):
        IndexFolder(tmp_path / "index").open_current(None)


POINTERS = [b"", b"\n", b"../../etc\n", b"/etc/passwd", b"0123456789abcdef\n0123456789abcdef\n", b"0123456789abcdef \n"]
POINTERS += [b"0123456789ABCDEF\n", b"0123456789abcde\xff\n", b"0123456789abcdef" * 100_000]


@pytest.mark.parametrize("content", POINTERS)
def test_an_invalid_pointer_is_not_followed(content: bytes, built: Path, settings: Settings) -> None:
    """The newest intact generation is served and reported as degraded; without one it is an error."""
    (settings.index / "current").write_bytes(content)
    opened = IndexFolder(settings.index).open_current(FakeEmbedder().identity)
    assert opened.index.generation == built.name
    assert opened.degraded is not None
    assert "current does not contain a generation id" in opened.degraded
    shutil.rmtree(built)
    with pytest.raises(IndexCorrupt, match="does not contain a generation id"):
        IndexFolder(settings.index).open_current(FakeEmbedder().identity)


def test_a_missing_or_linked_pointer_or_generation_falls_back_to_an_intact_one(built: Path, settings: Settings) -> None:
    """All of them do."""
    pointer = settings.index / "current"
    content = pointer.read_bytes()
    for breakage, message in (
        (pointer.unlink, "current is missing"),
        (lambda: pointer.symlink_to("/etc/passwd"), "not a plain file"),
        (lambda: (pointer.unlink(), pointer.write_text("0" * 16)), "not a folder"),
    ):
        breakage()
        opened = IndexFolder(settings.index).open_current(FakeEmbedder().identity)
        assert opened.index.generation == built.name
        assert message in (opened.degraded or "")
    pointer.write_bytes(content)
    assert IndexFolder(settings.index).open_current(FakeEmbedder().identity).degraded is None


def test_a_generation_that_is_a_symlink_is_refused(built: Path, settings: Settings, tmp_path: Path) -> None:
    """Even if its target is intact."""
    built.rename(tmp_path / "elsewhere")
    built.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(IndexCorrupt, match="not a folder"):
        open_current(settings)


# Damage


def damages(data: bytes, generator: random.Random) -> dict[str, bytes]:
    at = generator.randrange(len(data))
    zeroed = min(4096, len(data) - at)
    flipped = bytes([data[at] ^ 1 << generator.randrange(8)])
    return {
        "truncated": data[:at],
        "bit flipped": data[:at] + flipped + data[at + 1 :],
        "zeroed": data[:at] + bytes(zeroed) + data[at + zeroed :],
        "appended": data + generator.randbytes(generator.randrange(1, 5000)),
        "random": generator.randbytes(len(data)),
        "emptied": b"",
    }


def assert_damage_is_found(generation: Path, settings: Settings, generator: random.Random, name: str) -> int:
    whole = (generation / name).read_bytes()
    tried = 0
    for kind, damaged in damages(whole, generator).items():
        if damaged == whole:
            continue
        # A flipped bit in a free text leaves a valid manifest; its data files decide.
        if name == MANIFEST and kind == "bit flipped":
            continue
        tried += 1
        (generation / name).write_bytes(damaged)
        with pytest.raises(IndexProblem) as caught:
            open_current(settings)
        assert name in str(caught.value), (kind, str(caught.value))
        assert caught.value.exit_code == 5
    (generation / name).write_bytes(whole)
    return tried


@pytest.mark.parametrize("name", FILES)
def test_every_damaged_file_is_refused_by_name(name: str, built: Path, settings: Settings) -> None:
    """Truncated, flipped, zeroed, extended, random and empty files; repaired, the index opens."""
    generator = random.Random(20261123)
    for _ in range(5):
        assert assert_damage_is_found(built, settings, generator, name) >= 4
    open_current(settings).close()


@pytest.mark.proof
@pytest.mark.parametrize("name", FILES)
def test_proof_every_damaged_file_is_refused_by_name(
    name: str, built: Path, settings: Settings, record_property: Callable[[str, object], None]
) -> None:
    """200 random damages a file."""
    generator = random.Random(20261123)
    tried = sum(assert_damage_is_found(built, settings, generator, name) for _ in range(200))
    record_property("figure", f"{name}: {tried} damaged copies, all refused by name")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(name: str, built: Path, settings: Settings) -> None:
    """So is a folder in place of a file."""
    (built / name).unlink()
    with pytest.raises(IndexProblem, match=name):
        open_current(settings)


@pytest.mark.parametrize(
    "name", [name for name in DATA_FILES if name != "token-codec.npy"]
)  # which the next build reuses
def test_files_of_another_generation_are_refused(name: str, built: Path, settings: Settings, folder: Write) -> None:
    """One file is swapped between two intact generations."""
    folder({"third.txt": "Gulls cry above the Great Northern Harbour (GNH) at dawn."})
    version = build(settings, FakeEmbedder()).index_version
    shutil.copy(built / name, built.parent / version / name)
    shutil.rmtree(built)
    with pytest.raises(IndexCorrupt, match=name):
        open_current(settings)


def test_a_damaged_generation_falls_back_to_the_previous_one(built: Path, settings: Settings, folder: Write) -> None:
    """The service continues with the previous generation and reports it."""
    folder({"third.txt": "Gulls cry above the harbour at dawn."})
    version = build(settings, FakeEmbedder()).index_version
    (built.parent / version / "vectors.faiss").write_bytes(b"")
    opened = IndexFolder(settings.index).open_current(FakeEmbedder().identity)
    assert opened.index.generation == built.name
    assert "vectors.faiss has 0 bytes" in (opened.degraded or "")
    report = build(settings, FakeEmbedder())  # repairs it
    assert (report.changed, report.index_version) == (True, version)
    assert IndexFolder(settings.index).open_current(FakeEmbedder().identity).degraded is None


def _set(key: str, value: object) -> Callable[[dict[str, object]], object]:
    return lambda content: content.update({key: value})


def _in_files(name: str, value: object) -> Callable[[dict[str, object]], object]:
    return lambda content: content["files"].update({name: value})


def _in_vectors(key: str, value: object) -> Callable[[dict[str, object]], object]:
    return lambda content: content["files"]["vectors.faiss"].update({key: value})


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (_set("format_version", FORMAT_VERSION + 1), IndexIncompatible, "built by a newer version"),
        (_set("format_version", 2), IndexIncompatible, "old format version 2"),
        (_set("format_version", -1), IndexCorrupt, "format_version -1"),
        (_set("format_version", "1"), IndexCorrupt, "format_version '1'"),
        (_set("format_version", True), IndexCorrupt, "format_version True"),
        (lambda content: content.pop("files"), IndexCorrupt, "files: Field required"),
        (_in_files("../passwd", {"bytes": 1, "sha256": "0" * 64, "count": 1}), IndexCorrupt, "lists the files"),
        (_in_files("/abs", {"bytes": 1, "sha256": "0" * 64, "count": 1}), IndexCorrupt, "lists the files"),
        (lambda content: content["files"].pop("vectors.faiss"), IndexCorrupt, "lists the files"),
        (_in_vectors("sha256", "A" * 64), IndexCorrupt, "sha256"),
        (_in_vectors("sha256", "a" * 63), IndexCorrupt, "sha256"),
        (_in_vectors("sha256", "md5:" + "a" * 60), IndexCorrupt, "sha256"),
        (_in_vectors("count", 10**15), IndexCorrupt, "expected"),
        (_in_vectors("count", 1), IndexCorrupt, "expected"),
        (_in_vectors("bytes", -1), IndexCorrupt, "bytes"),
        (_set("generation", "0" * 16), IndexCorrupt, "is the manifest of generation"),
        (_set("documents", 0), IndexCorrupt, "expected"),
        (lambda content: content["model"].update({"dimension": 64}), IndexCorrupt, "expected"),
        (lambda content: content["vector_index"].update({"candidates": -1}), IndexCorrupt, "a count is negative"),
        (lambda content: content["vector_index"].update({"kind": "hnsw"}), IndexCorrupt, "vector_index.kind"),
        (lambda content: content["splitter"].update({"window": "64"}), IndexCorrupt, "splitter.window"),
        (lambda content: content["completeness"].pop("tokens"), IndexCorrupt, "completeness.tokens"),
    ],
)
def test_an_invalid_manifest_is_refused(
    change: Callable[[dict[str, object]], object],
    error: type[IndexProblem],
    message: str,
    built: Path,
    settings: Settings,
) -> None:
    """Each key has its rule; a huge count allocates nothing."""
    change_manifest(built, change)
    with pytest.raises(error, match=message):
        open_current(settings)


def test_an_unknown_manifest_key_is_ignored_and_a_duplicate_one_refused(built: Path, settings: Settings) -> None:
    """A newer minor version may have added the first."""
    change_manifest(built, lambda content: [part.update(colour="blue") for part in (content, content["splitter"])])  # type: ignore[attr-defined]
    open_current(settings).close()
    text = (built / MANIFEST).read_text()
    (built / MANIFEST).write_text(text[:-1] + ', "colour": "red"}', encoding="utf-8")
    with pytest.raises(IndexCorrupt, match="duplicate key"):
        open_current(settings)


def test_files_that_the_manifest_does_not_list_are_never_opened(built: Path, settings: Settings) -> None:
    """A pickle beside them changes nothing."""
    (built / "tokens.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    open_current(settings).close()


# The model


def test_each_difference_of_the_model_has_its_error(built: Path, settings: Settings) -> None:
    """Other weights with the same name, another name, another tokenizer."""
    with pytest.raises(ModelChanged, match="other weights of fake"):
        open_current(settings, FakeEmbedder(weights="c" * 64))
    with pytest.raises(IndexIncompatible, match="built with the model fake, not other"):
        open_current(settings, FakeEmbedder(weights="c" * 64, name="other"))
    with pytest.raises(IndexIncompatible, match="tokenizer or settings of fake changed"):
        open_current(settings, FakeEmbedder(config="c" * 64))


def test_a_model_whose_vectors_differ_fails_the_self_test(built: Path, settings: Settings) -> None:
    """Even with the same identity."""

    class Impostor(FakeEmbedder):
        def _vector(self, text: str) -> FloatArray:
            return super()._vector(text[::-1])

    with pytest.raises(IndexCorrupt, match="self-test failed"):
        open_answerer(settings, Impostor())[0].self_test()


# Building


def test_old_generations_are_deleted_and_the_current_one_stays(built: Path, settings: Settings, folder: Write) -> None:
    """As many stay as the settings say, including the current one."""
    versions = [built.name]
    for number in range(4):
        folder({"new.txt": f"Sentence number {number} stands here."})
        versions.append(build(settings, FakeEmbedder()).index_version)
    assert {path.name for path in built.parent.iterdir()} == set(versions[-2:])
    (settings.source / "new.txt").unlink()
    assert build(settings, FakeEmbedder()).index_version == versions[0]


def test_a_deleted_generation_that_is_open_still_answers(built: Path, settings: Settings) -> None:
    """Deleting unlinks files; open files stay readable."""
    index = open_current(settings)
    shutil.rmtree(built)
    assert index.passage(0).text.startswith("The whale")


def test_indexes_are_opened_one_at_a_time(built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11 can't parse two array headers in two threads, and a server opens several collections."""
    inside = most = 0

    def slow(load: Callable[..., BM25Index], *arguments: object) -> BM25Index:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.01)
        inside -= 1
        return load(*arguments)

    monkeypatch.setattr(BM25Index, "load", partial(slow, BM25Index.load))
    with ThreadPoolExecutor(4) as threads:
        for index in threads.map(lambda _: OpenIndex.open(built, None), range(8)):
            index.close()
    assert most == 1


def test_a_second_build_at_the_same_time_is_refused(built: Path, settings: Settings) -> None:
    """At once, with the reason."""
    with IndexFolder(settings.index).building(), pytest.raises(BuildInProgress, match="another process is building"):
        build(settings, FakeEmbedder())
    build(settings, FakeEmbedder())


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE])
def test_every_failing_write_leaves_the_old_index_current(
    error: int, built: Path, settings: Settings, folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The n-th fsync or rename fails, for all n: exit code 7, with path and error, and no files left behind."""
    folder({"third.txt": "Gulls cry above the harbour at dawn."})
    real_fsync, real_rename, real_replace = os.fsync, Path.rename, Path.replace
    for number in range(1, 50):
        calls = 0

        def failing(real: Callable[..., object], *args: object, fail_at: int = number) -> object:
            nonlocal calls
            calls += 1
            if calls == fail_at:
                raise OSError(error, os.strerror(error), str(args[0]))
            return real(*args)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda *args: failing(real_fsync, *args))
            patch.setattr(Path, "rename", lambda *args: failing(real_rename, *args))
            patch.setattr(Path, "replace", lambda *args: failing(real_replace, *args))
            try:
                report = build(settings, FakeEmbedder())
            except StorageError as caught:
                assert errno.errorcode[error] in str(caught)
                assert caught.exit_code == 7
                assert not list(built.parent.glob("*.partial"))
                assert open_current(settings).generation in {path.name for path in built.parent.iterdir()}
            else:
                assert calls < number
                assert report.changed is False or number > 1
                break
    else:
        raise AssertionError("the build never got through")
    assert number > 5


def test_all_writes_reach_the_disk_before_the_pointer(
    folder: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is: data files, manifest, their folder, its name, the parent folder, pointer, its folder."""
    folder(TWO_DOCUMENTS)
    events: list[str] = []
    real_fsync, real_rename, real_replace = os.fsync, Path.rename, Path.replace

    def fsync(descriptor: int) -> None:
        events.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")).split(".partial")[0])
        real_fsync(descriptor)

    def rename(path: Path, target: Path) -> Path:
        events.append("rename " + path.name.split(".partial")[0])
        return real_rename(path, target)

    def replace(path: Path, target: Path) -> Path:
        events.append("replace " + target.name)
        return real_replace(path, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "rename", rename)
    monkeypatch.setattr(Path, "replace", replace)
    version = build(settings, FakeEmbedder()).index_version
    assert sorted(events[: len(DATA_FILES)]) == sorted(f"sync {name}" for name in DATA_FILES)
    assert events[len(DATA_FILES) :] == [
        "sync manifest.json",
        f"sync {version}",
        f"rename {version}",
        "sync generations",
        "sync current.tmp",
        "replace current",
        "sync index",
        "sync source.tmp",
        "replace source",
        "sync index",
    ]


BUILD_IN_CHILD = textwrap.dedent("""
    import sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from conftest import FakeEmbedder
    from qa_service.pipeline import build
    from qa_service.settings import load_settings
    settings = load_settings(source=Path(sys.argv[2]), index=Path(sys.argv[3]), passage_tokens=16, overlap_tokens=0)
    print("ready", flush=True)
    sys.stdin.readline()
    build(settings, FakeEmbedder())
""")


def kill_builds(kills: int, settings: Settings, folder: Write) -> tuple[int, int]:
    """Kill builds at random moments; return how often the old and the new generation was served after."""
    generator = random.Random(20261123)
    outcomes = {"old": 0, "new": 0}
    here = str(Path(__file__).parent.parent)
    for number in range(kills):
        old = IndexFolder(settings.index).current_id()
        folder({"new.txt": "\n\n".join(f"Sentence {number} of {part} stands here." for part in range(200))})
        command = [sys.executable, "-c", BUILD_IN_CHILD, here, str(settings.source), str(settings.index)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdout.readline()
            child.stdin.write(b"go\n")
            child.stdin.flush()
            time.sleep(generator.uniform(0, 0.25))
            child.kill()
        opened = IndexFolder(settings.index).open_current(FakeEmbedder().identity)
        assert opened.degraded is None
        texts = [opened.index.passage(row).text for row in range(len(opened.index))]
        assert all("of" not in text.split() or f"Sentence {number} " in text for text in texts) or (
            opened.index.generation == old
        )
        outcomes["old" if opened.index.generation == old else "new"] += 1
        opened.index.close()
    with IndexFolder(settings.index).building():
        assert not list((settings.index / "generations").glob("*.partial"))
    return outcomes["old"], outcomes["new"]


def test_a_killed_build_leaves_an_intact_index(built: Path, settings: Settings, folder: Write) -> None:
    """The previous one or the new one, never a mixture; the next build removes partial files."""
    kill_builds(3, settings, folder)


@pytest.mark.proof
def test_proof_killed_builds_leave_an_intact_index(
    built: Path, settings: Settings, folder: Write, record_property: Callable[[str, object], None]
) -> None:
    """200 kills."""
    old, new = kill_builds(200, settings, folder)
    assert old
    assert new
    record_property("figure", f"200 builds killed: previous index served {old} times, new {new}, torn 0")


LIMITED_BUILDS = textwrap.dedent("""
    import json, os, resource, sys
    from pathlib import Path
    sys.path.insert(0, sys.argv[1])
    from conftest import FakeEmbedder
    import qa_service.embedding.choose
    import qa_service.loading
    fake = FakeEmbedder()
    qa_service.embedding.choose.embedder_to_build = lambda *_: fake
    from qa_service.cli import main
    fake.embed_passages(["a cat"])

    def build(kind, amount, index):
        if kind == "RLIMIT_AS":
            with open("/proc/self/statm") as statm:
                amount += int(statm.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(getattr(resource, kind), (amount, amount))
        sys.argv = ["qa-service", "index", "--source", sys.argv[2], "--index", index]
        main()

    for kind, amount, index in json.loads(sys.argv[3]):
        read, write = os.pipe()
        if child := os.fork():
            os.close(write)
            with open(read) as printed:
                text = printed.read()
            print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text]), flush=True)
        else:
            os.dup2(write, 1)
            os.dup2(write, 2)
            os.close(read)
            os.close(write)
            build(kind, amount, index)
""")
LIMITS = [
    *[("RLIMIT_FSIZE", amount, "EFBIG|disk") for amount in (0, 3_000, 60_000, 200_000)],
    ("RLIMIT_NOFILE", 6, "EMFILE|Too many open files|unable to open"),
    ("RLIMIT_AS", 1_000_000, "memory"),
]


@pytest.mark.needs("/proc")
def test_a_build_without_disk_space_file_handles_or_memory_ends_with_one_line(
    built: Path, settings: Settings, folder: Write, tmp_path: Path
) -> None:
    """Exit code 7; the old index stays current and intact. The builds are forks, which import nothing again."""
    old = IndexFolder(settings.index).current_id()
    folder({f"{number}.txt": "\n\n".join(f"Line {line} of {number}." for line in range(300)) for number in range(8)})
    copies = [shutil.copytree(settings.index, tmp_path / str(number)) for number in range(len(LIMITS))]
    limited = [(kind, amount, str(copy)) for (kind, amount, _), copy in zip(LIMITS, copies, strict=True)]
    here = str(Path(__file__).parent.parent)
    command = [sys.executable, "-c", LIMITED_BUILDS, here, str(settings.source), json.dumps(limited)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    for limit, copy, line in zip(LIMITS, copies, ended, strict=True):
        code, printed = json.loads(line)
        assert code == 7, (limit, printed)
        assert "Traceback" not in printed
        assert re.search(limit[-1], printed.splitlines()[-1]), (limit, printed)
        opened = IndexFolder(copy).open_current(None)
        assert (opened.index.generation, opened.degraded) == (old, None)
        opened.index.close()
