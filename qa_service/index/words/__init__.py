"""The lexical signal: BM25 over normalised words, in any script."""

from qa_service.index.words.builder import BM25Builder, VocabularyMap
from qa_service.index.words.index import FILES, MATRIX_FILES, BM25Index, BM25Match, idf, idf_of_one
from qa_service.index.words.spellings import MAX_SPELLINGS, Spelling, Spellings
from qa_service.index.words.terms import NO_STEMMING, fold, languages, terms

__all__ = [
    "FILES",
    "MATRIX_FILES",
    "MAX_SPELLINGS",
    "NO_STEMMING",
    "BM25Builder",
    "BM25Index",
    "BM25Match",
    "Spelling",
    "Spellings",
    "VocabularyMap",
    "fold",
    "idf",
    "idf_of_one",
    "languages",
    "terms",
]
