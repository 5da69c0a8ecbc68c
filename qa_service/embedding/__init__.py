"""Text -> vectors: the protocol, the reference by torch, the fast runtime that serves, and how it is exported."""

from qa_service.embedding.batching import in_batches, in_passes
from qa_service.embedding.exported_models import ExportedModels
from qa_service.embedding.models import DEFAULT_WEIGHTS, ModelFiles, checked_model_folder, find_model
from qa_service.embedding.protocol import (
    Embedder,
    ModelIdentity,
    PassageEmbeddings,
    QuestionEmbedding,
    TokenEmbeddings,
)
from qa_service.embedding.question_cache import QuestionCache
from qa_service.embedding.reference import SentenceTransformerEmbedder, open_embedder
from qa_service.embedding.runtime import BULK, BULK_BF16, ExportedEmbedder, OnnxEmbedder, cpu_flags, open_runtime
from qa_service.embedding.two_runtimes import BulkEmbedder

__all__ = [
    "BULK",
    "BULK_BF16",
    "DEFAULT_WEIGHTS",
    "BulkEmbedder",
    "Embedder",
    "ExportedEmbedder",
    "ExportedModels",
    "ModelFiles",
    "ModelIdentity",
    "OnnxEmbedder",
    "PassageEmbeddings",
    "QuestionCache",
    "QuestionEmbedding",
    "SentenceTransformerEmbedder",
    "TokenEmbeddings",
    "checked_model_folder",
    "cpu_flags",
    "find_model",
    "in_batches",
    "in_passes",
    "open_embedder",
    "open_runtime",
]
