"""The words of all sentences, in files."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from qa_service.datatypes import Int32Array, IntArray

SENTENCE_WORDS, SENTENCE_STARTS = "lexical-sentence-words.npy", "lexical-sentence-starts.npy"
WORDS, WORD_TERMS, WORD_COUNTS = "lexical-words.txt", "lexical-word-terms.npy", "lexical-word-counts.npy"
SENTENCE_FILES = (SENTENCE_STARTS, SENTENCE_WORDS, WORDS, WORD_TERMS, WORD_COUNTS)


@dataclass(frozen=True, slots=True)
class SentenceWords:
    """The words of all sentences: the ids of ``words`` in text order, repeated ones included.

    Sentence ``i`` has those from ``starts[i]`` to ``starts[i + 1]``. ``words`` are lines, in the order of their ids;
    ``terms`` and ``counts`` hold the id of each word's term, and its occurrences in sentences and headings.
    """

    ids: Int32Array
    starts: IntArray
    words: str
    terms: Int32Array
    counts: Int32Array

    @classmethod
    def load(cls, folder: Path) -> "SentenceWords":
        """Open the files of :meth:`save`, memory-mapped except for the words."""
        arrays = [
            np.asarray(np.load(folder / name, mmap_mode="r", allow_pickle=False))
            for name in (SENTENCE_WORDS, SENTENCE_STARTS, WORD_TERMS, WORD_COUNTS)
        ]
        ids, starts, terms, counts = arrays
        return cls(ids, starts, (folder / WORDS).read_bytes().decode(), terms, counts)

    def save(self, folder: Path) -> dict[str, int]:
        """Write the files and return the number of entries of each."""
        arrays: dict[str, IntArray | Int32Array] = {
            SENTENCE_WORDS: self.ids,
            SENTENCE_STARTS: self.starts,
            WORD_TERMS: self.terms,
            WORD_COUNTS: self.counts,
        }
        for name, array in arrays.items():
            np.save(folder / name, array, allow_pickle=False)
        (folder / WORDS).write_bytes(self.words.encode())
        return {WORDS: len(self.terms), **{name: len(array) for name, array in arrays.items()}}
