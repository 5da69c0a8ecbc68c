"""Loads the settings; the only reader of the environment.

The command line overrides the environment (``QA_…``), which overrides a ``.env`` file in the working directory. An
unknown ``QA_`` name is an error, since a misspelt setting must not be ignored silently.
"""

import os
import re
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from qa_service.errors import SettingsError
from qa_service.settings.fields import FILE, PREFIX, Settings

_ASSIGNMENT = re.compile(rf"^\s*(?:export\s+)?({PREFIX}\w+)\s*=", re.IGNORECASE | re.MULTILINE)
_MAX_FILE_BYTES = 1 << 20
_MAX_SHOWN_CHARACTERS = 100


def load_settings(**overrides: Any) -> Settings:
    """Return the current settings.

    ``overrides`` are the values of the command line; ``None`` means "not given". Raises :class:`SettingsError` with
    the setting, its value and the allowed values.
    """
    fields = Settings.model_fields
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper().removeprefix(PREFIX).lower() not in fields:
            raise SettingsError(_unknown(name.upper()))
    _check_file()
    try:
        return Settings(**{key: value for key, value in overrides.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = str(first["loc"][0])
        name = PREFIX + field.upper()
        if first["type"] == "extra_forbidden":
            raise SettingsError(_unknown(name)) from error
        reason = first["msg"].removeprefix("Value error, ")
        value = repr(first["input"])[:_MAX_SHOWN_CHARACTERS] if fields[field].repr else "not shown"
        raise SettingsError(f"{name} (--{field.replace('_', '-')}) is {value}: {reason}") from error


def _check_file() -> None:
    """Raise :class:`SettingsError` for a ``.env`` file whose settings would be ignored silently."""
    try:
        if not FILE.exists():
            return
        if not FILE.is_file() or FILE.stat().st_size > _MAX_FILE_BYTES:
            raise SettingsError(
                f"{FILE} must be a regular file of at most {_MAX_FILE_BYTES >> 20} MB; fix or remove it"
            )
        names = [name.upper() for name in _ASSIGNMENT.findall(FILE.read_text(encoding="utf-8-sig"))]
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"can't read {FILE}: {error}; fix or remove the file") from error
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{FILE} sets {', '.join(twice)} more than once; keep one line of each")


def list_settings(settings: Settings) -> list[tuple[str, str, str]]:
    """Return name, value and source of each setting; secrets are hidden."""
    environment = {name.upper() for name in os.environ}
    found = []
    for field, info in Settings.model_fields.items():
        name, value = PREFIX + field.upper(), getattr(settings, field)
        shown = _as_set(value) if info.repr or value == info.default else "(not shown)"
        given = "environment" if name in environment else str(FILE)
        found.append((name, shown, given if field in settings.model_fields_set else "default"))
    return found


def environment_of(settings: Settings) -> dict[str, str]:
    """Return an environment for a child process with the same settings."""
    return os.environ | {PREFIX + name.upper(): _as_set(value) for name, value in settings.model_dump().items()}


def _as_set(value: object) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


def export_settings(settings: Settings) -> None:
    """Put settings into the environment of this process, for its child processes."""
    os.environ |= environment_of(settings)


def _unknown(name: str) -> str:
    near = get_close_matches(name, [PREFIX + field.upper() for field in Settings.model_fields], n=1)
    return f"unknown setting {name}; " + (f"did you mean {near[0]}?" if near else "docs/settings.md lists all settings")
