"""Fixtures: a fake embedder that is fast and exact, and the real one, loaded once."""

import gc
import hashlib
import os
import re
import shutil
import signal
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

# A million objects are imported and collected, and none of them is garbage; see pytest_collection_finish.
gc.disable()

# A shell ignores Ctrl-C in what it runs in the background, and processes inherit that; tests interrupt theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests run in one process per core; more threads would wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import hypothesis
import numpy as np
import pytest
from filelock import FileLock
from needs import BROWSER, missing
from processes import PATIENCE

from qa_service.cli import main
from qa_service.datatypes import FloatArray
from qa_service.embedding import (
    Batching,
    ModelIdentity,
    PassageEmbeddings,
    QuestionEmbedding,
    SentenceTransformerEmbedder,
    TokenEmbeddings,
    find_model,
    open_embedder,
)
from qa_service.embedding import choose as runtimes
from qa_service.embedding.export import MIN_COSINE, Exporter
from qa_service.embedding.runtime import ExportedEmbedder, open_runtime
from qa_service.index.disk import IndexFolder
from qa_service.pipeline import QuestionAnswerer, build, open_answerer
from qa_service.server.keys import KeyFile, Scope
from qa_service.settings import DEFAULT_MODEL, Settings, load_settings

# No example has a time limit.
_UNTIMED = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("tests", deadline=None, suppress_health_check=_UNTIMED)
hypothesis.settings.load_profile("tests")
SHARED_FIXTURES = [*_UNTIMED, hypothesis.HealthCheck.function_scoped_fixture]
"""Suppressed where the examples of a test share a fixture of its function, and change nothing in it."""


pytest_plugins = ("milvus_index", "verdicts", *(() if missing(*BROWSER) else ("browsers",)))
ROOT = Path(__file__).parent.parent
QUESTIONS = ROOT / "tests/data/us-korea-questions.jsonl"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail if a test is skipped")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that open pages in a browser."""
    for item in items:
        if "browser" in getattr(item, "fixturenames", ()):
            item.add_marker("browser")


def pytest_collection_finish() -> None:
    """Let the garbage collector begin, and pass over all that was imported."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test before its fixtures are made if something that it needs is missing."""
    if reason := missing(*(name for mark in item.iter_markers("needs") for name in mark.args)):
        pytest.skip(reason)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if tests were skipped and must not be; the reasons are in pytest's summary."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")  # not in the processes of xdist
    if session.config.getoption("--no-skips") and reporter and reporter.stats.get("skipped"):
        reporter.write_line(f"\n--no-skips: {len(reporter.stats['skipped'])} skipped, see below", red=True)
        session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED


class FakeEmbedder:
    """A bag-of-words model with 128 hashed components and two special tokens: texts that share words are near.

    A word's token vector is random, the same for the same word; its id is the hash.
    """

    def __init__(
        self,
        window: int = 64,
        weights: str = "a" * 64,
        config: str = "b" * 64,
        name: str = "fake",
        *,
        tokens: bool = True,
    ) -> None:
        self.identity = ModelIdentity(name, weights, config)
        self.dimension = 128
        self.batching = Batching()
        self.runtime = "fake"
        self.window = window
        self.embedded = 0
        self._tokens = tokens

    def whole_words(self) -> frozenset[str]:
        return frozenset()

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [2 + len(re.findall(r"\w+|[^\w\s]", text)) for text in texts]

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        return [
            QuestionEmbedding(self._vector(question), self._token_vectors(question) if self._tokens else None)
            for question in questions
        ]

    def embed_passages(self, texts: Sequence[str]) -> PassageEmbeddings:
        self.embedded += len(texts)
        tokens = tuple(self._token_vectors(text) for text in texts) if self._tokens else None
        return PassageEmbeddings(np.stack([self._vector(text) for text in texts]), tokens)

    def _vector(self, text: str) -> FloatArray:
        vector = np.full(self.dimension, 0.01, np.float32)
        for word in re.findall(r"\w+", text.casefold()):
            vector[zlib.crc32(word.encode()) % self.dimension] += 1
        return vector / np.linalg.norm(vector)

    def _token_vectors(self, text: str) -> TokenEmbeddings:
        spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]
        hashes = [zlib.crc32(text[start:end].casefold().encode()) for start, end in spans]
        vectors = [np.random.default_rng(value).normal(size=self.dimension).astype(np.float32) for value in hashes]
        unit = np.array([vector / np.linalg.norm(vector) for vector in vectors], np.float32).reshape(-1, self.dimension)
        return TokenEmbeddings(
            unit,
            np.array([value % 1000 for value in hashes], np.int64),
            np.array(spans, np.int64).reshape(-1, 2),
        )


class HeldEmbedder(FakeEmbedder):
    """Waits for an event before it embeds."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.go.set()

    def embed_questions(self, questions: Sequence[str]) -> list[QuestionEmbedding]:
        self.go.wait(PATIENCE)
        return super().embed_questions(questions)


@pytest.fixture
def fake() -> FakeEmbedder:
    return FakeEmbedder()


@pytest.fixture(scope="session")
def real() -> SentenceTransformerEmbedder:
    return open_embedder(DEFAULT_MODEL)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that all test processes share."""
    root = tmp_path_factory.getbasetemp()
    return root.parent if "PYTEST_XDIST_WORKER" in os.environ else root


@pytest.fixture(scope="session", autouse=True)
def _cache_of_the_tests(shared_folder: Path) -> None:
    """Let tests share a cache of models, which is not that of the machine's user."""
    os.environ["QA_CACHE_DIR"] = str(shared_folder / "cache")


@pytest.fixture(scope="session")
def exports(shared_folder: Path) -> dict[str, Path]:
    """Export the built-in model in all precisions, once for all test processes."""
    folders = {precision: shared_folder / "exports" / precision for precision in MIN_COSINE}
    with FileLock(shared_folder / "exports.lock"):
        exporter = Exporter(find_model(DEFAULT_MODEL))
        for precision, folder in folders.items():
            if not folder.exists():
                written = folder.with_suffix(".partial")
                written.mkdir(parents=True)
                exporter.write(written, precision)
                written.rename(folder)
    return folders


@pytest.fixture(scope="session")
def onnx(exports: dict[str, Path]) -> ExportedEmbedder:
    """Return the built-in model with the vectors of ``real``, but without torch, whose import takes seconds."""
    return open_runtime(exports["fp32"])


@pytest.fixture(scope="session")
def exported_models(tmp_path_factory: pytest.TempPathFactory, exports: dict[str, Path]) -> Path:
    """Return a folder of exported models as a build writes it, to copy or link into an index folder."""
    models = tmp_path_factory.mktemp("exported") / "models"
    files = find_model(DEFAULT_MODEL)
    for precision in filter(None, ("int8", runtimes.openvino_precision())):
        shutil.copytree(exports[precision], models / runtimes.export_name(files, precision), copy_function=os.link)
    return models


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the settings of the machine, and make an empty folder the working directory."""
    for name in list(os.environ):
        if name.upper().startswith("QA_") and name != "QA_CACHE_DIR":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[[dict[str, str | bytes]], Path]:
    """Return a function that writes files to a source folder."""

    def write(files: dict[str, str | bytes]) -> Path:
        write_files(tmp_path / "source", files)
        return tmp_path / "source"

    return write


def write_files(folder: Path, files: Mapping[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


TWO_DOCUMENTS: dict[str, str | bytes] = {
    "zoo/animals.md": "# Animals\n\n## Cats\n\nThe cat sleeps on the warm mat. It wakes at noon.\n\n"
    "## Dogs\n\nA dog guards the old farm. It barks at foxes.\n",
    "sea.txt": "The whale swims in the deep ocean. It sings for hours.\n\nA crab walks sideways on the beach.\n",
}


def settings_below(folder: Path) -> Settings:
    """Return the settings of most tests: their folders, and short passages."""
    return load_settings(
        source=folder / "source",
        index=folder / "index",
        data=folder / "data",
        passage_tokens=16,
        overlap_tokens=0,
    )


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_below(tmp_path)


@pytest.fixture(scope="session")
def built_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with TWO_DOCUMENTS and their index by the fake embedder, to copy."""
    folder = tmp_path_factory.mktemp("built")
    settings = settings_below(folder)
    write_files(settings.source, TWO_DOCUMENTS)
    build(settings, FakeEmbedder())
    return folder


@pytest.fixture
def answerer(built_once: Path, tmp_path: Path, settings: Settings, fake: FakeEmbedder) -> QuestionAnswerer:
    """Answer from TWO_DOCUMENTS with the fake embedder."""
    return _answerer_below(tmp_path, built_once, settings, fake)


def _answerer_below(folder: Path, built: Path, settings: Settings, embedder: FakeEmbedder) -> QuestionAnswerer:
    shutil.copytree(built, folder, dirs_exist_ok=True)
    return open_answerer(settings.model_copy(update={"top_k": 3, "min_confidence": 0.5}), embedder)[0]


@pytest.fixture(scope="session")
def kept(built_once: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[QuestionAnswerer, Settings]:
    """Return an answerer and its settings, for a service that several tests share and none changes."""
    folder = tmp_path_factory.mktemp("kept")
    settings = settings_below(folder)
    return _answerer_below(folder, built_once, settings, FakeEmbedder()), settings


@pytest.fixture(scope="session")
def kept_client(kept: tuple[QuestionAnswerer, Settings]) -> Iterator[Any]:
    """Return a client of the service that tests share: to make one takes longer than most of them."""
    from starlette.testclient import TestClient

    with TestClient(app_for(*kept), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def key_for(settings: Settings, *scopes: Scope) -> dict[str, str]:
    """Return the header with a new key of the given scopes."""
    return {"Authorization": f"Bearer {KeyFile(settings.data).create('a test', scopes)}"}


def app_for(
    answerer: QuestionAnswerer,
    settings: Settings,
    *,
    degraded: str | None = None,
    reopen: Callable[[], tuple[QuestionAnswerer, str | None]] | None = None,
    named: Mapping[str, Any] = MappingProxyType({}),
    **options: Any,
) -> Any:
    """Return the application of a test's index; ``options`` go to ``create_app``."""
    from qa_service.server.app import create_app
    from qa_service.server.live_index import ServableIndex

    default = ServableIndex(answerer, IndexFolder(settings.index), degraded, reopen)
    return create_app(settings, default, named, **options)


@contextmanager
def served(answerer: QuestionAnswerer, settings: Settings, **options: Any) -> Iterator[int]:
    """Serve an answerer on a free port, in a thread."""
    with listening(app_for(answerer, settings, **options)) as port:
        yield port


@contextmanager
def listening(app: Any, trusted_proxies: Sequence[str] = (), host: str = "127.0.0.1") -> Iterator[int]:
    """Serve an application on a free port or a Unix socket, in a thread, with our protocol; yield the port."""
    import uvicorn

    from qa_service.server.process import bound_socket
    from qa_service.server.protocol import GuardedProtocol

    listener = bound_socket(host, 0)
    config = uvicorn.Config(
        app,
        log_level="critical",
        http=GuardedProtocol,
        ws="none",
        proxy_headers=False,
        forwarded_allow_ips=list(trusted_proxies),
        timeout_keep_alive=int(PATIENCE),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    port = 0 if listener.family == socket.AF_UNIX else listener.getsockname()[1]
    try:
        while not server.started:
            time.sleep(0.01)
        yield port
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def published(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve a handler on a free port, in a thread; yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Run:
    """Runs commands in this process, so that heavy libraries are imported once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr("sys.argv", ["qa-service", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            main()
        out, err = self._capsys.readouterr()
        assert "Traceback" not in err
        return int(caught.value.code or 0), out, err


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(monkeypatch, capsys)


@pytest.fixture
def here(folder: Callable[[dict[str, str | bytes]], Path], tmp_path: Path, exported_models: Path) -> list[str]:
    """Return the options for a source folder of two documents and an index folder."""
    shutil.copytree(exported_models, tmp_path / "ix/models", copy_function=os.link)
    return ["--source", str(folder(TWO_DOCUMENTS)), "--index", str(tmp_path / "ix")]


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Count how often each file is hashed, by its inode."""
    counted: Counter[int] = Counter()
    digest = hashlib.file_digest

    def count(file: BinaryIO, name: str) -> "hashlib._Hash":
        counted[os.fstat(file.fileno()).st_ino] += 1
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", count)
    return counted
