"""A passage in a terminal: tables are tables, and the quote is marked within them."""

from dataclasses import replace

from rich.console import Console

from qa_service.cli.terminal_blocks import terminal_blocks
from qa_service.datatypes import SourceDocument
from qa_service.pipeline import QuestionAnswerer
from qa_service.rendering import blocks_of

TEXT = "## Fees\n\nWhat **members** pay\x1b[31m:\n\n- per year\n\n| who | fee |\n|---|---|\n| adult | 20 euros |\n"


def test_a_table_of_a_passage_is_a_table_in_the_terminal(answerer: QuestionAnswerer) -> None:
    """Markup is not printed, control characters are escaped, and the quote has a colour."""
    result = answerer.ask("cat").results[0]
    document = SourceDocument("id", "a.md", "", "", "", "text/markdown", None, (), TEXT)
    quote = TEXT.index("20"), TEXT.index("20") + len("20 euros")
    passage = replace(result.scored.passage, text=TEXT)
    scored = replace(result.scored, passage=passage, quote=quote, spans=((quote[0], quote[0] + 2),))
    screen = Console(width=60, record=True, force_terminal=True)
    screen.print(*terminal_blocks(replace(result, scored=scored, blocks=tuple(blocks_of(document)))), sep="\n")
    marked = screen.export_text(styles=True, clear=False)
    lines = [line.rstrip() for line in screen.export_text().splitlines() if line.strip()]
    assert lines[:3] == ["Fees", "What members pay\\x1b[31m:", "• per year"]
    assert [lines[3].split(), lines[5].split()] == [["who", "fee"], ["adult", "20", "euros"]]
    assert "\x1b[1;30;43m20\x1b[0m\x1b[30;43m euros\x1b[0m" in marked
