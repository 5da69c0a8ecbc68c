"""Markdown -> outline, by markdown-it-py (CommonMark and tables).

Only blocks are parsed. A block spans whole source lines, so markers and markup are part of the cited text. Front
matter becomes metadata; comments, styles, rules and link definitions are not content.
"""

import re
from collections.abc import Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock, reference

from qa_service.datatypes import BlockKind, Offsets
from qa_service.loading.front_matter import front_matter
from qa_service.loading.outline import Outline, OutlineBuilder, letters_of
from qa_service.text.positions import line_starts

_MAX_HEADING_CHARACTERS = 300
_BLOCK_KINDS: dict[str, BlockKind] = {
    "paragraph_open": "paragraph",
    "tr_open": "table_row",
    "fence": "code",
    "code_block": "code",
}
_NOT_LINE_BREAKS = re.compile(r"[^\r\n]+")
_UNSEEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<tag>script|style|template)\b.*?(?:</(?P=tag)\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
_ATTRIBUTE = r"""(?:[#.][\w:.-]+|[\w-]+=(?:"[^"]*"|[^\s}]+))"""
# Behind a heading, as in Pandoc, kramdown and Python-Markdown.
HEADING_ATTRIBUTES = re.compile(rf"\s*\{{:?\s*{_ATTRIBUTE}(?:\s+{_ATTRIBUTE})*\s*\}}\s*\Z")
_ANCHOR_SIGNS = " \t¶🔗"

_inline = MarkdownIt("commonmark")


def _reference(state: StateBlock, line: int, last: int, silent: bool) -> bool:  # noqa: FBT001 - the library's interface
    """Parse a link definition; a footnote of one word ("[^1]: Yes") looks like one."""
    is_footnote = state.src.startswith("[^", state.bMarks[line] + state.tShift[line])
    return not is_footnote and reference(state, line, last, silent)


def block_parser() -> MarkdownIt:
    """Return a parser of blocks, which leaves inline markup as it is."""
    markdown = MarkdownIt("commonmark").enable("table").disable(["inline"])
    markdown.block.ruler.at("reference", _reference)
    return markdown


_blocks = block_parser()


def parse_markdown(text: str) -> Outline:
    """Return the title and blocks of a Markdown document."""
    metadata, begin = front_matter(text)
    title = metadata.get("title")
    builder = OutlineBuilder(text, title if isinstance(title, str) and title else None)
    builder.hide(0, begin)
    if not metadata:
        builder.drop("front matter with an error", text[:begin])
    starts = [*line_starts(text), len(text)]
    # The lines keep their numbers.
    source = _NOT_LINE_BREAKS.sub("", text[:begin]) + text[begin:].removeprefix("\ufeff")
    environment: dict[str, Any] = {}
    tokens = _blocks.parse(source, environment)
    for definition in environment.get("references", {}).values():
        builder.hide(*_span(definition["map"], starts))
    list_depth = 0
    for position, token in enumerate(tokens):
        list_depth += {"list_item_open": 1, "list_item_close": -1}.get(token.type, 0)
        if token.map is None:
            continue
        start, end = _span(token.map, starts)
        if token.type == "heading_open":
            _add_heading(builder, tokens[position + 1].content, int(token.tag[1:]), start, end)
        elif token.type == "html_block":
            _add_html(builder, start, end, "list_item" if list_depth else "paragraph")
        elif token.type in _BLOCK_KINDS:
            kind = _BLOCK_KINDS[token.type]
            builder.block(start, end, "list_item" if list_depth and kind != "table_row" else kind)
    return builder.outline(metadata)


def _span(lines: Sequence[int], starts: Sequence[int]) -> Offsets:
    return starts[lines[0]], starts[min(lines[1], len(starts) - 1)]


def _add_heading(builder: OutlineBuilder, content: str, level: int, start: int, end: int) -> None:
    """Add a heading without its markers and attributes; one too long for a heading is a block."""
    content = HEADING_ATTRIBUTES.sub("", content)
    words = _plain_words(content)
    if len(content) > _MAX_HEADING_CHARACTERS:
        builder.block(start, end)
        return
    builder.hide(start, end)
    found = builder.text.find(content, start, end)
    if found >= 0:
        start, end = found, found + len(content)
    builder.heading(level, words, start, end)


def _add_html(builder: OutlineBuilder, start: int, end: int, kind: BlockKind) -> None:
    """Add HTML as it is, without comments and styles; a comment by itself ends the group."""
    edges = [start]
    for unseen in _UNSEEN.finditer(builder.text, start, end):
        builder.hide(*unseen.span())
        edges += unseen.span()
    if len(edges) > 1:
        builder.break_here()
    for left, right in zip(edges[::2], [*edges, end][1::2], strict=True):
        if len(edges) == 1 or letters_of(builder.text[left:right]):
            builder.block(left, right, kind)


def _plain_words(content: str) -> str:
    """Return the text of a heading without markup and without the sign of a link to itself."""
    pieces: list[str] = []
    link = 0
    for token in _inline.parseInline(content):
        for child in token.children or ():
            if child.type == "link_open":
                link = len(pieces)
            elif child.type == "link_close":
                if not letters_of("".join(pieces[link:])):
                    del pieces[link:]
            elif child.type in {"text", "code_inline", "image"}:
                pieces.append(child.content)
            elif child.type in {"softbreak", "hardbreak"}:
                pieces.append(" ")
    words = " ".join("".join(pieces).split())
    return words.rstrip(_ANCHOR_SIGNS) if letters_of(words) else words
