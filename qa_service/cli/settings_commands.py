"""The commands for settings and the installation: init, settings, doctor."""

import json
from dataclasses import asdict
from typing import Any

import click

from qa_service.cli.group import cli, settings_of, settings_to_ask
from qa_service.cli.options import examples, options
from qa_service.cli.show import printable


@cli.command(epilog=examples("init"))
def init() -> int:
    """Write a file .env into this folder, with every setting and its default as a comment.

    A file that exists is not overwritten.
    """
    from qa_service.cli.env_file import write_env_file  # noqa: PLC0415 - pydantic takes a while

    click.echo(f"wrote {write_env_file()}; remove the # before a setting to change it")
    return 0


@cli.command(epilog=examples("settings", "settings --json"))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def settings(as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Print every setting with its source: the environment, .env, or the default."""
    from qa_service.settings import list_settings  # noqa: PLC0415 - pydantic takes a while

    found = list_settings(settings_of({}))
    if as_json:
        click.echo(json.dumps({name: {"value": value, "from": origin} for name, value, origin in found}, indent=1))
    else:
        for name, value, origin in found:
            click.echo(f"{name}={printable(value)}" + ("" if origin == "default" else f"  # {origin}"))
    return 0


@cli.command(epilog=examples("doctor", "doctor --source ~/handbook"))
@options("source", "index", "model")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor(as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Check the installation, the model, and whether the index is intact and current."""
    from qa_service.cli.doctor import examine  # noqa: PLC0415 - seconds of import

    findings = examine(settings_to_ask(overrides))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.exit_code == 0 else 'FAIL'}  {finding.subject}: {printable(finding.state)}")
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)
