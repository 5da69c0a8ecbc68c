"""Everything that touches the folder ``index/``: write, open, verify, swap.

``IndexFolder`` is the folder with its generations and the pointer to the current one; ``OpenIndex`` is
one generation opened, checked and never changing. ``docs/index-format.md`` explains the files.
"""

from qa_service.index.base import Index, Match, Nearest, Words
from qa_service.index.folder import IndexFolder
from qa_service.index.generation import OpenIndex, Written, write_generation
from qa_service.index.manifest import PASSAGES, Contents, Manifest
from qa_service.index.passages import Covered, PassageReader
from qa_service.index.writing import PassageWriter

__all__ = [
    "PASSAGES",
    "Contents",
    "Covered",
    "Index",
    "IndexFolder",
    "Manifest",
    "Match",
    "Nearest",
    "OpenIndex",
    "PassageReader",
    "PassageWriter",
    "Words",
    "Written",
    "write_generation",
]
