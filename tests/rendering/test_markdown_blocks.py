"""Blocks of Markdown: every shown character has its place, and what is shown is what markdown-it-py renders."""

from qa_service.datatypes import ShownBlock
from qa_service.rendering.clip import clip
from qa_service.rendering.markdown import markdown_blocks

PAGE = """# Title *a* `b`

Para **bold *both* x** ~~no~~ [link](javascript:alert) ![alt *t*](x.png) <https://a.b/c%20d> a\\*b &amp; $a_1*b_2*c$
next

> quote **x
> y** z
> - item
>
>   second
> 1. a

3. three
   ```python x
   code
     more
   ```

| a | b \\| c |
|---|--|
| 1 | `x \\| y` | extra |
||  two|

[a]: http://x
"""


def shown(text: str, block: ShownBlock) -> str:
    return "".join(text[run.start : run.end] for run in block.runs)


def test_markup_is_not_shown_and_marks_are_those_of_the_page() -> None:
    """Targets of links and addresses of images are markup; a formula and a code span are not parsed."""
    heading, paragraph = markdown_blocks(PAGE)[:2]
    assert (heading.kind, heading.level, shown(PAGE, heading)) == ("heading", 1, "Title a b")
    assert shown(PAGE, paragraph) == "Para bold both x no link alt t https://a.b/c%20d a*b & $a_1*b_2*c$\nnext"
    marked = {PAGE[run.start : run.end]: run.marks for run in paragraph.runs if run.marks}
    assert marked["both"] == ("strong", "emphasis")
    assert (marked["no"], marked["alt "], marked["$a_1*b_2*c$"]) == (("strike",), ("image",), ("math",))


def test_items_have_depth_and_marker_and_what_continues_one_has_none() -> None:
    """A quote within a list is an item; code keeps its own kind."""
    blocks = markdown_blocks(PAGE)[2:-1]
    assert [(block.kind, block.level, block.marker, shown(PAGE, block)) for block in blocks] == [
        ("quote", 1, "", "quote x\ny z"),
        ("item", 1, "•", "item"),
        ("item", 1, "", "second"),
        ("item", 1, "1.", "a"),
        ("item", 1, "3.", "three"),
        ("code", 0, "", "code\n  more"),
    ]
    assert blocks[-1].language == "python"


def test_cells_are_runs_and_a_cell_without_column_is_shown_too() -> None:
    """A bar within a cell loses its backslash."""
    table = markdown_blocks(PAGE)[-1]
    rows = [["".join(PAGE[run.start : run.end] for run in cell) for cell in row.cells] for row in table.rows]
    assert rows == [["a", "b | c"], ["1", "x | y", "extra"], ["", "two"]]
    assert [row.is_header for row in table.rows] == [True, False, False]


def test_a_passage_shows_its_part_in_its_own_offsets() -> None:
    """Rows without the header row are a table without one; code without its fence is code."""
    blocks = markdown_blocks(PAGE)
    start, end = PAGE.index("     more"), PAGE.index("||")
    text = PAGE[start:end]
    code, table = clip(blocks, start, end)
    assert (code.kind, shown(text, code)) == ("code", "  more")
    assert [row.is_header for row in table.rows] == [True, False]
    (rows,) = clip(blocks, PAGE.index("| 1"), end)
    assert [row.is_header for row in rows.rows] == [False]
    assert clip(blocks, PAGE.index("[a]:"), len(PAGE)) == ()
