"""A build spread over machines by Ray: files -> shards -> the generation that merges them. Ray is imported by use."""

from qa_service.indexing.cluster.shards import build_shards, remove_shards

__all__ = ["build_shards", "remove_shards"]
