"""The lexical leg: BM25 over normalised words, in any script.

Text is normalised by NFKC and case folding and cut into words: runs of letters, digits and marks. In
scripts that do not part words by spaces, and in Korean, whose words carry their endings, terms are pairs
of neighbouring characters. Words in scripts of one language, or of the language set, lose their endings
by a Snowball stemmer.
"""

import logging
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt
import regex
import Stemmer

# The library sets its own logger to the lowest level when it is imported.
logging.getLogger("bm25s").setLevel(logging.WARNING)

Scores = npt.NDArray[np.float32]

# Robertson and Zaragoza (2009) recommend 1.2 to 2 and 0.5 to 0.8; short passages want little of b.
_K1, _B = 1.2, 0.75
_PAIRED = r"\u30FC\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"([{_PAIRED}]+)|(?:(?![{_PAIRED}])[\p{{L}}\p{{N}}\p{{M}}])+")
_STEMMED_SCRIPTS = {
    "CYRILLIC": "russian",
    "GREEK": "greek",
    "ARABIC": "arabic",
    "ARMENIAN": "armenian",
    "DEVANAGARI": "hindi",
    "TAMIL": "tamil",
}
_NAMES = {
    "data_name": "lexical-data.npy",
    "indices_name": "lexical-indices.npy",
    "indptr_name": "lexical-indptr.npy",
    "vocab_name": "lexical-vocabulary.json",
    "params_name": "lexical-parameters.json",
}
NO_STEMMING = "none"
FILES = tuple(sorted(_NAMES.values()))


def terms(text: str, language: str) -> list[str]:
    """Return the terms of a text in order. ``language`` names a Snowball stemmer for Latin script."""
    return list(_terms(unicodedata.normalize("NFKC", text).casefold(), language))


def _terms(text: str, language: str) -> Iterator[str]:
    for match in _WORD.finditer(text):
        word = match.group()
        if match.group(1) is None:
            yield _stem(word, language)
        elif len(word) == 1:
            yield word
        else:
            yield from (word[start : start + 2] for start in range(len(word) - 1))


@cache
def _stemmer(language: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(language)


def languages() -> list[str]:
    """Return the names that ``language`` may have."""
    return [*Stemmer.algorithms(), NO_STEMMING]


def _stem(word: str, language: str) -> str:
    if word[0].isascii() or unicodedata.name(word[0], "").startswith("LATIN"):
        return word if language == NO_STEMMING else str(_stemmer(language).stemWord(word))
    script = unicodedata.name(word[0], "").split(" ")[0]
    other = _STEMMED_SCRIPTS.get(script)
    return str(_stemmer(other).stemWord(word)) if other in languages() else word


def idf(passages: int, frequencies: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Return BM25's inverse document frequency of what stands in so many of the passages, shape kept."""
    counts = np.asarray(frequencies, dtype=np.float64)
    weights: npt.NDArray[np.float64] = np.log(1 + (passages - counts + 0.5) / (counts + 0.5))
    return weights


@dataclass(frozen=True, slots=True)
class LexicalMatch:
    """How a question meets the index: ``scores`` is BM25 of every passage, ``weights`` each term's idf."""

    scores: Scores
    weights: dict[str, float]


class LexicalIndex:
    """BM25 (Lucene's variant) over passages by their numbers, 0 to n - 1."""

    def __init__(self, bm25: bm25s.BM25, language: str) -> None:
        self._bm25 = bm25
        self._language = language
        self._passages = int(bm25.scores["num_docs"])
        self._frequencies = np.diff(bm25.scores["indptr"])

    @classmethod
    def build(cls, texts: Sequence[str], language: str) -> "LexicalIndex":
        """Index texts, each under its place in the sequence."""
        bm25 = bm25s.BM25(k1=_K1, b=_B, method="lucene")
        # The library can't index texts without a term; an empty one is never asked for.
        bm25.index([terms(text, language) or [""] for text in texts], show_progress=False)
        return cls(bm25, language)

    @classmethod
    def load(cls, folder: Path, language: str) -> "LexicalIndex":
        """Open what :meth:`save` wrote, memory-mapped. The caller has checked the files' hashes."""
        return cls(bm25s.BM25.load(folder, mmap=True, show_progress=False, **_NAMES), language)

    def save(self, folder: Path) -> None:
        """Write the files named in ``FILES``."""
        self._bm25.save(folder, show_progress=False, **_NAMES)

    def match(self, question: str) -> LexicalMatch | None:
        """Score all passages; ``None`` if the question shares no term with any of them."""
        weights = self.weights(question)
        vocabulary = self._bm25.vocab_dict
        known = sorted(vocabulary[term] for term in weights if term in vocabulary)
        if not known:
            return None
        return LexicalMatch(np.asarray(self._bm25.get_scores_from_ids(known), dtype=np.float32), weights)

    def weights(self, question: str) -> dict[str, float]:
        """Return the idf of each of a question's terms; one that no passage holds has the largest there is."""
        vocabulary = self._bm25.vocab_dict
        return {term: self._idf(vocabulary.get(term)) for term in sorted(self.terms(question))}

    def terms(self, text: str) -> set[str]:
        """Return the set of a text's terms, as this index sees them."""
        return set(terms(text, self._language))

    def _idf(self, identifier: int | None) -> float:
        return float(idf(self._passages, 0 if identifier is None else self._frequencies[identifier]))

    def __len__(self) -> int:
        """Return the number of passages."""
        return self._passages
