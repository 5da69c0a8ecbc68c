"""EPUB -> text: chapters of HTML in the order in which the package lists them."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

from qa_service.loading.archive import DAMAGES, beside, open_archive, read_xml
from qa_service.loading.flow import Flow
from qa_service.loading.limits import Limits
from qa_service.loading.markup import add_page
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError
from qa_service.loading.visible import is_hidden, is_table_of_contents

_CONTAINER = "META-INF/container.xml"
_NAMESPACES = {
    "c": "urn:oasis:names:tc:opendocument:xmlns:container",
    "o": "http://www.idpf.org/2007/opf",
    "d": "http://purl.org/dc/elements/1.1/",
}


def read_epub(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield an EPUB as a document."""
    archive = open_archive(data, limits)
    flow = Flow()
    warnings: list[str] = []
    try:
        place = read_xml(archive, _CONTAINER).find(".//c:rootfile", _NAMESPACES).get("full-path")
        package = read_xml(archive, place)
        items = {item.get("id"): item.get("href") for item in package.iterfind(".//o:manifest/o:item", _NAMESPACES)}
        title = package.findtext(".//d:title", None, _NAMESPACES)
        for entry in package.iterfind(".//o:spine/o:itemref", _NAMESPACES):
            name = beside(place, unquote(items[entry.get("idref")]))
            if name in archive.NameToInfo:
                warning = add_page(flow, archive.read(name), _is_unread)
                warnings += [f"{name}: {warning}"] if warning else []
            else:
                warnings.append(f"{name} is listed as a chapter, but is missing")
    except UnreadableError:
        raise
    except DAMAGES as error:
        raise UnreadableError(f"is not a readable EPUB ({type(error).__name__}: {error})") from error
    builder = TextBuilder()
    flow.write(builder)
    yield replace(builder.document(title=title), warnings=tuple(warnings))


def _is_unread(element: Any, tag: str) -> bool:
    return is_hidden(element, tag) or is_table_of_contents(element, tag)
