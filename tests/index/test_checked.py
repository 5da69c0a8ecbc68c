"""Files that were compared with their hashes are not read again, until anything about them changes."""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TWO_DOCUMENTS, FakeEmbedder

from qa_service.errors import IndexCorrupt
from qa_service.index.disk import IndexFolder, checked
from qa_service.index.disk.checked import CHECKED
from qa_service.index.manifest import data_files
from qa_service.pipeline import build
from qa_service.settings import Settings

Write = Callable[[dict[str, str | bytes]], Path]
Read = Callable[[Callable[[], object]], set[str]]
NAME = "tokens.npy"


@pytest.fixture
def generation(folder: Write, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a generation, built and opened where files of any age are trusted."""
    monkeypatch.setattr(checked, "_SETTLED_NS", -(10**15))
    monkeypatch.setattr(checked, "_boot", lambda: "this")
    folder(TWO_DOCUMENTS)
    return settings.index / "generations" / build(settings, FakeEmbedder()).index_version


@pytest.fixture
def read(hashed: Counter[int], generation: Path) -> Read:
    """Return a function that tells which files another function reads to hash them."""

    def names(function: Callable[[], object]) -> set[str]:
        hashed.clear()
        function()
        return {name for name in data_files(token_vectors=True) if hashed[(generation / name).stat().st_ino]}

    return names


def opened(generation: Path) -> Callable[[], None]:
    return lambda: IndexFolder(generation.parent.parent).open_generation(generation.name).close()


def test_a_new_generation_opens_without_reading_its_files(generation: Path, read: Read) -> None:
    """The build has hashed the files that it wrote; `verify` reads all of them."""
    assert read(opened(generation)) == set()
    assert read(IndexFolder(generation.parent.parent).verify) == set(data_files(token_vectors=True))


def test_a_changed_file_is_read_and_refused(generation: Path, read: Read) -> None:
    """Also if its size and its modification time are those of before."""
    path = generation / NAME
    data, status = bytearray(path.read_bytes()), path.stat()
    data[-1] ^= 1
    while path.stat().st_ctime_ns == status.st_ctime_ns:  # its clock has ticks of some milliseconds
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(IndexCorrupt, match=NAME):
        opened(generation)()
    data[-1] ^= 1
    path.write_bytes(data)
    assert read(opened(generation)) == {NAME}
    assert read(opened(generation)) == set()


def test_another_file_in_its_place_is_read(generation: Path, read: Read) -> None:
    """One file, and a copy of the folder."""
    shutil.copy2(generation / NAME, generation / "copy")
    (generation / "copy").replace(generation / NAME)
    assert read(opened(generation)) == {NAME}
    copy = generation.parent.parent.with_name("copied") / "generations" / generation.name
    shutil.copytree(generation.parent.parent, copy.parent.parent)
    (copy / NAME).write_bytes(bytes((copy / NAME).stat().st_size))
    with pytest.raises(IndexCorrupt, match=NAME):
        opened(copy)()


def test_all_files_are_read_after_the_machine_has_started_again(
    generation: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And at each opening where the system has no such id."""
    everything = set(data_files(token_vectors=True))
    monkeypatch.setattr(checked, "_boot", lambda: "another")
    assert read(opened(generation)) == everything
    assert read(opened(generation)) == set()
    monkeypatch.setattr(checked, "_boot", lambda: "")
    assert read(opened(generation)) == read(opened(generation)) == everything


def test_a_file_that_changed_just_now_is_not_noted(
    generation: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could change again within one tick of the clock."""
    (generation / CHECKED).unlink()
    monkeypatch.setattr(checked, "_SETTLED_NS", 10**15)
    assert read(opened(generation)) == read(opened(generation)) == set(data_files(token_vectors=True))
    assert not (generation / CHECKED).exists()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"boot": 1}', b"\xff" * 9])
def test_a_damaged_note_is_ignored(content: bytes, generation: Path, read: Read) -> None:
    """All files are read, and it is written again."""
    (generation / CHECKED).write_bytes(content)
    assert read(opened(generation)) == set(data_files(token_vectors=True))
    assert read(opened(generation)) == set()
