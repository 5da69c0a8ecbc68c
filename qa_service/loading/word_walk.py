"""Walks the XML of a DOCX part, and tells a :class:`Flow` its paragraphs, headings, lists and tables."""

import re
from dataclasses import dataclass
from typing import Any

from lxml import etree

from qa_service.loading.equations import equation, local_name
from qa_service.loading.flow import Flow
from qa_service.loading.markup import add_page
from qa_service.loading.pieces import with_reading, without_file_name
from qa_service.loading.symbols import drawn
from qa_service.loading.visible import is_hidden
from qa_service.loading.word_package import WordPackage, attribute, is_on, value

_UNREAD = {
    *("rPr", "pPr", "tblPr", "tcPr", "trPr", "sdtPr", "sdtEndPr", "sectPr", "delText", "del", "moveFrom", "tblGrid"),
}
_CHARACTERS = {"tab": " ", "ptab": " ", "br": " ", "cr": " ", "noBreakHyphen": "-", "softHyphen": "\u00ad"}
_PAGE_NUMBERS = ("PAGE", "NUMPAGES", "SECTIONPAGES")
_MAX_HEADING_CHARACTERS = 300
_MAX_WORDS_BESIDE_PAGE_NUMBER = 2
_WORD = re.compile(r"[^\W\d_]+")


class WordWalk:
    """Reads one part. In ``is_running`` ones, headers and footers, page numbers are not text."""

    def __init__(self, flow: Flow, package: WordPackage, *, is_running: bool = False) -> None:
        self._flow = flow
        self._package = package
        self._is_running = is_running
        self._fields: list[_Field] = []
        self._has_page_number = False
        self._bold: Any = None  # the run that is
        self._headed: Any = None  # a table whose first row is its header

    def read(self, root: Any) -> None:
        """Walk without recursion."""
        _put_in_reading_order(root, {} if self._is_running else self._package.notes())
        walk = etree.iterwalk(root, events=("start", "end"))
        skipped = None
        for event, element in walk:
            name = local_name(element)
            if element is skipped:
                skipped = None
            elif event == "end":
                self._end(element, name)
            elif not name or name in _UNREAD or self._reads_as_one(element, name):
                skipped = element
                walk.skip_subtree()
            else:
                self._start(element, name)
        self._flow.end()

    def _reads_as_one(self, element: Any, name: str) -> bool:
        """Read an element with all that it contains, if it is one of those."""
        words = _words_of(element, name)
        if words is not None:
            self._text(words)
        elif name == "instrText" and self._fields:
            self._fields[-1].code += element.text or ""
        elif name == "relIds":
            self._read_diagram(attribute(element, "dm"))
        elif name == "altChunk":
            page = self._package.page(attribute(element, "id"))
            if page is not None:
                add_page(self._flow, page, is_hidden)
        elif name == "p":
            return self._is_contents(element)
        elif name == "r":
            return is_on(element.find("{*}rPr"), "vanish")
        else:
            return name == "instrText"
        return True

    def _is_contents(self, paragraph: Any) -> bool:
        """Tell whether a paragraph is a line of a table of contents, which is not content, but repeats headings."""
        is_contents = self._package.look(paragraph.find("{*}pPr")).is_contents
        if is_contents:
            self._flow.dropped.append(("contents line", "".join(paragraph.itertext("{*}t"))))
        return is_contents

    def _text(self, words: str | None) -> None:
        for opened in self._fields:
            is_page_number = self._is_running and opened.code.strip().upper().startswith(_PAGE_NUMBERS)
            self._has_page_number |= is_page_number
            if opened.is_code or is_page_number:
                return
        self._flow.text(words)

    def _start(self, element: Any, name: str) -> None:
        match name:
            case "r":
                self._start_run(element)
            case "fldSimple":
                self._fields.append(_Field(attribute(element, "instr"), is_code=False))
            case "fldChar":
                self._change_field(attribute(element, "fldCharType"))
            case "tbl":
                self._flow.start_table()
                look = element.find("{*}tblPr/{*}tblLook")
                style = value(element.find("{*}tblPr"), "tblStyle") if element.find("{*}tblPr") is not None else None
                if look is not None and _heads_first_row(look) and self._package.formats_first_row(style or ""):
                    self._headed = element
            case "tr":
                properties = element.find("{*}trPr")
                is_first = self._headed is not None and self._headed is element.getparent()
                self._flow.start_row(is_header=is_first or is_on(properties, "tblHeader"))
                self._headed = None
                if (before := _count(properties, "gridBefore")) > 0:
                    self._flow.start_cell(before)
                    self._flow.end_cell()
            case "tc":
                properties = element.find("{*}tcPr")
                merge = None if properties is None else value(properties, "vMerge")
                continues = merge is not None and merge != "restart"
                self._flow.start_cell(max(1, _count(properties, "gridSpan")), continues=continues)

    def _start_run(self, run: Any) -> None:
        properties = run.find("{*}rPr")
        if properties is None:
            return
        if is_on(properties, "b"):
            self._bold = run
            self._flow.bold += 1
        is_raised = value(properties, "vertAlign") == "superscript"
        if is_raised and (run.findtext("{*}t") or "")[:1].isdigit() and self._flow.ends_with().isdigit():
            self._text("^")

    def _change_field(self, change: str) -> None:
        if change == "begin":
            self._fields.append(_Field())
        elif self._fields and change == "separate":
            self._fields[-1].is_code = False
        elif self._fields:
            self._fields.pop()

    def _end(self, element: Any, name: str) -> None:
        match name:
            case "p":
                self._end_paragraph(element.find("{*}pPr"))
            case "r" if element is self._bold:
                self._flow.bold -= 1
                self._bold = None
            case "fldSimple":
                self._change_field("end")
            case "tc":
                self._flow.end_cell()
            case "tbl":
                self._flow.end_table()

    def _end_paragraph(self, properties: Any) -> None:
        for opened in self._fields:  # one that never ends must not swallow the document
            opened.is_code = False
        if properties is not None and _goes_on(properties):
            self._flow.text("" if properties.find("{*}framePr") is not None else " ")
            return
        words = self._flow.pending()
        if self._has_page_number and len(_WORD.findall(words)) <= _MAX_WORDS_BESIDE_PAGE_NUMBER:
            self._flow.drop()
        self._has_page_number = False
        look = self._package.look(properties)
        level = 0 if self._is_running or len(words) > _MAX_HEADING_CHARACTERS else look.level
        self._flow.end("list_item" if look.is_list else "paragraph", level)

    def _read_diagram(self, relationship: str) -> None:
        """Add the texts of a diagram, which stand in a part of their own."""
        root = self._package.part(relationship)
        for paragraph in () if root is None else root.iter("{*}p"):
            self._text(" " + "".join(paragraph.itertext("{*}t")))


@dataclass(slots=True)
class _Field:
    """A field: its code, and whether that has not ended yet; behind it stands the text that people see."""

    code: str = ""
    is_code: bool = True


def _words_of(element: Any, name: str) -> str | None:
    """Return the text of a leaf, or of what is read as one; ``None`` for other elements."""
    if name in _CHARACTERS:
        return _CHARACTERS[name]
    if name in {"t", "sym"}:
        return drawn(element)
    if name == "oMath":
        return equation(element)
    if name == "docPr":
        return f" {without_file_name(attribute(element, 'descr'))} "
    if name == "ruby":
        base, reading = (
            "".join(text for part in element.iterfind(f"{{*}}{half}") for text in part.itertext("{*}t"))
            for half in ("rubyBase", "rt")
        )
        return with_reading(base, reading)
    return None


def _put_in_reading_order(root: Any, notes: dict[tuple[str, str], Any]) -> None:
    """Remove what is deleted or comes twice, and put text boxes and notes behind the paragraphs that they belong to."""
    for deleted in list(root.iter("{*}del", "{*}moveFrom")):
        holder = deleted.getparent()
        if local_name(holder) == "trPr":
            _remove(holder.getparent())
        elif local_name(holder) != "rPr":
            _remove(deleted)
    for alternatives in list(root.iter("{*}AlternateContent")):
        if any(next(choice.iter("{*}t"), None) is not None for choice in alternatives.iterfind("{*}Choice")):
            for fallback in alternatives.findall("{*}Fallback"):
                _remove(fallback)
    moved: list[tuple[Any, Any]] = []
    for mark in root.iter("{*}txbxContent", "{*}footnoteReference", "{*}endnoteReference"):
        paragraph = next(mark.iterancestors("{*}p"), None)
        name = local_name(mark)
        content = mark if name == "txbxContent" else notes.pop((name, attribute(mark, "id")), None)
        if paragraph is not None and content is not None:
            moved.append((paragraph, content))
    for paragraph, content in reversed(moved):
        paragraph.addnext(content)


def _goes_on(paragraph: Any) -> bool:
    """Tell whether a paragraph and the next are one: the mark between them is deleted, or it is a large initial."""
    frame = paragraph.find("{*}framePr")
    is_initial = frame is not None and attribute(frame, "dropCap") in {"drop", "margin"}
    return is_initial or paragraph.find("{*}rPr/{*}del") is not None


def _remove(element: Any) -> None:
    if element.getparent() is not None:
        element.getparent().remove(element)


def _heads_first_row(look: Any) -> bool:
    """Tell whether a table is told to format its first row; old files have that as a bit."""
    told = attribute(look, "firstRow")
    bits = attribute(look, "val")
    return told in {"1", "true", "on"} or (
        not told and bool(re.fullmatch("[0-9A-Fa-f]{1,4}", bits)) and int(bits, 16) & 0x20 > 0
    )


def _count(properties: Any, name: str) -> int:
    number = "" if properties is None else value(properties, name) or ""
    return int(number) if number.isascii() and number.isdigit() and len(number) <= len("1000") else 0
