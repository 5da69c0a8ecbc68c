"""The commands that ask one question: ask, why."""

import json
import sys
import time
from typing import Any

import click

from qa_service.cli.group import answerer_of, ask_with_one_thread, cli, settings_to_ask
from qa_service.cli.options import examples, options, question_words
from qa_service.cli.show import print_answer, print_why


@cli.command(
    epilog=examples(
        "ask who sank the Cheonan",
        'ask --source ~/handbook --top-k 1 "Who signs an invoice?"',
        'ask --json "Who signs an invoice?"',
        "ask --session invoices who signs an invoice",
    )
)
@question_words
@options("source", "index", "model", "collection", "top_k", "min_confidence", "min_uncertain")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON, as from POST /ask.")
@click.option(
    "--session",
    metavar="NAME_OR_FILE",
    help="Conversation that the question continues; its last 10 questions and quotes are in a file. Delete the file to "
    "end it.",
)
def ask(question: str, as_json: bool, session: str | None, **overrides: Any) -> int:  # noqa: FBT001 - a flag
    """Ask one question of the index.

    The words of the question need no quotes, unless the shell reads one of their characters itself.
    """
    ask_with_one_thread()
    from qa_service.cli.sessions import keep_turns, read_turns, session_file  # noqa: PLC0415 - seconds of import
    from qa_service.datatypes import AskOptions  # noqa: PLC0415
    from qa_service.evaluation.starters import related_by_asking  # noqa: PLC0415
    from qa_service.server.starters import candidates  # noqa: PLC0415
    from qa_service.text.cleaning import check_question  # noqa: PLC0415

    collection = overrides["collection"]
    settings = settings_to_ask(overrides)
    check_question(question)
    file = session_file(session, settings.data) if session else None
    history = read_turns(file) if file else ()
    answerer, _ = answerer_of(settings)
    answerer.self_test()  # also loads the model, so that it does not count as time of the answer
    started = time.perf_counter()
    answer = answerer.ask(question, AskOptions(history=history, blocks=not as_json and sys.stdout.isatty()))
    took_ms = (time.perf_counter() - started) * 1000
    if file:
        keep_turns(file, history, answer)
        if not history:
            click.echo(f"conversation started in {file}; delete this file to end it", err=True)
    questions, _ = candidates(settings, f"/collections/{collection}" if collection else "")
    related = related_by_asking(answerer, questions, answer)
    if as_json:
        import uuid  # noqa: PLC0415

        from qa_service.schemas.ask import ask_body  # noqa: PLC0415

        click.echo(json.dumps(ask_body(str(uuid.uuid4()), answer, took_ms, related=related), ensure_ascii=False))
    else:
        print_answer(answer, related)
    return 0


@cli.command(epilog=examples("why who sank the Cheonan --document us-korea-relations.md"))
@question_words
@options("source", "index", "model", "collection")
@click.option("--document", required=True, metavar="PATH", help="Path below the source folder, or document id.")
def why(question: str, document: str, **overrides: Any) -> int:
    """Explain why a document was not returned: its best passage, its ranks, the results above it."""
    ask_with_one_thread()
    answerer, _ = answerer_of(settings_to_ask(overrides))
    print_why(answerer.document_rank(question, document), len(answerer.index))
    return 0
