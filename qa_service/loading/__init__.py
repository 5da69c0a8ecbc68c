"""source_text/ -> Documents: which files there are, how each is decoded, what its format marks.

``look_through`` finds the files, ``read_documents`` reads one; ``FORMATS`` are by what.
"""

from qa_service.loading.folder import SkipFile, SourceFolder, look_through, source_root
from qa_service.loading.formats import FORMATS, READERS
from qa_service.loading.outline import Limits, limits_of
from qa_service.loading.parser_process import ParserProcess
from qa_service.loading.reading import SourceChangedError, read_documents, read_file

__all__ = [
    "FORMATS",
    "READERS",
    "Limits",
    "ParserProcess",
    "SkipFile",
    "SourceChangedError",
    "SourceFolder",
    "limits_of",
    "look_through",
    "read_documents",
    "read_file",
    "source_root",
]
