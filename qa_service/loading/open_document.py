"""ODT, ODP and ODS -> text, from their XML. A slide of ODP is a page; the tables of ODS are read as those of Excel."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from lxml import etree

from qa_service.loading.archive import DAMAGES, open_archive, read_xml
from qa_service.loading.equations import local_name
from qa_service.loading.flow import Flow
from qa_service.loading.grid import Paragraph
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError
from qa_service.loading.sheets import Sheet, documents_of
from qa_service.loading.word_package import attribute

_UNREAD = {
    *("tracked-changes", "table-of-content", "automatic-styles", "forms", "settings", "bibliography-mark"),
    *("page-number", "page-count", "annotation-end", "sequence-decls", "alphabetical-index", "ruby-text"),
}
_SPACES = {"tab": " ", "line-break": " "}
_MAX_REPEATED = 200  # text; blank cells may be repeated without an end
_MAX_SPACES = 100


def read_odt(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield a text as a document. Headers and footers stand once, below it."""
    package = _open(data, limits)
    flow = Flow()
    for body in package.content.iterfind("{*}body/*"):
        _Walk(flow, package.parents()).read(body)
    builder = TextBuilder()
    flow.write(builder)
    if (around := _around(package)).parts:
        builder.leave_sections()
        around.write(builder)
    found = builder.document()
    yield found if found.outline.title or not package.title else builder.document(title=package.title)


def read_odp(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield a presentation as a document."""
    content = _open(data, limits).content
    builder = TextBuilder()
    slides = content.findall("{*}body/{*}presentation/{*}page")
    if len(slides) > limits.pages:
        raise UnreadableError(f"has {len(slides)} slides, over the limit of {limits.pages} (QA_MAX_PAGES)")
    for slide in slides:
        builder.leave_sections()
        builder.page()
        flow = Flow()
        frames = sorted(slide, key=lambda frame: attribute(frame, "class") != "title")
        for frame in frames:
            if attribute(frame, "class") == "title":
                flow.text(" ".join("".join(frame.itertext()).split()))
                flow.end(level=1)
            else:
                _Walk(flow, {}).read(frame)
        flow.write(builder)
    yield builder.document()


def read_ods(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield the tables of a spreadsheet; the file has each value as it is shown."""
    content = _open(data, limits).content
    hidden = {
        attribute(style, "name")
        for style in content.iterfind("{*}automatic-styles/{*}style")
        if any(attribute(properties, "display") == "false" for properties in style.iterfind("{*}table-properties"))
    }
    tables = content.iterfind("{*}body/{*}spreadsheet/{*}table")
    yield from documents_of(_sheet(table, is_hidden=attribute(table, "style-name") in hidden) for table in tables)


@dataclass(frozen=True, slots=True)
class _Package:
    content: Any
    styles: Any
    title: str

    def parents(self) -> dict[str, str]:
        """Return the style that each style made by the program is based on."""
        found = self.content.iterfind("{*}automatic-styles/{*}style")
        return {attribute(style, "name"): attribute(style, "parent-style-name") for style in found}


def _open(data: bytes, limits: Limits) -> _Package:
    archive = open_archive(data, limits)
    manifest = "META-INF/manifest.xml"
    if "content.xml" not in archive.NameToInfo:
        raise UnreadableError("is not a readable OpenDocument file: it has no content.xml")
    try:
        is_encrypted = manifest in archive.NameToInfo and b"encryption-data" in archive.read(manifest)
        content, styles, meta = (
            read_xml(archive, name) if name in archive.NameToInfo and not is_encrypted else None
            for name in ("content.xml", "styles.xml", "meta.xml")
        )
    except DAMAGES as error:
        raise UnreadableError(f"is not a readable OpenDocument file ({type(error).__name__}: {error})") from error
    if is_encrypted:
        raise UnreadableError("is encrypted; save it again, without a password")
    return _Package(content, styles, "" if meta is None else meta.findtext("{*}meta/{*}title") or "")


def _around(package: _Package) -> Flow:
    """Return what stands in headers and footers, each text once."""
    flow = Flow()
    if package.styles is not None:
        for part in package.styles.iterfind("{*}master-styles/{*}master-page/*"):
            if local_name(part).startswith(("header", "footer")) and attribute(part, "display") != "false":
                _Walk(flow, {}).read(part)
    flow.parts[:] = list(dict.fromkeys(part for part in flow.parts if isinstance(part, Paragraph)))
    return flow


class _Walk:
    """Walks a part of a document without recursion."""

    def __init__(self, flow: Flow, parents: dict[str, str]) -> None:
        self._flow = flow
        self._parents = parents
        self._lists = 0
        self._header_rows = 0
        self._notes: list[str] = []

    def read(self, root: Any) -> None:
        """Tell the flow all that is printed."""
        walk = etree.iterwalk(root, events=("start", "end"))
        skipped: Any = None
        for event, element in walk:
            name = local_name(element)
            if element is skipped:
                skipped = None
                self._flow.text(element.tail)
            elif event == "end":
                self._end(element, name)
            elif not name or name in _UNREAD or self._reads_as_one(element, name):
                skipped = element
                walk.skip_subtree()
            else:
                self._start(element, name)
        self._flow.end()

    def _reads_as_one(self, element: Any, name: str) -> bool:
        """Read a space, a note or a covered cell."""
        if name in _SPACES:
            self._flow.text(_SPACES[name])
        elif name == "s":
            self._flow.text(" " * min(_MAX_SPACES, _number(element, "c", 1)))
        elif name in {"note", "annotation"}:
            body = element.find("{*}note-body")
            self._notes.append(" ".join(_words(element if body is None else body).split()))
        elif name in {"covered-table-cell", "object", "object-ole", "image", "creator", "date"}:
            if name == "object" and element.find("{*}math") is not None:
                self._flow.text(" ".join("".join(element.itertext()).split()))
        else:
            return False
        return True

    def _start(self, element: Any, name: str) -> None:
        if name in {"p", "h"}:
            self._flow.end("list_item" if self._lists else "paragraph")
        elif name == "list":
            self._lists += 1
        elif name == "table":
            self._flow.start_table()
        elif name == "table-header-rows":
            self._header_rows += 1
        elif name == "table-row":
            self._flow.start_row(is_header=self._header_rows > 0)
        elif name == "table-cell":
            columns = _number(element, "number-columns-spanned", 1)
            self._flow.start_cell(columns, _number(element, "number-rows-spanned", 1))
        self._flow.text(element.text)

    def _end(self, element: Any, name: str) -> None:
        if name == "h":
            # The topmost heading stands below the title.
            self._flow.end(level=_number(element, "outline-level", 1) + 1)
            self._end_notes()
        elif name == "p":
            style = attribute(element, "style-name")
            is_title = "Title" in {style, self._parents.get(style)}
            self._flow.end("list_item" if self._lists else "paragraph", level=int(is_title))
            self._end_notes()
        elif name == "list":
            self._lists -= 1
        elif name == "table":
            self._flow.end_table()
        elif name == "table-header-rows":
            self._header_rows -= 1
        elif name == "table-cell":
            self._flow.end_cell()
        self._flow.text(element.tail)

    def _end_notes(self) -> None:
        """Write the notes of a paragraph below it."""
        for note in self._notes:
            self._flow.text(note)
            self._flow.end()
        self._notes.clear()


def _words(element: Any) -> str:
    return " ".join("".join(paragraph.itertext()) for paragraph in element.iter("{*}p", "{*}h"))


def _sheet(table: Any, *, is_hidden: bool) -> Sheet:
    """Return a sheet. Repeated blank cells and rows only move what follows them."""
    sheet = Sheet(attribute(table, "name"), is_hidden)
    row = 1
    for line in table.iter("{*}table-row"):
        column = 1
        cells: list[tuple[int, str]] = []
        for cell in line.iterfind("*"):
            repeated = _number(cell, "number-columns-repeated", 1)
            text = "\n".join(map(_with_spaces, cell.iterfind("{*}p")))
            if text.strip() and local_name(cell) == "table-cell":
                cells += [(column + place, text) for place in range(min(repeated, _MAX_REPEATED))]
                spans = _number(cell, "number-rows-spanned", 1), _number(cell, "number-columns-spanned", 1)
                if spans != (1, 1):
                    sheet.merged[row, column] = spans
            for note in cell.iterfind("{*}annotation"):
                sheet.notes[row, column] = " ".join(_words(note).split())
            column += repeated
        repeated = _number(line, "number-rows-repeated", 1)
        for place in range(min(repeated, _MAX_REPEATED) if cells else 0):
            for number, text in cells:
                sheet.put(row + place, number, text)
        row += repeated
    return sheet


def _with_spaces(paragraph: Any) -> str:
    flow = Flow()
    _Walk(flow, {}).read(paragraph)
    return " ".join(part.words for part in flow.parts if isinstance(part, Paragraph))


def _number(element: Any, name: str, default: int) -> int:
    text = attribute(element, name)
    return int(text) if text.isascii() and text.isdigit() else default
