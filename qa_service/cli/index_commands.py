"""The commands that build and check the index: index, rollback, verify."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import click

from qa_service.cli.group import build_with_one_thread_of_numpy, cli, settings_of, settings_of_folder
from qa_service.cli.options import beir_settings, documents_folder, examples, options, setting_option
from qa_service.cli.show import (
    counted,
    print_build,
    print_build_problems,
    print_files,
    print_verdict,
    progress_bar,
    say,
)

if TYPE_CHECKING:
    from qa_service.datatypes import BuildReport
    from qa_service.settings import Settings


@cli.command(epilog=examples("index ~/handbook", "index --watch", "index --source ~/handbook --index ~/handbook-index"))
@documents_folder
@options("source", "index", "model", "engine")
@setting_option("--address", "ray_address", metavar="HOST:PORT")
@click.option("--allow-skips", is_flag=True, default=None, help="Exit with 0 even if broken files were skipped.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.option("--files", is_flag=True, help="Print for each file the share of its text that is in the index.")
@click.option("--watch", is_flag=True, help="Build again whenever the documents change, until interrupted.")
@click.option("--beir", type=click.Path(path_type=Path), metavar="DIR", help="Index the corpus.jsonl of a BEIR folder.")
def index(
    folder: Path | None,
    as_json: bool,  # noqa: FBT001 - a flag
    files: bool,  # noqa: FBT001 - a flag
    watch: bool,  # noqa: FBT001 - a flag
    beir: Path | None,
    **overrides: Any,
) -> int:
    """Build or update the index of a folder of documents.

    The index of FOLDER is in the cache of the machine, where `ask --source FOLDER` and `serve FOLDER` find it, unless
    --index or QA_INDEX names another place. Without FOLDER, QA_SOURCE and QA_INDEX name folder and index.
    """
    build_with_one_thread_of_numpy()
    from qa_service.embedding.choose import embedder_to_build  # noqa: PLC0415 - a second of import
    from qa_service.loading import source_root  # noqa: PLC0415
    from qa_service.pipeline import build  # noqa: PLC0415

    overrides |= {} if beir is None else beir_settings(beir)
    settings = settings_of(overrides) if folder is None else settings_of_folder(folder, overrides)
    parts = {"": settings, **settings.by_collection()}
    for own in parts.values():
        source_root(own.source)  # reports a missing folder before the model is exported
    embedder = embedder_to_build(settings, say)

    def build_one(name: str) -> "BuildReport":
        with progress_bar() as progress:
            report = build(parts[name], embedder, progress)
        if not as_json:
            print_build(report, name)
        if files and not as_json:
            print_files(_kept_of_files(parts[name]))
        return report

    def show(reports: Mapping[str, "BuildReport"]) -> int:
        if as_json:
            kept = {name: dict(_kept_of_files(parts[name])) for name in reports} if files else {}
            click.echo(json.dumps(_builds_as_json(reports, kept)))
        if folder is not None and overrides["index"] is None:
            say(f"ask it with `qa-service ask --source {quote(str(folder))} QUESTION`")
        return max(print_build_problems(report, allow_skips=settings.allow_skips) for report in reports.values())

    if not watch:
        return show({name: build_one(name) for name in parts})
    from qa_service.cli.watch import build_on_changes  # noqa: PLC0415 - loads a library of its own

    return build_on_changes({name: own.source for name, own in parts.items()}, build_one, show)


def _kept_of_files(settings: "Settings") -> list[tuple[str, float]]:
    """Return for each file of the current index the share of its text that is in the index; the least first."""
    from qa_service.index.disk import IndexFolder  # noqa: PLC0415 - seconds of import

    with IndexFolder(settings.index).open_or_none() as current:
        return [] if current is None else current.kept_of_files()


def _builds_as_json(reports: Mapping[str, "BuildReport"], kept: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    bodies = {name: {**asdict(report), "seconds": round(report.seconds, 2)} for name, report in reports.items()}
    for name, shares in kept.items():
        bodies[name]["kept_of_files"] = {file: round(share, 4) for file, share in shares.items()}
    return bodies.pop("", {}) | {"collections": bodies}


@cli.command(epilog=examples("rollback", "rollback --collection hr"))
@options("index", "collection")
def rollback(**overrides: Any) -> int:
    """Make the previous generation of the index current again; running servers switch to it."""
    from qa_service.index.locations import generations_of  # noqa: PLC0415 - seconds of import

    click.echo(f"index {generations_of(settings_of(overrides)).rollback()} is current")
    return 0


@cli.command(epilog=examples("verify", "verify answers.jsonl", "verify answers.jsonl --source ~/handbook --json"))
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@setting_option("--index", "index", is_flag=False, flag_value="", metavar="[DIR]")
@options("source", "collection")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON Lines.")
def verify(file: Path | None, index: str | None, as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Check that the files of the index are intact or, given FILE, its citations against the current documents.

    FILE is in JSON Lines: citations, or answers from `ask --json` or POST /ask.
    """
    settings = settings_of({**overrides, "index": Path(index) if index else None})
    if file is None:
        from qa_service.index.disk import IndexFolder  # noqa: PLC0415 - seconds of import

        whole = IndexFolder(settings.index).verify()
        click.echo(f"index {whole.generation}: {len(whole.files)} files, all intact")
        return 0
    from qa_service.cli.verify_citations import verify_file  # noqa: PLC0415 - seconds of import

    found: Counter[str] = Counter()
    for verdict in verify_file(file, settings):
        found[verdict.state] += 1
        print_verdict(verdict, as_json=as_json)
    states = ", ".join(f"{number} {state}" for state, number in found.items()) or "none in the file"
    say(f"checked {counted(found.total(), 'citation')} against {settings.source}: {states}")
    return 1 if found["changed"] or found["gone"] else 0
