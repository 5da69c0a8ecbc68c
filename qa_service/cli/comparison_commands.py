"""The commands that compare evaluations: compare, sweep."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from qa_service.cli.group import ask_with_one_thread, cli, settings_of
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
from qa_service.cli.show import progress_bar
from qa_service.cli.show_evaluation import print_comparison, print_sweep, print_trend
from qa_service.errors import SettingsError


@cli.command(
    epilog=examples(
        "compare runs/first runs/second",
        "compare runs/first runs/second --measure nDCG@10 --html compared.html",
        "compare runs --html trend.html",
    )
)
@click.argument("runs", nargs=-1, required=True, type=FOLDER, metavar="BASELINE RUN… | FOLDER")
@click.option(
    "--measure", "measures", multiple=True, metavar="NAME", help="Measure to compare; repeatable.  [default: all]"
)
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the comparison as an HTML page.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the comparison as one JSON object.")
def compare(runs: tuple[Path, ...], measures: tuple[str, ...], html: Path | None, as_json: bool) -> int:  # noqa: FBT001 - a flag
    """Compare outputs of `evaluate` with the first one, with significance tests.

    One folder of such outputs is a trend: its runs by time, each compared with the one before.
    """
    from qa_service.evaluation.compare import compare as run  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.libraries import check_libraries  # noqa: PLC0415

    check_libraries(draws=html is not None)
    if len(runs) == 1:
        return _trend(runs[0], measures, html, as_json=as_json)
    comparison = run(runs, measures)
    if html is not None:
        from qa_service.evaluation.report import comparison_page  # noqa: PLC0415 - draws

        _write(html, comparison_page(comparison))
    if as_json:
        click.echo(json.dumps(comparison.to_json(), ensure_ascii=False))
    else:
        print_comparison(comparison)
    return 0


@cli.command(
    epilog=examples("sweep questions.jsonl --output runs/sweep --vary passage_tokens=100,200 --vary rerank=maxsim,none")
)
@question_file
@options("source", "model")
@file_options
@run_options
@click.option(
    "--vary",
    "varied",
    multiple=True,
    required=True,
    metavar="NAME=A,B,…",
    help="Values of a setting; repeatable.",
)
@click.option("--output", type=FOLDER, required=True, metavar="DIR", help="Folder for indexes, runs and the table.")
@click.option("--json", "as_json", is_flag=True, help="Print the sweep as one JSON object.")
def sweep(varied: tuple[str, ...], output: Path, as_json: bool, **arguments: Any) -> int:  # noqa: FBT001 - a flag
    """Evaluate FILE with every combination of settings; an interrupted sweep is resumed.

    Settings are named as in docs/settings.md without QA_: `--vary passage_tokens=100,200 --vary rerank=maxsim,none`.
    """
    ask_with_one_thread()
    from qa_service.evaluation.libraries import check_libraries  # noqa: PLC0415
    from qa_service.evaluation.report import sweep_page  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.sweep import grid  # noqa: PLC0415
    from qa_service.evaluation.sweep import sweep as run  # noqa: PLC0415

    check_libraries(draws=True)
    evaluation_options = take_evaluation_options(arguments)
    with closing(take_question_file(arguments)) as questions:
        settings = settings_of(arguments)
        points = grid(varied)
        questions.check()
        with progress_bar() as progress:
            found = run(questions, settings, points, output, evaluation_options, progress)
    _write(output / "sweep.json", json.dumps(found.to_json(), ensure_ascii=False, indent=1) + "\n")
    _write(output / "sweep.html", sweep_page(found))
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        print_sweep(found)
        click.echo(f"report: {output / 'sweep.html'}")
    return 1 if any(row.problem for row in found.rows) else 0


def _trend(folder: Path, measures: tuple[str, ...], html: Path | None, *, as_json: bool) -> int:
    from qa_service.evaluation.run import RUN  # noqa: PLC0415 - seconds of import
    from qa_service.evaluation.trend import trend  # noqa: PLC0415

    if (folder / RUN).exists():
        raise SettingsError("name at least two outputs of evaluate, or one folder of them")
    found = trend(folder, measures)
    if html is not None:
        from qa_service.evaluation.report import trend_page  # noqa: PLC0415 - draws

        _write(html, trend_page(found))
    if as_json:
        click.echo(json.dumps(found.to_json(), ensure_ascii=False))
    else:
        print_trend(found)
    return 0


def _write(path: Path, text: str) -> None:
    from qa_service.io.durable import replace_file, storage_errors  # noqa: PLC0415 - seconds of import

    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
