"""Turns a question into ranked passages: candidates, fusion, reranking, quotes, confidence, citations."""

from qa_service.retrieval.answer import AnswerReader
from qa_service.retrieval.cite import cite
from qa_service.retrieval.confidence import Calibration
from qa_service.retrieval.query import Query
from qa_service.retrieval.ranking import Ranker
from qa_service.retrieval.relevance import relevance
from qa_service.retrieval.reranking import CrossEncoderReranker, Reranker, open_reranker
from qa_service.retrieval.retriever import DocumentRank, RetrievalResult, Retriever

__all__ = [
    "AnswerReader",
    "Calibration",
    "CrossEncoderReranker",
    "DocumentRank",
    "Query",
    "Ranker",
    "Reranker",
    "RetrievalResult",
    "Retriever",
    "cite",
    "open_reranker",
    "relevance",
]
