"""The commands for keys."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from qa_service.cli.group import cli, settings_of
from qa_service.cli.options import FOLDER, examples, setting_option
from qa_service.cli.show import printable

_data = setting_option("--data", type=FOLDER, metavar="DIR")


@cli.group(epilog=examples("keys create intranet", "keys list"))
def keys() -> None:
    """Manage the keys of the service."""


@keys.command(
    epilog=examples(
        "keys create intranet",
        "keys create operator --scope ask --scope admin",
        "keys create website --publishable --origin https://docs.example.org",
    )
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["ask", "feedback", "documents", "admin"]),
    help="Permission of the key; repeatable. With documents, links in its answers open whole documents instead of the "
    "context of the quote.  [default: ask and feedback]",
)
@click.option("--publishable", is_flag=True, help="For web pages, where everybody can read it; needs --origin.")
@click.option("--origin", "origins", multiple=True, metavar="URL", help="Origin of its web pages; repeatable.")
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="NAME",
    help="Collection that it may ask; repeatable.  [default: all]",
)
@click.option("--rate", default="", metavar="N/UNIT", help="Rate limit, such as 600/minute.  [default: QA_RATE]")
@_data
def create(name: str, scopes: tuple[Any, ...], data: Path | None, **restrictions: Any) -> int:
    """Create a key and print it once; only its hash is stored."""
    from qa_service.server.keys import KeyFile  # noqa: PLC0415 - pydantic takes a while

    settings = settings_of({"data": data})
    click.echo(KeyFile(settings.data).create(name, scopes or ("ask", "feedback"), **restrictions))
    return 0


@keys.command("list", epilog=examples("keys list"))
@_data
def list_keys(data: Path | None) -> int:
    """List the keys by their ids; an id is part of its key."""
    from rich.table import Table  # noqa: PLC0415 - not needed by the other commands

    from qa_service.cli.show import console  # noqa: PLC0415
    from qa_service.server.keys import KeyFile  # noqa: PLC0415

    table = Table("id", "name", "kind", "scopes", "origins", "collections", "rate", "created")
    for key in KeyFile(settings_of({"data": data}).data).keys:
        created = datetime.fromisoformat(key.created_at).date().isoformat()
        kind = "publishable" if key.publishable else "secret"
        lists = (" ".join(values) for values in (key.scopes, key.origins, key.collections))
        table.add_row(key.id, printable(key.name), kind, *lists, key.rate, created)
    console().print(table)
    return 0


@keys.command(epilog=examples("keys revoke 3f9a2c7d"))
@click.argument("identifier", metavar="ID")
@_data
def revoke(identifier: str, data: Path | None) -> int:
    """Revoke a key and the links in its answers; running servers notice within a second."""
    from qa_service.server.keys import KeyFile  # noqa: PLC0415 - pydantic takes a while

    key = KeyFile(settings_of({"data": data}).data).revoke(identifier)
    click.echo(f"revoked {key.id} ({printable(key.name)})")
    return 0


@keys.command("rotate-links", epilog=examples("keys rotate-links"))
@_data
def rotate_links(data: Path | None) -> int:
    """Invalidate all signed links; new answers have new ones. Keys stay valid."""
    from qa_service.server.keys import KeyFile  # noqa: PLC0415 - pydantic takes a while

    KeyFile(settings_of({"data": data}).data).rotate_links()
    click.echo("all signed links are invalid now")
    return 0
