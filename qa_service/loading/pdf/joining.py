"""How the lines of a paragraph are joined: hyphens at line ends, and whether a line was broken for lack of room."""

import re
from collections import Counter
from collections.abc import Iterable

_HYPHENS = "-\u2010"
_SOFT_HYPHEN = "\u00ad"
_DASHES = "\u2013\u2014\u2011"
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010\u2011][^\W\d_]+)*")
_LAST_WORD = re.compile(r"\S+\Z")
_FIRST_WORD = re.compile(r"\S+")
_LETTERS_AT_END = re.compile(r"[^\W\d_]+\Z")
_LETTERS_AT_START = re.compile(r"[^\W\d_]+")
# Words after the hyphen of a compound whose second half follows later: "pre- and post-war".
_SUSPENDED = re.compile(r"(?:and|or|to|nor|und|oder|bis|noch|et|ou|y|e|o|en|of|och|og|eller)\Z")
# Compounds that are spelt with a hyphen, by their first part, unless a suffix follows; and by their last part, unless a
# prefix stands before it. Words that end alike by chance, such as threshold and separate, are left out.
_FIRST_PART = re.compile(
    r"(?:self|well|ill|half|full|high|low|long|short|cross|single|double|vice|quasi"
    r"|two|three|four|five|six|seven|eight|nine|ten|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)\Z"
)
_SUFFIX = re.compile(r".{0,3}\Z|(?:.*ment|ness|teen|ward|wards|ship|less|able|ible|ence|ance|coming|light|lights)\Z")
_LAST_PART = re.compile(
    r"(?:based|class|dependent|driven|effective|efficient|free|friendly|funded|known|level|made|making|minded|oriented"
    r"|owned|quality|related|scale|shaped|sized|specific|speed)\Z"
)
_PREFIX = re.compile(r"..?\Z|(?:anti|dis|inter|mis|non|out|over|para|pre|sub|super|trans|under)\Z")
_UNSPACED = re.compile("[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]")


def count_words(texts: Iterable[str]) -> Counter[str]:
    """Count the words of lines, hyphenated ones whole, as far as they stand within a line."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(word.casefold() for word in _WORD.findall(text))
    return counts


def joined(before: str, after: str, words: Counter[str]) -> tuple[str, str]:
    """Return the text before a line break as it is to be kept, and what stands between it and the next line.

    ``words`` are those of the document; they tell whether a word is spelt with a hyphen.
    """
    if not before or not after:
        return before, ""
    if before.endswith(_SOFT_HYPHEN):
        return before[:-1], ""
    last, following = before[-1], after[0]
    if last in _HYPHENS + _DASHES:
        stem = before[-2:-1]
        if not stem.strip() or not following.isalnum() or _SUSPENDED.match(_first_word(after).casefold()):
            return before, " "
        is_broken = last in _HYPHENS and _is_broken_word(before[:-1], after, words)
        return (before[:-1], "") if is_broken else (before, "")
    if _UNSPACED.match(last) and _UNSPACED.match(following):
        return before, ""
    return before, " "


def _is_broken_word(before: str, after: str, words: Counter[str]) -> bool:
    """Tell whether a hyphen parts a word that is written without one."""
    first, second = _LETTERS_AT_END.search(before), _LETTERS_AT_START.match(after)
    token = _LAST_WORD.search(before)
    if first is None or second is None or not second.group()[0].islower():
        return False
    if token and re.search(r"://|[@/_=\\]|\A-", token.group()):
        return False
    head, tail = first.group().casefold(), second.group().casefold()
    compounds = words[f"{head}-{tail}"] + words[f"{head}\u2010{tail}"] + words[f"{head}\u2011{tail}"]
    if compounds or words[head + tail]:
        return words[head + tail] >= compounds
    is_part_of_compound = token is not None and re.search("[-\u2010\u2011]", token.group()) is not None
    is_compound = (_FIRST_PART.match(head) and not _SUFFIX.match(tail)) or (
        _LAST_PART.match(tail) and not _PREFIX.match(head)
    )
    return not (is_part_of_compound or is_compound)


def _first_word(text: str) -> str:
    found = _FIRST_WORD.match(text)
    return found.group() if found else ""
