"""PPTX -> text, from its XML. A slide is a page; its title is a heading, its notes follow it.

Shapes are read from top to bottom, those beside each other from left to right; groups stay together.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from typing import Any

from qa_service.datatypes import BlockKind
from qa_service.loading.archive import DAMAGES, open_archive
from qa_service.loading.equations import local_name
from qa_service.loading.flow import Flow
from qa_service.loading.limits import Limits
from qa_service.loading.office_package import OfficePackage
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError
from qa_service.loading.word_package import attribute

_UNREAD_PLACEHOLDERS = {"sldNum", "dt", "ftr", "hdr"}
_TITLES = {"title", "ctrTitle"}
_SHAPES = {"sp", "grpSp", "graphicFrame", "pic", "cxnSp"}
_LINE_HEIGHT = 180_000  # shapes whose tops differ by less stand beside each other: half a centimetre in EMU
_MAX_DEPTH = 50
_SLIDE_NUMBER = re.compile(r"[‹<#\d›>\s]*\Z")


def read_pptx(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield a presentation as a document."""
    archive = open_archive(data, limits)
    try:
        package = OfficePackage(archive)
        builder = TextBuilder()
        hidden = _write_slides(package, builder, limits)
    except UnreadableError:
        raise
    except DAMAGES as error:
        raise UnreadableError(f"is not a readable presentation ({type(error).__name__}: {error})") from error
    if hidden:
        package.warnings.append(f"slides {', '.join(map(str, hidden))} are hidden; they are read too")
    yield replace(builder.document(), warnings=tuple(package.warnings))


def _write_slides(package: OfficePackage, builder: TextBuilder, limits: Limits) -> list[int]:
    """Write all slides in their order; return the numbers of hidden ones."""
    parts = package.relationships(package.main)
    entries = package.root(package.main).findall("{*}sldIdLst/{*}sldId")
    if len(entries) > limits.pages:
        raise UnreadableError(f"has {len(entries)} slides, over the limit of {limits.pages} (QA_MAX_PAGES)")
    hidden: list[int] = []
    for number, entry in enumerate(entries, start=1):
        identifier = next((value for key, value in entry.items() if key.endswith("}id")), "")
        part = parts.get(identifier, ("", ""))[1]
        slide = package.root(part)
        builder.leave_sections()
        builder.page()
        if slide is not None:
            _Slide(package, part, slide).write(builder)
            hidden += [number] if slide.get("show") == "0" else []
    return hidden


class _Slide:
    """The words of one slide."""

    def __init__(self, package: OfficePackage, part: str, slide: Any) -> None:
        self._package = package
        self._part = part
        self._slide = slide
        self._flow = Flow()

    def write(self, builder: TextBuilder) -> None:
        """Write the title, the shapes and the notes."""
        tree = self._slide.find("{*}cSld/{*}spTree")
        shapes = [] if tree is None else list(_in_reading_order(tree, 0))
        title = next((shape for shape in shapes if _placeholder(shape) in _TITLES and _text(shape)), None)
        if title is not None:
            self._flow.text(_text(title))
            self._flow.end(level=1)
        for shape in shapes:
            if shape is not title and _placeholder(shape) not in _UNREAD_PLACEHOLDERS:
                self._read(shape)
        for kind in ("notesSlide", "comments"):
            for root in self._package.related(self._part, kind):
                self._read_notes(root)
        self._flow.write(builder)

    def _read(self, shape: Any) -> None:
        table = shape.find("{*}graphic/{*}graphicData/{*}tbl")
        body = shape.find("{*}txBody")
        if table is not None:
            self._read_table(table)
        elif body is not None:
            is_text = _placeholder(shape) in {"", "title", "ctrTitle", "subTitle"}
            self._read_paragraphs(body, "paragraph" if is_text else "list_item")
        else:
            self._read_graphic(shape)

    def _read_paragraphs(self, body: Any, kind: BlockKind) -> None:
        for paragraph in body.iterfind("{*}p"):
            self._flow.text(_paragraph(paragraph))
            self._flow.end(kind)

    def _read_table(self, table: Any) -> None:
        properties = table.find("{*}tblPr")
        has_header = properties is not None and properties.get("firstRow") == "1"
        self._flow.start_table()
        for number, row in enumerate(table.iterfind("{*}tr")):
            self._flow.start_row(is_header=has_header and number == 0)
            for cell in row.iterfind("{*}tc"):
                if cell.get("hMerge") == "1" or cell.get("vMerge") == "1":
                    continue
                self._flow.start_cell(int(cell.get("gridSpan", "1")), int(cell.get("rowSpan", "1")))
                self._read_paragraphs(cell.find("{*}txBody"), "paragraph")
                self._flow.end_cell()
        self._flow.end_table()

    def _read_graphic(self, shape: Any) -> None:
        """Read a chart or a diagram from its part, and the description of a picture."""
        for element in shape.iterfind("{*}graphic/{*}graphicData/*"):
            if local_name(element) == "chart":
                self._read_chart(self._related(attribute(element, "id")))
            elif local_name(element) == "relIds":
                data = self._related(attribute(element, "dm"))
                for body in () if data is None else data.iterfind("{*}ptLst/{*}pt/{*}t"):
                    self._read_paragraphs(body, "list_item")
        properties = shape.find("*/{*}cNvPr")
        if local_name(shape) == "pic" and properties is not None:
            words = properties.get("descr", "")
            self._flow.text("" if "automatically generated" in words or "." in words[-5:-1] else words)
            self._flow.end()

    def _related(self, identifier: str) -> Any:
        return self._package.root(self._package.relationships(self._part).get(identifier, ("", ""))[1])

    def _read_chart(self, chart: Any) -> None:
        """Read the titles of a chart, and its values as a table: a row for each category."""
        if chart is None:
            return
        for title in chart.iter("{*}title"):
            self._flow.text(" ".join(_paragraph(paragraph) for paragraph in title.iterfind(".//{*}p")))
            self._flow.end()
        series = list(chart.iter("{*}ser"))
        names = [" ".join(_values(one, "tx")) for one in series]
        columns = [_values(one, "cat") or _values(one, "xVal") for one in series[:1]]
        columns += [_values(one, "val") or _values(one, "yVal") for one in series]
        rows = [["", *names], *(list(row) for row in zip_longest(*columns, fillvalue=""))]
        self._flow.start_table()
        for number, row in enumerate(rows if series else []):
            self._flow.start_row(is_header=number == 0)
            for words in row:
                self._flow.start_cell()
                self._flow.text(words)
                self._flow.end_cell()
        self._flow.end_table()

    def _read_notes(self, root: Any) -> None:
        """Read the speaker's notes: the body, not the picture of the slide; and comments."""
        for shape in root.iter("{*}sp"):
            if _placeholder(shape) == "body" and shape.find("{*}txBody") is not None:
                self._read_paragraphs(shape.find("{*}txBody"), "paragraph")
        for comment in root.iter("{*}cm"):
            self._flow.text(comment.findtext("{*}text") or _text(comment))
            self._flow.end()


def _in_reading_order(tree: Any, depth: int) -> Iterator[Any]:
    """Yield the shapes of a slide or group; those without a place of their own stay where they stand in the file."""
    shapes: list[tuple[tuple[int, int], Any]] = []
    place = (0, 0)
    for child in tree:
        alternative = child.find("{*}Choice") if local_name(child) == "AlternateContent" else None
        for shape in [child] if alternative is None else list(alternative):
            if local_name(shape) in _SHAPES:
                place = _place(shape) or place
                shapes.append((place, shape))
    for _, shape in sorted(shapes, key=lambda entry: entry[0]):
        if local_name(shape) == "grpSp" and depth < _MAX_DEPTH:
            yield from _in_reading_order(shape, depth + 1)
        else:
            yield shape


def _place(shape: Any) -> tuple[int, int] | None:
    offset = shape.find("{*}spPr/{*}xfrm/{*}off")
    offset = shape.find("{*}grpSpPr/{*}xfrm/{*}off") if offset is None else offset
    offset = shape.find("{*}xfrm/{*}off") if offset is None else offset
    return None if offset is None else (int(offset.get("y", "0")) // _LINE_HEIGHT, int(offset.get("x", "0")))


def _placeholder(shape: Any) -> str:
    """Return the kind of a placeholder: nothing for other shapes, ``body`` for one without a kind."""
    found = shape.find("*/{*}nvPr/{*}ph")
    return "" if found is None else found.get("type", "body")


def _text(shape: Any) -> str:
    return " ".join(filter(None, (_paragraph(paragraph).strip() for paragraph in shape.iter("{*}p"))))


def _paragraph(paragraph: Any) -> str:
    """Return the words of a paragraph. The number of the slide is none of them."""
    words = ""
    for element in paragraph.iter("{*}t", "{*}br", "{*}tab"):
        field = element.getparent()
        is_number = local_name(field) == "fld" and _SLIDE_NUMBER.match(element.text or "")
        words += "" if is_number else (element.text or "") if local_name(element) == "t" else " "
    return words


def _values(series: Any, name: str) -> list[str]:
    """Return the values of a series in their order, as the file stores them."""
    found = {
        int(point.get("idx", "0")): point.findtext("{*}v") or ""
        for point in series.iterfind(f"{{*}}{name}//{{*}}pt")
        if point.get("idx", "0").isdigit()
    }
    direct = [value.text or "" for value in series.iterfind(f"{{*}}{name}/{{*}}v")]
    return [found[place] for place in sorted(found)] or direct
