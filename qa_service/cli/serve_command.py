"""The command that serves the index over HTTP."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from qa_service.cli.group import (
    ask_with_one_thread,
    check_memory,
    cli,
    metrics_shared,
    settings_of,
    settings_of_folder,
    settings_to_ask,
    take_signals,
    unwound_by_sigterm,
)
from qa_service.cli.options import documents_folder, examples, options
from qa_service.cli.show import complain, counted, say
from qa_service.errors import QAServiceError, ServerStartError, SettingsError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from qa_service.pipeline import QuestionAnswerer
    from qa_service.settings import Settings

_STDERR = 2
_ITEMS_FAILED = 1
"""The highest exit code of a build that leaves an index."""


@cli.command(
    epilog=examples(
        "serve ~/handbook", "serve --port 8001", "serve --host 0.0.0.0 --workers 4", "serve --export docs.tar.zst"
    )
)
@documents_folder
@options("source", "index", "model", "host", "port", "workers")
@click.option(
    "--open", "anybody", is_flag=True, help="Allow asking without a key to everyone who can reach the address."
)
@click.option(
    "--export",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Serve documents and index of an export, which stays as it is.",
)
def serve(folder: Path | None, anybody: bool, export: Path | None, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Serve the index over HTTP until interrupted; given FOLDER, bring its index up to date first.

    The index of FOLDER is in the cache of the machine, unless --index or QA_INDEX names another place.
    """
    if folder is not None and export is not None:
        raise click.UsageError("FOLDER and --export exclude each other")
    take_signals()
    check_memory()
    ask_with_one_thread()
    overrides |= {"access": "open"} if anybody else {}
    with unwound_by_sigterm(), ExitStack() as stack:
        if export is not None:
            unpacked = _unpacked(export, Path(stack.enter_context(TemporaryDirectory(prefix="qa-service-"))))
            settings = settings_of(overrides | unpacked)
        else:
            settings = settings_to_ask(overrides) if folder is None else settings_of_folder(folder, overrides)
        if settings.workers > 1:
            stack.enter_context(metrics_shared())
        return run_service(settings, builds=folder is not None)


def _unpacked(export: Path, folder: Path) -> dict[str, Any]:
    """Return the settings to serve an export that is unpacked into an empty folder."""
    from qa_service.archiving import unpack_read_only  # noqa: PLC0415 - seconds of import

    unpack_read_only(export, folder)
    return {
        "source": folder / "source",
        "index": folder / "index",
        "store": "faiss",
        "documents_write": False,
        "collections": (),
    }


def run_service(settings: "Settings", *, builds: bool, on_start: Callable[[str], None] = lambda _: None) -> int:
    """Serve until interrupted; with ``builds``, bring the index up to date first.

    ``on_start`` is called with the address once connections are accepted.
    """
    from qa_service.server import process  # noqa: PLC0415
    from qa_service.server.keys import security_warnings  # noqa: PLC0415 - seconds of import
    from qa_service.server.logs import start_logging  # noqa: PLC0415
    from qa_service.settings import export_settings  # noqa: PLC0415

    listener = process.bound_socket(settings.host, settings.port)
    try:
        app, answerer = _opened(settings, builds=builds)
        for warning in security_warnings(settings):
            complain(warning, "warning")
        listener.listen()  # from here on, connections are queued instead of refused
        address = process.url_of(listener)
        say(
            f"serving {counted(len(answerer.index), 'passage')} of "
            f"{counted(answerer.index.manifest.documents, 'document')} on {address} "
            f"(index {answerer.index.generation}); Ctrl-C stops"
        )
        on_start(address)
        stop_logging = start_logging(settings)
        try:
            if settings.workers == 1:
                process.run_server(app, listener, settings)
            else:
                export_settings(settings)
                process.run_workers(listener, settings)
        finally:
            stop_logging()
            answerer.index.close()
    finally:
        process.close_listener(listener, settings.host)
    return 0


def _opened(settings: "Settings", *, builds: bool) -> "tuple[FastAPI, QuestionAnswerer]":
    from qa_service.index.locations import generations_of  # noqa: PLC0415 - seconds of import
    from qa_service.server import process  # noqa: PLC0415
    from qa_service.server.keys import check_access  # noqa: PLC0415

    try:
        check_access(settings)
        if builds:
            _build(settings)
        generations_of(settings).current_pointer()  # reports a missing index before the model is prepared
        return process.open_app(settings, say)
    except SettingsError:
        raise
    except QAServiceError as error:
        raise ServerStartError(error.in_full()) from error


def _build(settings: "Settings") -> None:
    """Bring the index up to date in a process of its own, whose memory the server does not keep.

    It ends with this process, and prints on stderr. If it fails, this process exits with its code.
    """
    from qa_service.settings import environment_of  # noqa: PLC0415 - pydantic takes a while

    with subprocess.Popen(
        [sys.executable, "-m", "qa_service.cli.job", "index"],
        stdin=subprocess.PIPE,
        stdout=_STDERR,
        env=environment_of(settings),
        start_new_session=True,  # a job kills its group
    ) as build:
        code = build.wait()
    if code < 0:
        raise ServerStartError(f"the build was ended by signal {-code}; the previous index is kept")
    if code > _ITEMS_FAILED:
        raise click.exceptions.Exit(code)
