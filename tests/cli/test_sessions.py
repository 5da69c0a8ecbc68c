"""``qa-service ask --session``: what is kept of a conversation, and files that are damaged, hostile or no session."""

import json
import os
from pathlib import Path

import pytest
from conftest import Run

from qa_service.cli.sessions import read_turns, session_file
from qa_service.datatypes import MAX_TURNS, Turn
from qa_service.errors import InputError, StorageError

FIRST, FOLLOW_UP = "Where does the cat sleep?", "When does it wake?"


def test_a_session_completes_the_next_question(run: Run, here: list[str], tmp_path: Path) -> None:
    """Its file is private, and the first call says how to end it."""
    run("index", *here)
    file = tmp_path / "talk.jsonl"
    code, _, err = run("ask", FIRST, *here, "--session", str(file))
    assert (code, err) == (0, f"conversation started in {file}; delete this file to end it\n")
    assert file.stat().st_mode & 0o777 == 0o600
    assert read_turns(file) == (Turn(FIRST, "The cat sleeps on the warm mat."),)
    code, out, err = run("ask", FOLLOW_UP, *here, "--session", str(file), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["understood"]["follow_up_of"] == FIRST
    for _ in range(MAX_TURNS):
        run("ask", "Why?", *here, "--session", str(file))
    assert [turn.question for turn in read_turns(file)] == ["Why?"] * MAX_TURNS
    file.unlink()
    assert "started" in run("ask", FIRST, *here, "--session", str(file))[2]


def test_a_name_stands_for_a_file_in_the_data_folder() -> None:
    data = Path("data")
    assert session_file("korea-1", data) == data / "sessions/korea-1.jsonl"
    for path in ("./korea", "../korea", "a/b", "korea.jsonl", "/tmp/x"):
        assert session_file(path, data) == Path(path)


def test_a_named_session_is_kept_in_a_private_folder(
    run: Run, here: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QA_DATA", str(tmp_path / "data"))
    run("index", *here)
    assert run("ask", FIRST, *here, "--session", "korea")[0] == 0
    folder = tmp_path / "data/sessions"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(read_turns(folder / "korea.jsonl")) == 1


@pytest.mark.parametrize(
    "content",
    [
        b"notes of mine\n",
        b'{"question": "Why?"}\n',
        b'{"question": "Why?", "answer": null}\n',
        b'{"question": "Why?", "answer": "", "role": "user"}\n',
        b'{"question": "Why?", "answer": "", "answer": ""}\n',
        b'["Why?", ""]\n',
        b'{"question": "", "answer": ""}\n',
        b'{"question": "\\u0000", "answer": ""}\n',
        b'{"question": "Why?", "answer": "\\ud800"}\n',
        json.dumps({"question": "x" * 2001, "answer": ""}).encode(),
        b'{"question": "Why?", "answer": ""}\n{"question": "Wh',
        b"[" * 100_000,
        b"\xff\xfe",
        b"\n",
        b" " * 1_000_001,
    ],
)
def test_a_file_that_is_no_session_is_reported_and_kept(content: bytes, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"is not a session: .*; name another file, or delete this one"):
        read_turns(file)
    code, _, err = run("ask", FIRST, "--session", str(file))
    assert code == 4
    assert "Traceback" not in err
    assert file.read_bytes() == content


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    """A pipe would block."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(InputError, match="regular file"):
            read_turns(path)
    assert read_turns(tmp_path / "none") == ()
    (tmp_path / "empty").touch()
    assert read_turns(tmp_path / "empty") == ()
    with pytest.raises(StorageError):
        read_turns(tmp_path / "empty/below")


def test_control_characters_of_a_session_are_not_printed(run: Run, here: list[str], tmp_path: Path) -> None:
    run("index", *here)
    file = tmp_path / "talk"
    hostile = "Where does the cat\x1b[31m \u202esleep?"
    file.write_text(json.dumps({"question": hostile, "answer": "It sleeps.\x07"}) + "\n", encoding="utf-8")
    code, out, _ = run("ask", FOLLOW_UP, *here, "--session", str(file))
    assert code == 0
    assert "Understood as: When does it wake?" in out
    assert not {"\x1b[31m", "\x07", "\u202e"} & set(out.split(" "))
