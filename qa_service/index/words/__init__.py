"""The lexical leg: BM25 over normalised words, in any script."""

from qa_service.index.words.builder import LexicalBuilder, Terms
from qa_service.index.words.index import FILES, MATRIX_FILES, LexicalIndex, LexicalMatch, idf, idf_of_one
from qa_service.index.words.terms import NO_STEMMING, languages, terms

__all__ = [
    "FILES",
    "MATRIX_FILES",
    "NO_STEMMING",
    "LexicalBuilder",
    "LexicalIndex",
    "LexicalMatch",
    "Terms",
    "idf",
    "idf_of_one",
    "languages",
    "terms",
]
