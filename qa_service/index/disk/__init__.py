"""Generations in the folder ``index/``: write, open, verify, swap.

``IndexFolder`` is the folder with its generations and the pointer to the current one; ``OpenIndex`` is one generation
opened, checked and never changing. ``docs/index-format.md`` explains the files.
"""

from qa_service.index.disk.generations import IndexFolder
from qa_service.index.disk.index import GenerationSummary, OpenIndex, write_generation
from qa_service.index.disk.passage_reader import PassageReader
from qa_service.index.disk.passage_writer import PassageWriter

__all__ = ["GenerationSummary", "IndexFolder", "OpenIndex", "PassageReader", "PassageWriter", "write_generation"]
