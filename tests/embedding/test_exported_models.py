"""The cache of exported models: made once, shared by indexes and processes, made again if damaged; without torch."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import ROOT, TWO_DOCUMENTS, Run
from processes import PATIENCE

from qa_service.embedding import ExportedModels, OnnxEmbedder, find_model, open_runtime, packaged_folder
from qa_service.embedding.choose import embedder_to_ask, embedder_to_build, export_name
from qa_service.embedding.export import Exporter
from qa_service.embedding.runtime import MODEL, SPECIFICATION, TOKENIZER
from qa_service.errors import ModelCorrupt, ModelMissing
from qa_service.io import durable
from qa_service.pipeline import build
from qa_service.settings import DEFAULT_MODEL, Settings, load_settings

NAME = export_name(find_model(DEFAULT_MODEL), "int8")
Write = Callable[[dict[str, str | bytes]], Path]


@pytest.fixture
def fresh(tmp_path: Path) -> Settings:
    """Return settings with an empty cache."""
    return load_settings(index=tmp_path / "index", cache_dir=str(tmp_path / "cache"), runtime="int8")


@pytest.fixture
def filled(fresh: Settings, exports: dict[str, Path]) -> Path:
    """Return the model in a cache that was filled before."""
    folder = fresh.model_cache / "models" / NAME
    shutil.copytree(exports["int8"], folder)
    return folder


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return the folders into which models are exported."""
    folders: list[Path] = []
    write = Exporter.write

    def counted(self: Exporter, folder: Path, precision: str) -> None:
        folders.append(folder)
        write(self, folder, precision)

    monkeypatch.setattr(Exporter, "write", counted)
    return folders


def test_a_second_index_uses_the_model_of_the_first(
    folder: Write, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first build says what it waits for and how long that took, on stderr; the index folder has no model."""
    monkeypatch.setenv("QA_CACHE_DIR", str(tmp_path / "cache"))
    source = folder(TWO_DOCUMENTS)
    said = []
    for name in ("first", "second"):
        code, _, err = run("index", "--source", source, "--index", tmp_path / name)
        assert code == 0
        assert not (tmp_path / name / "models").exists()
        said.append(err.splitlines())
    assert said[0][0] == "preparing the model (once)…"
    assert float(said[0][1].removeprefix("prepared the model in ").removesuffix(" s")) > 0
    assert len(said[0]) == 2
    assert said[1] == []


def test_a_build_hashes_each_file_once(
    fresh: Settings, filled: Path, folder: Write, hashed: Counter[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of the model, of its export and of the new generation.

    A document is hashed by the scan, and again as it is read, since it may have changed in between.
    """
    digest, seen = hashlib.sha256, Counter[bytes]()

    def counted(data: bytes = b"", **options: Any) -> Any:
        seen[data] += 1
        return digest(data, **options)

    monkeypatch.setattr(hashlib, "sha256", counted)
    settings = fresh.model_copy(update={"source": folder(TWO_DOCUMENTS)})
    build(settings, embedder_to_build(settings))
    assert set(hashed.values()) == {1}
    generation = next((settings.index / "generations").iterdir())
    files = [packaged_folder() / "model.safetensors", filled / "model.onnx", *generation.glob("*.npy")]
    documents = [settings.source / name for name in TWO_DOCUMENTS]
    assert all(hashed[path.stat().st_ino] for path in (*files, *documents))
    assert [seen[path.read_bytes()] for path in documents] == [1, 1]


def test_an_export_is_hashed_when_it_is_written_and_when_it_is_opened(fresh: Settings, hashed: Counter[int]) -> None:
    embedder_to_build(fresh)
    assert hashed[(fresh.model_cache / "models" / NAME / "model.onnx").stat().st_ino] == 2


def test_servers_open_a_model_without_writing(
    fresh: Settings, filled: Path, written: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They need no permission to write to the cache, nor a lock."""
    monkeypatch.setattr(durable, "FileLock", None)
    before = {path: path.stat().st_mtime_ns for path in fresh.model_cache.rglob("*")}
    assert isinstance(embedder_to_ask(fresh), OnnxEmbedder)
    assert {path: path.stat().st_mtime_ns for path in fresh.model_cache.rglob("*")} == before
    assert not written


def test_a_model_in_the_index_folder_is_used(fresh: Settings, exports: dict[str, Path], written: list[Path]) -> None:
    """Versions before the cache stored it there."""
    shutil.copytree(exports["int8"], fresh.index / "models" / NAME)
    for open_embedder in (embedder_to_ask, embedder_to_build):
        assert isinstance(open_embedder(fresh), OnnxEmbedder)
    assert not written
    assert not fresh.model_cache.exists()


@pytest.mark.parametrize("name", [MODEL, TOKENIZER, SPECIFICATION])
def test_a_damaged_model_is_exported_again(
    fresh: Settings, filled: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After one flipped bit in any file; the warning names the file."""
    data = bytearray((filled / name).read_bytes())
    data[len(data) // 2] ^= 4
    (filled / name).write_bytes(data)
    with pytest.raises(ModelCorrupt, match=name):
        open_runtime(filled)
    assert isinstance(embedder_to_ask(fresh), OnnxEmbedder)
    assert name in caplog.text
    open_runtime(filled)


def test_what_a_killed_process_left_is_removed(fresh: Settings) -> None:
    """A partial folder, with its lock released by the system."""
    partial = fresh.model_cache / "models" / (NAME + ".partial")
    partial.mkdir(parents=True)
    (partial / MODEL).write_bytes(b"half")
    assert isinstance(embedder_to_build(fresh), OnnxEmbedder)
    assert sorted(path.name for path in partial.parent.iterdir()) == [NAME, "lock"]


def test_two_builds_at_once_share_one_export(fresh: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one waits for the first, and finds its model intact."""
    writes, second_looks, write = [], threading.Event(), Exporter.write

    def slow(self: Exporter, folder: Path, precision: str) -> None:
        writes.append(folder)
        assert second_looks.wait(PATIENCE)
        write(self, folder, precision)

    monkeypatch.setattr(Exporter, "write", slow)
    found: list[str] = []
    started = threading.Barrier(2)

    def second_says(message: str) -> None:
        if message.startswith("preparing"):
            started.wait(PATIENCE)
            second_looks.set()

    builds = [
        threading.Thread(target=lambda: found.append(embedder_to_build(fresh, second_says).runtime)) for _ in range(2)
    ]
    for thread in builds:
        thread.start()
    for thread in builds:
        thread.join(PATIENCE)
    assert found == ["ONNX Runtime int8"] * 2
    assert len(writes) == 1


@pytest.mark.parametrize("fault", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_without_a_cache_the_index_folder_is_used(
    fresh: Settings, fault: int, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a read-only home, without permission, on a full disk; a warning names the folder, the error, the setting."""
    write = Exporter.write

    def failing(self: Exporter, folder: Path, precision: str) -> None:
        if folder.is_relative_to(fresh.model_cache):
            raise OSError(fault, os.strerror(fault), str(folder))
        write(self, folder, precision)

    monkeypatch.setattr(Exporter, "write", failing)
    assert isinstance(embedder_to_build(fresh), OnnxEmbedder)
    open_runtime(fresh.index / "models" / NAME)
    for part in (str(fresh.model_cache), errno.errorcode[fault], "QA_CACHE_DIR"):
        assert part in caplog.text
    assert [path.name for path in (fresh.model_cache / "models").iterdir()] == ["lock"]


def test_a_folder_that_cant_be_written_is_named_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever the number of models."""
    (tmp_path / "file").write_bytes(b"")
    models = ExportedModels(tmp_path / "file/cache", tmp_path / "index")
    for name in ("one", "two"):
        models.add(name, lambda folder: folder, lambda folder: (folder / "model").touch())
    assert sorted(path.name for path in (tmp_path / "index/models").iterdir()) == ["lock", "one", "two"]
    assert caplog.text.count("can't be stored") == 1


def test_where_nothing_can_be_written_a_process_has_its_own_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, written: list[Path]
) -> None:
    """As a server on a read-only file system, with a temporary folder only."""
    (tmp_path / "file").write_bytes(b"")
    settings = load_settings(index=tmp_path / "file/index", cache_dir=str(tmp_path / "file/cache"), runtime="int8")
    assert len(embedder_to_ask(settings).embed_questions(["Where?"])) == 1
    assert len(written) == 1
    assert "until this process ends" in caplog.text


def test_without_the_reference_another_model_is_missing(
    fresh: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the package and the model that needs none."""
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    model = fresh.model_copy(update={"model": str(find_model(DEFAULT_MODEL).folder)})
    with pytest.raises(ModelMissing, match=r"pip install sentence-transformers.*all-MiniLM-L6-v2"):
        embedder_to_build(model).count_tokens(["text"])


BLOCKER = """
import os, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in os.environ["BLOCKED"].split():
            with open(os.environ["ATTEMPTS"], "a") as file:
                file.write(name + " by " + " ".join(sys.argv) + chr(10))
            raise ModuleNotFoundError("blocked: " + name, name=name)

sys.meta_path.insert(0, Blocker())
"""


def test_index_ask_and_serve_import_neither_torch_nor_transformers(tmp_path: Path) -> None:
    """In processes in which they, and what only reports need, can't be imported; nothing tries to import them."""
    (tmp_path / "sitecustomize.py").write_text(BLOCKER)
    environment = os.environ | {
        "BLOCKED": "torch transformers sentence_transformers sklearn scipy matplotlib openvino_telemetry",
        "ATTEMPTS": str(tmp_path / "attempts"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(tmp_path), os.environ.get("PYTHONPATH")))),
        "QA_CACHE_DIR": str(tmp_path / "cache"),
        "QA_SOURCE": str(ROOT / "source_text"),
        "QA_INDEX": str(tmp_path / "index"),
    }
    program = [sys.executable, "-m", "qa_service"]

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [*program, *arguments], env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("index")
    question = "How many launchers are there in a THAAD battery?"
    assert "A battery has six launchers." in run("ask", question)
    server = subprocess.Popen([*program, "serve", "--port", "0"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = next(line for line in server.stderr if "http://" in line).split("http://")[1].split()[0]
        results = httpx2.post(f"http://{address}/ask", json={"question": question}, timeout=PATIENCE).json()["results"]
        assert "six launchers" in results[0]["text"]
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=PATIENCE)
    attempts = (tmp_path / "attempts").read_text().splitlines()
    assert {line.split()[0] for line in attempts} <= {"scipy"}, attempts  # bm25s does without it
