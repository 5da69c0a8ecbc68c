"""The lexical signal of a generation in Milvus."""

import threading
from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np
from cachetools import LRUCache

from qa_service.datatypes import Expansion, FloatArray, IntArray
from qa_service.errors import IndexCorrupt
from qa_service.index import Manifest
from qa_service.index.milvus.collection import MilvusStore
from qa_service.index.milvus.keys import SPELLINGS, SYNONYMS, term_key
from qa_service.index.milvus.records import Records
from qa_service.index.milvus.rows import PassageScores, Rows
from qa_service.index.words import (
    ExpandedPhrase,
    Spellings,
    Synonyms,
    expanded_phrases,
    idf_of_one,
    terms,
)

MAX_CANDIDATES = 1_000
_TERM_CACHE_SIZE = 100_000


class MilvusWords:
    """The lexical signal: candidates from the server's BM25, scores from the passages' rows.

    ``finds`` is false if the server has no BM25: then only candidates by vectors are scored by their words.
    """

    def __init__(self, store: MilvusStore, records: Records, rows: Rows, manifest: Manifest, *, finds: bool) -> None:
        self._store = store
        self._records = records
        self._rows = rows
        self._language = manifest.language
        self._passages = manifest.passages
        self.finds = finds
        self._known: LRUCache[str, tuple[int, int]] = LRUCache(_TERM_CACHE_SIZE)
        self._looking_up = threading.Lock()  # one thread understands questions while another one answers

    def match(self, question: str, expansions: Sequence[Expansion] = ()) -> "MilvusWordMatch | None":
        """Match a question with the passages; ``None`` if it shares no term with any of them, nor a synonym."""
        weights = self.weights(question)
        known = sorted(self.ids(weights).values())
        phrases = expanded_phrases(self, expansions)
        if not known and not phrases:
            return None
        return MilvusWordMatch(self._store if self.finds else None, self._rows, known, weights, phrases)

    def weights(self, question: str) -> dict[str, float]:
        """Return the idf of each term of a question; a term that no passage holds has the largest possible idf."""
        wanted = sorted(self.terms(question))
        found = self._look_up(wanted)
        return {term: idf_of_one(self._passages, found[term][1]) for term in wanted}

    def ids(self, wanted: Iterable[str]) -> dict[str, int]:
        """Return the ids of the terms that occur in any passage."""
        return {term: number for term, (number, _) in self._look_up(list(wanted)).items() if number >= 0}

    def terms(self, text: str) -> set[str]:
        """Return the distinct terms of a text, in the language of this index."""
        return set(terms(text, self._language))

    def holds(self, passage: int, term: int) -> bool:
        """Tell whether a passage, including its title and headings, holds the term with this id."""
        (row,) = self._rows.scores(np.array([passage]))
        return bool(np.isin(term, row.terms))

    @cached_property
    def spellings(self) -> Spellings:
        """The words of the passages as they are spelled, from one record."""
        return Spellings.parse(self._record(SPELLINGS))

    @cached_property
    def synonyms(self) -> Synonyms:
        """The synonyms of the collection, from one record."""
        return Synonyms.parse(self._record(SYNONYMS))

    def _record(self, key: str) -> str:
        found = self._records.one(key)
        if found is None:
            raise IndexCorrupt(f"{self._store.name} has no record of its {key}; publish it again")
        return found

    def _look_up(self, wanted: list[str]) -> dict[str, tuple[int, int]]:
        """Return the id and frequency of each term; -1 and 0 if no passage holds it."""
        with self._looking_up:
            return self._looked_up(wanted)

    def _looked_up(self, wanted: list[str]) -> dict[str, tuple[int, int]]:
        found = {term: self._known[term] for term in wanted if term in self._known}
        keys = {term: term_key(term) for term in wanted if term not in found}
        values = self._records.get(keys.values()) if keys else {}
        for term, key in keys.items():
            number, frequency = map(int, values.get(key, "-1 0").split())
            found[term] = self._known[term] = (number, frequency)
        return found


class MilvusWordMatch:
    """The match of a question with an index in Milvus. ``weights`` is the idf of each of its terms."""

    def __init__(
        self,
        store: MilvusStore | None,
        rows: Rows,
        known: list[int],
        weights: dict[str, float],
        phrases: Sequence[ExpandedPhrase],
    ) -> None:
        self.weights = weights
        self._store = store
        self._rows = rows
        self._terms = np.array(known, np.int32)
        self._phrases = phrases

    def best(self, depth: int, condition: str = "") -> IntArray:
        """Return the numbers of the ``depth`` best passages, best first, ties by number; none without BM25."""
        if self._store is None:
            return np.empty(0, np.int64)
        synonyms = [ids for phrase in self._phrases for ids in phrase.synonyms]
        asked = " ".join(map(str, np.unique(np.concatenate([self._terms, *synonyms])).tolist()))
        # The server rounds lengths and scores: more results are requested and ordered by the exact scores.
        numbers = np.sort(self._store.search_terms(asked, min(depth + depth // 2, MAX_CANDIDATES), condition))
        scores = self.scores(numbers)
        numbers, scores = numbers[scores > 0], scores[scores > 0]  # some have only a part of a synonym
        return numbers[np.lexsort((numbers, -scores))][:depth]

    def scores(self, numbers: IntArray) -> FloatArray:
        """Return the BM25 scores of passages, given by increasing numbers."""
        return np.array([self._score(row) for row in self._rows.scores(numbers)], np.float32)

    def _score(self, row: PassageScores) -> float:
        score = row.sum(self._terms)
        for phrase in self._phrases:
            if any(np.isin(ids, row.terms).all() for ids in phrase.synonyms):
                score += max(0.0, phrase.score - row.sum(phrase.terms))
        return score
