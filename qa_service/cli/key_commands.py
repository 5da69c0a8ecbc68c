"""The commands about keys."""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from qa_service.cli.group import cli, settings_of
from qa_service.cli.options import FOLDER, setting_option
from qa_service.cli.show import printable

_data = setting_option("--data", type=FOLDER, metavar="DIR")


@cli.group()
def keys() -> None:
    """Work with the keys that let others ask."""


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    multiple=True,
    type=click.Choice(["ask", "feedback", "documents", "admin"]),
    help="What the key may do; again for more. With documents, links in its answers open whole documents, not only the "
    "surroundings of the quote.  [default: ask and feedback]",
)
@click.option("--publishable", is_flag=True, help="For pages, where everybody can read it; needs --origin.")
@click.option("--origin", "origins", multiple=True, metavar="URL", help="Origin of its pages; again for more.")
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="NAME",
    help="Collection that it may ask; again for more.  [default: all]",
)
@click.option("--rate", default="", metavar="N/UNIT", help="Requests allowed, as 600/minute.  [default: QA_RATE]")
@_data
def create(
    name: str,
    scopes: tuple[Any, ...],
    publishable: bool,  # noqa: FBT001 - a flag
    origins: tuple[str, ...],
    collections: tuple[str, ...],
    rate: str,
    data: Path | None,
) -> int:
    """Create a key and print it: it is not shown again, since only its hash is kept."""
    from qa_service.server.keys import KeyFile  # noqa: PLC0415 - pydantic takes a while

    settings = settings_of({"data": data})
    click.echo(
        KeyFile(settings.data).create(
            name,
            scopes or ("ask", "feedback"),
            publishable=publishable,
            origins=origins,
            collections=collections,
            rate=rate,
        )
    )
    return 0


@keys.command("list")
@_data
def list_keys(data: Path | None) -> int:
    """List the keys, by the ids that stand within them."""
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


@keys.command()
@click.argument("identifier", metavar="ID")
@_data
def revoke(identifier: str, data: Path | None) -> int:
    """Revoke a key and the links in its answers; running servers follow within a second."""
    from qa_service.server.keys import KeyFile  # noqa: PLC0415 - pydantic takes a while

    key = KeyFile(settings_of({"data": data}).data).revoke(identifier)
    click.echo(f"revoked {key.id} ({printable(key.name)})")
    return 0


@keys.command("rotate-links")
@_data
def rotate_links(data: Path | None) -> int:
    """End all signed links that were given out; new answers carry new ones. Keys stay."""
    from qa_service.server.keys import KeyFile  # noqa: PLC0415 - pydantic takes a while

    KeyFile(settings_of({"data": data}).data).rotate_links()
    click.echo("all signed links have ended")
    return 0
