"""Plain text -> outline: blank lines separate paragraphs; headings are recognised by their look.

Plain text has no markup for headings. In text scraped from web pages titles are bare lines, and the page's title is
repeated throughout. Such lines must not become answers. A line by itself is

- a *heading* if it is short, is not a sentence, and looks like a title: capitalised words, or an underline;
- *furniture* if it repeats the file's first line: it is dropped, and the section goes on.

A long run of such lines is a list and stays content, as does a last line with nothing below it, and a line below a
question. A text that consists
only of such lines is all content.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from qa_service.datatypes import BlockKind
from qa_service.loading.outline import Outline, OutlineBuilder
from qa_service.text.positions import line_starts

_MAX_HEADING_CHARACTERS = 100
_MAX_HEADING_WORDS = 14
_MAX_WORDS_CHARACTERS = 400
_MAX_HEADINGS_IN_A_ROW = 3
_MIN_PARAGRAPH_LINE_CHARACTERS = 200
_MIN_CAPITAL_SHARE = 0.6

_WORD = re.compile(r"[^\W\d_][\w'’.-]*")
_NUMBERED = re.compile(r"(?:chapter|section|part|appendix)\s+[\divxlc]+\b|\d+(?:\.\d+)*\.?\s+\S", re.IGNORECASE)
_UNDERLINE = re.compile(r"\s(?:={3,}|-{3,}|~{3,}|\*{3,})\Z")
_NOT_IN_TITLES = re.compile(r"[:?!]\s|\t|https?://|@")
_ROW = re.compile(r"\S[ \t]+\|[ \t]+\S")
_LIST_ITEM = re.compile(r"\s*(?:[-*•‣◦–]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s+\S")
_QUESTION_MARKS = ("?", "\uff1f", "\u061f", "\u037e")
_SENTENCE_END = re.compile(r"""[.!;:,…。！；：，][)\]"'”’»]*\Z""")
# Short words that titles leave in lower case.
_MINOR_WORDS = {
    *("a", "an", "and", "as", "at", "but", "by", "for", "from", "in", "into", "is", "nor", "of", "off", "on"),
    *("or", "over", "per", "the", "to", "up", "via", "vs", "with"),
}


@dataclass(frozen=True, slots=True)
class _Paragraph:
    start: int
    end: int
    words: str
    """The beginning of the text on one line, white space collapsed."""
    lines: tuple[tuple[int, int], ...]

    @property
    def key(self) -> str:
        return self.words.casefold()


def parse_plain_text(text: str) -> Outline:
    """Return the title and blocks of a plain text document."""
    paragraphs = _paragraphs(text)
    builder = OutlineBuilder(text)
    if not paragraphs:
        return builder.outline()
    furniture = _repeated_title(paragraphs)
    looks = [
        (paragraph.key == furniture or _looks_like_heading(paragraph)) and not _answers(before)
        for before, paragraph in zip([None, *paragraphs], paragraphs, strict=False)
    ]
    for paragraph, is_heading in zip(paragraphs, _with_body_below(looks), strict=True):
        if not is_heading:
            for start, end, kind in _blocks(text, paragraph):
                builder.block(start, end, kind)
        elif paragraph.key == furniture and paragraph is not paragraphs[0]:
            builder.break_here()
            builder.drop("repeated title", paragraph.words)
            builder.hide(paragraph.start, paragraph.end)
        else:
            builder.heading(1, _title_words(paragraph), paragraph.start, paragraph.end)
    return builder.outline()


def _paragraphs(text: str) -> list[_Paragraph]:
    starts = [*line_starts(text), len(text)]
    found: list[_Paragraph] = []
    lines: list[tuple[int, int]] = []

    def close() -> None:
        if lines:
            start, end = lines[0][0], lines[-1][1]
            found.append(
                _Paragraph(
                    start, end, " ".join(text[start : min(end, start + _MAX_WORDS_CHARACTERS)].split()), tuple(lines)
                )
            )
            lines.clear()

    for start, end in pairwise(starts):
        if text[start:end].strip(" \t\r\n\f\v\ufeff"):
            lines.append((start, end))
        else:
            close()
    close()
    return found


def _repeated_title(paragraphs: list[_Paragraph]) -> str | None:
    """Return the key of the file's first line if it is repeated and could be a title; one word is none."""
    first = paragraphs[0]
    if (
        not _is_short_line(first)
        or " " not in first.words
        or sum(paragraph.key == first.key for paragraph in paragraphs) == 1
    ):
        return None
    return first.key


def _answers(before: _Paragraph | None) -> bool:
    """Tell whether a line is an answer, by the paragraph before it."""
    return before is not None and before.words.endswith(_QUESTION_MARKS)


def _title_words(paragraph: _Paragraph) -> str:
    return _UNDERLINE.sub("", paragraph.words)


def _is_short_line(paragraph: _Paragraph) -> bool:
    words = paragraph.words
    return (
        len(paragraph.lines) == 1
        and len(words) <= _MAX_HEADING_CHARACTERS
        and len(words.split()) <= _MAX_HEADING_WORDS
        and not _SENTENCE_END.search(words)
        and not _NOT_IN_TITLES.search(words)
    )


def _looks_like_heading(paragraph: _Paragraph) -> bool:
    if len(paragraph.lines) == 2:  # noqa: PLR2004 - a line and its underline
        return bool(_UNDERLINE.search(paragraph.words)) and len(paragraph.words) <= 2 * _MAX_HEADING_CHARACTERS
    words = paragraph.words
    return (
        _is_short_line(paragraph)
        and (_NUMBERED.match(words) is not None or _LIST_ITEM.match(words) is None)
        and _capital_share(words) >= _MIN_CAPITAL_SHARE
    )


def _capital_share(words: str) -> float:
    """Return the share of a line's major words that are capitalised; 0 for scripts without capitals."""
    found: list[str] = _WORD.findall(words)
    major = [word for word in found if word.casefold() not in _MINOR_WORDS]
    if not major or not found[0][0].isupper():
        return 0.0
    capitals = sum(1 for word in major if word[0].isupper())
    return capitals / len(major)


def _with_body_below(looks: list[bool]) -> list[bool]:
    """Keep runs of at most three heading-like lines that have content below them."""
    kept = [False] * len(looks)
    start = 0
    while start < len(looks):
        end = start
        while end < len(looks) and looks[end]:
            end += 1
        if start < end < len(looks) and end - start <= _MAX_HEADINGS_IN_A_ROW:
            kept[start:end] = [True] * (end - start)
        start = max(end, start + 1)
    return kept


def _blocks(text: str, paragraph: _Paragraph) -> Iterator[tuple[int, int, BlockKind]]:
    """Yield the blocks of a paragraph: rows of a table, list items, and lines as long as a paragraph."""
    lines = paragraph.lines
    if len(lines) > 1 and all(_ROW.search(text, start, end) for start, end in lines):
        yield from ((start, end, "table_row") for start, end in lines)
        return
    if len(lines) > 1 and (paragraph.end - paragraph.start) / len(lines) >= _MIN_PARAGRAPH_LINE_CHARACTERS:
        yield from ((start, end, "paragraph") for start, end in lines)
        return
    cuts = [start for start, end in lines if _LIST_ITEM.match(text, start, end)]
    edges = sorted({paragraph.start, *cuts, paragraph.end})
    yield from ((start, end, "paragraph") for start, end in pairwise(edges))
