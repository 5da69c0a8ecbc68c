"""Text -> vectors: the interface, the reference on torch, and the exported models that serve and build without it."""

from qa_service.embedding.batching import Batching, batches_by_length, question_batches
from qa_service.embedding.exported_models import ExportedModels
from qa_service.embedding.interface import (
    Embedder,
    ModelIdentity,
    PassageEmbeddings,
    QuestionEmbedding,
    TokenEmbeddings,
)
from qa_service.embedding.models import DEFAULT_WEIGHTS, ModelFiles, checked_model_folder, find_model, packaged_folder
from qa_service.embedding.processor import cpu_flags
from qa_service.embedding.question_cache import QuestionCache
from qa_service.embedding.reference import SentenceTransformerEmbedder, open_embedder
from qa_service.embedding.runtime import (
    OPENVINO_BF16,
    OPENVINO_INT8,
    ExportedEmbedder,
    OnnxEmbedder,
    open_runtime,
)
from qa_service.embedding.two_runtimes import TwoRuntimeEmbedder

__all__ = [
    "DEFAULT_WEIGHTS",
    "OPENVINO_BF16",
    "OPENVINO_INT8",
    "Batching",
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
    "TwoRuntimeEmbedder",
    "batches_by_length",
    "checked_model_folder",
    "cpu_flags",
    "find_model",
    "open_embedder",
    "open_runtime",
    "packaged_folder",
    "question_batches",
]
