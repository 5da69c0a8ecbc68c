"""Finds what the collection also calls a phrase of a question: acronyms, their long forms, and synonyms.

The longest phrase that begins at a word is taken. A common word is an acronym only in capitals: "who" is not the WHO.
"""

from collections.abc import Callable, Iterable, Iterator

import regex

from qa_service.datatypes import Expansion
from qa_service.index import WordIndex
from qa_service.index.words import fold

MAX_EXPANSIONS, MAX_SYNONYMS = 8, 8
"""At most so many phrases of a question are expanded, each to so many synonyms."""
_MAX_LONG_FORMS = 3
_WORD = regex.compile(r"[\p{L}\p{N}\p{M}]+")


class SynonymFinder:
    """Expands questions by the synonyms of one index.

    ``vocabulary`` are common words, which are not acronyms unless they are written in capitals.
    """

    def __init__(self, words: WordIndex, vocabulary: Iterable[str] = ()) -> None:
        self._common = frozenset(map(fold, vocabulary))
        self._acronyms = words.synonyms.acronyms
        self._rules = words.synonyms.rules
        # Phrases are keys as folded words; values are places in the sequences above.
        self._by_short, self._by_long, self._by_rule = (dict[str, tuple[int, ...]]() for _ in range(3))
        self._longest: dict[str, int] = {}
        """The number of words of the longest phrase, by its first word."""
        for number, one in enumerate(self._acronyms):
            self._add(self._by_short, one.short, number)
            self._add(self._by_long, one.long, number)
        for number, rule in enumerate(self._rules):
            for phrase in rule.phrases:
                self._add(self._by_rule, phrase, number)

    def _add(self, places: dict[str, tuple[int, ...]], phrase: str, number: int) -> None:
        words = _WORD.findall(fold(phrase))
        key = " ".join(words)
        places[key] = (*places.get(key, ()), number)
        self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def expand(self, question: str, is_allowed: Callable[[str], bool] = lambda _: True) -> list[Expansion]:
        """Return the expansions of a question, in the order of its phrases.

        ``is_allowed`` tells whether a word may be named: whether a passage has it that may be an answer. Acronyms and
        long forms with other words are left out; the rules of ``synonyms.txt`` are not taken from passages.
        """
        found: list[Expansion] = []
        for phrase, key in self._phrases(question):
            synonyms = dict.fromkeys(self._of_rules(key))
            synonyms |= dict.fromkeys(one for one in self._mined(phrase, key) if all(map(is_allowed, _words(one))))
            others = [one for one in synonyms if " ".join(_words(one)) != key]
            if others:
                found.append(Expansion(phrase, tuple(others[:MAX_SYNONYMS])))
            if len(found) == MAX_EXPANSIONS:
                break
        return found

    def _phrases(self, question: str) -> Iterator[tuple[str, str]]:
        """Yield the phrases that have synonyms, as they are written and as keys."""
        matches = list(_WORD.finditer(question)) if self._longest else []
        words = [fold(match.group()) for match in matches]
        place = 0
        while place < len(words):
            for end in range(min(place + self._longest.get(words[place], 0), len(words)), place, -1):
                key = " ".join(words[place:end])
                written = question[matches[place].start() : matches[end - 1].end()]
                if key in self._by_rule or key in self._by_long or self._is_acronym(written, key):
                    yield written, key
                    place = end - 1
                    break
            place += 1

    def _is_acronym(self, written: str, key: str) -> bool:
        return key in self._by_short and (key not in self._common or written.isupper())

    def _of_rules(self, key: str) -> Iterator[str]:
        for number in self._by_rule.get(key, ()):
            rule = self._rules[number]
            yield from rule.others or rule.phrases

    def _mined(self, written: str, key: str) -> Iterator[str]:
        yield from (self._acronyms[number].short for number in self._by_long.get(key, ()))
        if self._is_acronym(written, key):
            yield from (self._acronyms[number].long for number in self._by_short[key][:_MAX_LONG_FORMS])


def _words(phrase: str) -> list[str]:
    return _WORD.findall(fold(phrase))
