"""Rows of tables and lines of lists are sentences of their own; each passage of a table has its header."""

import pytest

from qa_service.datatypes import Block, Document
from qa_service.loading.markdown import parse_markdown
from qa_service.loading.plaintext import parse_plain_text
from qa_service.splitting import Splitter, SplitterSettings, embedding_text
from qa_service.splitting.sentences import sentences_of


def count_words(texts: list[str]) -> list[int]:
    return [len(text.split()) + 2 for text in texts]


def passages_of(text: str, *, tokens: int = 40, window: int = 120) -> list[tuple[str, list[str]]]:
    """Return context and sentences of each passage of a Markdown text; check the offsets."""
    outline = parse_markdown(text)
    document = Document("id", "a.md", outline.title or "a.md", outline.title is not None, text, "sha", outline.blocks)
    splitter = Splitter(SplitterSettings(tokens, window, 8), count_words)
    found = splitter.split(document)
    for passage in found:
        assert text[passage.position.start_char : passage.position.end_char] == passage.text
        assert count_words([embedding_text(passage.context, passage.text)])[0] <= window
    return [(passage.context, [passage.text[slice(*span)] for span in passage.sentences]) for passage in found]


def table(rows: int, header: str = "| boat | length | berth |", rule: str = "|---|---:|---|") -> str:
    lines = [f"| Anna {n} | {n + 10} m. Long. | Pier {n % 7} |" for n in range(rows)]
    return "\n".join([header, rule, *lines]) + "\n"


def test_every_passage_of_a_table_has_the_header_in_its_context() -> None:
    """Unless it begins with the header itself; each row is one sentence, also with full stops in it."""
    (first, rows), *others = passages_of(f"# Boats\n\n## Length\n\n{table(40)}")
    assert (first, rows[0]) == ("Boats > Length", "| boat | length | berth |")
    assert len(others) > 5
    assert {context for context, _ in others} == {"Boats > Length > boat | length | berth"}
    assert all(row.startswith("| Anna") and row.endswith("|") for _, rows in others for row in rows)


def test_a_passage_that_begins_before_or_behind_a_table_has_no_header_in_its_context() -> None:
    """Each table has its own header."""
    nets = table(12, "| net | width | hook |")
    text = f"# Boats\n\n{'All of these boats are long. ' * 5}\n\n{table(12)}\n{nets}\nThe end.\n"
    for context, (first, *_) in passages_of(text):
        if first.startswith("| Anna"):
            assert context in {"Boats > boat | length | berth", "Boats > net | width | hook"}
        else:
            assert context == "Boats"


def test_a_header_too_long_for_the_window_is_left_out() -> None:
    """Before it the outer headings are."""
    header = "| " + " | ".join(["a long name"] * 5) + " |"
    text = f"# {'Boats and ' * 6}\n\n" + table(20, header, "|---" * 5 + "|")
    contexts = {context for context, _ in passages_of(text, window=60)}
    assert header.strip("| ") in contexts
    assert not any("long name" in context for context, _ in passages_of(text, window=40))


def test_a_row_longer_than_a_passage_is_cut() -> None:
    """Its later pieces have the header too."""
    text = table(3) + "| Berta | " + "very " * 100 + "| Pier |\n"
    contexts = [context for context, _ in passages_of(text)]
    assert contexts[-1] == contexts[-2] == "boat | length | berth"


def test_a_long_header_does_not_shorten_passages_of_text() -> None:
    """Passages of the table have less room, and one whose only row needs all of it has no header."""
    header = "| " + " | ".join(["a long name"] * 8) + " |"
    text = "Boats leave. " * 40 + "\n\n" + table(6, header, "|---" * 8 + "|") + "| Berta | " + "very " * 36 + "|\n"
    found = passages_of(text, tokens=40, window=64)
    assert max(len(" ".join(sentences).split()) for _, sentences in found) >= 38
    assert found[-1][1][-1].startswith("| Berta")
    assert found[-1][0] == ""


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("Boat | Length\n--- | ---\nAnna | 12\nBerta | 13", "Boat | Length"),
        ("Boat | Length\nAnna | 12\nBerta | 13", "Boat | Length"),
        ("Boat | 2019 | 2020\nAnna | 12 | 13\nBerta | 13 | 14", "Boat | 2019 | 2020"),
        ("Boat | Berth\nAnna | North\nBerta | South", ""),
        ("1950 | 12\nAnna | 12\nBerta | 13", ""),
        ("Boat | Length\n\nAnna | 12\n\nBerta | 13", ""),
    ],
)
def test_a_header_is_told_by_its_rule_or_by_numbers_below_it(rows: str, expected: str) -> None:
    """In tables of other formats than Markdown."""
    blocks = []
    for line in filter(None, rows.split("\n")):
        start = rows.index(line)
        blocks += [] if line.startswith("---") else [Block(start, start + len(line), "table_row", (), 0)]
    document = Document("id", "a", "a", title_is_heading=False, text=rows, sha256="sha", blocks=tuple(blocks))
    found = Splitter(SplitterSettings(4, 60, 0), count_words).split(document)
    assert found[-1].context == expected


def lines_of(text: str) -> list[str]:
    return [text[slice(*span)] for block in parse_plain_text(text).blocks for span in sentences_of(text, block)]


def test_lines_that_are_entries_are_sentences() -> None:
    """In lists, addresses and timetables, with or without a full stop."""
    lists = [
        ["Ada Boat", "Place of birth: Hull", "Length 6 m", "Years Berth", "1986 Pier 6", "1990 Pier 14"],
        ["Mo 9 to 5", "Tu 9 to 5", "We closed"],
        [
            "The ferry to the island leaves the harbour from the north pier at five.",
            "Not on Sundays.",
            "Tickets: on board",
        ],
        ["\u5317\u6d77\u9053\u306e\u6e2f", "\u5927\u962a\u306e\u6e2f"],
    ]
    for lines in lists:
        for line_end in ("\n", "\r\n"):
            assert lines_of(line_end.join(lines)) == lines


@pytest.mark.parametrize(
    "text",
    [
        "The ferry to the island leaves at five in the\nmorning except on Sundays and holidays, when\nAnna sleeps.",
        "The ferry leaves at\nfive every morning\nof the week.",
        "On Monday,\nAnna sails.",
        "Concentrated O\n2 will burn " + "and burn " * 30 + "until O\n2 is gone.",
    ],
)
def test_running_text_is_not_cut_at_the_margin(text: str) -> None:
    """Where a line has no room for the next word, goes on in lower case, or ends with a comma."""
    assert lines_of(text) == [text]


def test_long_code_is_cut_at_line_ends() -> None:
    """So that a quote is no page; short code stays together."""
    short = "```\nfor boat in boats:\n    boat.sail()\n```"
    code = "```\n" + "\n".join(f"boats[{n}] = berth(pier={n}, deep=True)" for n in range(60)) + "\n```"
    for text in (short, code):
        (block,) = parse_markdown(text).blocks
        pieces = [text[slice(*span)] for span in sentences_of(text, block)]
        assert all(len(piece) <= 400 for piece in pieces)
        assert "\n".join(pieces) == text
    assert len(pieces) < 10
