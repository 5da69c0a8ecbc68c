"""Markdown -> outline, by markdown-it-py (CommonMark and tables) and its front matter plug-in.

Only blocks are parsed. A block spans whole source lines, so markers and markup are part of the cited text. Front
matter becomes metadata; comments, rules and link definitions are not content.
"""

import datetime as dt

import yaml
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.front_matter import front_matter_plugin

from qa_service.datatypes import BlockKind, Metadata
from qa_service.loading.outline import Outline, OutlineBuilder
from qa_service.text.positions import line_starts

_MAX_HEADING_CHARACTERS = 300
_MAX_FRONT_MATTER_CHARACTERS = 65_536
_SCALARS = (str, int, float, bool, dt.date)
_BLOCK_KINDS: dict[str, BlockKind] = {
    "paragraph_open": "paragraph",
    "tr_open": "table_row",
    "fence": "code",
    "code_block": "code",
    "html_block": "paragraph",
}

_blocks = MarkdownIt("commonmark").enable("table").use(front_matter_plugin).disable(["inline"])
_inline = MarkdownIt("commonmark")


def parse_markdown(text: str) -> Outline:
    """Return the title and blocks of a Markdown document."""
    builder = OutlineBuilder(text)
    starts = [*line_starts(text), len(text)]
    tokens = _blocks.parse(text.removeprefix("\ufeff"))
    list_depth = 0
    metadata: Metadata = {}
    for position, token in enumerate(tokens):
        if token.type == "list_item_open":
            list_depth += 1
        elif token.type == "list_item_close":
            list_depth -= 1
        if token.map is None:
            continue
        if token.type == "front_matter":
            metadata = _metadata(token.content)
        start, end = starts[token.map[0]], starts[min(token.map[1], len(starts) - 1)]
        if token.type == "heading_open":
            builder.heading(int(token.tag[1:]), _plain_words(tokens[position + 1]))
        elif token.type == "html_block" and token.content.lstrip().startswith("<!--"):
            builder.break_here()
        elif token.type in _BLOCK_KINDS:
            builder.block(start, end, "list_item" if list_depth else _BLOCK_KINDS[token.type])
    return builder.outline(metadata)


def _metadata(content: str) -> Metadata:
    """Return the front matter's scalars, and lists of scalars, as text; empty unless it is a YAML mapping."""
    if len(content) > _MAX_FRONT_MATTER_CHARACTERS:
        return {}
    try:
        loaded = yaml.safe_load(content)
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    found: dict[str, str | tuple[str, ...]] = {}
    for key, value in loaded.items() if isinstance(loaded, dict) else ():
        if isinstance(value, _SCALARS):
            found[str(key)] = _text_of(value)
        elif isinstance(value, list) and all(isinstance(item, _SCALARS) for item in value):
            found[str(key)] = tuple(map(_text_of, value))
    return found


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain_words(inline: Token) -> str:
    """Return the text of a heading without markup."""
    content = inline.content[:_MAX_HEADING_CHARACTERS]
    pieces = [
        child.content if child.type in {"text", "code_inline"} else " "
        for token in _inline.parseInline(content)
        for child in token.children or ()
        if child.type in {"text", "code_inline", "softbreak", "hardbreak"}
    ]
    return " ".join("".join(pieces).split())
