"""Everything that touches the folder ``index/``: write, open, verify, swap.

``IndexFolder`` is the folder with its generations and the pointer to the current one; ``OpenIndex`` is
one generation opened, checked and never changing. ``docs/index-format.md`` explains the files.
"""

from qa_service.index.folder import IndexFolder
from qa_service.index.generation import OpenIndex, write_generation
from qa_service.index.manifest import Contents, Manifest

__all__ = ["Contents", "IndexFolder", "Manifest", "OpenIndex", "write_generation"]
