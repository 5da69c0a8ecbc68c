"""The command that pins a quote to a question."""

import click

from qa_service.cli.group import cli, settings_of
from qa_service.cli.options import FOLDER, examples, options, setting_option
from qa_service.cli.show import printable
from qa_service.errors import InputError


@cli.command(
    epilog=examples(
        'pin "Who signs an invoice?" --document finance.md --quote "Invoices are signed by the finance office."',
        "pin --feedback 0b8f6f0e-6a53-4b52-9a0f-1f6e1c3f1a55",
    )
)
@click.argument("question", required=False)
@options("source", "collection")
@setting_option("--data", type=FOLDER, metavar="DIR")
@click.option("--document", metavar="PATH", help="Path of the document below the source folder.")
@click.option("--quote", metavar="TEXT", help="The words of the document that answer.")
@click.option(
    "--feedback", metavar="ID", help="Take the question from the feedback on this answer, and the passage it names."
)
def pin(question: str | None, document: str | None, quote: str | None, feedback: str | None, **overrides: str) -> int:
    """Pin a quote of a document as the answer to QUESTION.

    The line is added to answers.jsonl in the source folder if the quote stands in the document; the next build serves
    it. Other wordings of the question are added to "questions" of the line.
    """
    from qa_service.indexing.pin_file import add_pin  # noqa: PLC0415 - seconds of import

    settings = settings_of(dict(overrides))
    if feedback is not None:
        from qa_service.server.feedback import FEEDBACK, FeedbackFile  # noqa: PLC0415

        if not (settings.data / FEEDBACK).exists():
            raise InputError(f"{settings.data} has no feedback; name its folder with --data")
        with FeedbackFile(settings.data) as file:
            given = file.given_for(feedback)
        if given is None:
            raise InputError(f"no feedback on an answer {feedback!r} in {settings.data}; give the id of an answer")
        question = question or given[0]
        if given[1] is not None:
            document, quote = document or given[1].document, quote or given[1].content
    for value, missing in ((question, "QUESTION"), (document, "--document"), (quote, "--quote")):
        if value is None:
            raise click.UsageError(f"{missing} is missing")
    added = add_pin(settings, question or "", document or "", quote or "")
    click.echo(printable(f"pinned in {added.path}: {added.quote}"))
    if added.places > 1:
        click.echo(f"it stands {added.places} times in the document; the first place is cited", err=True)
    click.echo("build the index to serve it: qa-service index", err=True)
    return 0
