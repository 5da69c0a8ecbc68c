"""Builds on a Ray cluster: files -> shards -> the generation that merges them. Ray is imported only when used."""

from qa_service.indexing.cluster.shards import build_shards, remove_shards

__all__ = ["build_shards", "remove_shards"]
