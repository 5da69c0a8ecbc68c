"""The parts of a DOCX: its document, styles, notes, headers and footers. Parts are found by their relationships."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from qa_service.loading.archive import read_xml
from qa_service.loading.equations import local_name
from qa_service.loading.office_package import OfficePackage

_HEADING = re.compile(r"heading ([1-9])\Z")
_CONTENTS = re.compile(r"toc (?:\d|heading)\Z|table of figures\Z")
_BODY_TEXT = 9  # as an outline level


@dataclass(frozen=True, slots=True)
class Look:
    """The role of a paragraph by its style: ``level`` is that of a heading, or 0."""

    level: int = 0
    is_list: bool = False
    is_contents: bool = False


class WordPackage(OfficePackage):
    """Reads the parts of one file. Elements are found by their local names: there are two sets of namespaces."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        super().__init__(archive)
        self._parts = self.relationships(self.main)
        self._styles = {attribute(style, "styleId"): style for style in self._children_of("styles", "style")}
        self._default = next((name for name, style in self._styles.items() if _is_default(style)), "")
        self._looks: dict[str, Look] = {}

    def document(self) -> Any:
        """Return the root of the document."""
        return read_xml(self._archive, self.main)

    def title(self) -> str | None:
        """Return the title in the file's properties."""
        core = next(self.related("", "core-properties"), None)
        title: str | None = None if core is None else core.findtext("{*}title")
        return title

    def notes(self) -> dict[tuple[str, str], Any]:
        """Return foot- and endnotes by the name of their mark and their id."""
        return {
            (f"{kind}Reference", attribute(note, "id")): note
            for kind in ("footnote", "endnote")
            for note in self._children_of(f"{kind}s", kind)
        }

    def headers_and_footers(self) -> list[Any]:
        """Return the roots of those that sections use."""
        used = {
            attribute(reference, "id"): local_name(reference)
            for reference in self.document().iter("{*}headerReference", "{*}footerReference")
        }
        order = sorted(used, key=lambda key: used[key], reverse=True)  # headers first
        return [root for key in order if (root := self.part(key)) is not None]

    def part(self, relationship: str) -> Any:
        """Return the root of the part that the document refers to, or ``None``."""
        return self.root(self._parts.get(relationship, ("", ""))[1])

    def page(self, relationship: str) -> bytes | None:
        """Return a web page that is part of the document."""
        name = self._parts.get(relationship, ("", ""))[1]
        is_page = name.lower().endswith((".htm", ".html", ".xhtml", ".mht")) and name in self._archive.NameToInfo
        return self._archive.read(name) if is_page else None

    def look(self, properties: Any) -> Look:
        """Return what a paragraph is, by its properties (``w:pPr``) and its style."""
        if properties is None:
            return self._look_of(self._default)
        found = self._look_of(value(properties, "pStyle") or self._default)
        level, is_list = _outline_level(properties), _is_list(properties)
        return Look(
            found.level if level is None else level, found.is_list if is_list is None else is_list, found.is_contents
        )

    def formats_first_row(self, style: str) -> bool:
        """Tell whether a style of tables gives the first row a look of its own."""
        return any(
            attribute(part, "type") == "firstRow"
            for element in self._based_on(style)
            for part in element.iterfind("{*}tblStylePr")
        )

    def _look_of(self, style: str) -> Look:
        if style not in self._looks:
            self._looks[style] = self._derived_look(style)
        return self._looks[style]

    def _derived_look(self, style: str) -> Look:
        level: int | None = None
        is_list: bool | None = None
        is_contents = False
        for element in self._based_on(style):
            name = (value(element, "name") or "").strip().lower()
            properties = element.find("{*}pPr")
            if level is None and properties is not None:
                level = _outline_level(properties)
            if level is None and (match := _HEADING.match(name)):
                level = int(match[1]) + 1
            if level is None and name == "title":
                level = 1
            if is_list is None:
                is_list = True if name.startswith("list") else None if properties is None else _is_list(properties)
            is_contents = is_contents or bool(_CONTENTS.match(name))
        return Look(level or 0, bool(is_list), is_contents)

    def _based_on(self, style: str) -> Iterator[Any]:
        """Yield a style and those that it is based on, each once."""
        seen: set[str] = set()
        while style in self._styles and style not in seen:
            seen.add(style)
            yield self._styles[style]
            style = value(self._styles[style], "basedOn") or ""

    def _children_of(self, kind: str, name: str) -> Iterator[Any]:
        for part_kind, target in self._parts.values():
            root = self.root(target) if part_kind == kind else None
            yield from () if root is None else root.iterfind(f"{{*}}{name}")


def attribute(element: Any, name: str) -> str:
    """Return an attribute by its local name, or nothing."""
    return next((text for key, text in element.items() if key.rpartition("}")[2] == name), "")


def value(element: Any, name: str) -> str | None:
    """Return the value of a property; ``None`` if it is not there."""
    found = element.find(f"{{*}}{name}")
    return None if found is None else attribute(found, "val")


def is_on(properties: Any, name: str) -> bool:
    """Tell whether a property that is either on or off is on."""
    return properties is not None and value(properties, name) not in {None, "0", "false", "off", "none"}


def _is_default(style: Any) -> bool:
    return attribute(style, "type") == "paragraph" and attribute(style, "default") in {"1", "true", "on"}


def _outline_level(properties: Any) -> int | None:
    """Return the level of a heading; 0 for body text, ``None`` if nothing is said."""
    level = value(properties, "outlineLvl") or ""
    return (0 if int(level) >= _BODY_TEXT else int(level) + 2) if level.isascii() and level.isdigit() else None


def _is_list(properties: Any) -> bool | None:
    numbering = properties.find("{*}numPr")
    return None if numbering is None else value(numbering, "numId") != "0"
