"""The commands that ask a question file: evaluate, calibrate."""

import json
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from qa_service import __version__
from qa_service.cli.group import answerer_of, ask_with_one_thread, cli, settings_of
from qa_service.cli.options import FOLDER, file_options, options, question_file, run_options
from qa_service.cli.show import complain, print_comparison, print_problems, print_summary, progress_bar
from qa_service.errors import QuestionFileError, SettingsError

if TYPE_CHECKING:
    from qa_service.evaluation import QuestionFile, Target
    from qa_service.evaluation.compare import Comparison
    from qa_service.evaluation.summary import Summary
    from qa_service.settings import Settings

_FEW = 200
"""Questions up to which one process asks them all: others would take longer to start."""
_MOST_JOBS = 64


@cli.command()
@question_file
@options("source", "index", "model", "collection")
@file_options
@run_options
@click.option(
    "--output", type=FOLDER, metavar="DIR", help="Folder for run, results and reports; goes on if interrupted."
)
@click.option("--baseline", type=FOLDER, metavar="DIR", help="Output of another evaluation to compare with.")
@click.option(
    "--fail-under",
    "floors",
    multiple=True,
    metavar="NAME=MEAN",
    help="Exit with 1 if a mean is lower, as nDCG@10=0.80.",
)
@click.option("--url", metavar="URL", help="Ask a running service instead of an index.")
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    default=4,
    show_default=True,
    metavar="N",
    help="Questions at once, with --url.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, _MOST_JOBS),
    metavar="N",
    help="Processes that ask, without --url.  [default: cores]",
)
@click.option("--strict", is_flag=True, help="Exit with 4 if a line of the file is unusable.")
@click.option("--progress", "as_lines", is_flag=True, help="Print how many were asked as lines of JSON on stderr.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as one JSON object.")
def evaluate(
    file: Path,
    form: Any,
    qrels: Path | None,
    split: str,
    top_k: int,
    measures: tuple[str, ...],
    overwrite: bool,  # noqa: FBT001
    output: Path | None,
    baseline: Path | None,
    floors: tuple[str, ...],
    url: str | None,
    concurrency: int,
    jobs: int | None,
    strict: bool,  # noqa: FBT001
    as_lines: bool,  # noqa: FBT001
    as_json: bool,  # noqa: FBT001
    **overrides: Any,
) -> int:
    """Ask every question of FILE and measure the results.

    FILE is a question file (JSON Lines or CSV; - for stdin), SQuAD's JSON, a ragas test set, TREC topics, or a BEIR
    folder; docs/question-file.md describes them.
    """
    ask_with_one_thread()
    from qa_service.evaluation import EvaluationOptions, QuestionFile  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation import evaluate as run  # noqa: PLC0415
    from qa_service.evaluation.compare import Floor, compare, failures  # noqa: PLC0415
    from qa_service.evaluation.measures import DEFAULT, parse  # noqa: PLC0415
    from qa_service.evaluation.run import RunFolder  # noqa: PLC0415

    settings = settings_of(overrides)
    plan = EvaluationOptions(top_k=top_k, rankings=parse(measures) if measures else DEFAULT, overwrite=overwrite)
    wanted = [Floor.parse(text) for text in floors]
    if output is not None and output.resolve() == file.resolve():
        raise SettingsError(f"the output {output} is the question file; name a folder for the results")
    if baseline is not None and not RunFolder(baseline).about().get("finished"):
        raise QuestionFileError(f"{baseline} holds an evaluation that is not finished; run it again, it goes on")
    with ExitStack() as stack:
        questions = QuestionFile(file, format=form, qrels=qrels, split=split)
        stack.callback(questions.close)
        questions.check()
        folder = output or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evaluation-")))
        target, about = _target(settings, questions, url, concurrency, jobs, stack)
        bar = stack.enter_context(progress_bar())

        total = sum(1 for _ in questions)

        def progress(done: int) -> None:
            bar("asking questions", done, total)
            if as_lines:
                click.echo(json.dumps({"asked": done, "of": total}), err=True)

        summary = run(
            questions, questions.sha256(), target, folder, plan, about=about, settings=settings, progress=progress
        )
        comparison = None if baseline is None else compare([baseline, folder])
        if output is not None:
            from qa_service.evaluation.report import write_reports  # noqa: PLC0415 - seconds of import

            write_reports(RunFolder(folder), summary, target.corpus, None if baseline is None else RunFolder(baseline))
        reasons = failures(summary.means(), wanted, comparison)
    _show(summary, comparison, output, as_json=as_json)
    for reason in reasons:
        complain(reason)
    if summary.problems and strict:
        return 4
    return 1 if summary.problems or reasons else 0


def _show(summary: "Summary", comparison: "Comparison | None", output: Path | None, *, as_json: bool) -> None:
    """Print what an evaluation found."""
    if as_json:
        click.echo(json.dumps(summary.to_json(), ensure_ascii=False))
    else:
        print_summary(summary)
        if comparison is not None:
            print_comparison(comparison)
        if output is not None:
            click.echo(f"report: {output / 'report.html'}")
    print_problems(summary.problems)


def _target(
    settings: "Settings",
    questions: "QuestionFile",
    url: str | None,
    concurrency: int,
    jobs: int | None,
    stack: ExitStack,
) -> "tuple[Target, dict[str, Any]]":
    """Open who is to be asked; return also what a report says about it."""
    from qa_service.embedding.choose import usable_cores  # noqa: PLC0415
    from qa_service.evaluation.evaluate import Target  # noqa: PLC0415
    from qa_service.evaluation.gold import IndexCorpus  # noqa: PLC0415
    from qa_service.evaluation.targets import InProcessAsker, ProcessPoolAsker, RemoteService  # noqa: PLC0415 - seconds of import

    started = datetime.now(UTC).isoformat(timespec="seconds")
    about: dict[str, Any] = {"questions": questions.path.name, "started": started, "version": __version__}
    if url is not None:
        if not url.startswith(("http://", "https://")):
            raise SettingsError(f"{url!r} is no address; write it as http://127.0.0.1:8000")
        remote = RemoteService(url, concurrency, key=settings.key)
        stack.callback(remote.close)
        about |= {"index_version": remote.version, "url": url, "timed": f"over HTTP, {concurrency} at once"}
        return Target(remote, remote, url=url), about
    answerer, _ = answerer_of(settings)
    stack.callback(answerer.index.close)
    answerer.self_test()  # also loads the model
    alone = InProcessAsker(answerer)
    about |= {
        "index_version": answerer.index.generation,
        "model": answerer.index.manifest.model.name,
        "timed": "in process, a sample asked alone",
    }
    corpus = IndexCorpus(answerer.index)
    count = jobs or min(usable_cores(), _MOST_JOBS)
    if count == 1 or (jobs is None and sum(1 for _ in questions) <= _FEW):
        return Target(alone, corpus, alone), about
    processes = ProcessPoolAsker(settings, count)
    stack.callback(processes.close)
    return Target(processes, corpus, alone), about


@cli.command()
@question_file
@options("source", "index", "model", "collection")
@file_options
def calibrate(file: Path, form: Any, qrels: Path | None, split: str, **overrides: Any) -> int:
    """Fit confidence to the questions of FILE, answerable and not, and keep it beside the index."""
    ask_with_one_thread()
    from qa_service.evaluation import QuestionFile  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.calibrate import calibrate as run  # noqa: PLC0415
    from qa_service.index.disk import IndexFolder  # noqa: PLC0415

    settings = settings_of(overrides)
    questions = QuestionFile(file, format=form, qrels=qrels, split=split)
    try:
        questions.check()
        answerer, _ = answerer_of(settings)
        with progress_bar() as progress:
            fitted = run(questions, answerer, lambda done: progress("asking questions", done, 0))
    finally:
        questions.close()
    index = answerer.index
    IndexFolder(settings.index).write_calibration(
        index.manifest.model.weights_sha256,
        fitted.calibration.to_dict(),
        token_vectors=index.has_tokens,
        labels=True,
    )
    print_problems(fitted.problems)
    click.echo(
        f"calibrated on {fitted.questions} questions, {fitted.right} of them with their answer in five results\n"
        f"on questions left out of the fit: AUROC {fitted.auroc:.3f}, expected calibration error {fitted.ece:.3f}"
    )
    return 1 if fitted.problems else 0
