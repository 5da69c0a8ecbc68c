"""From a question to ranked passages: candidates of both legs, fusion, duplicates, quotes, confidence."""

from qa_service.retrieval.cite import cite
from qa_service.retrieval.confidence import Calibration
from qa_service.retrieval.reranking import CrossEncoderReranker, Reranker, open_reranker
from qa_service.retrieval.retriever import DocumentRank, RetrievalResult, Retriever

__all__ = [
    "Calibration",
    "CrossEncoderReranker",
    "DocumentRank",
    "Reranker",
    "RetrievalResult",
    "Retriever",
    "cite",
    "open_reranker",
]
