"""The command line: puts the parts together; the only place that prints and exits."""

import json
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from qa_service import __version__
from qa_service.errors import QAServiceError, ServerStartError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

    from qa_service.datatypes import Answer, BuildReport, CitedPassage
    from qa_service.embedding import Embedder
    from qa_service.evaluation import Report
    from qa_service.index.folder import Opened
    from qa_service.pipeline import Progress, QuestionAnswerer
    from qa_service.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])


def main() -> NoReturn:
    """Run the command line and exit: errors are one line on stderr, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except click.ClickException as error:
        _complain(f"{error.format_message().rstrip('.')}; see `{_command_path(error)} --help`")
        code = 2
    except QAServiceError as error:
        _complain(str(error))
        code = error.exit_code
    except BrokenPipeError:
        # The reader has gone, as `head` does. Keep Python from complaining once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> None:
    click.echo(f"error: {printable(message)}", err=True)


def _command_path(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "qa-service"


def printable(text: str) -> str:
    """Return ``text`` with what could move or colour a terminal made visible."""
    return "".join(
        character if character in "\n\t" or character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def _options(*names: str) -> Callable[[Command], Command]:
    """Add options that set the settings of their names; what is not given is left to the environment."""

    def decorate(command: Command) -> Command:
        for name in reversed(names):
            kind: Any = click.Path(path_type=Path) if name in {"source", "index"} else str
            command = click.option(
                f"--{name.replace('_', '-')}",
                name,
                type=kind,
                metavar=_METAVARS.get(name, "VALUE"),
                help=_HELP[name],
            )(command)
        return command

    return decorate


_METAVARS = {"source": "DIR", "index": "DIR", "host": "ADDRESS", "port": "N", "top_k": "N", "min_confidence": "P"}
_HELP = {
    "source": "Folder of documents.  [QA_SOURCE; default: source_text]",
    "index": "Folder of the index.  [QA_INDEX; default: index]",
    "host": "Address to serve on.  [QA_HOST; default: 127.0.0.1]",
    "port": "Port to serve on, 0 for a free one.  [QA_PORT; default: 8000]",
    "top_k": "Number of results.  [QA_TOP_K; default: 5]",
    "min_confidence": "Confidence from which a question counts as answerable.  [QA_MIN_CONFIDENCE; default: 0.3]",
    "model": "Embedding model: the built-in one, a folder, or a hub name.  [QA_MODEL]",
}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="qa-service")
def cli() -> None:
    """Ask a folder of documents; get passages with exact citations.

    Settings come from the command line, from QA_… environment variables, or from a .env file, in this
    order; docs/settings.md lists them. Exit codes: 0 done; 1 done, but items failed; 2 usage or
    settings; 3 server could not start; 4 input unusable; 5 index missing, corrupt or incompatible;
    6 model missing or corrupt; 7 I/O or lock; 130 interrupted.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)


@cli.command()
@_options("source", "index", "model")
@click.option("--allow-skips", is_flag=True, default=None, help="Exit with 0 although broken files were skipped.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def index(as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Build or update the index of a folder of documents."""
    from qa_service.pipeline import build  # noqa: PLC0415 - seconds of import

    settings = _settings(overrides)
    with _progress() as progress:
        report = build(settings, _embedder(settings), progress)
    if as_json:
        click.echo(json.dumps({**asdict(report), "seconds": round(report.seconds, 2)}))
    else:
        _print_build(report)
    return _build_exit_code(report, settings)


@cli.command()
@click.argument("question")
@_options("source", "index", "model", "top_k", "min_confidence")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as POST /ask gives it.")
def ask(question: str, as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Ask one question of the index."""
    from qa_service.pipeline import check_question  # noqa: PLC0415 - seconds of import

    settings = _settings(overrides)
    answerer, _ = _answerer(settings)
    check_question(question)
    answerer.self_test()  # also loads the model, which is not to count as the answer's time
    started = time.perf_counter()
    answer = answerer.ask(question)
    if as_json:
        import uuid  # noqa: PLC0415

        from qa_service.api.schemas import ask_response  # noqa: PLC0415

        took_ms = (time.perf_counter() - started) * 1000
        click.echo(ask_response(str(uuid.uuid4()), answer, took_ms).model_dump_json())
    else:
        _print_answer(answer)
    return 0


@cli.command()
@_options("source", "index", "model", "host", "port")
def serve(**overrides: Any) -> int:
    """Serve the index over HTTP until interrupted."""
    import uvicorn  # noqa: PLC0415 - not needed by the other commands

    from qa_service.api import create_app  # noqa: PLC0415

    settings = _settings(overrides)
    listener = _bound_socket(settings.host, settings.port)
    try:
        answerer, opened = _answerer(settings)
    except QAServiceError as error:
        listener.close()
        raise ServerStartError(str(error)) from error
    app = create_app(answerer, settings, degraded=opened.degraded)
    host, port = listener.getsockname()[:2]
    click.echo(
        f"serving {len(opened.index)} passages of {len(opened.index.manifest.documents)} documents on "
        f"http://{f'[{host}]' if ':' in host else host}:{port} (index {opened.index.version}); Ctrl-C stops",
        err=True,
    )
    config = uvicorn.Config(app, log_level="warning", server_header=False, http="httptools", ws="none")
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        listener.close()
        opened.index.close()
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@_options("source", "index", "model")
@click.option(
    "--top-k",
    "top_k",
    type=click.IntRange(1, 50),
    default=10,
    show_default=True,
    metavar="N",
    help="Results asked for and measured.",
)
@click.option("--strict", is_flag=True, help="Exit with 4 if a line of the file is unusable.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def evaluate(file: Path, top_k: int, strict: bool, as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - flags
    """Ask every question of FILE (JSON Lines, - for stdin) and measure the results."""
    from qa_service.evaluation import QuestionFile  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation import evaluate as run  # noqa: PLC0415

    settings = _settings(overrides)
    questions = QuestionFile(file)
    questions.check()
    answerer, _ = _answerer(settings)
    answerer.self_test()  # also loads the model, which is not to count as the first question's time
    with _progress() as progress:
        report = run(questions, answerer, top_k, lambda done: progress("asking questions", done, 0))
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        _print_report(report)
    if report.problems:
        return 4 if strict else 1
    return 0


@cli.command()
@_options("source", "index", "model")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor(as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Check what is installed, the model, and whether the index is whole and current."""
    from qa_service.doctor import examine  # noqa: PLC0415 - seconds of import

    findings = examine(_settings(overrides))
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(f"{'ok  ' if finding.exit_code == 0 else 'FAIL'}  {finding.subject}: {printable(finding.state)}")
    return next((finding.exit_code for finding in findings if finding.exit_code), 0)


def _settings(overrides: dict[str, Any]) -> "Settings":
    from qa_service.settings import load_settings  # noqa: PLC0415 - pydantic takes a while

    return load_settings(**overrides)


def _embedder(settings: "Settings") -> "Embedder":
    from qa_service.embedding import open_embedder  # noqa: PLC0415

    return open_embedder(settings.model, allow_download=settings.allow_download)


def _answerer(settings: "Settings") -> "tuple[QuestionAnswerer, Opened]":
    from qa_service.index import IndexFolder  # noqa: PLC0415
    from qa_service.pipeline import QuestionAnswerer  # noqa: PLC0415

    folder = IndexFolder(settings.index)
    folder.current()  # a missing index is told before the model is loaded
    embedder = _embedder(settings)
    opened = folder.open(embedder.identity)
    answerer = QuestionAnswerer(opened.index, embedder, top_k=settings.top_k, min_confidence=settings.min_confidence)
    return answerer, opened


def _bound_socket(host: str, port: int) -> socket.socket:
    """Take the port before the model is loaded, so that a port in use is told at once."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except socket.gaierror as error:
        raise SettingsError(f"host {host!r} is no address of this machine: {error.strerror}; see --host") from error
    listener = socket.socket(family, kind, protocol)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ServerStartError(
            f"can't listen on {host} port {port}: {error.strerror}; choose another with --port"
        ) from error
    return listener


@contextmanager
def _progress() -> "Iterator[Progress]":
    """Yield a function that draws a progress bar on a terminal and nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=_console(stderr=True), transient=True) as bar:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total or None)
            bar.update(tasks[what], completed=done)

        yield show


def _console(*, stderr: bool = False) -> "Console":
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=stderr, highlight=False, soft_wrap=not sys.stdout.isatty())


def _build_exit_code(report: "BuildReport", settings: "Settings") -> int:
    figures = report.completeness
    if figures.tokens_lost or figures.covered_characters != figures.content_characters:
        _complain("the index does not hold all of the documents' content; please report this as a bug")
        return 1
    failed = [item for item in report.skipped if item.failed]
    if failed and not settings.allow_skips:
        _complain(f"{len(failed)} file(s) could not be indexed; mend or remove them, or pass --allow-skips")
        return 1
    return 0


def _print_build(report: "BuildReport") -> None:
    figures = report.completeness
    for item in report.skipped:
        click.echo(f"skipped {printable(item.uri)}: {printable(item.reason)}")
    for warning in report.warnings:
        click.echo(f"warning {printable(warning)}")
    if not report.changed:
        click.echo("nothing changed since the last build, nothing done")
    share = 100 * figures.covered_characters / figures.content_characters if figures.content_characters else 100
    click.echo(
        f"{report.files} files: {report.documents} documents, {len(report.skipped)} skipped\n"
        f"{report.passages} passages hold {share:.1f} % of the content; {figures.tokens} tokens, "
        f"{figures.tokens_lost} lost\n"
        f"index {report.index_version}, {report.seconds:.1f} s"
    )


def _print_answer(answer: "Answer") -> None:
    from rich.text import Text  # noqa: PLC0415

    console = _console()
    confidence = "unknown" if answer.confidence is None else f"{answer.confidence:.0%}"
    if not answer.results:
        console.print("The index holds no passages.")
        return
    if answer.answerable is False:
        console.print(Text(f"Not found in these documents (confidence {confidence}). The nearest passages:", "bold"))
    else:
        best = answer.results[0]
        console.print(Text(printable(best.citation.quote), "bold green"))
        console.print(Text(f"  {_place(best)} · confidence {confidence}", "dim"))
    for result in answer.results:
        scored = result.scored
        console.print(Text(f"\n{scored.rank}. {_place(result)} · score {scored.score:.3f}", "bold"))
        text, (start, end) = scored.passage.text, scored.quote
        body = Text(printable(text[:start]))
        body.append(printable(text[start:end]), "black on yellow")
        body.append(printable(text[end:]))
        console.print(body)


def _place(result: "CitedPassage") -> str:
    citation = result.citation
    path = " › ".join((citation.title, *citation.section_path))
    position = citation.position
    lines = (
        f"line {position.start_line}"
        if position.start_line == position.end_line
        else f"lines {position.start_line}–{position.end_line}"
    )
    return printable(f"{path} · {citation.uri}, {lines}").replace("\n", " ")


def _print_report(report: "Report") -> None:
    from rich.table import Table  # noqa: PLC0415

    for problem in report.problems:
        click.echo(f"line {problem.line}: {printable(problem.reason)}", err=True)
    table = Table("measure", "value", title=f"{report.scored} of {report.questions} questions have gold passages")
    for name, value in report.measures.items():
        table.add_row(name, f"{value:.4f}")
    for name, part, total in (
        ("answerable, answered", report.answerable_answered, report.answerable_total),
        ("unanswerable, refused", report.unanswerable_refused, report.unanswerable_total),
    ):
        if total:
            table.add_row(name, f"{part / total:.4f} ({part}/{total})")
    for name, value in report.latency_ms.items():
        table.add_row(f"{name} ms", f"{value:.1f}")
    _console().print(table)
