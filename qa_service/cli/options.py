"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from qa_service.errors import SettingsError

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
question_file = click.argument("file", type=click.Path(path_type=Path, allow_dash=True))


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


def file_options(command: Command) -> Command:
    """Add the options that say how a question file is to be read."""
    for option in (
        click.option("--split", default="test", show_default=True, metavar="NAME", help="Judgements of a BEIR folder."),
        click.option("--qrels", type=click.Path(path_type=Path), metavar="FILE", help="Judgements of TREC topics."),
        click.option(
            "--format",
            "form",
            type=click.Choice(["jsonl", "csv", "squad", "ragas", "beir", "trec"]),
            help="Format of FILE, where its name and beginning do not tell.",
        ),
    ):
        command = option(command)
    return command


def run_options(command: Command) -> Command:
    """Add the options that say how an evaluation is made."""
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace what stands in the output folder."),
        click.option(
            "--measure",
            "measures",
            multiple=True,
            metavar="NAME",
            help="Measure of the ranking, as nDCG@10; again for more.  [default: nDCG@10 RR@10 R@5 R@10 Success@1 "
            "Success@5 P@5 AP]",
        ),
        click.option(
            "--top-k",
            "top_k",
            type=click.IntRange(1, 50),
            default=10,
            show_default=True,
            metavar="N",
            help="Results asked for and measured.",
        ),
    ):
        command = option(command)
    return command


def beir_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that read a BEIR folder: each line of its corpus is a document, named by its ``_id``."""
    if not (folder / "corpus.jsonl").is_file():
        raise SettingsError(f"{folder} is no BEIR folder: it has no corpus.jsonl")
    return {
        "source": folder,
        "include": ("corpus.jsonl",),
        "row_text": ("text",),
        "row_title": "title",
        "row_id": "_id",
        "max_file_mb": 2048,
    }


_METAVARS = {
    "source": "DIR",
    "index": "DIR",
    "host": "ADDRESS",
    "port": "N",
    "workers": "N",
    "collection": "NAME",
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
    "collection": "Collection that has a name, of those in QA_COLLECTIONS.",
    "workers": "Server processes on the same port.  [QA_WORKERS; default: 1]",
    "data": "Folder of feedback and evaluations.  [QA_DATA; default: data]",
    "engine": "What builds: `local`, this process, or `ray`, a cluster.  [QA_ENGINE; default: local]",
    "ray_address": "Ray cluster that this machine is part of, or `auto`; none starts one of this machine alone.  "
    "[QA_RAY_ADDRESS]",
    "model": "Embedding model: the built-in one, a folder, or a hub name.  [QA_MODEL]",
}
