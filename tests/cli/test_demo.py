"""The demonstration: documents that ship with the package, on a free port."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from processes import PATIENCE, eventually

from qa_service.cli import demo_command
from qa_service.errors import SourceError


def test_the_demonstration_answers_and_opens_its_page(tmp_path: Path) -> None:
    """Whatever the settings of the folder are. It leaves the folder as it was."""
    (tmp_path / ".env").write_text("QA_SOURCE=nowhere\nQA_COLLECTIONS=hr=nowhere\nQA_PORT=1\n", encoding="utf-8")
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.tmp && mv {opened}.tmp {opened}\n', encoding="utf-8")
    browser.chmod(0o755)
    before = {path.name for path in tmp_path.iterdir()}
    own = os.environ | {"BROWSER": f"{browser} %s", "DISPLAY": ":99"}
    with subprocess.Popen(
        [sys.executable, "-m", "qa_service", "demo"], stderr=subprocess.PIPE, text=True, env=own, cwd=tmp_path
    ) as server:
        assert server.stderr is not None
        try:
            lines = [server.stderr.readline()]
            while lines[-1] and not lines[-1].startswith("open http://"):
                lines.append(server.stderr.readline())
            found = re.match(r"open (http://127\.0\.0\.1:\d+) and ask: (.*)", lines[-1])
            assert found, lines
            eventually(opened.exists)
            assert opened.read_text(encoding="utf-8") == found[1]
            with httpx2.Client(base_url=found[1], timeout=PATIENCE) as client:
                eventually(lambda: client.get("/readyz").status_code == 200)
                answer = client.post("/ask", json={"question": found[2]}).json()["answer"]
                assert answer["text"] == "A battery has six launchers."
        finally:
            server.send_signal(signal.SIGTERM)
            rest = server.stderr.read()
        server.wait(PATIENCE)
        assert "Traceback" not in rest
    assert {path.name for path in tmp_path.iterdir()} == before | {"opened"}


def test_the_index_is_temporary_if_the_cache_cant_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is removed with the rest of the demonstration's data."""
    with demo_command._own_settings(0) as own:
        assert own["index"].is_relative_to(os.environ["QA_CACHE_DIR"])
    (tmp_path / "file").touch()
    monkeypatch.setenv("QA_CACHE_DIR", str(tmp_path / "file"))
    with demo_command._own_settings(0) as own:
        folder = own["index"].parent
        assert own["data"].parent == folder
        assert folder.is_dir()
    assert not folder.exists()


def test_documents_that_are_missing_are_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It names the place."""
    monkeypatch.setattr(demo_command, "_PLACES", (tmp_path / "gone",))
    with pytest.raises(SourceError, match="gone is missing; reinstall qa-service"):
        demo_command._documents()
