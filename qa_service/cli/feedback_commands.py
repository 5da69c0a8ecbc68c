"""The commands for feedback."""

import json
from pathlib import Path

import click

from qa_service.cli.group import cli, settings_of
from qa_service.cli.options import FOLDER, collection_option, examples, setting_option
from qa_service.cli.show import counted, say
from qa_service.errors import InputError


@cli.group(epilog=examples("feedback export > questions.jsonl"))
def feedback() -> None:
    """Work with the feedback from POST /feedback."""


@feedback.command(epilog=examples("feedback export > questions.jsonl", "feedback export --collection hr > hr.jsonl"))
@setting_option("--data", type=FOLDER, metavar="DIR")
@collection_option
def export(data: Path | None, collection: str | None) -> int:
    """Print feedback as a question file; its gold are answers marked useful and passages marked right."""
    from qa_service.server.feedback import FEEDBACK, FeedbackFile  # noqa: PLC0415 - not needed by the other commands

    settings = settings_of({"data": data})
    if not (settings.data / FEEDBACK).exists():
        raise InputError(f"{settings.data} has no feedback; name its folder with --data")
    with FeedbackFile(settings.data) as file:
        exported, left_out = file.export(f"/collections/{collection}" if collection else "")
    for line in exported:
        click.echo(json.dumps(line, ensure_ascii=False))
    useless = f"; {counted(left_out, 'useless answer')} without a right passage left out" if left_out else ""
    say(f"exported {counted(len(exported), 'question')} from the feedback in {settings.data}{useless}")
    return 0
