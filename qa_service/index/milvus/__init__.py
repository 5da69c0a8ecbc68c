"""Generations in a Milvus server: one build publishes them, any number of replicas answer from them.

``MilvusGenerations`` corresponds to ``IndexFolder`` on disk; ``MilvusIndex`` is one open generation.
"""

from qa_service.index.milvus.generations import MilvusGenerations
from qa_service.index.milvus.index import MilvusIndex

__all__ = ["MilvusGenerations", "MilvusIndex"]
