"""The command line: puts the parts together; the only place that prints and exits."""

import json
import logging
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from qa_service import __version__
from qa_service.errors import QAServiceError, ServerStartError
from qa_service.options import HELP, options
from qa_service.show import (
    complain,
    print_answer,
    print_build,
    print_build_problems,
    print_problems,
    print_report,
    print_verdict,
    print_why,
    printable,
    progress_bar,
)

if TYPE_CHECKING:
    from qa_service.pipeline import QuestionAnswerer
    from qa_service.settings import Settings


def main() -> NoReturn:
    """Run the command line and exit: errors are one line on stderr, never a traceback."""
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except KeyboardInterrupt:
        code = 130
    except click.ClickException as error:
        complain(f"{error.format_message().rstrip('.')}; see `{_command_path(error)} --help`")
        code = 2
    except QAServiceError as error:
        complain(str(error))
        code = error.exit_code
    except MemoryError:
        complain("not enough memory; what was in force before stays so: free some, or index fewer documents at once")
        code = 7
    except BrokenPipeError:
        # The reader has gone, as `head` does. Keep Python from complaining once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _command_path(error: click.ClickException) -> str:
    context = getattr(error, "ctx", None)
    return context.command_path if context else "qa-service"


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
@options("source", "index", "model")
@click.option("--allow-skips", is_flag=True, default=None, help="Exit with 0 although broken files were skipped.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
@click.option("--watch", is_flag=True, help="Go on: build again whenever the documents change, until interrupted.")
def index(as_json: bool, watch: bool, **overrides: Any) -> int:  # noqa: FBT001 - flags
    """Build or update the index of a folder of documents."""
    from qa_service.loading import source_root  # noqa: PLC0415 - a second of import
    from qa_service.pipeline import build  # noqa: PLC0415
    from qa_service.runtimes import embedder_to_build  # noqa: PLC0415

    settings = _settings(overrides)
    source_root(settings.source)  # a missing folder is told before the model is exported
    embedder = embedder_to_build(settings)

    def once() -> int:
        with progress_bar() as progress:
            report = build(settings, embedder, progress)
        if as_json:
            click.echo(json.dumps({**asdict(report), "seconds": round(report.seconds, 2)}))
        else:
            print_build(report)
        return print_build_problems(report, allow_skips=settings.allow_skips)

    from qa_service.watching import again_and_again  # noqa: PLC0415

    return again_and_again(once, settings.source) if watch else once()


@cli.command()
@options("index")
def rollback(**overrides: Any) -> int:
    """Make the generation of the index before the current one the current one; servers follow by themselves."""
    from qa_service.index import IndexFolder  # noqa: PLC0415 - seconds of import

    settings = _settings(overrides)
    click.echo(f"index {IndexFolder(settings.index).rollback()} is in force")
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option("--index", "index", is_flag=False, flag_value="", metavar="[DIR]", help=HELP["index"])
@options("source")
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON Lines.")
def verify(file: Path | None, index: str | None, as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Check that every file of the index is whole or, given FILE, its citations against the documents as they are.

    FILE holds a JSON object a line: citations, or answers as `ask --json` and POST /ask give them.
    """
    settings = _settings({**overrides, "index": Path(index) if index else None})
    if file is None:
        from qa_service.index import IndexFolder  # noqa: PLC0415 - seconds of import

        whole = IndexFolder(settings.index).verify()
        click.echo(f"index {whole.generation}: {len(whole.files)} files, every byte as it was built")
        return 0
    from qa_service.verifying import verify_file  # noqa: PLC0415 - seconds of import

    failed = False
    for verdict in verify_file(file, settings):
        failed |= verdict.state in {"changed", "gone"}
        print_verdict(verdict, as_json=as_json)
    return 1 if failed else 0


@cli.command()
@click.argument("question")
@options("source", "index", "model", "top_k", "min_confidence")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as POST /ask gives it.")
def ask(question: str, as_json: bool, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Ask one question of the index."""
    _ask_with_one_thread()
    from qa_service.pipeline import check_question  # noqa: PLC0415 - seconds of import

    settings = _settings(overrides)
    answerer, _ = _answerer(settings)
    check_question(question)
    answerer.self_test()  # also loads the model, which is not to count as the answer's time
    started = time.perf_counter()
    answer = answerer.ask(question)
    if as_json:
        import uuid  # noqa: PLC0415

        from qa_service.api.schemas import ask_body  # noqa: PLC0415

        took_ms = (time.perf_counter() - started) * 1000
        click.echo(json.dumps(ask_body(str(uuid.uuid4()), answer, took_ms), ensure_ascii=False))
    else:
        print_answer(answer)
    return 0


@cli.command()
@options("source", "index", "model", "host", "port", "workers")
def serve(**overrides: Any) -> int:
    """Serve the index over HTTP until interrupted."""
    _ask_with_one_thread()
    from qa_service.api import server  # noqa: PLC0415 - not needed by the other commands
    from qa_service.settings import environment_of  # noqa: PLC0415

    settings = _settings(overrides)
    listener = server.bound_socket(settings.host, settings.port)
    try:
        app, answerer = server.app_of(settings)
    except QAServiceError as error:
        listener.close()
        raise ServerStartError(str(error)) from error
    listener.listen()  # from here on who connects waits for the server instead of being refused
    host, port = listener.getsockname()[:2]
    click.echo(
        f"serving {len(answerer.index)} passages of {answerer.index.manifest.documents} documents on "
        f"http://{f'[{host}]' if ':' in host else host}:{port} (index {answerer.index.version}); Ctrl-C stops",
        err=True,
    )
    try:
        if settings.workers == 1:
            server.run_server(app, listener)
        else:
            os.environ |= environment_of(settings)
            server.run_workers(settings.workers, listener)
    finally:
        listener.close()
        answerer.index.close()
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@options("source", "index", "model")
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

    _ask_with_one_thread()
    settings = _settings(overrides)
    questions = QuestionFile(file)
    questions.check()
    answerer, _ = _answerer(settings)
    answerer.self_test()  # also loads the model, which is not to count as the first question's time
    with progress_bar() as progress:
        report = run(questions, answerer, top_k, lambda done: progress("asking questions", done, 0))
    if as_json:
        click.echo(json.dumps(asdict(report)))
    else:
        print_report(report)
    if report.problems:
        return 4 if strict else 1
    return 0


@cli.command()
@click.argument("question")
@options("source", "index", "model")
@click.option("--document", required=True, metavar="PATH", help="Path below the source folder, or document id.")
def why(question: str, document: str, **overrides: Any) -> int:
    """Tell why a document was not returned: its best passage, its ranks, what beat it."""
    _ask_with_one_thread()
    answerer, _ = _answerer(_settings(overrides))
    print_why(answerer.why(question, document), len(answerer.index))
    return 0


@cli.command()
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@options("source", "index", "model")
def calibrate(file: Path, **overrides: Any) -> int:
    """Fit confidence to the questions of FILE, answerable and not, and keep it beside the index."""
    from qa_service.evaluation import QuestionFile  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.calibrate import calibrate as run  # noqa: PLC0415
    from qa_service.index import IndexFolder  # noqa: PLC0415

    _ask_with_one_thread()
    settings = _settings(overrides)
    questions = QuestionFile(file)
    questions.check()
    answerer, _ = _answerer(settings)
    with progress_bar() as progress:
        fitted = run(questions, answerer, lambda done: progress("asking questions", done, 0))
    index = answerer.index
    IndexFolder(settings.index).write_calibration(
        index.manifest.model.weights_sha256,
        fitted.calibration.to_dict(),
        token_vectors=index.tokens is not None,
        labels=True,
    )
    print_problems(fitted.problems)
    click.echo(
        f"calibrated on {fitted.questions} questions, {fitted.right} of them with their answer in five results\n"
        f"on questions left out of the fit: AUROC {fitted.auroc:.3f}, expected calibration error {fitted.ece:.3f}"
    )
    return 1 if fitted.problems else 0


@cli.command()
@options("source", "index", "model")
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


def _answerer(settings: "Settings") -> "tuple[QuestionAnswerer, str | None]":
    from qa_service.index import IndexFolder  # noqa: PLC0415
    from qa_service.pipeline import open_answerer  # noqa: PLC0415
    from qa_service.runtimes import embedder_to_ask  # noqa: PLC0415

    IndexFolder(settings.index).current()  # a missing index is told before the model is loaded
    return open_answerer(settings, embedder_to_ask(settings))


def _ask_with_one_thread() -> None:
    """Keep the libraries' thread pools from waiting for each other over one short question.

    torch, FAISS and NumPy bring a pool each; with all of them at work a question took twice as long as with
    one thread. To be called before they are imported; a number set in the environment stays.
    """
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
