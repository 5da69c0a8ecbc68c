"""Finds acronyms and their long forms where a text introduces them.

As by Schwartz and Hearst (2003), a definition is an acronym in brackets behind its long form, or the other way round,
or joined by a word ("…, or THAAD"). Here the letters of the acronym are matched with the initials of words in order:
a word gives its first letter and may give some that follow in it; short words in small letters may give none.
"""

from collections.abc import Iterator, Sequence

import regex

MAX_ACRONYMS = 20_000
"""So many pairs are kept in an index, the most frequent ones."""
_SHORT = r"[\p{Lu}\p{N}](?:[\p{L}\p{N}]|[-/&.](?=[\p{L}\p{N}])){1,9}\.?"
_BEHIND = regex.compile(
    rf"\(\s*(?:the\s+|or\s+)?[\"“'‘]?({_SHORT})[\"”'’]?\s*[);,]"
    rf"|,\s+(?:or|abbreviated(?:\s+as|\s+to)?|also\s+known\s+as|known\s+as|also\s+called)\s+(?:the\s+)?({_SHORT})(?![\p{{L}}\p{{N}}])"
)
_BEFORE = regex.compile(rf"(?<![\p{{L}}\p{{N}}])({_SHORT})\s*\(([^()\n]{{5,100}})\)")
_WORD = regex.compile(r"[\p{L}\p{N}]+(?:['’][\p{L}]+)?")
_SENTENCE_END = regex.compile(r"[.!?;:]\s|\n\s*\n|[()]")
_MAX_WORDS, _MAX_LETTERS, _MAX_LETTERS_OF_WORD = 12, 10, 3
_MAX_MINOR_CHARACTERS = 3
_WINDOW_CHARACTERS = 150


def acronyms(text: str) -> Iterator[tuple[str, str]]:
    """Yield the acronyms that a text introduces, each with its long form, as the text writes them."""
    for match in _BEHIND.finditer(text):
        short = match.group(1) or match.group(2)
        window = text[max(0, match.start() - _WINDOW_CHARACTERS) : match.start()]
        cut = max((end.end() for end in _SENTENCE_END.finditer(window)), default=0)
        yield from _pairs(short, window[cut:])
    for match in _BEFORE.finditer(text):
        yield from _pairs(match.group(1), match.group(2), whole=True)


def _pairs(short: str, window: str, *, whole: bool = False) -> Iterator[tuple[str, str]]:
    """Yield the acronym with the shortest long form at the end of a window, or, if ``whole``, with all of it."""
    acronym = _singular(short.rstrip("."))
    letters = "".join(letter for letter in acronym.casefold() if letter.isalpha())
    if sum(map(str.isupper, acronym)) < 2 or not 2 <= len(letters) <= _MAX_LETTERS:  # noqa: PLR2004
        return
    words = list(_WORD.finditer(window))[-_MAX_WORDS:]
    for start in [0] if whole else range(len(words) - 2, -1, -1):
        named = [word.group() for word in words[start:]]
        end = 0 if not named or _is_minor(named[0]) else _last_of(letters, named)
        if end and not _is_minor(named[end - 1]):
            last = words[start + end - 1]
            long_form = " ".join(window[words[start].start() : last.end()].split())
            if letters != "".join(letter for letter in long_form.casefold() if letter.isalpha()):
                yield acronym.replace(".", ""), long_form
            return


def _singular(short: str) -> str:
    return short[:-1] if short[-1] == "s" and short[:-1].isupper() else short


def _last_of(letters: str, words: Sequence[str]) -> int:
    """Return how many of the words the letters stand for, from the first one on; 0 if they do not match.

    At most one long word may be left behind the last one.
    """
    folded = [word.casefold() for word in words]
    minor = [_is_minor(word) for word in words]
    failed: set[tuple[int, int]] = set()

    def match(letter: int, word: int) -> int:
        """Return the number of the word behind the last one that gives a letter."""
        if letter == len(letters):
            return word if sum(not small for small in minor[word:]) <= 1 else 0
        if word == len(words) or (letter, word) in failed:
            return 0
        at = -1
        for taken in range(letter, min(letter + _MAX_LETTERS_OF_WORD, len(letters))):
            at = folded[word].find(letters[taken], at + 1)
            if at < 0 or (taken == letter and at > 0):
                break
            if end := match(taken + 1, word + 1):
                return end
        if word and minor[word] and (end := match(letter, word + 1)):
            return end
        failed.add((letter, word))
        return 0

    end = match(0, 0)
    return end if end > 1 else 0


def _is_minor(word: str) -> bool:
    return len(word) <= _MAX_MINOR_CHARACTERS and word.islower()
