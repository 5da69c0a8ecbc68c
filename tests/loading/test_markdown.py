"""Markdown: everything that a person sees on the page is content, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qa_service.datatypes import Dropped
from qa_service.loading.markdown import parse_markdown
from qa_service.loading.outline import Outline, letters_of


def blocks_of(text: str) -> list[str]:
    return [text[block.start : block.end] for block in parse_markdown(text).blocks]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<!-- todo --> Boats leave at five.\n\nMore.\n", ["Boats leave at five.", "More."]),
        ("<!-- todo -->\nBoats leave at five.\n", ["Boats leave at five."]),
        ("<!-- one\ntwo --> Boats <!-- three --> leave.\n", ["Boats", "leave."]),
        ("<style>\np {color: red}\n</style>\n<script>alert(1)</script> Boats leave.\n", ["Boats leave."]),
        ("- <!-- todo --> Nets\n- Ropes\n", ["Nets", "- Ropes"]),
        ("Before.\n\n<!-- never\n\nclosed.\n", ["Before."]),
    ],
)
def test_words_beside_a_comment_are_content(text: str, expected: list[str]) -> None:
    """Comments, styles and scripts are not, and do not count as dropped."""
    assert blocks_of(text) == expected
    assert "closed" in text or parse_markdown(text).dropped == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\n\nThe pier: it is closed.\n\n---\n\nMore.\n", ["The pier: it is closed.", "More."]),
        ("---\nOpening hours: 9 to 5\n\n---\n\nMore.\n", ["Opening hours: 9 to 5", "More."]),
        ("---\n- Nets\n- Ropes\n---\nMore.\n", ["- Nets", "- Ropes", "More."]),
        ("+++\nnot = = toml\n+++\n\nMore.\n", ["+++\nnot = = toml\n+++", "More."]),
        ("***\n\nIntro.\n\n***\n", ["Intro."]),
        ("---\ntitle: x\n", ["title: x"]),
    ],
)
def test_text_between_two_rules_is_content_unless_it_is_front_matter(text: str, expected: list[str]) -> None:
    """Front matter is a mapping, directly below its first line."""
    found = parse_markdown(text)
    assert blocks_of(text) == expected
    assert (dict(found.metadata), found.dropped) == ({}, ())


def test_toml_front_matter_becomes_metadata() -> None:
    """As YAML does; its title is the document's."""
    found = parse_markdown(
        '\ufeff+++\r\ntitle = "The pier"\r\ndate = 2024-05-01\r\ndraft = true\r\ntags = ["a", "b"]\r\n'
        "[extra]\r\nx = 1\r\n+++\r\nWords.\r\n"
    )
    assert found.title == "The pier"
    assert dict(found.metadata) == {"title": "The pier", "date": "2024-05-01", "draft": "true", "tags": ("a", "b")}
    assert len(found.blocks) == 1


def test_front_matter_with_an_error_counts_as_dropped() -> None:
    """It is neither content nor metadata."""
    found = parse_markdown("---\ntitle: The pier: a story\nyear: [\n---\nWords.\n")
    assert (found.metadata, len(found.blocks)) == ({}, 1)
    assert [(part.kind, part.count) for part in found.dropped] == [("front matter with an error", 1)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Care of nets {#care .wide}", "Care of nets"),
        ("Care {: #care data-x='1' }", "Care"),
        ("Care [\u00b6](#care)", "Care"),
        ("Care [#](#care)", "Care"),
        ("Care <a href='#care'>\u00b6</a>", "Care"),
        ("[Care](https://example.org) of *nets*", "Care of nets"),
        ("GET /boats/{id}", "GET /boats/{id}"),
        ("C#", "C#"),
        ("![The pier](pier.png) at dawn", "The pier at dawn"),
        ("Nets [^1]", "Nets [^1]"),
    ],
)
def test_a_heading_has_its_words_only(line: str, words: str) -> None:
    """Without attributes and links to itself."""
    assert parse_markdown(f"# {line}\n\nText.\n").title == words
    assert parse_markdown(f"Text.\n\n{line}\n---\n\nMore.\n").blocks[-1].section_path == (words,)


def test_a_heading_with_nothing_below_it_is_content() -> None:
    """In the section around it; those that follow each other share a passage."""
    text = (
        "# FAQ\n\n## Phone: 555 0100\n\n## Fax: 555 0101 {#fax}\n\n"
        "## Address\n\n### Old\n\n### New\n\nPier 12.\n\n## End\n"
    )
    found = parse_markdown(text)
    content = [(text[block.start : block.end], block.section_path, block.group) for block in found.blocks]
    assert [entry[:2] for entry in content] == [
        ("Phone: 555 0100", ()),
        ("Fax: 555 0101", ()),
        ("Old", ("Address",)),
        ("Pier 12.", ("Address", "New")),
        ("End", ()),
    ]
    groups = [group for _, _, group in content]
    assert groups == sorted(groups)
    assert len(set(groups)) == 4
    assert found.title == "FAQ"


@pytest.mark.parametrize(
    "heading",
    ["Is it open on Sunday? Yes, from 10 to 4.", "Labour: 12 euros", "The pier is closed today.", "Mail: a@b.example"],
)
def test_a_heading_that_says_more_than_a_title_is_content_too(heading: str) -> None:
    """The passage below begins with it."""
    text = f"# {heading}\n\nAsk at the desk.\n\n## {heading}\n\nOr at the door.\n"
    blocks = parse_markdown(text).blocks
    assert [text[block.start : block.end] for block in blocks] == [
        heading,
        "Ask at the desk.",
        heading,
        "Or at the door.",
    ]
    assert blocks[0].group == blocks[1].group < blocks[2].group == blocks[3].group


@pytest.mark.parametrize(
    "heading",
    [
        "How do I book a boat?",
        "Chapter 3: The year 1984",
        "1. Introduction",
        "Nets: how to dry them",
        "Where? And when?",
        "Version 2.0: 5 changes",
    ],
)
def test_a_title_is_not_content_by_itself(heading: str) -> None:
    """It would be quoted in place of its answer."""
    assert blocks_of(f"## {heading}\n\nBelow.\n") == ["Below."]


def test_a_footnote_of_one_word_is_content() -> None:
    """A link definition is not, and does not count as dropped."""
    text = "Open daily[^1], see [here].\n\n[here]: https://example.org 'Our page'\n[^1]: Mostly.\n"
    assert blocks_of(text) == ["Open daily[^1], see [here].", "[^1]: Mostly."]
    assert parse_markdown(text).dropped == ()


def test_a_paragraph_underlined_by_a_rule_is_no_heading() -> None:
    """If it is too long for one."""
    text = "Boats leave at five. " * 20 + "\n---\n\nMore.\n"
    assert len(blocks_of(text)) == 2


def test_the_title_of_the_front_matter_does_not_hide_the_first_heading() -> None:
    """That is a section then."""
    found = parse_markdown("---\ntitle: Pier\n---\n# Opening at five\n\nWords.\n")
    assert (found.title, found.blocks[0].section_path) == ("Pier", ("Opening at five",))


def kept(text: str, outline: Outline) -> int:
    return sum(letters_of(text[block.start : block.end]) for block in outline.blocks)


@given(st.text(st.sampled_from("abc \n#-*>|`[]:!=\t<."), max_size=200))
def test_no_letter_goes_without_being_counted(text: str) -> None:
    """Each is in a block or a heading, hidden as a comment or link definition, or counted as dropped."""
    found = parse_markdown(text)
    assert all(isinstance(part, Dropped) and part.kind == "other text" for part in found.dropped)
    assert kept(text, found) + sum(part.characters for part in found.dropped) <= letters_of(text)
    if "<" not in text and "]:" not in text:
        assert found.dropped == ()
