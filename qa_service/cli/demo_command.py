"""The command that shows the service with the documents that ship with it."""

import os
import tempfile
import threading
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from qa_service.cli.group import ask_with_one_thread, check_memory, cli, has_screen, take_signals, unwound_by_sigterm
from qa_service.cli.options import examples
from qa_service.cli.show import say
from qa_service.errors import SourceError

_PACKAGE = Path(__file__).parent.parent
_PLACES = (_PACKAGE / "demo_documents", _PACKAGE.parent / "source_text")
"""The documents in a wheel, and in the repository."""
_QUESTION = "How many launchers are there in a THAAD battery?"


@cli.command(epilog=examples("demo", "demo --no-browser --port 8001"))
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, metavar="N", help="Port to serve on.  [default: a free one]"
)
@click.option("--browser/--no-browser", default=True, help="Open the page in a browser, where there is a screen.")
def demo(port: int, browser: bool) -> int:  # noqa: FBT001 - a flag
    """Serve a briefing that ships with the service, on a free port of this machine, and open its page.

    Settings of documents, index and server are ignored. The index is in the cache of the machine.
    """
    take_signals()
    check_memory()
    ask_with_one_thread()
    from qa_service.cli.serve_command import run_service  # noqa: PLC0415
    from qa_service.settings import load_settings  # noqa: PLC0415 - pydantic takes a while

    def show(address: str) -> None:
        say(f"open {address} and ask: {_QUESTION}")
        if browser and has_screen():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    with unwound_by_sigterm(), _own_settings(port) as own:
        return run_service(load_settings(**own), builds=True, on_start=show)


@contextmanager
def _own_settings(port: int) -> Iterator[dict[str, Any]]:
    """Yield the settings of the demonstration; without permission to write the cache, its index is temporary."""
    from qa_service.cli.folders import cached_index  # noqa: PLC0415 - seconds of import
    from qa_service.settings import Settings, load_settings  # noqa: PLC0415

    kept = {"cache_dir", "log_format", "log_level"}
    own = {name: field.default for name, field in Settings.model_fields.items() if name not in kept}
    own |= {"source": _documents(), "port": port}
    index = cached_index(load_settings(**own))
    with tempfile.TemporaryDirectory(prefix="qa-service-demo-") as temporary:
        try:
            index.mkdir(parents=True, exist_ok=True)
            writable = os.access(index, os.W_OK)
        except OSError:
            writable = False
        yield own | {"index": index if writable else Path(temporary, "index"), "data": Path(temporary, "data")}


def _documents() -> Path:
    for place in _PLACES:
        if place.is_dir():
            return place
    raise SourceError(f"{_PLACES[0]} is missing; reinstall qa-service")
