"""The commands that ask the questions of a file: evaluate, calibrate."""

import json
import shlex
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qa_service import __version__
from qa_service.cli.group import answerer_of, ask_with_one_thread, cli, settings_of, settings_to_ask
from qa_service.cli.options import (
    FOLDER,
    examples,
    file_options,
    options,
    question_file,
    run_options,
    take_evaluation_options,
    take_question_file,
)
from qa_service.cli.show import complain, progress_bar
from qa_service.cli.show_evaluation import print_comparison, print_problems, print_summary
from qa_service.errors import QuestionFileError, SettingsError

if TYPE_CHECKING:
    from qa_service.evaluation import QuestionFile, Target
    from qa_service.evaluation.compare import Comparison
    from qa_service.evaluation.links import Links
    from qa_service.evaluation.summary import Summary
    from qa_service.evaluation.targets import Asker
    from qa_service.pipeline import QuestionAnswerer
    from qa_service.settings import Settings

_ONE_PROCESS_QUESTIONS = 200
"""Maximum number of questions that one process asks; starting more would take longer."""
_MAX_JOBS = 64


@cli.command(
    epilog=examples(
        "evaluate questions.jsonl --output runs/first",
        "evaluate questions.jsonl --fail-under Success@5=0.9",
        "evaluate questions.jsonl --url http://127.0.0.1:8000",
    )
)
@question_file
@options("source", "index", "model", "collection")
@file_options
@run_options
@click.option(
    "--output", type=FOLDER, metavar="DIR", help="Folder for run, results and reports; resumed if interrupted."
)
@click.option("--baseline", type=FOLDER, metavar="DIR", help="Output of another evaluation to compare with.")
@click.option(
    "--fail-under",
    "floors",
    multiple=True,
    metavar="NAME=MEAN",
    help="Exit with 1 if a mean is lower, such as nDCG@10=0.80; repeatable.",
)
@click.option(
    "--fail-over",
    "ceilings",
    multiple=True,
    metavar="NAME=MEAN",
    help="Exit with 1 if a mean is higher, such as wrongly-answered=0.10; repeatable.",
)
@click.option("--url", metavar="URL", help="Ask a running service instead of an index.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Concurrent questions, with --url.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, _MAX_JOBS),
    metavar="N",
    help="Processes that ask, without --url.  [default: number of cores]",
)
@click.option("--strict", is_flag=True, help="Exit with 4 if a line of the file is unusable.")
@click.option("--progress", "as_lines", is_flag=True, help="Print the progress as JSON Lines on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def evaluate(
    output: Path | None,
    baseline: Path | None,
    floors: tuple[str, ...],
    ceilings: tuple[str, ...],
    strict: bool,  # noqa: FBT001 - a flag
    as_json: bool,  # noqa: FBT001 - a flag
    **arguments: Any,
) -> int:
    """Ask every question of FILE and measure the answers.

    FILE is a question file (JSON Lines or CSV; - for stdin), SQuAD's JSON, a ragas test set, TREC topics, or a BEIR
    folder; docs/question-file.md describes them.
    """
    ask_with_one_thread()
    from qa_service.evaluation import evaluate as run  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.compare import Limit, compare, failures  # noqa: PLC0415
    from qa_service.evaluation.libraries import check_libraries  # noqa: PLC0415

    check_libraries(draws=output is not None)
    evaluation_options = take_evaluation_options(arguments)
    limits = [Limit.parse(text) for text in floors] + [Limit.parse(text, most=True) for text in ceilings]
    with closing(take_question_file(arguments)) as questions, ExitStack() as stack:
        _check_folders(questions.path, output, baseline)
        questions.check()
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evaluation-")))
        progress = stack.enter_context(_progress(questions, as_lines=arguments.pop("as_lines")))
        target, links = _open_target(questions, arguments, stack, folder)
        summary = run(questions, target, folder, evaluation_options, progress)
        comparison = None if baseline is None else compare([baseline, folder])
        if output is not None:
            _write_reports(output, summary, target, baseline, links)
        reasons = failures(summary.means(), limits, comparison)
    _show(summary, comparison, output, as_json=as_json)
    for reason in reasons:
        complain(reason)
    if summary.problems and strict:
        return 4
    return 1 if summary.problems or reasons else 0


def _check_folders(questions: Path, output: Path | None, baseline: Path | None) -> None:
    from qa_service.evaluation.run import RunFolder  # noqa: PLC0415 - seconds of import

    if output is not None and output.resolve() == questions.resolve():
        raise SettingsError(f"the output {output} is the question file; name a folder for the results")
    if baseline is not None and not RunFolder(baseline).about().get("finished"):
        raise QuestionFileError(f"the evaluation in {baseline} is not finished; run it again to resume it")


@contextmanager
def _progress(questions: "QuestionFile", *, as_lines: bool) -> Iterator[Callable[[int], None]]:
    """Yield a function that shows the number of questions asked."""
    total = sum(1 for _ in questions)
    with progress_bar() as bar:

        def show(done: int) -> None:
            bar("asking questions", done, total)
            if as_lines:
                click.echo(json.dumps({"asked": done, "of": total}), err=True)

        yield show


def _write_reports(output: Path, summary: "Summary", target: "Target", baseline: Path | None, links: "Links") -> None:
    from qa_service.evaluation.report import write_reports  # noqa: PLC0415 - draws
    from qa_service.evaluation.run import RunFolder  # noqa: PLC0415 - seconds of import

    before = None if baseline is None else RunFolder(baseline)
    write_reports(RunFolder(output), summary, target.corpus, before, links)


def _show(summary: "Summary", comparison: "Comparison | None", output: Path | None, *, as_json: bool) -> None:
    """Print the summary of an evaluation."""
    if as_json:
        click.echo(json.dumps(summary.to_json(), ensure_ascii=False))
    else:
        print_summary(summary)
        if comparison is not None:
            print_comparison(comparison)
        if output is not None:
            click.echo(f"report: {output / 'report.html'}")
    print_problems(summary.problems)


def _open_target(
    questions: "QuestionFile", arguments: dict[str, Any], stack: ExitStack, output: Path
) -> "tuple[Target, Links]":
    """Open the index or service that the arguments name; ``stack`` closes it. The other arguments are settings.

    Return it with links from a report in ``output`` to its documents.
    """
    from qa_service.evaluation.links import links_of  # noqa: PLC0415 - seconds of import

    url, concurrency, jobs = (arguments.pop(name) for name in ("url", "concurrency", "jobs"))
    given = dict(arguments)
    settings = settings_to_ask(arguments) if url is None else settings_of(arguments)
    started = datetime.now(UTC).isoformat(timespec="seconds")
    about = {"questions": questions.path.name, "started": started, "version": __version__}
    about["calibrate"] = _calibrate_command(questions, given, settings.data)
    if url is not None:
        return _open_service(url, concurrency, settings, about, stack)
    answerer, _ = answerer_of(settings)
    stack.callback(answerer.index.close)
    target = _open_index(answerer, _process_count(questions, jobs), settings, about, stack)
    return target, links_of(answerer, settings, output)


def _calibrate_command(questions: "QuestionFile", given: dict[str, Any], data: Path) -> str:
    """Return the line that fits confidence to the questions of an evaluation with these options.

    A file in the data folder was uploaded, and its path there means nothing to a client.
    """
    file = "FILE" if data.resolve() in questions.path.resolve().parents else str(questions.path)
    options = given | questions.options
    words = [word for name, value in options.items() if value for word in (f"--{name}", str(value))]
    return shlex.join(["qa-service", "calibrate", file, *words])


def _open_service(
    url: str, concurrency: int, settings: "Settings", about: dict[str, Any], stack: ExitStack
) -> "tuple[Target, Links]":
    from qa_service.evaluation import Target  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.targets import RemoteService  # noqa: PLC0415

    if not url.startswith(("http://", "https://")):
        raise SettingsError(f"{url!r} is not an address; write it as http://127.0.0.1:8000")
    remote = RemoteService(url, concurrency, key=settings.key)
    stack.callback(remote.close)
    about |= {"index_version": remote.version, "url": url, "timed": f"over HTTP, {concurrency} concurrently"}
    return Target(remote, remote, url=url, settings=settings, about=about), remote.link


def _process_count(questions: "QuestionFile", jobs: int | None) -> int:
    """Return the number of processes that ask; one for a file of few questions, unless the user chose."""
    from qa_service.embedding.processor import usable_cores  # noqa: PLC0415 - seconds of import

    if jobs is None and sum(1 for _ in questions) <= _ONE_PROCESS_QUESTIONS:
        return 1
    return jobs or min(usable_cores(), _MAX_JOBS)


def _open_index(
    answerer: "QuestionAnswerer", count: int, settings: "Settings", about: dict[str, Any], stack: ExitStack
) -> "Target":
    from qa_service.evaluation import Target  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.gold import IndexCorpus  # noqa: PLC0415
    from qa_service.evaluation.targets import InProcessAsker, ProcessPoolAsker, about_index, cost_of  # noqa: PLC0415

    answerer.self_test()  # also loads the model
    alone, index = InProcessAsker(answerer), answerer.index
    about |= {**about_index(index), "timed": "in process, a sample asked alone"}
    asker: Asker = alone
    if count > 1:
        asker = ProcessPoolAsker(settings, count)
        stack.callback(asker.close)
    return Target(asker, IndexCorpus(index), alone, settings=settings, about=about, cost=cost_of(index))


@cli.command(epilog=examples("calibrate questions.jsonl", "calibrate questions.jsonl --source ~/handbook"))
@question_file
@options("source", "index", "model", "collection")
@file_options
def calibrate(**arguments: Any) -> int:
    """Fit confidence to the questions of FILE, answerable and unanswerable; store it with the index."""
    ask_with_one_thread()
    from qa_service.evaluation.calibrate import calibrate as run  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.libraries import check_libraries  # noqa: PLC0415
    from qa_service.index.disk import IndexFolder  # noqa: PLC0415

    check_libraries(draws=False)
    with closing(take_question_file(arguments)) as questions, progress_bar() as progress:
        settings = settings_to_ask(arguments)
        questions.check()
        answerer, _ = answerer_of(settings)
        fitted = run(questions, answerer, lambda done: progress("asking questions", done, 0))
    index = answerer.index
    IndexFolder(settings.index).write_calibration(
        index.manifest.model.weights_sha256,
        fitted.calibration.to_dict(),
        token_vectors=index.has_tokens,
        labels=True,
    )
    print_problems(fitted.problems)
    click.echo(
        f"calibrated on {fitted.questions} questions, {fitted.right} of them with the answer in five results\n"
        f"on held-out questions: AUROC {fitted.auroc:.3f}, expected calibration error {fitted.ece:.3f}"
    )
    return 1 if fitted.problems else 0
