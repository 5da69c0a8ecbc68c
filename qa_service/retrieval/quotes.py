"""Which sentences of a passage can be quoted, and how far a quote reaches."""

import re
from collections.abc import Container, Iterator

from qa_service.datatypes import Offsets, Passage
from qa_service.text.tables import RULE, has_header

MAX_QUOTE_CHARACTERS = 420
"""A sentence and its neighbours are quoted together up to this length; a longer sentence is quoted alone."""
_AROUND = frozenset(' \t\n.,;:!?|"\u201c\u201d')
_ROW = re.compile(r"\s*\|.*\|\s*\Z|[^\n]*[^\n|] \| [^\n]*\Z", re.DOTALL)
_RULE = re.compile(r"[\s|:+=_*~•·—–\-]+\Z|\s*\(?\d{1,3}[.)]\s*\Z")
_CAPITALS = re.compile(r"[A-Z][A-Z/&'’-]*(\s+[A-Z/&'’,:-]+)+\Z")
_BLANK_LINE = re.compile(r"\n[ \t\r>]*\n")
_HEADING_SEPARATOR = " > "
_HEADING = re.compile(r"\s*#{1,6}\s[^\n]*\Z")


def quotable(passage: Passage) -> list[int]:
    """Return the numbers of the sentences that can be an answer; all of them if none can.

    Rules, numbers of list items, headings, lines of capitals and header rows of tables can't.
    """
    headers = {run[0] for run in tables(passage) if begins_with_header(passage, run)}
    fit = [
        number
        for number, place in enumerate(passage.sentences)
        if number not in headers and not _is_structure(passage.text[slice(*place)])
    ]
    return fit or list(range(len(passage.sentences)))


def _is_structure(quoted: str) -> bool:
    return any(pattern.match(quoted) for pattern in (_RULE, _HEADING, _CAPITALS))


def tables(passage: Passage) -> Iterator[range]:
    """Yield the numbers of the sentences that are rows of one table: no blank line is between them."""
    text, sentences = passage.text, passage.sentences
    first = 0
    for number, (start, end) in enumerate(sentences):
        if not is_row(text[start:end]):
            first = number + 1
            continue
        following = sentences[number + 1][0] if number + 1 < len(sentences) else len(text)
        is_last = number + 1 == len(sentences) or not is_row(text[slice(*sentences[number + 1])])
        if is_last or _BLANK_LINE.search(text[end:following]):
            yield range(first, number + 1)
            first = number + 1


def begins_with_header(passage: Passage, table: range) -> bool:
    """Tell whether the first row of a table is its header: a rule is below it, or it names the columns."""
    text = passage.text
    rows = [passage.sentences[number] for number in table]
    if len(rows) > 1 and any(RULE.match(text[start:end]) for start, end in ((rows[0][1], rows[1][0]), rows[1])):
        return True
    if len(rows) == 1:
        following = text[rows[0][1] :].lstrip().partition("\n")[0]
        return bool(_RULE.match(following) and set("-=") & set(following))
    continues = table[0] == 0 and context_header(passage)
    return not continues and has_header([text[slice(*row)] for row in rows])


def context_header(passage: Passage) -> str:
    """Return the header of the table within which a passage begins, or nothing."""
    last = passage.context.rpartition(_HEADING_SEPARATOR)[2]
    return last if is_row(last) else ""


def is_row(text: str) -> bool:
    """Tell whether a sentence is a row of a table."""
    return _ROW.match(text) is not None


def widened(passage: Passage, chosen: int, allowed: Container[int]) -> Offsets:
    """Return a sentence with the sentences before and after it, as far as they fit in ``MAX_QUOTE_CHARACTERS``.

    If only one fits, it is the one after, which more often holds the answer. Only sentences in ``allowed`` are added,
    and no rows of tables; a row stays alone: its neighbours say other things.
    """
    text, sentences = passage.text, passage.sentences
    if is_row(text[slice(*sentences[chosen])]):
        return sentences[chosen]
    start, end = sentences[chosen]
    for place in (chosen + 1, chosen - 1):
        if place not in allowed or is_row(text[slice(*sentences[place])]):
            continue
        low, high = min(start, sentences[place][0]), max(end, sentences[place][1])
        if high - low <= MAX_QUOTE_CHARACTERS:
            start, end = low, high
    return start, end


def grown(passage: Passage, chosen: int, limit: int = MAX_QUOTE_CHARACTERS) -> Offsets:
    """Return the window around a sentence: whole sentences, behind and before it in turn, within a length."""
    sentences = passage.sentences
    first = last = chosen
    sides = [(0, 1), (-1, 0)]
    while True:
        for side in sides:
            low, high = first + side[0], last + side[1]
            if low >= 0 and high < len(sentences) and sentences[high][1] - sentences[low][0] <= limit:
                first, last = low, high
                sides = [other for other in sides if other != side] + [side]
                break
        else:
            return sentences[first][0], sentences[last][1]


def trimmed(text: str, span: Offsets) -> Offsets:
    """Return a span without white space and punctuation around it."""
    start, end = span
    while start < end and text[start] in _AROUND:
        start += 1
    while end > start and text[end - 1] in _AROUND:
        end -= 1
    return (start, end) if start < end else span
