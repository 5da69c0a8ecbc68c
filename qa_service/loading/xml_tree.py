"""XML of any kind -> text: titles are headings, alike elements of a list are rows of a table, others are paragraphs.

Entities are not expanded, except those of XML itself, and nothing outside the file is read.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from typing import Any

from lxml import etree

from qa_service.loading.decoding import declared_encoding, decode
from qa_service.loading.equations import local_name
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError

_DECLARATION = re.compile(r"\A\ufeff?\s*<\?xml\b[^>]*\?>")
_TITLES = {"title", "head", "heading", "caption", *(f"h{level}" for level in range(1, 7))}
_SILENT_ATTRIBUTES = {"schemaLocation", "noNamespaceSchemaLocation", "style", "class", "space", "lang", "type", "href"}
_HYPHEN = re.compile(r"[-_.]+")
_CAMEL_CASE = re.compile(r"(?<=[a-z])[A-Z](?=[a-z])")
_MAX_CELL_CHARACTERS = 300
_MAX_COLUMNS = 20


def read_xml_text(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the file as a document."""
    text, warning = decode(data, declared_encoding(data))
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(_DECLARATION.sub("", text).encode(), parser)
    except (etree.LxmlError, ValueError) as error:
        raise UnreadableError(f"is not readable XML: {error}") from error
    builder = TextBuilder()
    if _is_leaf(root) or _is_mixed(root):
        builder.block(_text(root))
    else:
        _write(builder, root, 0)
    notes = [warning] if warning else []
    if names := sorted({entity.name for entity in root.iter(etree.Entity)}):
        notes.append(f"its own entities are not expanded: {', '.join(names)}")
    yield replace(builder.document(), warnings=tuple(notes))


def _write(builder: TextBuilder, element: Any, level: int) -> None:
    """Write an element that contains others below its title or, if it holds values only, its name."""
    children = _children(element)
    head = children[0] if children and local_name(children[0]).lower() in _TITLES and _is_leaf(children[0]) else None
    if head is not None:
        builder.heading(level + 1, _text(head))
        children = children[1:]
    elif level and all(map(_is_leaf, children)):
        builder.heading(level + 1, _name(element))
    builder.block("; ".join(f"{name}: {value}" for name, value in _attributes(element)))
    for _, group in groupby(children, key=lambda child: child.tag):
        alike = list(group)
        if table := _table(alike):
            builder.table(table, has_header=True)
            continue
        for child in alike:
            if _is_mixed(child) or _is_leaf(child):
                _write_leaf(builder, child, alone=len(alike) == 1)
            else:
                _write(builder, child, level + 1)
    if level:
        builder.leave_sections(level + 1)


def _write_leaf(builder: TextBuilder, element: Any, *, alone: bool) -> None:
    """Write an element of text. The name of a short one says what its value is."""
    words = _text(element)
    named = alone and words and not _is_mixed(element) and len(words) <= _MAX_CELL_CHARACTERS and len(element.tag) > 1
    values = [f"{_name(element)}: {words}" if named else words]
    values += [f"{name}: {value}" for name, value in _attributes(element)]
    builder.block("; ".join(filter(None, values)), "paragraph" if alone else "list_item")


def _table(elements: list[Any]) -> list[list[str]]:
    """Return the rows of elements whose children and attributes are short values, with their names as the header."""
    if len(elements) < 2 or any(_is_mixed(element) for element in elements):  # noqa: PLR2004 - one is no table
        return []
    rows: list[dict[str, str]] = []
    for element in elements:
        children = _children(element)
        if not all(map(_is_leaf, children)) or (not children and _text(element)):
            return []
        row = dict(_attributes(element))
        for child in children:
            values = [_text(child), *(value for _, value in _attributes(child))]
            row[_name(child)] = ", ".join(filter(None, [row.get(_name(child), ""), *values]))
        rows.append(row)
    names = list(dict.fromkeys(name for row in rows for name in row))
    longest = max((len(value) for row in rows for value in row.values()), default=0)
    fits = 1 < len(names) <= _MAX_COLUMNS and longest <= _MAX_CELL_CHARACTERS
    return [names, *([row.get(name, "") for name in names] for row in rows)] if fits else []


def _children(element: Any) -> list[Any]:
    return [child for child in element if isinstance(child.tag, str)]


def _is_leaf(element: Any) -> bool:
    return not _children(element)


def _is_mixed(element: Any) -> bool:
    """Tell whether text stands beside the elements in an element."""
    children = _children(element)
    beside = [element.text, *(child.tail for child in element)]
    return bool(children) and any(text and text.strip() for text in beside)


def _text(element: Any) -> str:
    return " ".join("".join(element.itertext()).split())


def _name(element: Any) -> str:
    """Return a name in words: ``orderDate`` and ``order-date`` are "order date"."""
    words = _CAMEL_CASE.sub(lambda match: f" {match[0].lower()}", local_name(element))
    return _HYPHEN.sub(" ", words).strip()


def _attributes(element: Any) -> Iterator[tuple[str, str]]:
    for key, value in element.items():
        name = key.rpartition("}")[2]
        if value.strip() and name not in _SILENT_ATTRIBUTES:
            yield name, " ".join(value.split())
