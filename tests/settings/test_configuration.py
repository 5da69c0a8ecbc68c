"""Invalid, unusual and unsafe settings, environments and command lines: each is reported, none is guessed."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from conftest import Run
from processes import PATIENCE, eventually

from qa_service.errors import SettingsError
from qa_service.pipeline import QuestionAnswerer
from qa_service.server.keys import KeyFile, security_warnings
from qa_service.server.worker import Worker
from qa_service.settings import Settings, load_settings

PROGRAM = [sys.executable, "-m", "qa_service"]


@pytest.mark.parametrize("number", ["1e2", "1_0", " 5 ", "٥", "0x10", "nan", "inf", "", "5s", "64k", "64KiB", "+5"])
@pytest.mark.parametrize("name", ["queue_limit", "deadline_seconds"])
def test_numbers_are_plain_decimals(name: str, number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other numbers that Python accepts are rejected; the name has the unit."""
    monkeypatch.setenv(f"QA_{name.upper()}", number)
    with pytest.raises(SettingsError, match=rf"QA_{name.upper()} .* plain decimal number"):
        load_settings()


def test_plain_numbers_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An integer also for a fraction, but not a fraction for an integer."""
    monkeypatch.setenv("QA_DEADLINE_SECONDS", "5")
    monkeypatch.setenv("QA_QUEUE_LIMIT", "007")
    assert (load_settings().deadline_seconds, load_settings().queue_limit) == (5.0, 7)
    monkeypatch.setenv("QA_QUEUE_LIMIT", "7.5")
    with pytest.raises(SettingsError, match="QA_QUEUE_LIMIT"):
        load_settings()


@pytest.mark.parametrize(("word", "expected"), [("true", True), ("NO", False), ("1", True), ("off", False)])
def test_switches_accept_a_few_words(word: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those in docs/settings.md."""
    monkeypatch.setenv("QA_MCP", word)
    assert load_settings().mcp is expected


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("mcp", word) for word in ("2", "", "perhaps", "ja")),
        *(("rate", rate) for rate in ("0/second", "abc", "10 per fortnight", "10/fortnight", "-1/minute")),
        *(("origins", text) for text in ("null", "www.example.org", "https://a.example/path", "https://a.example/")),
        ("origins", "*,https://a.example"),
        ("allowed_hosts", ""),
        ("allowed_hosts", " , "),
        ("log_level", "loud"),
        ("log_format", "xml"),
        ("workers", "-1"),
        ("port", "0x50"),
        ("rate_storage", "file:///etc/passwd"),
        ("collections", "../up"),
        *[
            ("public_url", url)
            for url in ("docs.example.org", "/docs-qa", "ftp://a.example", "https://u:p@a.example/qa")
        ],
        *[
            ("public_url", f"https://a.example{rest}")
            for rest in ("/qa?", "/qa?x=1", "/qa#x", "//qa", "/a/../b", "/a%20b")
        ],
        *[
            ("public_url", f"https://a.example{rest}")
            for rest in ("/qa//", "/a b", "/ä", "/" + "a" * 200, "/.", "/a;b")
        ],
    ],
)
def test_invalid_values_are_errors(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line names the setting."""
    monkeypatch.setenv(f"QA_{name.upper()}", value)
    with pytest.raises(SettingsError, match=f"QA_{name.upper()} ") as caught:
        load_settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xef\xbb\xbfQA_PORT=65536\n", "QA_PORT .* is '65536'"),
        (b"QA_LANGUAGE=fran\xe7ais\n", "can't read"),
        (b"QA_PORT=1\nOTHER=2\nexport QA_port = 3\n", "sets QA_PORT more than once"),
        (b"QA_PORT=1\n" + b"#" * (1 << 20), "must be a regular file of at most 1 MB"),
        (b"QA_TOPK=1\n", "unknown setting QA_TOPK; did you mean QA_TOP_K"),
        (b"QA_PORT=[[[[[[[[\n", "QA_PORT .* plain decimal"),
    ],
)
def test_a_settings_file_that_would_lose_a_setting_is_an_error(content: bytes, message: str) -> None:
    """Another encoding, a duplicate name, a large file, an unknown name, an invalid value."""
    Path(".env").write_bytes(content)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_a_folder_in_place_of_the_settings_file_is_an_error() -> None:
    """It would be ignored silently."""
    Path(".env").mkdir()
    with pytest.raises(SettingsError, match="must be a regular file"):
        load_settings()


def test_settings_prints_values_and_sources_but_no_secrets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """An invalid secret is reported without its value."""
    Path(".env").write_text("QA_TOP_K=7\nQA_PORT=1234\n", encoding="utf-8")
    monkeypatch.setenv("QA_PORT", "4321")
    monkeypatch.setenv("QA_KEY", "sk_canary_canary_canary\n")
    monkeypatch.setenv("QA_RATE_STORAGE", "redis://user:canary@host")
    code, out, _ = run("settings", "--json")
    found = json.loads(out)
    assert code == 0
    assert found.keys() == {f"QA_{name.upper()}" for name in Settings.model_fields}
    assert found["QA_TOP_K"] == {"value": "7", "from": ".env"}
    assert found["QA_PORT"] == {"value": "4321", "from": "environment"}
    assert found["QA_WORKERS"] == {"value": "1", "from": "default"}
    assert found["QA_KEY"]["value"] == found["QA_RATE_STORAGE"]["value"] == "(not shown)"
    assert "canary" not in out + run("settings")[1]
    assert load_settings().key == "sk_canary_canary_canary"
    for name, wrong in (
        ("QA_RATE_STORAGE", "http://user:canary@host"),
        ("QA_KEY", "canary"),
        ("QA_KEY", "can ary" * 9),
    ):
        monkeypatch.setenv(name, wrong)
        code, out, err = run("settings")
        assert (code, "not shown" in err, "canary" in out + err) == (2, True, False)
        monkeypatch.setenv(name, "redis://host" if name == "QA_RATE_STORAGE" else "")


def test_no_secret_is_an_option_of_the_command_line(run: Run) -> None:
    """Every process of the machine could read it there."""
    for command in ("serve", "evaluate", "ask", "index"):
        out = run(command, "--help")[1]
        assert not re.search(r"--(key|token|secret|password|rate-storage)\b", out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["serv"],
        ["serve", "--reload"],
        ["serve", "--debug"],
        ["--production"],
        ["ask"],
        ["serve", "--host", "999.1.1.1"],
    ],
)
def test_unknown_commands_and_options_are_usage_errors(arguments: list[str], run: Run) -> None:
    """Exit code 2 in one line; there is no debug switch."""
    code, _, err = run(*arguments)
    assert code == 2
    assert err.startswith("error: ")
    assert len(err.splitlines()) == 1


def test_unsafe_settings_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings at the start do not prevent serving."""
    data = tmp_path / "data"
    safe = load_settings(data=data)
    KeyFile(data).create("a test")
    assert security_warnings(safe) == []
    (data / "keys.json").chmod(0o644)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    told = security_warnings(load_settings(data=data, host="0.0.0.0", allowed_hosts="*", trusted_proxies="*"))
    assert [
        name for name in ("QA_ALLOWED_HOSTS", "QA_TRUSTED_PROXIES", "running as root", "keys.json") if name in str(told)
    ] == [
        "QA_ALLOWED_HOSTS",
        "QA_TRUSTED_PROXIES",
        "running as root",
        "keys.json",
    ]
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    assert "running as root" not in str(security_warnings(load_settings(data=data, host="0.0.0.0")))
    for uri, warned in (("http://milvus:19530", True), ("https://milvus:19530", False), ("http://localhost:1", False)):
        assert (
            "unencrypted" in str(security_warnings(load_settings(data=data, store="milvus", milvus_uri=uri)))
        ) == warned


def test_a_queue_longer_than_its_deadline_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """The warning has the time; the last question in the queue would always get 504."""
    worker = Worker(queue_limit=1000, deadline_seconds=10)
    try:
        with caplog.at_level(logging.WARNING):
            worker.check_limit(0.005)
            assert caplog.text == ""
            worker.check_limit(0.020)
        assert "a full queue of 1000 questions (QA_QUEUE_LIMIT) of 20 ms each takes 20 s" in caplog.text
    finally:
        worker.close()


def test_the_wall_clock_decides_nothing(answerer: QuestionAnswerer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With jumps of a day, no deadline passes and answers stay the same."""
    now = time.time()
    days = iter([now, now + 86_400, now - 86_400] * 1000)
    before = answerer.ask("Where does the cat sleep?")
    monkeypatch.setattr(time, "time", lambda: next(days))
    worker = Worker(queue_limit=4, deadline_seconds=PATIENCE)
    try:
        import asyncio

        after = asyncio.run(worker.run(lambda: answerer.ask("Where does the cat sleep?")))
    finally:
        worker.close()
    assert after.results == before.results
    sources = (Path(sys.modules["qa_service"].__file__ or "").parent / "server").rglob("*.py")
    using = {path.name for path in sources if "time.time()" in path.read_text(encoding="utf-8")}
    # Timestamps of traces and of messages, rate limits shared by machines, and the expiry of links need it.
    assert using == {"chat.py", "keys.py", "model_responses.py", "observing.py", "rates.py"}


@pytest.fixture
def built(here: list[str], run: Run) -> list[str]:
    assert run("index", *here)[0] == 0
    return here


def _asked(built: list[str], environment: dict[str, str], prefix: str = "") -> dict[str, object]:
    """Ask in a child process; return the answer without the fields that always differ."""
    question = "Where does the cat sleep — “exactly”?"
    command = [*PROGRAM, "ask", question, "--json", *built]
    if prefix:
        command = ["bash", "-c", f'{prefix}; exec "$@"', "bash", *command]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, check=True)
    answer = json.loads(done.stdout.decode("utf-8"))
    return {name: value for name, value in answer.items() if name not in {"id", "took_ms"}}


def test_answers_do_not_depend_on_the_environment(built: list[str]) -> None:
    """Neither on locale, time zone, hash seed, proxies, temporary folder, threads, nor on few descriptors."""
    plain = _asked(built, {})
    assert "mat" in json.dumps(plain)
    odd = {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "TZ": "Pacific/Kiritimati",
        "PYTHONHASHSEED": "7",
        "TMPDIR": "/nowhere",
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
        "OMP_NUM_THREADS": "abc",
        "OPENBLAS_NUM_THREADS": "1000",
    }
    assert _asked(built, odd, "ulimit -n 32") == plain


def test_too_little_address_space_is_reported_before_a_library_aborts(built: list[str]) -> None:
    """Exit code 3 and the name of the limit."""
    command = ["bash", "-c", 'ulimit -v 400000; exec "$@"', "bash", *PROGRAM, "serve", "--port", "0", *built]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "ulimit -v" in done.stderr


@pytest.mark.parametrize(
    ("extra", "package", "environment", "arguments"),
    [
        ("mcp", "mcp", {"QA_MCP": "true"}, ["serve", "--port", "0"]),
        ("mcp", "mcp", {}, ["mcp"]),
        ("redis", "redis", {"QA_RATE_STORAGE": "redis://127.0.0.1:1", "QA_RATE": "1/second"}, ["serve", "--port", "0"]),
        ("otel", "opentelemetry.sdk", {"QA_TRACES": "true"}, ["serve", "--port", "0"]),
    ],
)
def test_a_missing_extra_is_named(
    extra: str,
    package: str,
    environment: dict[str, str],
    arguments: list[str],
    built: list[str],
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Exit code 2 and the name to install."""
    for name in [name for name in sys.modules if name.startswith((f"{package}.", "qa_service.server.mcp"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    code, _, err = run(*arguments, *(built if arguments[0] == "serve" else []))
    assert code == 2, err
    assert f"qa-service[{extra}]" in err
    assert len(err.splitlines()) == 1


@contextmanager
def _served(arguments: list[str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    with subprocess.Popen(
        [*PROGRAM, "serve", "--port", "0", *arguments], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stderr is not None
        try:
            lines = iter(server.stderr.readline, "")
            yield server, next(found[0] for line in lines if (found := re.search(r"http://127\.0\.0\.1:\d+", line)))
        finally:
            server.kill()


def test_signals_without_a_meaning_are_ignored(built: list[str]) -> None:
    """At the start and while answering; without a terminal, SIGHUP is one of them."""
    with _served(built) as (server, address), httpx2.Client(base_url=address, timeout=PATIENCE) as client:
        for name in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            server.send_signal(name)
        eventually(lambda: client.get("/readyz").status_code == 200)
        for _ in range(3):
            for name in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                server.send_signal(name)
            assert client.post("/ask", json={"question": "Where does the cat sleep?"}).status_code == 200
        server.send_signal(signal.SIGTERM)
        for name in (signal.SIGHUP, signal.SIGUSR1):
            server.send_signal(name)
        assert server.wait(PATIENCE) in {143, -15}


def test_an_unwritable_log_does_not_stop_the_server(built: list[str]) -> None:
    """Its reader is gone, so every line fails."""
    with _served(built) as (server, address), httpx2.Client(base_url=address, timeout=PATIENCE) as client:
        assert server.stderr is not None
        server.stderr.close()
        eventually(lambda: client.get("/readyz").status_code == 200)
        for _ in range(20):
            assert client.post("/ask", json={"question": "Where does the cat sleep?"}).status_code == 200
