"""ZIP archives -> the documents of their files. A file's part of the uri is its path: ``manuals.zip!/2024/boats.pdf``.

Bombs are refused by their size, their number of files, how far they unpack and how deep archives nest.
"""

import posixpath
import re
import unicodedata
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from qa_service.loading.archive import DAMAGES, open_archive
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, SkippedPart, UnreadableError

MEMBER = "!/"
"""Stands before the name of a file within another, as in addresses of JAR files."""
ReadPart = Callable[[str, bytes, Limits], Iterator[ParsedDocument | SkippedPart]]
"""Reads a file by its extension."""
_MAX_DEPTH = 3
_MAX_RATIO = 200
_MIN_BYTES_OF_BOMB = 10_000_000
_MAX_NAME_CHARACTERS = 500
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


def read_zip(
    data: bytes, limits: Limits, read: ReadPart, media_types: Mapping[str, str]
) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield the documents of all files whose extensions have a media type, in the order of their names."""
    archive = open_archive(data, limits)
    size = sum(entry.file_size for entry in archive.infolist())
    if size > max(_MIN_BYTES_OF_BOMB, _MAX_RATIO * len(data)):
        raise UnreadableError(f"unpacks to {size // len(data)} times its size, over the limit of {_MAX_RATIO}")
    limits = replace(limits, expanded_bytes=limits.expanded_bytes - size)
    used: set[str] = set()
    for entry in sorted(archive.infolist(), key=lambda entry: entry.filename):
        name = _unused(safe_name(entry.filename), used)
        if entry.is_dir() or any(part.startswith((".", "__MACOSX")) for part in name.split("/")):
            continue
        if entry.flag_bits & 1:
            yield SkippedPart(f"{MEMBER}{name}", "is encrypted; save it again, without a password")
            continue
        try:
            content = archive.read(entry)
        except (*DAMAGES, EOFError, zlib.error) as error:
            yield SkippedPart(f"{MEMBER}{name}", f"is damaged ({type(error).__name__}: {error})")
            continue
        yield from member(name, content, limits, read, media_types)


def member(
    name: str, content: bytes, limits: Limits, read: ReadPart, media_types: Mapping[str, str]
) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield the documents of a file within another; why it has none is a reason of its own."""
    suffix = posixpath.splitext(name)[1].lower()
    part = f"{MEMBER}{name}"
    if suffix not in media_types:
        yield SkippedPart(part, f"format {suffix or 'without an ending'} is not read", failed=False)
    elif limits.depth >= _MAX_DEPTH:
        yield SkippedPart(part, f"nested in {_MAX_DEPTH} files, it is not read")
    elif content.strip():
        try:
            for found in read(suffix, content, replace(limits, depth=limits.depth + 1)):
                place = joined(part, found.part)
                if isinstance(found, SkippedPart):
                    yield replace(found, part=place)
                else:
                    yield replace(found, part=place, media_type=found.media_type or media_types[suffix])
        except UnreadableError as error:
            yield SkippedPart(part, str(error))


def joined(place: str, inner: str) -> str:
    """Return the place of a part of the file at ``place``."""
    return f"{place}{inner}" if not inner or inner.startswith(MEMBER) else f"{place}#{inner}"


def safe_name(name: str) -> str:
    """Return a name without a way out of its folder, control characters and signs that have a meaning in a uri."""
    name = _UNSAFE.sub("", unicodedata.normalize("NFC", name.replace("\\", "/")))
    parts = [part for part in name.split("/") if part not in {"", ".", ".."}]
    return "/".join(parts)[-_MAX_NAME_CHARACTERS:].replace("#", "%23").replace(MEMBER, "%21/") or "unnamed"


def _unused(name: str, used: set[str]) -> str:
    stem, suffix = posixpath.splitext(name)
    number = 1
    while name in used:
        number += 1
        name = f"{stem} ({number}){suffix}"
    used.add(name)
    return name
