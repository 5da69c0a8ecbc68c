"""DOCX, by python-docx, and EPUB, whose chapters are HTML -> text. Both are ZIP archives, checked before unpacking."""

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from lxml import etree

from qa_service.loading.decoding import declared_encoding, decode
from qa_service.loading.markup import add_page
from qa_service.loading.outline import Limits, ParsedDocument, TextBuilder, UnreadableError

_MAX_ARCHIVE_FILES = 10_000
_HEADING = re.compile(r"heading (\d)")
_CONTAINER = "META-INF/container.xml"
_NAMESPACES = {
    "c": "urn:oasis:names:tc:opendocument:xmlns:container",
    "o": "http://www.idpf.org/2007/opf",
    "d": "http://purl.org/dc/elements/1.1/",
}


def read_docx(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield a DOCX as a document: headings by their styles, lists, and a block for each table row."""
    import docx  # noqa: PLC0415 - only where such files are

    _open_archive(data, limits)
    try:
        document: Any = docx.Document(io.BytesIO(data))
        builder = TextBuilder()
        for item in document.iter_inner_content():
            if hasattr(item, "rows"):
                _add_table(builder, item)
            else:
                _add_paragraph(builder, item)
        title = document.core_properties.title
    except UnreadableError:
        raise
    except Exception as error:  # the library raises errors of many classes
        raise UnreadableError(f"is not a readable DOCX ({type(error).__name__}: {error})") from error
    found = builder.document()
    yield found if found.outline.title or not title else builder.document(title=title)


def _add_paragraph(builder: TextBuilder, paragraph: Any) -> None:
    style = (paragraph.style.name or "").lower() if paragraph.style is not None else ""
    words = " ".join(paragraph.text.split())
    if style == "title":
        builder.heading(1, words)
    elif match := _HEADING.match(style):
        builder.heading(int(match.group(1)) + 1, words)
    else:
        builder.block(words, "list_item" if style.startswith("list") else "paragraph")


def _add_table(builder: TextBuilder, table: Any) -> None:
    for row in table.rows:
        cells = dict.fromkeys(" ".join(cell.text.split()) for cell in row.cells)  # merged cells come twice
        builder.block(" | ".join(filter(None, cells)), "table_row")


def read_epub(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield an EPUB as a document: its chapters in reading order."""
    archive = _open_archive(data, limits)
    try:
        container = _xml(archive, _CONTAINER)
        place = container.find(".//c:rootfile", _NAMESPACES).get("full-path")
        package = _xml(archive, place)
        items = {item.get("id"): item.get("href") for item in package.iterfind(".//o:manifest/o:item", _NAMESPACES)}
        chapters = [items[entry.get("idref")] for entry in package.iterfind(".//o:spine/o:itemref", _NAMESPACES)]
        title = package.findtext(".//d:title", None, _NAMESPACES)
        builder = TextBuilder()
        warnings: dict[str, None] = {}
        for chapter in chapters:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(place), unquote(chapter)))
            chapter_data = archive.read(name)
            text, warning = decode(chapter_data, declared_encoding(chapter_data), lenient=True)
            add_page(builder, text)
            warnings.update({f"{name}: {warning}": None} if warning else {})
    except (KeyError, AttributeError, TypeError, zipfile.BadZipFile, etree.LxmlError, RuntimeError) as error:
        raise UnreadableError(f"is not a readable EPUB ({type(error).__name__}: {error})") from error
    yield replace(builder.document(title=title), warnings=tuple(warnings))


def _open_archive(data: bytes, limits: Limits) -> zipfile.ZipFile:
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


def _xml(archive: zipfile.ZipFile, name: str) -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    return etree.fromstring(archive.read(name), parser)
