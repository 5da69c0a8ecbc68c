"""The lexical leg: BM25 over normalised words, in any script.

Text is normalised by NFKC and case folding and cut into words: runs of letters, digits and marks. In
scripts that do not part words by spaces, and in Korean, whose words carry their endings, terms are pairs
of neighbouring characters. Words in scripts of one language, or of the language set, lose their endings
by a Snowball stemmer.
"""

import logging
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import bm25s
import numpy as np
import numpy.typing as npt
import regex
import Stemmer
from bm25s.tokenization import Tokenized

# The library sets its own logger to the lowest level when it is imported.
logging.getLogger("bm25s").setLevel(logging.WARNING)

Scores = npt.NDArray[np.float32]
Identifiers = npt.NDArray[np.int32]

# Robertson and Zaragoza (2009) recommend 1.2 to 2 and 0.5 to 0.8; short passages want little of b.
_K1, _B = 1.2, 0.75
_COMMON = 8
_SAMPLE = 5000
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
SENTENCE_TERMS, SENTENCE_STARTS = "lexical-sentence-terms.npy", "lexical-sentence-starts.npy"
MATRIX_FILES = tuple(sorted(_NAMES.values()))
FILES = (*MATRIX_FILES, SENTENCE_STARTS, SENTENCE_TERMS)


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


@lru_cache(maxsize=1 << 16)
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


class LexicalIndex:
    """BM25 (Lucene's variant) over passages by their numbers, 0 to n - 1, and the terms of their sentences.

    :class:`LexicalBuilder` makes it. ``sentence_terms`` holds the ids of each sentence's terms in order, one
    for each time; sentence ``i`` has those from ``sentence_starts[i]`` to ``sentence_starts[i + 1]``.
    """

    def __init__(
        self, bm25: bm25s.BM25, sentence_terms: Identifiers, sentence_starts: npt.NDArray[np.int64], language: str
    ) -> None:
        self._bm25 = bm25
        self._language = language
        self._passages = int(bm25.scores["num_docs"])
        self._passages_by_term = np.asarray(bm25.scores["indices"])
        self._term_scores = np.asarray(bm25.scores["data"])
        self._term_starts = np.asarray(bm25.scores["indptr"])
        self._frequencies = np.diff(self._term_starts)
        self._sentence_terms = sentence_terms
        self._sentence_starts = sentence_starts

    @classmethod
    def load(cls, folder: Path, language: str) -> "LexicalIndex":
        """Open what :meth:`save` wrote, memory-mapped. The caller has checked the files' hashes."""
        bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False, **_NAMES)
        ids, starts = (
            np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False))
            for name in (SENTENCE_TERMS, SENTENCE_STARTS)
        )
        return cls(bm25, ids, starts, language)

    def save(self, folder: Path) -> dict[str, int]:
        """Write the files named in ``FILES`` and return how many things each holds."""
        self._bm25.save(folder, show_progress=False, **_NAMES)
        np.save(folder / SENTENCE_TERMS, self._sentence_terms, allow_pickle=False)
        np.save(folder / SENTENCE_STARTS, self._sentence_starts, allow_pickle=False)
        return {
            **dict.fromkeys(MATRIX_FILES, self._passages),
            SENTENCE_TERMS: len(self._sentence_terms),
            SENTENCE_STARTS: len(self._sentence_starts),
        }

    def vocabulary(self) -> dict[str, int]:
        """Return the id of every term; ids count from 0."""
        return dict(self._bm25.vocab_dict)

    def sentences(self) -> int:
        """Return the number of sentences."""
        return len(self._sentence_starts) - 1

    def sentence_lengths(self, first: int, last: int) -> npt.NDArray[np.int64]:
        """Return the numbers of terms in the sentences from ``first`` to ``last``, exclusive."""
        return np.diff(self._sentence_starts[first : last + 1])

    def ids(self, wanted: Iterable[str]) -> dict[str, int]:
        """Return the ids of those terms that stand in some passage."""
        vocabulary = self._bm25.vocab_dict
        return {term: vocabulary[term] for term in wanted if term in vocabulary}

    def sentence_terms(self, first: int, last: int) -> Identifiers:
        """Return the ids of the terms in the sentences from ``first`` to ``last``, exclusive, as they stand there."""
        return self._sentence_terms[self._sentence_starts[first] : self._sentence_starts[last]]

    def holds(self, passage: int, term: int) -> bool:
        """Tell whether a passage, its title and headings included, holds the term of an id."""
        posting, _ = self.posting(term)
        place = int(np.searchsorted(posting, passage))
        return place < len(posting) and int(posting[place]) == passage

    def match(self, question: str) -> "LexicalMatch | None":
        """Return how a question meets the passages; ``None`` if it shares no term with any of them."""
        weights = self.weights(question)
        known = sorted(self.ids(weights).values())
        return LexicalMatch(self, known, weights) if known else None

    def posting(self, term: int) -> tuple[Identifiers, Scores]:
        """Return the numbers of the passages that hold the term of an id, growing, and its BM25 score in each."""
        span = slice(int(self._term_starts[term]), int(self._term_starts[term + 1]))
        return self._passages_by_term[span], self._term_scores[span]

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


class LexicalMatch:
    """How a question meets an index. ``weights`` is the idf of each of its terms.

    Terms that stand in every eighth passage or more weigh little and would take nearly all of the time. They are
    added only to passages that they can still lift among the best, as in MaxScore (Turtle and Flood, 1995): the
    result is the same.
    """

    def __init__(self, index: LexicalIndex, terms: Sequence[int], weights: dict[str, float]) -> None:
        self.weights = weights
        self._index = index
        self._postings = [index.posting(term) for term in terms]

    def of(self, numbers: npt.NDArray[np.int64]) -> Scores:
        """Return the scores of some passages, which come in the order of their numbers."""
        return _added(self._postings, numbers)

    def best(self, depth: int, allowed: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
        """Return the numbers of the ``depth`` best passages, of those allowed, best first, ties by number.

        Passages without any of the terms are not among them.
        """
        passages = len(self._index)
        common = [posting for posting in self._postings if len(posting[0]) * _COMMON >= passages]
        partial = np.zeros(passages, np.float32)
        for holding, scores in self._postings:
            if len(holding) * _COMMON < passages:
                partial[holding] += scores
        if allowed is not None:
            within = np.full(passages, -np.inf, np.float32)
            within[allowed] = partial[allowed]
            partial = within
        # What common terms can add at most decides who can still be among the best.
        gain = sum(float(scores.max()) for _, scores in common)
        least = _least_of_best(partial, depth) - gain
        if least > 0:
            candidates = np.flatnonzero(partial >= least)
            scores = partial[candidates] + _added(common, candidates)
        else:
            for holding, added in common:
                partial[holding] += added
            candidates = np.flatnonzero(partial > 0)
            scores = partial[candidates]
        least = _least_of_best(scores, depth)
        candidates, scores = candidates[scores >= least], scores[scores >= least]
        return candidates[np.lexsort((candidates, -scores))][:depth].astype(np.int64)


def _added(postings: Sequence[tuple[Identifiers, Scores]], numbers: npt.NDArray[np.int64]) -> Scores:
    """Return the sums of the scores that some terms have in passages, given by growing numbers."""
    total = np.zeros(len(numbers), np.float32)
    for holding, scores in postings:
        places = np.minimum(np.searchsorted(holding, numbers), len(holding) - 1)
        found = holding[places] == numbers
        total[found] += scores[places[found]]
    return total


def _least_of_best(scores: Scores, depth: int) -> float:
    """Return a score that at least ``depth`` reach and few surpass; minus infinity if there are no so many."""
    every = scores[:: max(1, len(scores) // _SAMPLE)]
    return float(np.partition(every, len(every) - depth)[len(every) - depth]) if len(every) >= depth else -np.inf


class LexicalBuilder:
    """Collects passages in the order of their numbers; those that an index has need not be cut into terms again."""

    def __init__(self, language: str, previous: LexicalIndex | None = None) -> None:
        self._language = language
        self._previous = previous
        self._ids: dict[str, int] = {} if previous is None else previous.vocabulary()
        # Ids of terms, and how many of them each heading line and each sentence has; sentences a passage.
        self._headings, self._heading_lengths = array("i"), array("q")
        self._said, self._sentence_lengths = array("i"), array("q")
        self._sentences = array("q")

    def add(self, heading: str, sentences: Sequence[str]) -> None:
        """Add a passage by its heading line and its sentences."""
        for sentence in sentences:
            self._append(self._said, self._sentence_lengths, sentence)
        self._append(self._headings, self._heading_lengths, heading)
        self._sentences.append(len(sentences))

    def take_over(self, heading: str, first: int, last: int) -> None:
        """Add a passage whose sentences are those from ``first`` to ``last``, exclusive, of the previous index."""
        if self._previous is None:
            raise ValueError("there is no index to take sentences from")
        self._said.frombytes(np.ascontiguousarray(self._previous.sentence_terms(first, last)).tobytes())
        self._sentence_lengths.frombytes(self._previous.sentence_lengths(first, last).tobytes())
        self._append(self._headings, self._heading_lengths, heading)
        self._sentences.append(last - first)

    def _append(self, ids: "array[int]", lengths: "array[int]", text: str) -> None:
        found = terms(text, self._language)
        ids.extend(self._ids.setdefault(term, len(self._ids)) for term in found)
        lengths.append(len(found))

    def finish(self) -> LexicalIndex:
        """Return the index of all passages added. A term's id is its place among all terms in their order."""
        said, headings = np.array(self._said, np.int32), np.array(self._headings, np.int32)
        used = np.union1d(said, headings)
        names = list(self._ids)
        # The library can't index a passage without a term; the empty one is never asked for.
        vocabulary = {term: place for place, term in enumerate(sorted({names[place] for place in used} | {""}))}
        renamed = np.zeros(len(names), np.int32)
        renamed[used] = [vocabulary[names[place]] for place in used]
        said, headings = renamed[said], renamed[headings]
        starts = _starts(self._sentence_lengths)
        corpus = _Corpus(headings, _starts(self._heading_lengths), said, starts[_starts(self._sentences)])
        bm25 = bm25s.BM25(k1=_K1, b=_B, method="lucene")
        bm25.index(Tokenized(ids=corpus, vocab=vocabulary), show_progress=False)
        return LexicalIndex(bm25, said, starts, self._language)


@dataclass(frozen=True, slots=True)
class _Corpus:
    """Lists of term ids, one a passage, made when they are asked for: all at once would fill the memory."""

    headings: Identifiers
    heading_starts: npt.NDArray[np.int64]
    said: Identifiers
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __iter__(self) -> Iterator[list[int]]:
        for heading, own in zip(pairwise(self.heading_starts), pairwise(self.starts), strict=True):
            yield [*self.headings[slice(*heading)].tolist(), *self.said[slice(*own)].tolist()] or [0]


def _starts(lengths: "array[int]") -> npt.NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))]).astype(np.int64)
