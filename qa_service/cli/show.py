"""Prints the results of the commands; text from documents is made safe for a terminal."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from qa_service.citations import Verdict
    from qa_service.datatypes import Answer, BuildReport, CitedPassage, Offsets
    from qa_service.retrieval import DocumentRank


def printable(text: str) -> str:
    """Return ``text`` with control characters escaped."""
    return "".join(
        character if character in "\n\t" or character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def counted(number: int, noun: str) -> str:
    """Return a number with its noun, which takes an s in the plural."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def console(*, stderr: bool = False) -> "Console":
    """Return rich's console, which wraps text only on a terminal."""
    from rich.console import Console  # noqa: PLC0415

    return Console(stderr=stderr, highlight=False, soft_wrap=not sys.stdout.isatty())


def print_build(report: "BuildReport", collection: str = "") -> None:
    """Print the report of a build."""
    figures = report.completeness
    if collection:
        click.echo(f"collection {collection}")
    for item in report.skipped:
        click.echo(f"skipped {printable(item.uri)}: {printable(item.reason)}")
    for warning in report.warnings:
        click.echo(f"warning {printable(warning)}")
    if not report.changed:
        click.echo("already up to date")
    text = max(figures.text_characters, figures.content_characters)
    share = 100 * figures.covered_characters / text if text else 100
    click.echo(
        f"{counted(report.files, 'file')}: {counted(report.documents, 'document')}, {len(report.skipped)} skipped\n"
        f"{counted(report.passages, 'passage')}, {counted(report.vectors, 'vector')}, {share:.1f} % of the text; "
        f"{counted(figures.tokens, 'token')}, {figures.tokens_lost} lost\n"
        f"index {report.index_version}, {report.seconds:.1f} s"
    )


def print_files(kept: Iterable[tuple[str, float]]) -> None:
    """Print the share of the text of each file that is in the index."""
    for file, share in kept:
        click.echo(f"{share:7.1%} {printable(file)}")


def print_answer(answer: "Answer", related: "Sequence[str]" = ()) -> None:
    """Print the verdict, the quotes with their sources, the reason, the passages, and related questions.

    The exact words that answer are bold.
    """
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    confidence = "unknown" if answer.confidence is None else f"{answer.confidence:.0%}"
    if not answer.results:
        screen.print("The index has no passages.")
        return
    if answer.understood is not None and (answer.understood.corrections or answer.understood.follow_up_of):
        screen.print(Text(f"Understood as: {printable(answer.understood.text)}", "dim"))
    if answer.verdict == "not_found":
        screen.print(Text(f"Not found in these documents (confidence {confidence}).", "bold"))
    elif answer.verdict == "uncertain":
        screen.print(Text("This may answer it:", "bold"))
    for quote in answer.quotes if answer.is_shown else ():
        result = answer.results[quote.result]
        style = "green" if quote.spans else "bold green"
        screen.print(_with_bold_words(result.scored.passage.text, quote.place, quote.spans, style))
        sure = " · pinned" if answer.pinned else f" · confidence {confidence}"
        sure = sure if quote is answer.quotes[0] else ""
        screen.print(Text(f"  {_place(result)}{sure}", "dim"))
    if answer.reason is not None:
        screen.print(Text(printable(answer.reason.message)))
    if not answer.is_shown:
        _print_sections(answer)
        screen.print("The nearest passages:")
    _print_results(answer)
    if related:
        screen.print(Text("\nRelated questions:", "bold"))
        screen.print(Text(printable("\n".join(f"  {question}" for question in related))))


def _print_sections(answer: "Answer") -> None:
    from rich.text import Text  # noqa: PLC0415

    if sections := answer.nearest_headings:
        names = "; ".join(" › ".join((citation.title, *citation.section_path)) for citation in sections)
        console().print(Text(f"The nearest sections: {printable(names)}"))


def _print_results(answer: "Answer") -> None:
    from rich.text import Text  # noqa: PLC0415

    screen = console()
    for result in answer.results:
        scored = result.scored
        screen.print(Text(f"\n{scored.rank}. {_place(result)} · score {scored.score:.3f}", "bold"))
        if result.blocks is not None:
            from qa_service.cli.terminal_blocks import terminal_blocks  # noqa: PLC0415

            screen.print(*terminal_blocks(result), sep="\n")
            continue
        text, (start, end) = scored.passage.text, scored.quote
        quoted = _with_bold_words(text, scored.quote, scored.spans, "black on yellow")
        screen.print(Text.assemble(printable(text[:start]), quoted, printable(text[end:])))


def _with_bold_words(text: str, quote: "Offsets", spans: "Sequence[Offsets]", style: str) -> "Text":
    """Return a quote in a style, with the words of its spans in bold."""
    from rich.text import Text  # noqa: PLC0415

    shown, at = Text(), quote[0]
    for start, end in spans:
        shown.append(printable(text[at:start]), style)
        shown.append(printable(text[start:end]), f"bold {style}")
        at = end
    return shown.append(printable(text[at : quote[1]]), style)


def _place(result: "CitedPassage") -> str:
    citation = result.citation
    path = " › ".join((citation.title, *citation.section_path))
    position = citation.position
    lines = (
        f"page {citation.page}"
        if citation.page is not None
        else f"line {position.start_line}"
        if position.start_line == position.end_line
        else f"lines {position.start_line}–{position.end_line}"
    )
    return printable(f"{path} · {citation.uri}, {lines}").replace("\n", " ")


def print_why(why: "DocumentRank", passages: int) -> None:
    """Print the rank of a document's best passage, and the results above it."""
    place = why.passage.position
    lexical = "none" if why.lexical_rank is None else str(why.lexical_rank)
    click.echo(
        f"best passage of the document: rank {why.rank} of {passages}, lines {place.start_line}-{place.end_line}\n"
        f"{printable(why.passage.text)}\n\n"
        f"dense rank {why.dense_rank} (cosine {why.scores.dense:.3f}); lexical rank {lexical} "
        f"(BM25 {_number(why.scores.lexical)}); rerank {_number(why.scores.rerank)}; fused {why.score:.3f}"
    )
    for result in why.before:
        text = printable(" ".join(result.passage.text.split()))
        click.echo(
            f"\nranked above it (fused {result.score:.3f}, cosine {result.scores.dense:.3f}, BM25 "
            f"{_number(result.scores.lexical)}, rerank {_number(result.scores.rerank)}): {text[:200]}"
        )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def print_verdict(verdict: "Verdict", *, as_json: bool) -> None:
    """Print the verdict on a quote as text or as a line of JSON."""
    if as_json:
        click.echo(json.dumps(asdict(verdict), ensure_ascii=False))
        return
    place = "" if verdict.place is None else f" in {verdict.uri} at {verdict.place[0]}"
    click.echo(printable(f"{verdict.state}{place}: {verdict.quote}"))
    if verdict.state == "changed":
        click.echo(printable(f"  now: {verdict.now}"))


def say(message: str) -> None:
    """Print on stderr what takes a while; stdout is for results."""
    click.echo(message, err=True)


def complain(message: str, weight: str = "error") -> None:
    """Print an error or a warning as one line on stderr."""
    click.echo(f"{weight}: {printable(message)}", err=True)


def print_build_problems(report: "BuildReport", *, allow_skips: bool) -> int:
    """Print the problems of a build on stderr; return the exit code."""
    figures = report.completeness
    if figures.tokens_lost or figures.covered_characters != figures.content_characters:
        complain("the index lacks content of the documents; please report this bug")
        return 1
    failed = [item for item in report.skipped if item.failed]
    if failed and not allow_skips:
        complain(f"{len(failed)} file(s) could not be indexed; fix or remove them, or pass --allow-skips")
        return 1
    return 0


@contextmanager
def progress_bar() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that draws progress bars if stderr is a terminal."""
    if not sys.stderr.isatty():
        yield lambda *_: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total or None)
            bar.update(tasks[what], completed=done)

        yield show
