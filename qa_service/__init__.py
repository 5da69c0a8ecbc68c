"""qa_service: ask a folder of documents; get passages with exact citations. Start at pipeline.py."""

__version__ = "0.1.0"
