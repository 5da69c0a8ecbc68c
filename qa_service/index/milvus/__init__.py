"""A generation in a store that service replicas share: put there by one build, asked by any number of them.

``Generations`` is to a Milvus server what ``IndexFolder`` is to a folder; ``MilvusIndex`` is one generation opened.
"""

from qa_service.index.milvus.generations import MilvusGenerations
from qa_service.index.milvus.index import MilvusIndex

__all__ = ["MilvusGenerations", "MilvusIndex"]
