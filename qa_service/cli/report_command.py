"""The command for the report on recorded questions."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from qa_service.cli.group import cli, settings_of
from qa_service.cli.options import FOLDER, collection_option, examples, setting_option
from qa_service.cli.show import complain
from qa_service.errors import QAServiceError, SettingsError

if TYPE_CHECKING:
    from qa_service.schemas.owner import OwnerReport
    from qa_service.settings import Settings


@cli.command(epilog=examples("report", "report --days 7 --csv > week.csv"))
@click.option(
    "--days", type=click.IntRange(1, 3650), default=30, show_default=True, metavar="N", help="Days to report."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print the report as CSV.")
@setting_option("--index", type=FOLDER, metavar="DIR")
@setting_option("--data", type=FOLDER, metavar="DIR")
@collection_option
def report(
    days: int,
    as_json: bool,  # noqa: FBT001 - a flag
    as_csv: bool,  # noqa: FBT001 - a flag
    index: Path | None,
    data: Path | None,
    collection: str | None,
) -> int:
    """Report on the recorded questions (QA_ANALYTICS): verdicts, gaps in the documents, the trend."""
    from qa_service.analytics.table import csv_of  # noqa: PLC0415 - numpy and pydantic take a while
    from qa_service.cli.show_report import print_report  # noqa: PLC0415

    if as_json and as_csv:
        raise SettingsError("--json and --csv exclude each other; give one of them")
    settings = settings_of({"index": index, "data": data, "collection": collection})
    found = _report(settings, collection or "", days)
    if as_json:
        click.echo(found.model_dump_json(indent=1))
    elif as_csv:
        click.echo(csv_of(found), nl=False)
    else:
        print_report(found)
    return 0


def _report(settings: "Settings", collection: str, days: int) -> "OwnerReport":
    """Return the report; without what the index adds if there is no index."""
    from qa_service.analytics import RECORD  # noqa: PLC0415
    from qa_service.analytics.report import complete, summarize  # noqa: PLC0415
    from qa_service.index.locations import generations_of  # noqa: PLC0415

    summary = summarize(settings.data / RECORD, collection, days)
    try:
        opened = generations_of(settings).open_current(None).index
    except QAServiceError as error:
        complain(f"no headings and no documents, since the index can't be read: {error}", "warning")
        return summary.report
    try:
        return complete(summary, opened)
    finally:
        opened.close()
