"""Fetching web pages into a source folder."""

from qa_service.fetching.crawl import Crawl, CrawlOptions, CrawlReport

__all__ = ["Crawl", "CrawlOptions", "CrawlReport"]
