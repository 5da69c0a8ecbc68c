"""The index of a folder of documents that the command line names."""

import json
import os
import re
import shutil
from pathlib import Path

import pytest
from conftest import Run
from processes import serving

CAT, CRAB = "The cat sleeps on the warm mat.", "A crab walks sideways."


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working directory with two folders of documents."""
    for name, text in (("zoo", CAT), ("sea", CRAB)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "page.md").write_text(f"# Animals\n\n{text}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_index_of_a_folder_is_in_the_cache(run: Run, folders: Path) -> None:
    """The command says where; each folder has its own, which --source finds."""
    for name in ("zoo", "sea"):
        code, out, err = run("index", name)
        assert code == 0
        assert "1 document, 0 skipped" in out
        place = re.search(rf"the index of {name} is in (\S+/indexes/{name}-[0-9a-f]{{12}})$", err, re.MULTILINE)
        assert place
        assert Path(place[1], "current").is_file()
        assert f"ask it with `qa-service ask --source {name} QUESTION`" in err
    assert sorted(path.name for path in folders.iterdir() if path.name != "models") == ["sea", "zoo"]
    for name, text in (("zoo", CAT), (folders / "sea", CRAB)):
        code, out, _ = run("ask", "--source", name, "--json", "Which", "animal?")
        assert (code, json.loads(out)["results"][0]["text"]) == (0, text)
    (folders / "elsewhere").mkdir()
    os.chdir("elsewhere")
    assert run("ask", "--source", "../zoo", "cat")[0] == 0
    assert run("ask", "--source", "../other", "cat")[2] == (
        "error: no index of ../other; build it with `qa-service index ../other`\n"
    )


def test_another_place_of_the_index_may_be_named(run: Run, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By --index, by QA_INDEX, or by naming the folder of QA_SOURCE."""
    assert run("index", "zoo", "--index", "one")[0] == 0
    assert (folders / "one/current").is_file()
    monkeypatch.setenv("QA_SOURCE", "zoo")
    assert run("index", folders / "zoo")[0] == 0
    assert (folders / "index/current").is_file()
    monkeypatch.setenv("QA_INDEX", "two")
    assert run("index", "zoo")[0] == 0
    assert (folders / "two/current").is_file()


def test_the_index_of_another_folder_is_an_error(run: Run, folders: Path) -> None:
    """It says of which one, unless that is gone: then the index was built elsewhere and brought here."""
    assert run("index", "--source", "zoo")[0] == 0
    for command in (
        ["ask", "cat"],
        ["why", "cat", "--document", "page.md"],
        ["serve"],
        ["evaluate", "questions.jsonl"],
    ):
        Path("questions.jsonl").write_text('{"question": "cat?", "answers": ["mat"]}\n', encoding="utf-8")
        code, _, err = run(*command, "--source", "sea")
        assert code == 2
        assert err.startswith(f"error: the index in {folders}/index was built from {folders}/zoo, not from sea; ")
        assert err.endswith("or build one with `qa-service index sea`\n")
    assert run("ask", "cat", "--source", "sea", "--index", "index")[0] == 2
    assert run("ask", "cat", "--source", "zoo")[0] == 0
    shutil.move("zoo", "moved")
    assert run("ask", "cat", "--source", "moved")[0] == 0


def test_a_folder_is_named_once(run: Run, folders: Path) -> None:
    """As an argument or by --source."""
    for command in ("index", "serve"):
        code, _, err = run(command, "zoo", "--source", "sea")
        assert (code, err) == (2, "error: two folders of documents: zoo and --source sea; name one\n")


def test_a_cache_that_cant_be_written_is_an_error(run: Run, folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the folder and the options."""
    Path("file").write_text("", encoding="utf-8")
    monkeypatch.setenv("QA_CACHE_DIR", "file")
    code, _, err = run("index", "zoo")
    assert code == 7
    assert err.startswith(f"error: can't make {folders}/file/indexes/zoo-")
    assert "Not a directory; name a folder for the index with --index" in err


def test_serve_builds_the_index_of_a_folder(run: Run, folders: Path) -> None:
    """And that of a folder that was changed; a folder without documents is the error of the build."""
    assert run("index", "zoo")[0] == 0
    Path("zoo/page.md").write_text(CRAB, encoding="utf-8")
    with serving("zoo") as (lines, client):
        assert any("1 document, 0 skipped" in line for line in lines)
        assert client.post("/ask", json={"question": "How does a crab walk?"}).json()["results"][0]["text"] == CRAB
    code, out, err = run("serve", "nowhere", "--port", "0")
    assert (code, out) == (4, "")
    assert "error: source folder nowhere does not exist" in err
