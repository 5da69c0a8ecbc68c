"""Everything that touches the folder ``index/``: write, open, verify, swap.

``IndexFolder`` is the folder with its generations and the pointer to the current one; ``OpenIndex`` is
one generation opened, checked and never changing. ``docs/index-format.md`` explains the files.
"""

from qa_service.index.base import Generations, Index, Match, Nearest, Opened, Words
from qa_service.index.folder import IndexFolder
from qa_service.index.generation import OpenIndex, Written, check_model, write_generation
from qa_service.index.manifest import MANIFEST, PASSAGES, Contents, Manifest, parse_manifest
from qa_service.index.passages import PassageReader
from qa_service.index.writing import PassageWriter
from qa_service.io.durable import storage_errors, write_file

__all__ = [
    "MANIFEST",
    "PASSAGES",
    "Contents",
    "Generations",
    "Index",
    "IndexFolder",
    "Manifest",
    "Match",
    "Nearest",
    "OpenIndex",
    "Opened",
    "PassageReader",
    "PassageWriter",
    "Words",
    "Written",
    "check_model",
    "parse_manifest",
    "storage_errors",
    "write_file",
    "write_generation",
]
