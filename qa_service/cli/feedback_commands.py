"""The commands for feedback."""

import json
from pathlib import Path

import click

from qa_service.cli.group import cli, settings_of
from qa_service.cli.options import FOLDER, collection_option, examples, setting_option


@cli.group(epilog=examples("feedback export > questions.jsonl"))
def feedback() -> None:
    """Work with the feedback from POST /feedback."""


@feedback.command(epilog=examples("feedback export > questions.jsonl", "feedback export --collection hr > hr.jsonl"))
@setting_option("--data", type=FOLDER, metavar="DIR")
@collection_option
def export(data: Path | None, collection: str | None) -> int:
    """Print feedback as a question file; its gold are answers marked useful and passages marked right."""
    from qa_service.server.feedback import FeedbackFile  # noqa: PLC0415 - not needed by the other commands

    settings = settings_of({"data": data})
    with FeedbackFile(settings.data) as file:
        exported, left_out = file.export(f"/collections/{collection}" if collection else "")
    for line in exported:
        click.echo(json.dumps(line, ensure_ascii=False))
    if left_out:
        click.echo(f"{left_out} answers marked useless without a right passage: no gold, left out", err=True)
    return 0
