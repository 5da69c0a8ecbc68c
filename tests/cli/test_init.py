"""``qa-service init``: a file of settings, each a comment."""

import re
import stat
from pathlib import Path

import pytest
from conftest import Run

from qa_service.settings import PREFIX, Settings, load_settings


def test_init_writes_every_setting_as_a_comment(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file sets nothing as it is; with all signs removed it sets the defaults."""
    monkeypatch.delenv("QA_CACHE_DIR")
    defaults = load_settings()
    code, out, err = run("init")
    path = tmp_path / ".env"
    assert (code, out, err) == (0, f"wrote {path}; remove the # before a setting to change it\n", "")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_settings().model_fields_set == set()
    text = path.read_text(encoding="utf-8")
    assert all(line.startswith("#") for line in text.splitlines() if line)
    path.write_text(re.sub(rf"^#({PREFIX})", r"\1", text, flags=re.MULTILINE), encoding="utf-8")
    loaded = load_settings()
    assert loaded == defaults
    assert loaded.model_fields_set == Settings.model_fields.keys()


def test_init_overwrites_nothing(run: Run, tmp_path: Path) -> None:
    """Neither a file nor a link; the error names it."""
    path = tmp_path / ".env"
    for make in (lambda: path.write_text("QA_PORT=1\n", encoding="utf-8"), lambda: path.symlink_to("elsewhere")):
        make()
        code, out, err = run("init")
        assert (code, out) == (2, "")
        assert err == f"error: {path} exists, and is not overwritten; edit it, or remove it first\n"
        path.unlink()
    assert not (tmp_path / "elsewhere").exists()
