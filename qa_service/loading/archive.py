"""ZIP archives of XML, checked before anything in them is unpacked."""

import io
import posixpath
import zipfile
from typing import Any

from lxml import etree

from qa_service.loading.limits import Limits
from qa_service.loading.outline import UnreadableError

_MAX_ARCHIVE_FILES = 10_000
_COMPOUND_FILE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
DAMAGES = (
    LookupError,
    StopIteration,
    AttributeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    etree.LxmlError,
    RuntimeError,
    OSError,
)
"""The exceptions that reading a damaged archive raises."""


def open_archive(data: bytes, limits: Limits) -> zipfile.ZipFile:
    """Return an archive within the limits. Raises :class:`UnreadableError`."""
    if data.startswith(_COMPOUND_FILE):
        raise UnreadableError("is encrypted, or in the format of an older program; save it again, without a password")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError) as error:
        raise UnreadableError(f"is not a readable archive ({error})") from error
    size = sum(entry.file_size for entry in entries)
    if len(entries) > _MAX_ARCHIVE_FILES:
        raise UnreadableError(f"contains {len(entries)} files, over the limit of {_MAX_ARCHIVE_FILES}")
    if size > limits.expanded_bytes:
        raise UnreadableError(
            f"unpacks to {size / 1e6:.1f} MB, over the limit of {limits.expanded_bytes / 1e6:g} MB (QA_MAX_EXPANDED_MB)"
        )
    return archive


def read_xml(archive: zipfile.ZipFile, name: str) -> Any:
    """Return the root of a file. Entities are not expanded, and nothing outside the archive is read."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True)
    return etree.fromstring(archive.read(name), parser)


def beside(name: str, target: str) -> str:
    """Return the name of a file that another one in the archive refers to."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(name), target)).lstrip("/")
