"""The command group, its exit codes, and the steps that commands begin with; the only place that exits."""

import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from qa_service import __version__
from qa_service.cli.options import examples
from qa_service.cli.show import complain, say
from qa_service.errors import QAServiceError, ServerStartError, SettingsError

if TYPE_CHECKING:
    from qa_service.pipeline import QuestionAnswerer
    from qa_service.settings import Settings

_MIN_ADDRESS_SPACE_BYTES = 2 << 30


def main() -> NoReturn:
    """Run the command line and exit; an error is one line on stderr, never a traceback."""
    if sys.getfilesystemencoding() != "utf-8":
        # The locale can't encode most documents: restart with UTF-8, which child processes inherit.
        os.environ["PYTHONUTF8"] = "1"
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this program
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        code = 2
    except click.ClickException as error:
        complain(f"{error.format_message().rstrip('.')}; see `{_command_path(error)} --help`")
        code = 2
    except QAServiceError as error:
        complain(error.in_full())
        code = error.exit_code
    except MemoryError:
        complain("out of memory; the previous state is kept. Free memory, or index fewer documents")
        code = 7
    except BrokenPipeError:
        # The reader closed the pipe, as `head` does. Keep Python from reporting it again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _command_path(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "qa-service"


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples("demo", "serve ~/handbook", "ask --source ~/handbook who signs an invoice"),
)
@click.version_option(__version__, prog_name="qa-service")
def cli() -> None:
    """Ask a folder of documents; get passages with exact citations.

    Settings come from the command line, from QA_… environment variables, or from a .env file, in this
    order; docs/settings.md lists them. Exit codes: 0 done; 1 done, but items failed; 2 usage or
    settings; 3 server could not start; 4 input unusable; 5 index missing, corrupt or incompatible;
    6 model missing or corrupt; 7 I/O or lock; 130 interrupted.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)


def settings_of(overrides: dict[str, Any]) -> "Settings":
    """Return the settings, overridden by the command line; those of a collection if it names one."""
    from qa_service.settings import load_settings  # noqa: PLC0415 - pydantic takes a while

    collection = overrides.pop("collection", None)
    settings = load_settings(**overrides)
    if collection is None:
        return settings
    named = settings.by_collection()
    if collection not in named:
        raise SettingsError(f"no collection {collection!r}; QA_COLLECTIONS has {', '.join(named) or 'none'}")
    return named[collection]


def settings_to_ask(overrides: dict[str, Any]) -> "Settings":
    """Return the settings as :func:`settings_of`, with the index of the source folder that the command line names."""
    if overrides.get("source") is not None:
        from qa_service.cli.folders import index_to_ask  # noqa: PLC0415 - seconds of import
        from qa_service.settings import load_settings  # noqa: PLC0415

        own = {name: value for name, value in overrides.items() if name != "collection"}
        overrides["index"] = index_to_ask(load_settings(**own))
    return settings_of(overrides)


def settings_of_folder(folder: Path, overrides: dict[str, Any]) -> "Settings":
    """Return the settings for a folder of documents that is named without ``--source``; say where its index lies."""
    from qa_service.cli.folders import index_to_build  # noqa: PLC0415 - seconds of import
    from qa_service.settings import load_settings  # noqa: PLC0415

    if overrides.get("source") is not None:
        raise SettingsError(f"two folders of documents: {folder} and --source {overrides['source']}; name one")
    overrides["source"] = folder
    index = index_to_build(load_settings(**overrides))
    say(f"the index of {folder} is in {index}")
    return load_settings(**overrides | {"index": index})


def answerer_of(settings: "Settings") -> "tuple[QuestionAnswerer, str | None]":
    """Open the index to ask it; also return its problem if it is degraded."""
    from qa_service.embedding.choose import embedder_to_ask  # noqa: PLC0415
    from qa_service.index.locations import generations_of  # noqa: PLC0415
    from qa_service.pipeline import open_answerer  # noqa: PLC0415

    generations = generations_of(settings)
    generations.current_pointer()  # reports a missing index before the model is loaded
    return open_answerer(settings, embedder_to_ask(settings, say), generations)


def ask_with_one_thread() -> None:
    """Limit the thread pools of torch, FAISS and NumPy to one thread.

    The pools wait for each other over one short question: with all of them it took twice as long as with one thread.
    Call this before these libraries are imported. A number in the environment is kept if the machine has that many
    cores.
    """
    _one_thread_of("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def build_with_one_thread_of_numpy() -> None:
    """Limit NumPy to one thread, since its idle threads spin on the cores that the model needs.

    Its products are small here: with a second thread a build took a fifth longer. Call this before NumPy is imported.
    A number in the environment is kept, as above.
    """
    _one_thread_of("OPENBLAS_NUM_THREADS")


def _one_thread_of(*pools: str) -> None:
    cores = os.cpu_count() or 1
    for name in pools:
        value = os.environ.setdefault(name, "1")
        if not (value.isascii() and value.isdecimal() and 1 <= int(value) <= cores):
            os.environ[name] = "1"
            complain(f"{name} is {value[:20]!r}, which is not a number from 1 to {cores}; using 1", "warning")


def check_memory() -> None:
    """Raise :class:`ServerStartError` if the limit of the address space is too low.

    Call this before the model's libraries are imported, which would end the process without an error.
    """
    try:
        from resource import RLIMIT_AS, getrlimit  # noqa: PLC0415 - POSIX only
    except ImportError:
        return
    limit = getrlimit(RLIMIT_AS)[0]
    if 0 <= limit < _MIN_ADDRESS_SPACE_BYTES:
        raise ServerStartError(
            f"the address space is limited to {limit >> 20} MB, but {_MIN_ADDRESS_SPACE_BYTES >> 20} MB are needed; "
            "raise the limit (ulimit -v)"
        )


def take_signals() -> None:
    """Ignore SIGUSR1, SIGUSR2 and SIGHUP, but stop when the terminal is closed."""
    for name in ("SIGUSR1", "SIGUSR2", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "SIGHUP") and sys.stdin is not None and sys.stdin.isatty():
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))


@contextmanager
def unwound_by_sigterm() -> Iterator[None]:
    """Let SIGTERM leave this block as an exception, so that temporary folders are removed, and end the process then.

    Enter this before such a folder is created.
    """
    received: list[int] = []

    def leave(number: int, _: object) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        received.append(number)
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if received:
            signal.raise_signal(signal.SIGTERM)


def has_screen() -> bool:
    """Tell whether a browser would have a window, instead of a place in the terminal."""
    return sys.platform in {"darwin", "win32"} or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def metrics_shared() -> Iterator[None]:
    """Let the server processes started within share their metrics in a temporary folder.

    Enter this before prometheus_client is imported, which reads the variable then.
    """
    with tempfile.TemporaryDirectory(prefix="qa-metrics-") as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder
        yield
