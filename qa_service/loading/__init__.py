"""source_text/ -> Documents: which files there are, how each is decoded, what its format marks.

``look_through`` finds the files, ``read_document`` reads one. A format is a function ``text -> Outline``
registered in ``FORMATS``.
"""

from qa_service.loading.folder import (
    FORMATS,
    READERS,
    SourceChangedError,
    SourceFolder,
    look_through,
    no_documents,
    read_document,
    source_root,
)
from qa_service.loading.outline import Outline

__all__ = [
    "FORMATS",
    "READERS",
    "Outline",
    "SourceChangedError",
    "SourceFolder",
    "look_through",
    "no_documents",
    "read_document",
    "source_root",
]
