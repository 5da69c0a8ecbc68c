"""The terms of a text, in any script.

Text is normalised by NFKC and case folding and split into words: runs of letters, digits and marks. In scripts that do
not separate words by spaces, and in Korean, whose words carry their endings, terms are pairs of adjacent characters.
Words in the configured language, and in scripts with one language, are stemmed by Snowball.
"""

import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache

import regex
import Stemmer

_PAIRED = r"\u30FC\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"([{_PAIRED}]+)|(?:(?![{_PAIRED}])[\p{{L}}\p{{N}}\p{{M}}])+")
_PAIR = regex.compile(rf"[{_PAIRED}]")
_WORD_OF_OTHERS = regex.compile(r"[\p{L}\p{N}\p{M}]+")
_STEMMED_SCRIPTS = {
    "CYRILLIC": "russian",
    "GREEK": "greek",
    "ARABIC": "arabic",
    "ARMENIAN": "armenian",
    "DEVANAGARI": "hindi",
    "TAMIL": "tamil",
}
NO_STEMMING = "none"


def terms(text: str, language: str) -> list[str]:
    """Return the terms of a text in order. ``language`` names the Snowball stemmer for Latin script."""
    return [stem(word, language) for word in words(text)]


def words(text: str) -> list[str]:
    """Return the words and pairs of a text in order, normalised and folded but not stemmed."""
    folded = fold(text)
    return _WORD_OF_OTHERS.findall(folded) if _PAIR.search(folded) is None else list(_words_and_pairs(folded))


def fold(text: str) -> str:
    """Return a text normalised by NFKC and case folded."""
    return unicodedata.normalize("NFKC", text).casefold()


def _words_and_pairs(text: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = match.group()
        if match.group(1) is None or len(word) == 1:
            yield word
        else:
            yield from (word[start : start + 2] for start in range(len(word) - 1))


@cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(language)


def languages() -> list[str]:
    """Return the supported values of ``language``."""
    return [*Stemmer.algorithms(), NO_STEMMING]


@lru_cache(maxsize=1 << 16)
def stem(word: str, language: str) -> str:
    """Return the term of a word or a pair."""
    if word[0].isascii() or unicodedata.name(word[0], "").startswith("LATIN"):
        return word if language == NO_STEMMING else str(_stemmer(language).stemWord(word))
    script = unicodedata.name(word[0], "").split(" ")[0]
    other = _STEMMED_SCRIPTS.get(script)
    return str(_stemmer(other).stemWord(word)) if other in languages() else word
