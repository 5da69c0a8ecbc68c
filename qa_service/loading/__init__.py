"""Source folder -> Documents: finds the files, decodes them, and parses their formats.

:func:`scan_source` lists the files, :func:`read_documents` reads one; :data:`FORMATS` maps extensions to readers.
"""

from qa_service.loading.folder import SkipFile, SourceFolder, scan_source, source_root
from qa_service.loading.formats import FORMATS, READERS_VERSION
from qa_service.loading.limits import Limits, limits_of
from qa_service.loading.parser_process import ParserProcess
from qa_service.loading.pdf.engine import engine as ocr_engine
from qa_service.loading.pins import NO_PIN_FILE, PinFile, read_pins
from qa_service.loading.reading import SourceChangedError, read_documents, read_file
from qa_service.loading.synonyms import NO_SYNONYMS, SynonymFile, read_synonyms

__all__ = [
    "FORMATS",
    "NO_PIN_FILE",
    "NO_SYNONYMS",
    "READERS_VERSION",
    "Limits",
    "ParserProcess",
    "PinFile",
    "SkipFile",
    "SourceChangedError",
    "SourceFolder",
    "SynonymFile",
    "limits_of",
    "ocr_engine",
    "read_documents",
    "read_file",
    "read_pins",
    "read_synonyms",
    "scan_source",
    "source_root",
]
