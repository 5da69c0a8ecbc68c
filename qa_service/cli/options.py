"""Options shared by several commands."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from qa_service.errors import SettingsError

if TYPE_CHECKING:
    from qa_service.evaluation import EvaluationOptions, QuestionFile

Command = TypeVar("Command", bound=Callable[..., Any])

FOLDER = click.Path(path_type=Path, file_okay=False)
documents_folder = click.argument("folder", type=click.Path(path_type=Path), required=False)
question_file = click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
question_words = click.argument(
    "question", nargs=-1, required=True, metavar="QUESTION...", callback=lambda _, __, words: " ".join(words)
)


def examples(*lines: str) -> str:
    """Return the end of a command's help: calls of ``qa-service`` with these arguments."""
    return "\b\nExamples:\n" + "\n".join(f"  qa-service {line}" for line in lines)


class SettingOption(click.Option):
    """An option that overrides a setting; its help is the description and the default of the setting.

    The help is made when it is shown, since pydantic takes a while to import.
    """

    def __init__(self, parameters: Sequence[str], **attributes: Any) -> None:
        super().__init__(parameters, **attributes)
        self.setting = str(self.name)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the option and its help."""
        self.help = _help_of(self.setting)
        return super().get_help_record(ctx)


def setting_option(*names: str, **attributes: Any) -> Callable[[Command], Command]:
    """Add an option that overrides the setting of its last name."""
    return click.option(*names, cls=SettingOption, **attributes)


def collection_option(command: Command) -> Command:
    """Add the option for a named collection."""
    return click.option("--collection", metavar="NAME", help="Named collection, one of QA_COLLECTIONS.")(command)


def options(*names: str) -> Callable[[Command], Command]:
    """Add options that override the settings of their names, and ``collection``."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            if name == "collection":
                command = collection_option(command)
                continue
            kind: Any = click.Path(path_type=Path) if name in _FOLDERS else str
            option = setting_option(
                f"--{name.replace('_', '-')}", name, type=kind, metavar=_METAVARS.get(name, "VALUE")
            )
            command = option(command)
        return command

    return decorate


def _help_of(setting: str) -> str:
    from qa_service.settings import PREFIX, Settings  # noqa: PLC0415 - pydantic takes a while

    field = Settings.model_fields[setting]
    name = PREFIX + setting.upper()
    return (
        f"{field.description}  [{name}; default: {field.default}]"
        if field.default
        else f"{field.description}  [{name}]"
    )


def file_options(command: Command) -> Command:
    """Add the options for the format of a question file."""
    for option in (
        click.option(
            "--split",
            default="test",
            show_default=True,
            metavar="NAME",
            help="Split of the judgements of a BEIR folder.",
        ),
        click.option(
            "--qrels", type=click.Path(path_type=Path), metavar="FILE", help="File of judgements for TREC topics."
        ),
        click.option(
            "--format",
            "form",
            type=click.Choice(["jsonl", "csv", "squad", "ragas", "beir", "trec"]),
            help="Format of FILE.  [default: detected]",
        ),
    ):
        command = option(command)
    return command


def take_question_file(arguments: dict[str, Any]) -> "QuestionFile":
    """Return the question file that the arguments of a command describe; remove those arguments."""
    from qa_service.evaluation import QuestionFile  # noqa: PLC0415 - seconds of import

    file, form, qrels, split = (arguments.pop(name) for name in ("file", "form", "qrels", "split"))
    return QuestionFile(file, format=form, qrels=qrels, split=split)


def run_options(command: Command) -> Command:
    """Add the options of an evaluation."""
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace the results in the output folder."),
        click.option(
            "--measure",
            "measures",
            multiple=True,
            metavar="NAME",
            help="Measure of the ranking, such as nDCG@10; repeatable.  [default: nDCG@10 RR@10 R@5 R@10 Success@1 "
            "Success@5 P@5 AP]",
        ),
        click.option(
            "--top-k",
            "top_k",
            type=click.IntRange(1, 50),
            default=10,
            show_default=True,
            metavar="N",
            help="Number of results to measure.",
        ),
    ):
        command = option(command)
    return command


def take_evaluation_options(arguments: dict[str, Any]) -> "EvaluationOptions":
    """Return the evaluation options that the arguments of a command describe; remove those arguments."""
    from qa_service.evaluation import EvaluationOptions  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.measures import DEFAULT, parse  # noqa: PLC0415

    top_k, measures, overwrite = (arguments.pop(name) for name in ("top_k", "measures", "overwrite"))
    return EvaluationOptions(top_k=top_k, rankings=parse(measures) if measures else DEFAULT, overwrite=overwrite)


def beir_settings(folder: Path) -> dict[str, Any]:
    """Return the settings for a BEIR folder: each line of its corpus is a document, named by its ``_id``."""
    if not (folder / "corpus.jsonl").is_file():
        raise SettingsError(f"{folder} is not a BEIR folder (no corpus.jsonl)")
    return {
        "source": folder,
        "include": ("corpus.jsonl",),
        "row_text": ("text",),
        "row_title": "title",
        "row_id": "_id",
        "max_file_mb": 2048,
    }


_FOLDERS = {"source", "index"}
_METAVARS = {
    "source": "DIR",
    "index": "DIR",
    "host": "ADDRESS",
    "port": "N",
    "workers": "N",
    "top_k": "N",
    "min_confidence": "P",
    "min_uncertain": "P",
}
