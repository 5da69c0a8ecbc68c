"""The commands that build, ask and serve."""

import json
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qa_service.cli.group import (
    answerer_of,
    ask_with_one_thread,
    build_with_one_thread_of_numpy,
    check_memory,
    cli,
    metrics_shared,
    settings_of,
    take_signals,
)
from qa_service.cli.options import HELP, beir_settings, options
from qa_service.cli.show import (
    complain,
    print_answer,
    print_build,
    print_build_problems,
    print_verdict,
    print_why,
    printable,
    progress_bar,
)
from qa_service.errors import QAServiceError, ServerStartError, SettingsError

if TYPE_CHECKING:
    from qa_service.datatypes import BuildReport
    from qa_service.settings import Settings


@cli.command()
@options("source", "index", "model", "engine")
@click.option("--address", "ray_address", metavar="HOST:PORT", help=HELP["ray_address"])
@click.option("--allow-skips", is_flag=True, default=None, help="Exit with 0 although broken files were skipped.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.option("--watch", is_flag=True, help="Go on: build again whenever the documents change, until interrupted.")
@click.option("--beir", type=click.Path(path_type=Path), metavar="DIR", help="Index the corpus.jsonl of a BEIR folder.")
def index(as_json: bool, watch: bool, beir: Path | None, **overrides: Any) -> int:  # noqa: FBT001 - flags
    """Build or update the index of a folder of documents."""
    build_with_one_thread_of_numpy()
    from qa_service.embedding import ExportedModels  # noqa: PLC0415 - a second of import
    from qa_service.embedding.choose import embedder_to_build  # noqa: PLC0415
    from qa_service.loading import source_root  # noqa: PLC0415
    from qa_service.pipeline import build  # noqa: PLC0415

    settings = settings_of(overrides if beir is None else overrides | beir_settings(beir))
    parts = {"": settings, **settings.by_collection()}
    for own in parts.values():
        source_root(own.source)  # a missing folder is told before the model is exported
    embedder = embedder_to_build(settings)

    def build_one(name: str) -> "BuildReport":
        with progress_bar() as progress:
            report = build(parts[name], embedder, progress)
        if name:
            ExportedModels(parts[name].index).take_over(settings.index)
        if not as_json:
            print_build(report, name)
        return report

    def show(reports: Mapping[str, "BuildReport"]) -> int:
        if as_json:
            click.echo(json.dumps(_builds_as_json(reports)))
        return max(print_build_problems(report, allow_skips=settings.allow_skips) for report in reports.values())

    if not watch:
        return show({name: build_one(name) for name in parts})
    from qa_service.cli.watch import build_on_changes  # noqa: PLC0415 - loads a library of its own

    return build_on_changes({name: own.source for name, own in parts.items()}, build_one, show)


def _builds_as_json(reports: Mapping[str, "BuildReport"]) -> dict[str, Any]:
    bodies = {name: {**asdict(report), "seconds": round(report.seconds, 2)} for name, report in reports.items()}
    return bodies.pop("", {}) | {"collections": bodies}


@cli.command()
@options("index", "collection")
def rollback(**overrides: Any) -> int:
    """Make the generation of the index before the current one the current one; servers follow by themselves."""
    from qa_service.index.locations import generations_of  # noqa: PLC0415 - seconds of import

    click.echo(f"index {generations_of(settings_of(overrides)).rollback()} is in force")
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option("--index", "index", is_flag=False, flag_value="", metavar="[DIR]", help=HELP["index"])
@options("source", "collection")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON Lines.")
def verify(file: Path | None, index: str | None, as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Check that every file of the index is whole or, given FILE, its citations against the documents as they are.

    FILE holds a JSON object a line: citations, or answers as `ask --json` and POST /ask give them.
    """
    settings = settings_of({**overrides, "index": Path(index) if index else None})
    if file is None:
        from qa_service.index.disk import IndexFolder  # noqa: PLC0415 - seconds of import

        whole = IndexFolder(settings.index).verify()
        click.echo(f"index {whole.generation}: {len(whole.files)} files, every byte as it was built")
        return 0
    from qa_service.cli.verify_citations import verify_file  # noqa: PLC0415 - seconds of import

    failed = False
    for verdict in verify_file(file, settings):
        failed |= verdict.state in {"changed", "gone"}
        print_verdict(verdict, as_json=as_json)
    return 1 if failed else 0


@cli.command()
@click.argument("question")
@options("source", "index", "model", "collection", "top_k", "min_confidence")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as POST /ask gives it.")
def ask(question: str, as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Ask one question of the index."""
    ask_with_one_thread()
    from qa_service.text.cleaning import check_question  # noqa: PLC0415 - seconds of import

    settings = settings_of(overrides)
    answerer, _ = answerer_of(settings)
    check_question(question)
    answerer.self_test()  # also loads the model, which is not to count as the answer's time
    started = time.perf_counter()
    answer = answerer.ask(question)
    if as_json:
        import uuid  # noqa: PLC0415

        from qa_service.schemas.ask import ask_body  # noqa: PLC0415

        took_ms = (time.perf_counter() - started) * 1000
        click.echo(json.dumps(ask_body(str(uuid.uuid4()), answer, took_ms), ensure_ascii=False))
    else:
        print_answer(answer)
    return 0


@cli.command()
@options("source", "index", "model", "host", "port", "workers")
@click.option("--open", "anybody", is_flag=True, help="Let everybody ask who can reach the address, without a key.")
def serve(anybody: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Serve the index over HTTP until interrupted."""
    take_signals()
    check_memory()
    ask_with_one_thread()
    settings = settings_of(overrides | ({"access": "open"} if anybody else {}))
    with metrics_shared() if settings.workers > 1 else nullcontext():
        return _serve(settings)


def _serve(settings: "Settings") -> int:
    from qa_service.server import process  # noqa: PLC0415
    from qa_service.server.keys import check_access, unsafe  # noqa: PLC0415 - seconds of import
    from qa_service.server.logs import start_logging  # noqa: PLC0415
    from qa_service.settings import export_settings  # noqa: PLC0415

    listener = process.bound_socket(settings.host, settings.port)
    try:
        check_access(settings)
        app, answerer = process.app_of(settings)
    except SettingsError:
        listener.close()
        raise
    except QAServiceError as error:
        listener.close()
        raise ServerStartError(error.in_full()) from error
    for warning in unsafe(settings):
        complain(warning, "warning")
    listener.listen()  # from here on who connects waits for the server instead of being refused
    host, port = listener.getsockname()[:2]
    click.echo(
        f"serving {len(answerer.index)} passages of {answerer.index.manifest.documents} documents on "
        f"http://{f'[{host}]' if ':' in host else host}:{port} (index {answerer.index.version}); Ctrl-C stops",
        err=True,
    )
    stop_logging = start_logging(settings)
    try:
        if settings.workers == 1:
            process.run_server(app, listener, settings)
        else:
            export_settings(settings)
            process.run_workers(listener, settings)
    finally:
        stop_logging()
        listener.close()
        answerer.index.close()
    return 0


@cli.command()
@click.argument("question")
@options("source", "index", "model", "collection")
@click.option("--document", required=True, metavar="PATH", help="Path below the source folder, or document id.")
def why(question: str, document: str, **overrides: Any) -> int:
    """Tell why a document was not returned: its best passage, its ranks, what beat it."""
    ask_with_one_thread()
    answerer, _ = answerer_of(settings_of(overrides))
    print_why(answerer.why(question, document), len(answerer.index))
    return 0


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def settings(as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Print every setting in force and where it is from: the environment, .env, or the default."""
    from qa_service.settings import list_settings  # noqa: PLC0415 - pydantic takes a while

    found = list_settings(settings_of({}))
    if as_json:
        click.echo(json.dumps({name: {"value": value, "from": origin} for name, value, origin in found}, indent=1))
    else:
        for name, value, origin in found:
            click.echo(f"{name}={printable(value)}" + ("" if origin == "default" else f"  # {origin}"))
    return 0


@cli.command()
@options("source", "index", "model")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor(as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Check what is installed, the model, and whether the index is whole and current."""
    from qa_service.cli.doctor import examine  # noqa: PLC0415 - seconds of import

    findings = examine(settings_of(overrides))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.exit_code == 0 else 'FAIL'}  {finding.subject}: {printable(finding.state)}")
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)
