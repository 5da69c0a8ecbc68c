"""Block -> sentences. A row of a table is one; so is a line, where lines are entries rather than running text.

Running text is broken at a margin: a line ends where the next word has no room, and half a sentence may stand on it.
Entries break where they end: their lines are short, or leave room, and hardly one begins in lower case. Longer lines
are paragraphs, in which breaks are accidents.
"""

import re
from collections.abc import Iterator
from itertools import pairwise

import sentencex

from qa_service.datatypes import Block, Offsets
from qa_service.text.cleaning import is_blank
from qa_service.text.positions import grapheme_starts

_LANGUAGE = "en"
_LINE = re.compile(r"[^\r\n]*\S[^\r\n]*")
# Scripts without spaces break a line at any character.
_FIRST_WORD = re.compile(r"\s*([\u3000-\u9fff\uff00-\uffef]|\S{1,30})")
_GOES_ON = re.compile(r"[,;(\[\u2013\u2014-]\s*\Z")
_MAX_SHORT_LINE, _MAX_LINE = 45, 160
_MAX_LOWER_CASE_SHARE = 0.2
_MIN_ROOMY_SHARE = 0.5
_MAX_CODE_CHARACTERS = 400


def sentences_of(text: str, block: Block) -> Iterator[Offsets]:
    """Yield the sentences of a block, trimmed; none begins or ends inside a grapheme."""
    content = text[block.start : block.end]
    if block.kind == "table_row":
        ends = [len(content)]
    else:
        ends = [boundary["end_index"] for boundary in sentencex.get_sentence_boundaries(_LANGUAGE, content)]
        ends += _ends_in_code(content, ends) if block.kind == "code" else _ends_of_entries(content)
    safe = None if content.isascii() else set(grapheme_starts(content))
    left = 0
    for right in sorted({*ends, len(content)}):
        if safe is not None and right not in safe:
            continue
        if span := _trimmed(content, left, right):
            yield block.start + span[0], block.start + span[1]
        left = right


def _ends_of_entries(content: str) -> list[int]:
    """Return where lines end that are entries: of a list, an address, a timetable or a table without rules."""
    lines = [match.span() for match in _LINE.finditer(content)]
    following = [start for start, _ in lines[1:]]
    width = max((end - start for start, end in lines), default=0)
    lower = sum(_begins_in_lower_case(content, start) for start in following)
    roomy = sum(
        end - start + 1 + len(_first_word(content, after)) <= width
        for (start, end), after in zip(lines, following, strict=False)
    )
    are_short = width <= _MAX_SHORT_LINE or (width <= _MAX_LINE and roomy >= _MIN_ROOMY_SHARE * len(following))
    if not are_short or lower > _MAX_LOWER_CASE_SHARE * len(following):
        return []
    return [
        after
        for (start, end), after in zip(lines, following, strict=False)
        if not _begins_in_lower_case(content, after) and not _GOES_ON.search(content[start:end])
    ]


def _first_word(content: str, start: int) -> str:
    match = _FIRST_WORD.match(content, start)
    return "" if match is None else match[1]


def _begins_in_lower_case(content: str, start: int) -> bool:
    return _first_word(content, start)[:1].islower()


def _ends_in_code(content: str, ends: list[int]) -> Iterator[int]:
    """Yield line ends at which code is cut, so that no piece is longer than a quote if its lines are not."""
    left = 0
    for right in [*ends, len(content)]:
        cut = left
        lines = [match.start() for match in _LINE.finditer(content, left, right)]
        for line, following in pairwise([*lines, right]):
            if following - cut > _MAX_CODE_CHARACTERS and line > cut:
                yield line
                cut = line
        left = right


def _trimmed(text: str, start: int, end: int) -> Offsets | None:
    piece = text[start:end]
    if is_blank(piece):
        return None
    return start + len(piece) - len(piece.lstrip()), end - len(piece) + len(piece.rstrip())
