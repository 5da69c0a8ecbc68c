"""The command that serves the index over HTTP."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from qa_service.cli.group import ask_with_one_thread, check_memory, cli, metrics_shared, settings_of, take_signals
from qa_service.cli.options import options
from qa_service.cli.show import complain, counted, say
from qa_service.errors import QAServiceError, ServerStartError, SettingsError

if TYPE_CHECKING:
    from qa_service.settings import Settings


@cli.command()
@options("source", "index", "model", "host", "port", "workers")
@click.option(
    "--open", "anybody", is_flag=True, help="Allow asking without a key to everyone who can reach the address."
)
def serve(anybody: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Serve the index over HTTP until interrupted."""
    take_signals()
    check_memory()
    ask_with_one_thread()
    settings = settings_of(overrides | ({"access": "open"} if anybody else {}))
    with metrics_shared() if settings.workers > 1 else nullcontext():
        return _serve(settings)


def _serve(settings: "Settings") -> int:
    from qa_service.index.locations import generations_of  # noqa: PLC0415
    from qa_service.server import process  # noqa: PLC0415
    from qa_service.server.keys import check_access, security_warnings  # noqa: PLC0415 - seconds of import
    from qa_service.server.logs import start_logging  # noqa: PLC0415
    from qa_service.settings import export_settings  # noqa: PLC0415

    listener = process.bound_socket(settings.host, settings.port)
    try:
        check_access(settings)
        generations_of(settings).current_pointer()  # reports a missing index before the model is prepared
        app, answerer = process.open_app(settings, say)
    except SettingsError:
        process.close_listener(listener)
        raise
    except QAServiceError as error:
        process.close_listener(listener)
        raise ServerStartError(error.in_full()) from error
    for warning in security_warnings(settings):
        complain(warning, "warning")
    listener.listen()  # from here on, connections are queued instead of refused
    click.echo(
        f"serving {counted(len(answerer.index), 'passage')} of "
        f"{counted(answerer.index.manifest.documents, 'document')} on "
        f"{process.url_of(listener)} (index {answerer.index.generation}); Ctrl-C stops",
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
        process.close_listener(listener)
        answerer.index.close()
    return 0
