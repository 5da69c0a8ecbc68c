"""Settings: order of origins, bounds, and errors that help."""

from pathlib import Path

import pytest

from qa_service.errors import SettingsError
from qa_service.settings import Settings, load_settings


def test_command_line_over_environment_over_file_over_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearer origin wins; None on the command line means not given."""
    assert load_settings().port == 8000
    Path(".env").write_text("QA_PORT=1001\nQA_TOP_K=3\nOTHER_PROGRAM=1\n", encoding="utf-8")
    assert load_settings().port == 1001
    monkeypatch.setenv("QA_PORT", "1002")
    assert load_settings(port=None).port == 1002
    assert load_settings(port=1003).port == 1003
    assert load_settings().top_k == 3


def test_an_unknown_name_suggests_the_near_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment as well as in the file."""
    monkeypatch.setenv("QA_TOPK", "3")
    with pytest.raises(SettingsError, match="unknown setting QA_TOPK; did you mean QA_TOP_K"):
        load_settings()
    monkeypatch.delenv("QA_TOPK")
    Path(".env").write_text("QA_PROT=1\n", encoding="utf-8")
    with pytest.raises(SettingsError, match="unknown setting QA_PROT; did you mean QA_PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", "abc"),
        ("top_k", "0"),
        ("top_k", "51"),
        ("top_k", "1e9"),
        ("top_k", ""),
        ("min_confidence", "1.5"),
        ("min_confidence", "nan"),
        ("deadline_seconds", "inf"),
        ("queue_limit", "0"),
        ("allow_skips", "perhaps"),
    ],
)
def test_a_value_out_of_bounds_names_setting_and_value(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment and the command line alike."""
    message = f"QA_{name.upper()} .* is '{value}'"
    with pytest.raises(SettingsError, match=message):
        load_settings(**{name: value})
    monkeypatch.setenv(f"QA_{name.upper()}", value)
    with pytest.raises(SettingsError, match=message):
        load_settings()


def test_an_unreadable_file_is_an_error_of_one_line() -> None:
    """A .env that is not UTF-8 does not end in a traceback."""
    Path(".env").write_bytes(b"QA_PORT=\xff\n")
    with pytest.raises(SettingsError, match=r"can't read \.env"):
        load_settings()


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    """White space around the parts does not count."""
    monkeypatch.setenv("QA_ALLOWED_HOSTS", "qa.example.org, localhost ,")
    assert load_settings().allowed_hosts == ("qa.example.org", "localhost")


def test_settings_do_not_change() -> None:
    """They are frozen, and every one has a description for the docs."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().port = 1
    assert all(field.description for field in Settings.model_fields.values())
