"""Blocks of documents by their formats, of long documents by windows, and of any text whatever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from qa_service.datatypes import Run, ShownBlock, SourceDocument
from qa_service.rendering import BlockCache, blocks_of, clip
from qa_service.rendering.windows import WINDOW

ROWS = "name | value\n--- | ---\na\\|b | 1\n | 2"
HOSTILE = {
    "quotes": "> " * 10_000 + "deep",
    "lists": "\n".join("  " * depth + "- item" for depth in range(300)),
    "items": "- " * 10_000 + "deep",
    "backticks": "` `` " * 10_000,
    "brackets": "[" * 20_000 + "![" * 10_000,
    "links": "[a](" * 10_000,
    "stars": "*a **b " * 10_000,
    "tags": "<a b='" * 5_000 + "<!--" * 5_000,
    "formulas": "$a \\( $$ " * 5_000,
    "backslashes": "\\" * 20_000,
    "fences": "```\n" * 5_001 + "~~~",
    "cells": "|a" * 2_000 + "|\n" + "|-" * 2_000 + "|\n" + "|b" * 2_000 + "|",
    "rows": "|a|b|\n|-|-|\n" + "|1|2|\n" * 20_000,
    "setext": "line\n" * 20_000 + "===",
    "definitions": "[a]: b\n" * 5_000,
    "carriage returns": "a\r\r\n" * 10_000,
    "spaces": "a\n" + " " * 50_000 + "\nb",
    "separators": "a\u2028b\u2029c\x85d\x0be\x0cf\x00g" * 1_000,
}
SIGNS = [
    "word",
    "two words",
    "*",
    "**",
    "_",
    "~~",
    "`",
    "``",
    "[",
    "](x)",
    "![",
    "<b>",
    "</b>",
    "<br>",
    "\\",
    "$",
    "\n",
    "\n\n",
    "\r\n",
    "  \n",
    "# ",
    "> ",
    "- ",
    "3. ",
    "    ",
    "\t",
    "```",
    "---",
    "&amp;",
    "<!--",
    "-->",
    "[a]: b",
    "[a]",
    "<https://a.b>",
    "<div>",
    "\ufeff",
    "\x00",
    "é",
    "\u202e",
    "😀",
    "===",
    "{#a}",
]
MARKUP = st.lists(st.sampled_from([*SIGNS, "|", "|-|-|"]), max_size=60).map("".join)


def document(text: str, media_type: str = "text/markdown", uri: str = "a.md") -> SourceDocument:
    return SourceDocument("id", uri, "Title", "", "", media_type, None, (), text)


def runs_of(block: ShownBlock) -> list[Run]:
    return [*block.runs, *(run for row in block.rows for cell in row.cells for run in cell)]


def words(text: str, blocks: list[ShownBlock]) -> list[str]:
    return ["".join(text[run.start : run.end] for run in runs_of(block)) for block in blocks]


def check(text: str, blocks: list[ShownBlock] | tuple[ShownBlock, ...]) -> None:
    """Check that runs are in order, in their block, and do not overlap."""
    end = 0
    for block in blocks:
        assert 0 <= block.start <= block.end <= len(text)
        for run in runs_of(block):
            assert max(end, block.start) <= run.start < run.end <= block.end, (block, text[block.start : block.end])
            end = run.end


def test_text_that_a_reader_wrote_has_tables_headings_and_code() -> None:
    """Bars separate cells; the rule is not shown; lines that stand together are code; headings are known by name."""
    text = f"Title\n\nFees\n\nSome prose.\n\n{ROWS}\n\ndef f():\n    return 1\n\nFees"
    blocks = blocks_of(document(text, "text/html"), sections=[(13, ("Fees",))])
    assert [block.kind for block in blocks] == ["heading", "heading", "paragraph", "table", "code", "paragraph"]
    cells = [["".join(text[run.start : run.end] for run in cell) for cell in row.cells] for row in blocks[3].rows]
    assert cells == [["name", "value"], ["a|b", "1"], ["2"]]
    assert [row.is_header for row in blocks[3].rows] == [True, False, False]


def test_lines_of_plain_text_are_joined_unless_they_end_on_purpose() -> None:
    """A line that had room for the next word was meant to end there. Items keep their markers as written."""
    text = (
        "A line that an author wrapped by hand at\nsome width goes on.\nName: x\n\n- one\n  goes on\n  - two\n3) three"
    )
    blocks = blocks_of(document(text, "text/plain", "a.txt"))
    assert words(text, blocks) == [
        "A line that an author wrapped by hand at\nsome width goes on.",
        "Name: x",
        "one\n  goes on",
        "two",
        "three",
    ]
    assert [(block.kind, block.level, block.marker) for block in blocks[2:]] == [
        ("item", 1, "•"),
        ("item", 2, "•"),
        ("item", 1, "3)"),
    ]


@pytest.mark.parametrize(
    ("media_type", "uri", "kind"),
    [("text/plain", "a.py", "code"), ("text/plain", "a.log", "code"), ("text/csv", "a.csv#row=1", "table")],
)
def test_code_logs_and_records_keep_their_lines(media_type: str, uri: str, kind: str) -> None:
    """Names and values of a record are two columns."""
    text = "name: a\nvalue: b"
    (block,) = blocks_of(document(text, media_type, uri))
    assert block.kind == kind
    assert "".join(words(text, [block])).replace(": ", "").replace("\n", "") == "nameavalueb"


@pytest.mark.parametrize(
    "filler", ["Some words to fill the page.\n\n", "- item\n", "```\ncode\n\n# no heading\n```\n\n"]
)
def test_a_long_document_is_read_by_windows_as_it_would_be_at_once(filler: str) -> None:
    """The window begins with a block; a passage shows what the complete document shows there."""
    text = f"# Begin\n\n{filler * (3 * WINDOW // len(filler))}\n\n[link][ref] **end**\n\n[ref]: x\n"
    blocks = blocks_of(document(text))
    check(text, blocks)
    assert words(text, blocks)[-1] == "link end"
    cache = BlockCache(lambda _: document(text))
    for start in (0, WINDOW - 10, WINDOW, 2 * WINDOW + 7, len(text) - 40):
        assert cache.clipped("id", start, start + 500) == clip(blocks, start, start + 500)
        assert cache.clipped("id", start, start + 500) == clip(blocks, start, start + 500)


def test_code_that_is_longer_than_a_window_stays_code() -> None:
    """A window that begins within a fence is read as if the fence stood before it."""
    text = "```py\n" + "# not a heading\n\n" * (WINDOW // 5) + "```\n\nafter *it*\n"
    *codes, last = blocks_of(document(text))
    check(text, [*codes, last])
    assert {(block.kind, block.language) for block in codes} == {("code", "py")}
    assert words(text, [last]) == ["after it"]


@pytest.mark.parametrize("media_type", ["text/markdown", "text/plain"])
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_have_blocks_whose_runs_are_in_order(name: str, media_type: str) -> None:
    """None raises, and none takes long."""
    text = HOSTILE[name]
    blocks = blocks_of(document(text, media_type, "a"))
    check(text, blocks)
    third = len(text) // 3
    check(text[third : 2 * third], clip(blocks, third, 2 * third))


@given(MARKUP, st.sampled_from(["text/markdown", "text/plain", "text/html"]), st.integers(0, 200), st.integers(0, 200))
def test_every_slice_of_every_text_has_blocks(text: str, media_type: str, start: int, length: int) -> None:
    """Runs are within their blocks and in order, and a slice shows what its document shows there."""
    blocks = blocks_of(document(text, media_type, "a"))
    check(text, blocks)
    start = min(start, len(text))
    end = min(start + length, len(text))
    check(text[start:end], clip(blocks, start, end))


_reference = MarkdownIt("commonmark").enable(["table", "strikethrough"])
_reference.validateLink = lambda url: True  # type: ignore[method-assign]
PLAIN = MARKUP.filter(lambda text: not any(sign in text for sign in "$<&|{\r\x00\ufeff\\"))


@given(PLAIN)
def test_the_words_shown_are_those_that_the_library_renders(text: str) -> None:
    """Without white space; raw HTML, formulas, entities and cells beyond the header have tests of their own."""
    expected = []
    for token in _reference.parse(text.replace("[^", "")):
        if token.type in {"fence", "code_block"}:
            expected.append(token.content)
        elif token.type == "inline":
            children = [one for child in token.children or () for one in (child.children or [child])]
            expected += [child.content for child in children if child.type in {"text", "code_inline", "text_special"}]
    shown = "".join(words(text, blocks_of(document(text))))
    assert "".join(shown.split()) == "".join("".join(expected).split())
