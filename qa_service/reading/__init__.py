"""Reads: judges whether a sentence or window of a passage answers a question, and which of its words do."""

from qa_service.reading.choose import OFF, open_reader
from qa_service.reading.reader import Reader, Reading, Window

__all__ = ["OFF", "Reader", "Reading", "Window", "open_reader"]
