"""The words of the passages as they are spelled, and the search for those that are spelled like another.

A word can be within a few edits of another only if nearly the same letters occur in both. So two masks of 32 bits are
compared first, for all words of fitting length at once; the distance is computed for the few that are left.
"""

import json
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rapidfuzz import process
from rapidfuzz.distance import OSA

from qa_service.datatypes import IntArray

MAX_SPELLINGS = 500_000
"""More are not kept in memory; the most frequent ones are."""
_MIN_CHARACTERS, _MAX_CHARACTERS = 3, 40
_SEPARATOR = "\n"
_BITS = 32
_MASKS_PER_EDIT = 2  # a letter that is replaced by another changes two bits


@dataclass(frozen=True, slots=True)
class Spelling:
    """A word, its number of edits from the word that was looked for, and its number of occurrences."""

    word: str
    distance: int
    count: int


def in_order(word: str) -> tuple[int, str]:
    """Return the key by which words are sorted: by length, then by code points."""
    return len(word), word


class Spellings:
    """Words of letters, in the order of :func:`in_order`, with their numbers of occurrences.

    Words with digits, very short and very long ones are left out.
    """

    def __init__(self, words: str, counts: npt.ArrayLike, most: int = MAX_SPELLINGS) -> None:
        """Take the words as lines of a text."""
        codes = np.frombuffer((words + _SEPARATOR).encode("utf-32-le"), np.uint32)
        ends = np.flatnonzero(codes == ord(_SEPARATOR)) if words else np.empty(0, np.int64)
        starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)].astype(np.int64)
        occurrences = np.asarray(counts, np.int64)
        kept = _kept(codes, starts, ends - starts, occurrences, most)
        presence, parity = _masks(codes, starts)
        self._text = words
        self._starts, self._ends = starts[kept].astype(np.int32), ends[kept].astype(np.int32)
        self._counts = occurrences[kept].astype(np.int32)
        self._presence, self._parity = presence[kept], parity[kept]
        self._by_length = np.searchsorted(self._ends - self._starts, np.arange(_MAX_CHARACTERS + 2)).tolist()
        """The place of the first word of each length, or of a longer one."""

    @classmethod
    def parse(cls, text: str) -> "Spellings":
        """Return the spellings from the result of :meth:`dump`."""
        content = json.loads(text)
        return cls(content["words"], content["counts"])

    def dump(self) -> str:
        """Return the words and their counts as JSON."""
        words = _SEPARATOR.join(map(self._word, range(len(self))))
        return json.dumps({"words": words, "counts": self._counts.tolist()}, ensure_ascii=False)

    def __len__(self) -> int:
        """Return the number of words."""
        return len(self._starts)

    def count(self, word: str) -> int:
        """Return the number of occurrences of a word, 0 if there is none."""
        first, end = self._span(len(word), len(word))
        place = bisect_left(range(len(self)), word, first, end, key=self._word)
        return int(self._counts[place]) if place < end and self._word(place) == word else 0

    def near(self, word: str, distance: int) -> list[Spelling]:
        """Return the words within a distance: edits are a letter more, less or replaced, or two neighbours swapped."""
        first, end = self._span(len(word) - distance, len(word) + distance)
        presence, parity = _masks_of(word)
        changes = _MASKS_PER_EDIT * distance
        places = np.flatnonzero(np.bitwise_count(self._presence[first:end] ^ presence) <= changes) + first
        places = places[np.bitwise_count(self._parity[places] ^ parity) <= changes]
        if not len(places):
            return []
        spans = zip(self._starts[places].tolist(), self._ends[places].tolist(), strict=True)
        found = [self._text[start:end] for start, end in spans]
        distances = process.cdist([word], found, scorer=OSA.distance, score_cutoff=distance, dtype=np.uint8)[0]
        near = np.flatnonzero(distances <= distance).tolist()
        return [Spelling(found[at], int(distances[at]), int(self._counts[places[at]])) for at in near]

    def _span(self, shortest: int, longest: int) -> tuple[int, int]:
        """Return the places of the words with so many characters, the second one exclusive."""
        first, end = (min(max(0, length), _MAX_CHARACTERS + 1) for length in (shortest, longest + 1))
        return self._by_length[first], self._by_length[end]

    def _word(self, place: int) -> str:
        return self._text[self._starts[place] : self._ends[place]]


def _kept(
    codes: npt.NDArray[np.uint32], starts: IntArray, lengths: IntArray, counts: IntArray, most: int
) -> npt.NDArray[np.bool_]:
    """Tell which words are kept, by their code points, starts, lengths and counts."""
    if not len(starts):
        return np.empty(0, bool)
    digits = np.logical_or.reduceat((codes >= ord("0")) & (codes <= ord("9")), starts)
    kept: npt.NDArray[np.bool_] = ~digits & (lengths >= _MIN_CHARACTERS) & (lengths <= _MAX_CHARACTERS)
    if int(kept.sum()) > most:
        ordered = np.flatnonzero(kept)
        kept[ordered[np.argsort(-counts[ordered], kind="stable")[most:]]] = False
    return kept


def _masks(codes: npt.NDArray[np.uint32], starts: IntArray) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Return two masks of each word: which letters it has, and which of them an odd number of times."""
    bits = np.left_shift(np.uint32(1), codes % _BITS, dtype=np.uint32)
    bits[codes == ord(_SEPARATOR)] = 0
    if not len(starts):
        return np.empty(0, np.uint32), np.empty(0, np.uint32)
    return np.bitwise_or.reduceat(bits, starts), np.bitwise_xor.reduceat(bits, starts)


def _masks_of(word: str) -> tuple[np.uint32, np.uint32]:
    presence = parity = 0
    for letter in word:
        bit = 1 << ord(letter) % _BITS
        presence |= bit
        parity ^= bit
    return np.uint32(presence), np.uint32(parity)
