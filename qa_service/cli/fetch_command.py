"""The command that fetches web pages into a folder."""

from pathlib import Path

import click

from qa_service.cli.group import cli
from qa_service.cli.options import FOLDER, examples
from qa_service.cli.show import complain
from qa_service.errors import SettingsError

_MAX_SHOWN = 20


@cli.command(
    epilog=examples(
        "fetch https://docs.example.org/ --into source_text/docs",
        "fetch https://docs.example.org/guide/ --into source_text/guide --depth 0",
    )
)
@click.argument("urls", nargs=-1, required=True, metavar="URL...")
@click.option(
    "--into", type=FOLDER, required=True, metavar="DIR", help="Folder for the pages, such as source_text/site."
)
@click.option("--depth", type=click.IntRange(0, 20), default=1, show_default=True, metavar="N", help="Links to follow.")
@click.option(
    "--max-pages",
    type=click.IntRange(1, 100_000),
    default=500,
    show_default=True,
    metavar="N",
    help="Maximum requests.",
)
@click.option(
    "--max-mb", type=click.FloatRange(0.001, 1000), default=10, show_default=True, metavar="N", help="Size of a page."
)
@click.option(
    "--delay",
    type=click.FloatRange(0, 60),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Time between two requests; robots.txt may ask for more.",
)
@click.option("--allow-private", is_flag=True, help="Fetch from this machine and private networks too.")
def fetch(urls: tuple[str, ...], into: Path, allow_private: bool, **limits: float) -> int:  # noqa: FBT001 - a flag
    """Fetch web pages into a folder, so that citations link to the published pages.

    Pages of the sitemaps and links below each URL are fetched, as robots.txt allows. Another run only
    fetches changes, and deletes the files of pages that are gone.
    """
    from qa_service.fetching import Crawl, CrawlOptions  # noqa: PLC0415 - loads parsers
    from qa_service.fetching.network import FetchError, checked_url  # noqa: PLC0415

    for url in urls:
        try:
            checked_url(url)
        except FetchError as error:
            raise SettingsError(f"can't fetch {url}: {error}; write it as https://docs.example.org/") from error
    options = CrawlOptions(
        depth=int(limits["depth"]),
        max_pages=int(limits["max_pages"]),
        max_mb=limits["max_mb"],
        delay=limits["delay"],
        allow_private=allow_private,
    )
    report = Crawl(into, options, lambda url: click.echo(url, err=True)).run(list(urls))
    click.echo(
        f"{report.new} new, {report.changed} changed, {report.unchanged} unchanged, {report.removed} removed; "
        f"{len(report.skipped)} skipped, {len(report.failed)} failed"
    )
    for pages in (report.skipped, report.failed):
        for url, reason in list(pages.items())[:_MAX_SHOWN]:
            complain(f"{url}: {reason}", "warning")
    return 1 if report.failed else 0
