"""The text between the tags of HTML that stands in Markdown: as runs, with a break at the edge of every block."""

import re
from collections.abc import Iterator

from qa_service.datatypes import Mark, Run
from qa_service.rendering.inline import Break, Piece

_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(?P<unseen>script|style|template)\b.*?(?:</(?P=unseen)\s*>|\Z)"
    r"|<(?P<end>/?)(?P<name>[a-zA-Z][\w:-]*)(?P<attributes>(?:[^<>\"']|\"[^\"]*\"|'[^']*')*)>|<[!?][^>]*>",
    re.DOTALL | re.IGNORECASE,
)
_ALT = re.compile(r"\balt\s*=\s*(?:\"([^\"]+)\"|'([^']+)')", re.IGNORECASE)
_MARKS: dict[str, Mark] = {
    **dict.fromkeys(("b", "strong", "th"), "strong"),
    **dict.fromkeys(("i", "em", "cite", "var"), "emphasis"),
    **dict.fromkeys(("code", "kbd", "samp", "tt"), "code"),
    **dict.fromkeys(("s", "del", "strike"), "strike"),
}
_WITHIN = {"a", "abbr", "big", "font", "img", "mark", "q", "small", "span", "sub", "sup", "time", "u", "wbr", *_MARKS}
_WITHIN -= {"th"}


def html_pieces(content: str) -> Iterator[Piece]:
    """Yield the runs of text between tags, and of the words that stand for images."""
    marks: list[Mark] = []
    position = 0
    for match in _MARKUP.finditer(content):
        yield from _run(content, position, match.start(), marks)
        position = match.end()
        name = (match["name"] or "").lower()
        if name == "img" and (alt := _ALT.search(match["attributes"])):
            start, end = alt.span(alt.lastindex or 0)
            yield Run(match.start("attributes") + start, match.start("attributes") + end, (*marks, "image"))
        if name in _MARKS:
            if not match["end"]:
                marks.append(_MARKS[name])
            elif _MARKS[name] in marks:
                marks.remove(_MARKS[name])
        if name and name not in _WITHIN:
            yield Break()
    yield from _run(content, position, len(content), marks)


def _run(content: str, start: int, end: int, marks: list[Mark]) -> Iterator[Run]:
    if content[start:end].strip():
        yield Run(start, end, tuple(dict.fromkeys(marks)))
