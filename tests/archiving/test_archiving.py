"""Exports: complete, checked byte by byte, and harmless whoever wrote them."""

import hashlib
import io
import json
import os
import random
import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, FakeEmbedder, Run, key_for, write_files

from qa_service.archiving import container, export_service, import_service, install, unpack_read_only
from qa_service.archiving.contents import CONTENTS, ArchiveContents, checked_name
from qa_service.errors import InputError, SourceError, StorageError
from qa_service.index.disk import IndexFolder
from qa_service.index.manifest import FORMAT_VERSION
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.feedback import FeedbackAnswer, FeedbackFile
from qa_service.server.keys import KeyFile
from qa_service.settings import Settings


@pytest.fixture
def service(answerer: QuestionAnswerer, settings: Settings) -> Settings:
    """Return the settings of a service with documents, an index, feedback, keys, and files that are no documents."""
    write_files(settings.source, {"pictures/cat.png": b"\x89PNG", ".hidden": "x", "löwe/ü b.txt": "A lion.\n"})
    (settings.source / "link.txt").symlink_to("sea.txt")
    build(settings, FakeEmbedder())
    with FeedbackFile(settings.data) as file:
        answered = FeedbackAnswer("one", "", "v", "Who sings?", found=True, best=None)
        file.add(answered, useful=False, right=None, note="")
    key_for(settings, "ask")
    return settings


@pytest.fixture
def exported(service: Settings, tmp_path: Path) -> Path:
    export_service(service, tmp_path / "e.tar.zst", keys=True)
    return tmp_path / "e.tar.zst"


@pytest.fixture
def other(settings: Settings, tmp_path: Path) -> Settings:
    new = tmp_path / "new"
    return settings.model_copy(update={"source": new / "source", "index": new / "index", "data": new / "data"})


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.name != "build.lock"
    }


def unchanged(other: Settings) -> bool:
    """Tell whether an import left nothing behind but the folder with the lock."""
    new = other.source.parent
    return not new.exists() or tree(new).keys() <= {"index"}


def test_an_import_is_the_service_that_was_exported(
    service: Settings, exported: Path, other: Settings, fake: FakeEmbedder
) -> None:
    """Documents, index, feedback and keys; the index is up to date, and answers are the same."""
    assert exported.stat().st_mode & 0o777 == 0o600
    contents = import_service(other, exported)
    assert contents.settings == {"passage_tokens": "16", "overlap_tokens": "0"}
    documents = tree(service.source)
    del documents[".hidden"]
    assert tree(other.source) == documents
    assert not build(other, fake).changed
    before, after = (open_answerer(own, fake)[0].ask("where does the cat sleep") for own in (service, other))
    assert after.results == before.results
    with FeedbackFile(other.data) as file:
        assert file.given_for("one") == ("Who sings?", None)
    assert KeyFile(other.data).keys == KeyFile(service.data).keys
    assert all(path.stat().st_mode & 0o077 == 0 for path in other.data.iterdir())
    assert not list(other.source.parent.rglob("*.importing"))


def test_keys_are_exported_only_if_asked(service: Settings, tmp_path: Path, other: Settings) -> None:
    """And nothing of the data folder with ``data=False``; never a file outside the source folder."""
    (service.source / "outside.txt").symlink_to("/etc/hostname")
    for name, options, expected in (
        ("a", {"keys": False}, ["feedback.sqlite"]),
        ("b", {"keys": True, "data": False}, []),
    ):
        contents, left_out = export_service(service, tmp_path / name, **options)
        assert [file.name[5:] for file in contents.files if file.name.startswith("data/")] == expected
        assert left_out == 0
        assert not any("outside" in file.name for file in contents.files)


def test_an_export_is_a_tar_archive_for_other_programs(exported: Path) -> None:
    """Names, sizes and hashes are those of its list."""
    data = container.zstd.decompress(exported.read_bytes())
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = archive.getmembers()
        listed = json.loads(archive.extractfile(members[0]).read())  # type: ignore[union-attr]
        for member, entry in zip(members[1:], listed["files"], strict=True):
            found = archive.extractfile(member).read()  # type: ignore[union-attr]
            assert (member.name, len(found)) == (entry["name"], entry["bytes"])
            assert hashlib.sha256(found).hexdigest() == entry["sha256"]


def test_a_changed_byte_or_a_missing_end_is_an_error_and_nothing_changes(exported: Path, other: Settings) -> None:
    """At sixty places, the first and the last among them; so is a byte more."""
    data = exported.read_bytes()
    places = random.Random(5).sample(range(len(data)), 26)
    damaged = [data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :] for at in (0, 4, *places, len(data) - 1)]
    damaged += [data[:at] for at in (0, 1, 100, *places, len(data) - 1)]
    damaged += [data + b"x", data + data]
    for content in damaged:
        exported.write_bytes(content)
        with pytest.raises(InputError, match=r"export again|name one"):
            import_service(other, exported)
        assert unchanged(other)


def frame(*members: bytes) -> bytes:
    data = container.zstd.compress(b"".join(members), options={container.zstd.CompressionParameter.checksum_flag: 1})
    return data + container._SKIPPED + hashlib.sha256(data).digest()


def member(name: str, data: bytes) -> bytes:
    return container._header(name, len(data)) + data + container._padding(len(data))


def listing(*names: str, size: int = 1, **changed: Any) -> bytes:
    digest = hashlib.sha256(b"x").hexdigest()
    files = [{"name": name, "bytes": size, "sha256": digest} for name in names]
    own = {
        "archive_version": 1,
        "written_by": "x",
        "index_format": FORMAT_VERSION,
        "generation": "0" * 16,
        "settings": {},
    }
    return member(CONTENTS, json.dumps(own | {"files": files} | changed).encode())


LINK = tarfile.TarInfo("source/a")
LINK.type, LINK.linkname = tarfile.SYMTYPE, "/etc/passwd"
DEVICE = tarfile.TarInfo("source/a")
DEVICE.type = tarfile.CHRTYPE
END = bytes(1024)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "ends too early"),
        (b"not an export" * 9, "not intact"),
        (frame(b"too short"), "ends too early"),
        (frame(bytes(512)), "not an export"),
        (frame(member("other.json", b"{}"), END), "does not begin with"),
        (frame(member(CONTENTS, b"{}"), END), "can't be read"),
        (frame(member(CONTENTS, b"[]"), END), "can't be read"),
        (frame(member(CONTENTS, b"[" * 100_000), END), "nested too deeply"),
        (frame(listing(archive_version=2), END), "export of version 2"),
        (frame(listing(archive_version="1"), END), "export of version '1'"),
        (frame(listing(index_format=6), END), "--without-index"),
        (frame(listing(generation="../../x"), END), "generation"),
        (frame(listing("source/a", "source/A"), END), "two files have one name"),
        (frame(listing("source/a", "source/a/b"), END), "two files have one name"),
        (frame(listing("source/a"), LINK.tobuf(tarfile.PAX_FORMAT), END), "source/a is not what its list says"),
        (frame(listing("source/a"), DEVICE.tobuf(tarfile.PAX_FORMAT), END), "source/a is not what its list says"),
        (frame(listing("source/a"), member("source/b", b"x"), END), "source/a is not what its list says"),
        (frame(listing("source/a"), member("source/a", b"xx"), END), "source/a is not what its list says"),
        (frame(listing("source/a"), member("source/a", b"y"), END), "another hash"),
        (frame(listing("source/a"), END), "source/a is not what its list says"),
        (frame(listing("source/a"), member("source/a", b"x"), member("source/b", b"x"), END), "its end"),
        (frame(listing("source/a"), member("source/a", b"x"), END, bytes(10**8)), "does not end where it should"),
        (frame(listing("source/a", size=2**50)), "free some"),
        (frame(listing("source/a"), member("source/a", b"x"), END), "can't be opened"),
    ],
)
def test_an_export_that_others_wrote_is_refused(data: bytes, message: str, other: Settings, tmp_path: Path) -> None:
    """Links, devices, other files than those of the list, more than it says; nothing changes."""
    (tmp_path / "hostile").write_bytes(data)
    with pytest.raises((InputError, StorageError), match=message):
        import_service(other, tmp_path / "hostile")
    assert unchanged(other)


@pytest.mark.parametrize(
    "name",
    [
        *("../a", "/etc/passwd", "source", "source/", "source//a", "source/../a", "source/./a", "source/..", "other/a"),
        *("source/a\\b", "source/\0", "source/a\n", "C:/a", "source/" + "x" * 256, "source" + "/x" * 3000),
    ],
)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    """Only plain paths below the three folders are names."""
    with pytest.raises(ValueError, match="path"):
        checked_name(name)


def test_nothing_is_replaced(exported: Path, service: Settings, other: Settings) -> None:
    """Documents, an index, feedback or keys that are there are an error."""
    before = tree(service.source.parent)
    for folder in ("source", "index", "data"):
        own = other.model_copy(update={folder: getattr(service, folder)})
        with pytest.raises(StorageError, match=f"nothing is replaced; name another folder with --{folder}"):
            import_service(own, exported)
    after = tree(service.source.parent)
    assert {name: after.get(name) for name in before} == before
    other.data.mkdir(parents=True)
    other.source.write_text("a file")
    with pytest.raises(StorageError, match="is a file"):
        import_service(other, exported)


def test_without_its_index_an_export_is_built_again(exported: Path, other: Settings, fake: FakeEmbedder) -> None:
    """The documents are there, and the same generation comes out."""
    contents = import_service(other, exported, with_index=False)
    assert IndexFolder(other.index).list_ids() == []
    assert build(other, fake).index_version == contents.generation


def test_an_export_that_fails_leaves_no_file(
    service: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For lack of space, or since a document changes meanwhile; an existing file stays."""
    path = tmp_path / "out/e.tar.zst"
    with pytest.raises(StorageError):
        export_service(service, path, keys=False)
    path.parent.mkdir()
    write = container.write_archive

    def change(file: Any, contents: ArchiveContents, paths: list[Path]) -> None:
        (service.source / "sea.txt").write_text("changed")
        write(file, contents, paths)

    monkeypatch.setattr("qa_service.archiving.export.write_archive", change)
    with pytest.raises(SourceError, match=r"\.txt changed during the export"):
        export_service(service, path, keys=False)
    assert list(path.parent.iterdir()) == []
    monkeypatch.setattr("qa_service.archiving.export.write_archive", _full)
    with pytest.raises(StorageError, match="ENOSPC"):
        export_service(service, path, keys=False)
    assert list(path.parent.iterdir()) == []
    path.write_text("mine")
    with pytest.raises(StorageError, match="exists"):
        export_service(service, path, keys=False)
    assert path.read_text() == "mine"


def _full(*_: object) -> None:
    raise OSError(28, "No space left on device")


def test_an_import_that_is_interrupted_changes_nothing(
    exported: Path, other: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it unpacks, or while it moves the files to their places; it can be repeated after it was killed."""
    with monkeypatch.context() as patched:
        patched.setattr(container.os, "fsync", _full)
        with pytest.raises(StorageError, match="ENOSPC"):
            import_service(other, exported)
        assert unchanged(other)
    for moved in range(6):
        calls = iter(range(100))
        rename = Path.rename

        def interrupted(path: Path, target: Path, moved: int = moved, calls: Any = calls, rename: Any = rename) -> Path:
            if install._STAGING in path.parts and next(calls) == moved:
                raise KeyboardInterrupt
            return rename(path, target)  # type: ignore[no-any-return]

        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", interrupted)
            with pytest.raises(KeyboardInterrupt):
                import_service(other, exported)
        assert unchanged(other)
    (other.source / install._STAGING / "left").mkdir(parents=True)
    import_service(other, exported)
    assert not (other.source / install._STAGING).exists()


def test_an_export_is_opened_to_be_served(
    exported: Path, service: Settings, fake: FakeEmbedder, tmp_path: Path
) -> None:
    """From a folder of its own; the file stays as it is, and feedback and keys are not unpacked."""
    before = exported.read_bytes()
    folder = tmp_path / "opened"
    folder.mkdir()
    unpack_read_only(exported, folder)
    own = service.model_copy(update={"source": folder / "source", "index": folder / "index"})
    assert open_answerer(own, fake)[0].ask("where does the cat sleep").results
    assert sorted(os.listdir(folder)) == ["index", "source"]
    assert exported.read_bytes() == before


def test_an_export_of_version_1_is_imported(other: Settings, fake: FakeEmbedder) -> None:
    """Written with the fake embedder when version 1 was new; its index has an old format, and is built again."""
    exported = ROOT / "tests/data/export-of-version-1.tar.zst"
    with pytest.raises(InputError, match=r"an index of format 7.*--without-index"):
        import_service(other, exported)
    import_service(other, exported, with_index=False)
    build(other, fake)
    assert open_answerer(other, fake)[0].ask("who sings").pinned


def test_the_commands_export_and_import(
    service: Settings, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A setting that differs is named."""
    monkeypatch.setenv("QA_PASSAGE_TOKENS", "16")
    here = ["--source", service.source, "--index", service.index, "--data", service.data]
    code, out, _ = run("export", tmp_path / "e.tar.zst", *here)
    assert (code, "index " + IndexFolder(service.index).current_id() in out) == (0, True)
    monkeypatch.delenv("QA_PASSAGE_TOKENS")
    new = tmp_path / "new"
    there = ["--source", new / "s", "--index", new / "i", "--data", new / "d"]
    code, _, err = run("import", tmp_path / "e.tar.zst", *there)
    assert code == 0
    assert "QA_PASSAGE_TOKENS=16; set it here too" in err
    assert run("verify", "--index", new / "i")[0] == 0
    assert run("import", tmp_path / "e.tar.zst", *there)[0] == 7
    assert run("import", tmp_path / "none", *there)[0] == 7
    shutil.rmtree(new)
    (tmp_path / "e.tar.zst").write_bytes(b"x")
    assert run("import", tmp_path / "e.tar.zst", *there)[0] == 4
