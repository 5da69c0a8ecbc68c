"""Writes a ``.env`` file with every setting as a comment: its description and its default."""

import os
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo

from qa_service.errors import SettingsError
from qa_service.io.durable import OWNER_FILE, storage_errors
from qa_service.settings import FILE, PREFIX, Settings

_WIDTH = 100
_HEAD = """\
# Settings of qa-service, which reads this file from the folder where it is started. Variables of the environment and
# options of the command line override it. To change a setting, remove the # before its name.
# `qa-service settings` prints the current values with their sources; docs/settings.md has the bounds.
"""


def write_env_file() -> Path:
    """Write the file into the working directory, for its owner only, since it may hold keys; return its path.

    Raises :class:`SettingsError` if it exists.
    """
    path = FILE.absolute()
    with storage_errors(path):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_FILE)
        except FileExistsError:
            raise SettingsError(f"{path} exists, and is not overwritten; edit it, or remove it first") from None
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(env_text())
        except OSError:
            path.unlink()
            raise
    return path


def env_text() -> str:
    """Return the text of the file."""
    return _HEAD + "".join(_entry(name, field) for name, field in Settings.model_fields.items())


def _entry(name: str, field: FieldInfo) -> str:
    default = field.default
    shown = ",".join(default) if isinstance(default, tuple) else str(default)
    comment = textwrap.fill(
        field.description or "",
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="# ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"\n{comment}\n#{PREFIX}{name.upper()}={shown.lower() if isinstance(default, bool) else shown}\n"
