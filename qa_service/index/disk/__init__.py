"""Generations in an index folder: write, open, verify, swap.

``IndexFolder`` holds all generations and the pointer to the current one; ``OpenIndex`` is one open generation, checked
and immutable. ``docs/index-format.md`` describes the files.
"""

from qa_service.index.disk.generations import IndexFolder
from qa_service.index.disk.index import GenerationSummary, OpenIndex, write_generation
from qa_service.index.disk.passage_reader import PassageReader
from qa_service.index.disk.passage_writer import PassageWriter

__all__ = ["GenerationSummary", "IndexFolder", "OpenIndex", "PassageReader", "PassageWriter", "write_generation"]
