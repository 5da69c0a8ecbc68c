"""The examples at the end of each command's help."""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from qa_service.cli import cli
from qa_service.cli.options import SettingOption
from qa_service.settings import load_settings


def commands(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, below in command.commands.items():
            yield from commands((*path, name), below)


COMMANDS = dict(commands((), cli))


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "qa-service")
def test_the_help_ends_with_examples_that_can_be_typed(path: tuple[str, ...]) -> None:
    """Each is a call of this command with options that it has and values that its settings allow."""
    command = COMMANDS[path]
    shown = command.get_help(click.Context(command, info_name="qa-service"))
    lines = shown.partition("\n  Examples:\n")[2].splitlines()
    assert lines
    for line in lines:
        words = shlex.split(line.partition(" > ")[0])
        assert tuple(words[: len(path) + 1]) == ("qa-service", *path)
        found: click.Command = cli
        rest = words[1:]
        while isinstance(found, click.Group):
            found = found.commands[rest.pop(0)]
        with found.make_context("example", rest) as context:
            settings = {option.name for option in found.params if isinstance(option, SettingOption)}
            load_settings(**{name: context.params[name] for name in settings})


@pytest.mark.parametrize(("words", "expected"), [("qa-service ser", "serve"), ("qa-service ask --sess", "--session")])
def test_the_shell_can_complete_commands_and_options(words: str, expected: str) -> None:
    """As docs/start.md shows; bash itself is asked for nothing but its version."""
    code = "import sys; sys.argv[0] = 'qa-service'; from qa_service.cli import main; main()"
    asked = {"_QA_SERVICE_COMPLETE": "zsh_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=asked)
    assert (done.returncode, done.stderr) == (0, "")
    assert expected in re.split(r"\s", done.stdout)
