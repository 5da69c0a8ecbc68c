"""Corrects words of a question that no passage has, by the words of the passages.

A word is corrected if its stem is in no passage and the model's tokenizer does not know it as a word either: that one
is spelled right and just not said here. Candidates are within one edit, or two from ten letters on. The likeliest
slips cost least: letters swapped, doubled, dropped, or hit beside the right key; among equals, frequent words win.
"""

import math
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import regex
from rapidfuzz.distance import Postfix, Prefix

from qa_service.datatypes import Correction, Offsets
from qa_service.index import WordIndex
from qa_service.index.words import Spelling, fold

MAX_WORDS = 8
"""So many unknown words of a question are looked at."""
_MAX_WORDS_OF_TWO_EDITS = 2
"""With more unknown words, only one edit is looked for: the search for two takes five times as long."""
_MIN_CHARACTERS, _MAX_CHARACTERS = 4, 40
_TWO_EDITS_FROM = 10  # characters
_MIN_PART, _MIN_JOINED = 4, 6  # characters
_MAX_TRIES = 3  # candidates that are asked whether they are allowed
_SWAPPED = _DOUBLED = 0.6
_DROPPED = _NEIGHBOUR = 0.9
_ADDED, _REPLACED, _TWO_EDITS, _ACCENT = 1.2, 1.5, 2.0, 0.1
_OTHER_FIRST_LETTER = 0.3
_SAME_ENDS = 0.2  # less cost for two edits that are close together
_MAX_COST, _MAX_COST_OF_LONG, _MAX_COST_OF_NAME = 1.3, 2.0, 1.0
_BY_FREQUENCY = 0.15  # less cost for a word that is e times as frequent

Allowed = Callable[[str], bool]
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_WORD_BEFORE = regex.compile(r"(?<![\p{L}\p{N}\p{M}])[\p{L}\p{N}\p{M}]+\s\Z")
_WORD_AFTER = regex.compile(r"\s[\p{L}\p{N}\p{M}]+")
_NUMBER = regex.compile(r"\p{N}")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_VOWELS = frozenset("aeiouy")
_KEYS = {key: (row, column + row / 2) for row, keys in enumerate(_ROWS) for column, key in enumerate(keys)}
"""The row of each key and its place in it; a row is half a key further right than the one above."""


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A word of a question that nobody knows: its place, and its folded form."""

    span: Offsets
    word: str
    is_name: bool
    """Whether it is written as a name or an acronym, other than its question."""


class Speller:
    """Corrects questions by the words of one index.

    ``vocabulary`` are words that are spelled right even if no passage has them, as are those of synonyms.
    """

    def __init__(self, words: WordIndex, vocabulary: Iterable[str] = ()) -> None:
        self._words = words
        self._spellings = words.spellings
        synonyms = words.synonyms
        phrases = chain.from_iterable((*rule.phrases, *rule.others) for rule in synonyms.rules)
        acronyms = chain.from_iterable((one.short, one.long) for one in synonyms.acronyms)
        self._known_terms = words.terms(" ".join((*vocabulary, *phrases, *acronyms)))

    def correct(self, question: str, is_allowed: Allowed = lambda _: True) -> list[Correction]:
        """Return the corrections of a question, in the order of its words.

        ``is_allowed`` tells whether a word may be named: whether a passage has it that may be an answer.
        """
        found: dict[str, str] = {}
        end = 0
        unknown_words = self._unknown(question)
        edits = 2 if len(unknown_words) <= _MAX_WORDS_OF_TWO_EDITS else 1
        for unknown in unknown_words:
            start, stop = unknown.span
            if start < end:  # joined with the word before
                continue
            joined = self._joined(question, unknown, is_allowed)
            if joined is not None:
                start, stop = joined
                meant = fold("".join(question[start:stop].split()))
            else:
                meant = self._meant(unknown, edits, is_allowed)
            if meant:
                original = question[start:stop]
                found[original] = _cased_like(original, meant)
                end = stop
        return [Correction(original, corrected) for original, corrected in found.items()]

    def _unknown(self, question: str) -> list[_Unknown]:
        terms = self._words.terms(question)
        missing = terms - self._words.ids(terms).keys() - self._known_terms
        if not missing:
            return []
        found = []
        for match in _WORD.finditer(question):
            word = fold(match.group())
            fits = _MIN_CHARACTERS <= len(word) <= _MAX_CHARACTERS and _NUMBER.search(word) is None
            if fits and self._words.terms(word) <= missing:
                found.append(_Unknown(match.span(), word, _is_name(match, question)))
        return found[:MAX_WORDS]

    def _meant(self, unknown: _Unknown, edits: int, is_allowed: Allowed) -> str:
        """Return the word or the two words that were probably meant, or an empty text.

        A name that the documents do not have is likely to be another name: only a slip of the fingers is corrected.
        """
        word = unknown.word
        long = len(word) >= _TWO_EDITS_FROM and not unknown.is_name
        most = _MAX_COST_OF_NAME if unknown.is_name else _MAX_COST_OF_LONG if long else _MAX_COST
        near = self._spellings.near(word, 1)
        if not near and long and edits > 1:
            near = self._spellings.near(word, edits)
        costs = {one.word: _cost(word, one) for one in near}
        likely = sorted(
            (one for one in near if costs[one.word] <= most),
            key=lambda one: (costs[one.word] - _BY_FREQUENCY * math.log(one.count), one.word),
        )
        for one in likely[:_MAX_TRIES]:
            if is_allowed(one.word):
                return one.word
        return "" if near or unknown.is_name else self._parted(word, is_allowed)

    def _parted(self, word: str, is_allowed: Allowed) -> str:
        """Return two words that were written as one."""
        count = self._spellings.count
        cuts = range(_MIN_PART, len(word) - _MIN_PART + 1)
        rarer, cut = max(((min(count(word[:cut]), count(word[cut:])), cut) for cut in cuts), default=(0, 0))
        parts = (word[:cut], word[cut:])
        return " ".join(parts) if rarer and all(map(is_allowed, parts)) else ""

    def _joined(self, question: str, unknown: _Unknown, is_allowed: Allowed) -> Offsets | None:
        """Return the place of a word that was written as two, of which one is unknown."""
        start, end = unknown.span
        before = _WORD_BEFORE.search(question, max(0, start - _MAX_CHARACTERS), start)
        after = _WORD_AFTER.match(question, end, end + _MAX_CHARACTERS)
        pairs = ([(before.start(), end)] if before else []) + ([(start, after.end())] if after else [])
        for pair in pairs:
            word = fold("".join(question[slice(*pair)].split()))
            if len(word) >= _MIN_JOINED and self._spellings.count(word) and is_allowed(word):
                return pair
        return None


def _is_name(match: "regex.Match[str]", question: str) -> bool:
    """Tell whether a word is written with a capital, or in capitals, within a question that is not."""
    word = match.group()
    if word.isupper():
        return not question.isupper()
    return word[:1].isupper() and match.start() > 0


def respelled(question: str, corrections: Sequence[Correction]) -> str:
    """Return a question with its corrections made."""
    for one in corrections:
        pattern = rf"(?<![\p{{L}}\p{{N}}\p{{M}}]){regex.escape(one.original)}(?![\p{{L}}\p{{N}}\p{{M}}])"
        question = regex.sub(pattern, one.corrected.replace("\\", r"\\"), question)
    return question


def _cost(typed: str, spelling: Spelling) -> float:
    word = spelling.word
    if _plain(typed) == _plain(word):
        return _ACCENT
    first = 0.0 if typed[0] == word[0] else _OTHER_FIRST_LETTER
    start = Prefix.similarity(typed, word)
    if spelling.distance > 1:
        alike = start + Postfix.similarity(typed[start:], word[start:])
        return _TWO_EDITS + first - _SAME_ENDS * alike / len(typed)
    more = len(typed) - len(word)
    if more > 0:
        doubled = typed[start] in typed[max(0, start - 1) : start] + typed[start + 1 : start + 2]
        return (_DOUBLED if doubled else _ADDED) + first
    if more < 0:
        return _DROPPED + first
    if typed[start + 1 : start + 2] == word[start] and word[start + 1 : start + 2] == typed[start]:
        return _SWAPPED + first
    return (_NEIGHBOUR if _are_near(typed[start], word[start]) else _REPLACED) + first


def _are_near(one: str, other: str) -> bool:
    """Tell whether one letter is easily typed for another: keys beside each other, two vowels, another script."""
    if one not in _KEYS or other not in _KEYS:
        return True
    (row, place), (other_row, other_place) = _KEYS[one], _KEYS[other]
    return {one, other} <= _VOWELS or (abs(row - other_row) <= 1 and abs(place - other_place) <= 1)


def _plain(word: str) -> str:
    """Return a word without its accents."""
    if word.isascii():
        return word
    return "".join(letter for letter in unicodedata.normalize("NFD", word) if not unicodedata.combining(letter))


def _cased_like(original: str, word: str) -> str:
    if original.isupper():
        return word.upper()
    return word[0].upper() + word[1:] if original[0].isupper() else word
