"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])


def options(*names: str) -> Callable[[Command], Command]:
    """Add options that set the settings of their names; what is not given is left to the environment."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            kind: Any = click.Path(path_type=Path) if name in {"source", "index"} else str
            command = click.option(
                f"--{name.replace('_', '-')}",
                name,
                type=kind,
                metavar=_METAVARS.get(name, "VALUE"),
                help=HELP[name],
            )(command)
        return command

    return decorate


_METAVARS = {
    "source": "DIR",
    "index": "DIR",
    "host": "ADDRESS",
    "port": "N",
    "workers": "N",
    "top_k": "N",
    "min_confidence": "P",
}
HELP = {
    "source": "Folder of documents.  [QA_SOURCE; default: source_text]",
    "index": "Folder of the index.  [QA_INDEX; default: index]",
    "host": "Address to serve on.  [QA_HOST; default: 127.0.0.1]",
    "port": "Port to serve on, 0 for a free one.  [QA_PORT; default: 8000]",
    "top_k": "Number of results.  [QA_TOP_K; default: 5]",
    "min_confidence": "Confidence from which a question counts as answerable.  [QA_MIN_CONFIDENCE; default: 0.2]",
    "workers": "Server processes on the same port.  [QA_WORKERS; default: 1]",
    "model": "Embedding model: the built-in one, a folder, or a hub name.  [QA_MODEL]",
}
