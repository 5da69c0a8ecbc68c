"""The commands that take a service to another machine: export, import."""

from pathlib import Path
from typing import Any

import click

from qa_service.cli.group import cli, settings_of
from qa_service.cli.options import FOLDER, examples, options, setting_option
from qa_service.cli.show import complain, counted

_export_file = click.argument("file", type=click.Path(path_type=Path, dir_okay=False))


@cli.command("export", epilog=examples("export service.tar.zst", "export service.tar.zst --keys"))
@_export_file
@options("source", "index", "collection")
@setting_option("--data", type=FOLDER, metavar="DIR")
@click.option("--keys", is_flag=True, help="Also the hashes of API keys, and the secret that signs links.")
def export_command(file: Path, keys: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Write documents, index, calibration and feedback to FILE, by convention NAME.tar.zst.

    FILE must not exist. Only its owner can read it. No build runs meanwhile. With --collection, FILE has no feedback
    and no keys, which belong to all collections.
    """
    from qa_service.archiving import export_service  # noqa: PLC0415 - seconds of import

    collection = overrides["collection"]
    contents, unnamed = export_service(settings_of(overrides), file, keys=keys, data=collection is None)
    if unnamed:
        complain(f"{counted(unnamed, 'file')} left out, since the name can't be written in an export", "warning")
    click.echo(
        f"{file}: {counted(len(contents.files), 'file')}, {contents.total_bytes / 1e6:.1f} MB, "
        f"{file.stat().st_size / 1e6:.1f} MB compressed, index {contents.generation}"
    )
    return 0


@cli.command(
    "import",
    epilog=examples("import service.tar.zst", "import service.tar.zst --source docs --index index --data data"),
)
@_export_file
@options("source", "index", "collection")
@setting_option("--data", type=FOLDER, metavar="DIR")
@click.option("--without-index", is_flag=True, help="Leave the index out, to build it here.")
def import_command(file: Path, without_index: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Unpack FILE from `qa-service export` into the folders of documents, index and feedback.

    Nothing is replaced: a folder that has documents, an index or feedback already is an error. Everything is compared
    with its hash before the first file gets its place.
    """
    from qa_service.archiving import import_service  # noqa: PLC0415 - seconds of import

    settings = settings_of(overrides)
    contents = import_service(settings, file, with_index=not without_index)
    for name, value in contents.settings.items():
        if str(getattr(settings, name, "")) != value:
            complain(f"the index was built with QA_{name.upper()}={value}; set it here too", "warning")
    click.echo(
        f"imported {counted(len(contents.files), 'file')} into {settings.source}, {settings.index}, {settings.data}"
    )
    if without_index:
        click.echo("build the index: qa-service index", err=True)
    return 0
