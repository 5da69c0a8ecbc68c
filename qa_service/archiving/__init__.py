"""Takes a service to another machine: documents, index, feedback and keys in one checked file."""

from qa_service.archiving.contents import ArchiveContents
from qa_service.archiving.export import export_service
from qa_service.archiving.install import import_service, unpack_read_only

__all__ = ["ArchiveContents", "export_service", "import_service", "unpack_read_only"]
