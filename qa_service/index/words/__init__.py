"""The lexical signal: BM25 over normalised words, in any script."""

from qa_service.index.words.acronyms import MAX_ACRONYMS, acronyms
from qa_service.index.words.builder import BM25Builder, VocabularyMap
from qa_service.index.words.expansion import ExpandedPhrase, expanded_phrases
from qa_service.index.words.index import FILES, MATRIX_FILES, BM25Index, BM25Match, idf, idf_of_one
from qa_service.index.words.spellings import MAX_SPELLINGS, Spelling, Spellings
from qa_service.index.words.synonyms import Acronym, Synonyms
from qa_service.index.words.terms import NO_STEMMING, fold, languages, terms

__all__ = [
    "FILES",
    "MATRIX_FILES",
    "MAX_ACRONYMS",
    "MAX_SPELLINGS",
    "NO_STEMMING",
    "Acronym",
    "BM25Builder",
    "BM25Index",
    "BM25Match",
    "ExpandedPhrase",
    "Spelling",
    "Spellings",
    "Synonyms",
    "VocabularyMap",
    "acronyms",
    "expanded_phrases",
    "fold",
    "idf",
    "idf_of_one",
    "languages",
    "terms",
]
