"""Files that hold questions, feedback or secrets: only the account of the service reads them."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from qa_service.io.durable import make_private, make_private_file, make_private_folder, replace_file
from qa_service.server.feedback import FEEDBACK, RECENT, FeedbackAnswer, FeedbackFile, RecentAnswers

ANSWERED = FeedbackAnswer("1", "", "v1", "Who sleeps?", found=False, best=None)


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    """Give new files all permissions that the code does not remove."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_private_file_is_only_the_owners_from_its_creation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its content is written, after a killed write, and when it replaces a readable file."""
    path, temporary = tmp_path / "secret", tmp_path / "secret.tmp"
    path.write_bytes(b"old")
    temporary.write_bytes(b"left by a killed write")
    seen = []
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda descriptor: (seen.append(os.fstat(descriptor).st_mode), sync(descriptor)))
    replace_file(path, b"new", private=True)
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert seen[0] & 0o777 == 0o600
    replace_file(tmp_path / "index", b"for all")
    assert mode(tmp_path / "index") == 0o666


def test_created_folders_are_private_and_existing_ones_are_left(tmp_path: Path) -> None:
    """An existing folder may be readable by others."""
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path / "data/jobs")
    assert [mode(tmp_path / name) for name in (".", "data", "data/jobs")] == [0o755, 0o700, 0o700]
    (tmp_path / "data").chmod(0o775)
    make_private_folder(tmp_path / "data")
    assert mode(tmp_path / "data") == 0o775
    make_private(tmp_path / "data")
    assert mode(tmp_path / "data") == 0o700
    (tmp_path / "file").write_bytes(b"kept")
    make_private_file(tmp_path / "file")
    make_private_file(tmp_path / "other")
    assert [mode(tmp_path / name) for name in ("file", "other")] == [0o600, 0o600]
    assert (tmp_path / "file").read_bytes() == b"kept"
    make_private(tmp_path / "missing")


def test_databases_of_questions_and_feedback_are_only_the_owners(tmp_path: Path) -> None:
    """With SQLite's files beside them, also if they were readable before."""
    for name in ("new", "old"):
        folder = tmp_path / name
        files = [folder / (database + end) for database in (FEEDBACK, RECENT) for end in ("", "-wal", "-shm")]
        with ExitStack() as stack:
            if name == "old":
                folder.mkdir(0o755)
                for path in (files[0], files[3]):
                    earlier = stack.enter_context(closing(sqlite3.connect(path)))
                    earlier.execute("PRAGMA journal_mode=WAL")
                    earlier.execute("CREATE TABLE other (text)")
                assert {mode(path) for path in files} == {0o644}
            recent = stack.enter_context(closing(RecentAnswers(folder / RECENT)))
            recent.remember(ANSWERED)
            feedback = stack.enter_context(FeedbackFile(folder))
            feedback.add(ANSWERED, useful=True, right=None, note="")
            assert {path.name: mode(path) for path in folder.iterdir()} == {path.name: 0o600 for path in files}
    assert mode(tmp_path / "new") == 0o700
