"""Logs -> outline: an entry is a block, with the lines below it that are indented, as those of a stack trace are."""

import re
from itertools import pairwise

from qa_service.loading.outline import Outline, OutlineBuilder
from qa_service.text.positions import line_starts

_CONTINUES = re.compile(r"[ \t]+\S|Caused by:|Traceback |\.\.\. \d+ more|[\w.]+(?:Error|Exception): ")
_MAX_ENTRY_CHARACTERS = 4000


def parse_log(text: str) -> Outline:
    """Return the entries of a log; it has no title."""
    builder = OutlineBuilder(text)
    begin = 0
    for start, end in pairwise([*line_starts(text), len(text)]):
        if not _CONTINUES.match(text, start, end) or end - begin > _MAX_ENTRY_CHARACTERS:
            builder.block(begin, start, "list_item")
            begin = start
    builder.block(begin, len(text), "list_item")
    return builder.outline()
