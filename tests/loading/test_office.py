"""PPTX, ODT, ODP, ODS and RTF: slides are pages, titles headings, tables tables; all that is printed is read."""

import io
from pathlib import Path

import documents
import pptx
import pytest
from pptx.chart.data import CategoryChartData
from pptx.enum.chart import XL_CHART_TYPE
from pptx.util import Cm
from processes import eventually, runs

from qa_service.loading import Limits, ParserProcess
from qa_service.loading.formats import parts_of
from qa_service.loading.outline import ParsedDocument, UnreadableError


def one(suffix: str, data: bytes, **limits: int) -> ParsedDocument:
    (found,) = parts_of(suffix, data, Limits(**limits))
    assert isinstance(found, ParsedDocument)
    return found


def blocks(found: ParsedDocument) -> list[tuple[tuple[str, ...], str]]:
    return [(block.section_path, found.text[block.start : block.end]) for block in found.outline.blocks]


def presentation() -> bytes:
    """Return three slides: with shapes out of order, with a table and a chart, and a hidden one without a title."""
    book = pptx.Presentation()
    first = book.slides.add_slide(book.slide_layouts[5])
    for words, top, left in (("Third box", 8, 1), ("Second box", 5.05, 8), ("First box", 5, 1)):
        first.shapes.add_textbox(Cm(left), Cm(top), Cm(5), Cm(1)).text_frame.text = words
    group = first.shapes.add_group_shape()
    group.shapes.add_textbox(Cm(1), Cm(11), Cm(5), Cm(1)).text_frame.text = "In a group"
    first.shapes.title.text = "The harbour"
    first.notes_slide.notes_text_frame.text = "Say hello first."
    second = book.slides.add_slide(book.slide_layouts[1])
    second.shapes.title.text = "Boats"
    second.placeholders[1].text = "Anna is long\nBerta is short"
    table = second.shapes.add_table(3, 2, Cm(1), Cm(12), Cm(8), Cm(2)).table
    for row, cells in enumerate((("Boat", "Length"), ("Anna", "12"), ("Berta", "9"))):
        for column, words in enumerate(cells):
            table.cell(row, column).text = words
    data = CategoryChartData()
    data.categories = ["2023", "2024"]
    data.add_series("Visitors", (120, 150))
    chart = second.shapes.add_chart(XL_CHART_TYPE.COLUMN_CLUSTERED, Cm(1), Cm(15), Cm(8), Cm(3), data).chart
    chart.has_title = True
    chart.chart_title.text_frame.text = "Visitors a year"
    third = book.slides.add_slide(book.slide_layouts[6])
    third.shapes.add_textbox(Cm(1), Cm(1), Cm(5), Cm(1)).text_frame.text = "Spare words."
    third._element.set("show", "0")
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def test_slides_are_pages_with_their_shapes_in_reading_order() -> None:
    """Notes follow the slide; tables and charts are tables; hidden slides are read, and said so."""
    found = one(".pptx", presentation())
    assert found.outline.title == "The harbour"
    assert blocks(found) == [
        ((), "First box"),
        ((), "Second box"),
        ((), "Third box"),
        ((), "In a group"),
        ((), "Say hello first."),
        (("Boats",), "Anna is long"),
        (("Boats",), "Berta is short"),
        (("Boats",), "Boat | Length"),
        (("Boats",), "Anna | 12"),
        (("Boats",), "Berta | 9"),
        (("Boats",), "Visitors a year"),
        (("Boats",), "|  | Visitors"),
        (("Boats",), "2023 | 120"),
        (("Boats",), "2024 | 150"),
        ((), "Spare words."),
    ]
    assert [found.text[start:].split("\n")[0] for start in found.pages] == ["The harbour", "Boats", "Spare words."]
    assert found.warnings == ("slides 3 are hidden; they are read too",)


OFFICE = 'xmlns:office="o" xmlns:text="t" xmlns:table="b" xmlns:style="s" xmlns:draw="d" xmlns:presentation="p"'


def open_document(body: str, styles: str = "") -> bytes:
    content = f"<office:document-content {OFFICE}>{styles}<office:body>{body}</office:body></office:document-content>"
    running = (
        f"<office:document-styles {OFFICE}><office:master-styles><style:master-page><style:header><text:p>Harbour book"
        "</text:p></style:header><style:footer><text:p>Harbour book</text:p></style:footer></style:master-page>"
        "</office:master-styles></office:document-styles>"
    )
    return documents.archive({"content.xml": content, "styles.xml": running})


def test_odt_has_headings_lists_tables_notes_and_its_header() -> None:
    """Deleted text and the table of contents are not read."""
    body = (
        "<office:text><text:tracked-changes><text:p>Deleted.</text:p></text:tracked-changes>"
        "<text:table-of-content><text:p>Ropes 1</text:p></text:table-of-content>"
        "<text:p text:style-name='P1'>The harbour</text:p><text:h text:outline-level='1'>Ropes</text:h>"
        "<text:p>Boats<text:s text:c='2'/>leave<text:line-break/>at <text:span>five</text:span>"
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Not on Monday.</text:p>"
        "</text:note-body></text:note>.</text:p>"
        "<text:list><text:list-item><text:p>One</text:p></text:list-item></text:list>"
        "<table:table><table:table-header-rows><table:table-row><table:table-cell><text:p>Boat</text:p>"
        "</table:table-cell><table:table-cell><text:p>Length</text:p></table:table-cell></table:table-row>"
        "</table:table-header-rows><table:table-row><table:table-cell><text:p>Anna</text:p></table:table-cell>"
        "<table:table-cell><text:p>12</text:p></table:table-cell></table:table-row></table:table></office:text>"
    )
    styles = "<office:automatic-styles><style:style style:name='P1' style:parent-style-name='Title'/>"
    found = one(".odt", open_document(body, styles + "</office:automatic-styles>"))
    assert found.outline.title == "The harbour"
    assert blocks(found) == [
        (("Ropes",), "Boats leave at five."),
        (("Ropes",), "Not on Monday."),
        (("Ropes",), "One"),
        (("Ropes",), "Boat | Length"),
        (("Ropes",), "Anna | 12"),
        ((), "Harbour book"),
    ]


def test_odp_has_slides_as_pages() -> None:
    """The title first, though it stands last."""
    slide = (
        "<draw:page><draw:frame><draw:text-box><text:p>Words {n}.</text:p></draw:text-box></draw:frame>"
        "<draw:frame presentation:class='title'><draw:text-box><text:p>Slide {n}</text:p></draw:text-box></draw:frame>"
        "<presentation:notes><draw:frame><draw:text-box><text:p>Say {n}.</text:p></draw:text-box></draw:frame>"
        "</presentation:notes></draw:page>"
    )
    body = "".join(slide.replace("{n}", str(number)) for number in (1, 2))
    found = one(".odp", open_document(f"<office:presentation>{body}</office:presentation>"))
    assert blocks(found) == [
        ((), "Words 1."),
        ((), "Say 1."),
        (("Slide 2",), "Words 2."),
        (("Slide 2",), "Say 2."),
    ]
    assert [found.text[start:].split("\n")[0] for start in found.pages] == ["Slide 1", "Slide 2"]
    with pytest.raises(UnreadableError, match="2 slides, over the limit of 1"):
        one(".odp", open_document(f"<office:presentation>{body}</office:presentation>"), pages=1)


def test_ods_has_values_as_they_are_shown() -> None:
    """Repeated blank rows and cells move what follows; a note follows the table."""

    def cells(*texts: str) -> str:
        return "".join(f"<table:table-cell><text:p>{text}</text:p></table:table-cell>" for text in texts)

    rows = (
        f"<table:table-row>{cells('Boat', 'Berth', 'Share')}</table:table-row>"
        "<table:table-row><table:table-cell table:number-rows-spanned='2'><text:p>Anna</text:p></table:table-cell>"
        f"{cells('North', '12,5 %')}</table:table-row>"
        f"<table:table-row><table:covered-table-cell/>{cells('South', '9 %')}</table:table-row>"
        "<table:table-row table:number-rows-repeated='1000000'><table:table-cell/></table:table-row>"
        "<table:table-row><table:table-cell table:number-columns-repeated='3'/><table:table-cell><office:annotation>"
        "<text:p>Since May</text:p></office:annotation><text:p>Last words here.</text:p></table:table-cell>"
        "</table:table-row>"
    )
    data = open_document(
        f"<office:spreadsheet><table:table table:name='Fees'>{rows}</table:table></office:spreadsheet>"
    )
    table, last = parts_of(".ods", data, Limits())
    assert table.part == "sheet=Fees&range=A1:C3"
    assert table.text.endswith("Boat | Berth | Share\n--- | --- | ---\nAnna | North | 12,5 %\nAnna | South | 9 %")
    assert last.part == "sheet=Fees&range=D1000004:D1000004"
    assert last.text.endswith("Last words here.\n\nD1000004: Since May")


RTF = rb"""{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0\fnil\fcharset0 Arial;}{\f1\fnil\fcharset204 Arial;}}
{\stylesheet{\s0 Normal;}{\s1\b heading 1;}}{\info{\title Unseen}}{\header Harbour book\par}
\pard\s1 Ropes & sails\par
\pard Boats leave at {\b five}, caf\'e9, \u8364?5, \uc2\u9731??,
 {\f1 \'cc\'ee\'f0\'e5}, \u-10179 ??\u-9194 ??{\v hidden}{\deleted gone}.{\*\footnote\chftn  Not on Monday.}\par
{\pntext\f0 1.\tab}Item\par
{\pict\bin5 {{{{{}}{\*\unknown {unseen}}
\trowd\trhdr\cellx1\cellx2\pard\intbl Boat\cell Length\cell\row
\trowd\cellx1\cellx2\pard\intbl Anna\par long\cell 12\cell\row
\pard Last words.\par}"""


def test_rtf_has_headings_characters_tables_and_notes() -> None:
    """In the code page of each font; hidden and deleted text is not read, and the header stands once, at the end."""
    found = one(".rtf", RTF)
    assert found.outline.title == "Ropes & sails"
    assert [text for _, text in blocks(found)] == [
        "Boats leave at five, café, €5, ☃, Море, 🐖.",
        "Not on Monday.",
        "Item",
        "Boat | Length",
        "Anna long | 12",
        "Last words.",
        "Harbour book",
    ]


def test_hostile_office_files_are_refused_or_read() -> None:
    """Damaged, encrypted, or nested without an end; in the parser process."""
    deep = "<text:list><text:list-item>" * 5_000
    files = [
        (".pptx", b"no slides"),
        (".pptx", documents.archive({"a": "b"})),
        (
            ".pptx",
            documents.archive({"_rels/.rels": "<R><Relationship Id='a' Type='x/officeDocument' Target='p'/></R>"}),
        ),
        (".odt", documents.archive({"content.xml": "<not"})),
        (".odt", documents.archive({"content.xml": "<a/>", "META-INF/manifest.xml": "<m:encryption-data/>"})),
        (".ods", documents.archive({"mimetype": "x"})),
        (".odt", open_document(f"<office:text>{deep}")),
        (".rtf", b"words"),
    ]
    with ParserProcess(Limits(seconds=60)) as parser:
        for suffix, data in files:
            with pytest.raises(UnreadableError):
                list(parser.read(suffix, data))
        for data in (
            b"{\\rtf1" + b"{" * 100_000,
            b"{\\rtf1 words" + b"}" * 1000,
            b"{\\rtf1\\bin999999999 a\\u99999999 }",
        ):
            assert len(list(parser.read(".rtf", data))) == 1
        repeated = (
            "<table:table-row table:number-rows-repeated='99999999'><table:table-cell table:number-columns-repeated"
        )
        rows = f"{repeated}='99999999'><text:p>x</text:p></table:table-cell></table:table-row>"
        sheet = f"<office:spreadsheet><table:table>{rows}</table:table></office:spreadsheet>"
        assert list(parser.read(".ods", open_document(sheet)))


def program(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str = "") -> None:
    """Make ``folder`` the place of programs, with a LibreOffice of this script if there is one."""
    if script:
        (folder / "soffice").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "soffice").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin" if script else str(folder))


OLDER = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 and so on"


def test_doc_and_ppt_are_converted_by_libreoffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is read as any other; the file comes to it by a name of ours."""
    (tmp_path / "made.pptx").write_bytes(presentation())
    script = f"""for last; do :; done
grep -q "and so on" "$last" || exit 1
case "$*" in *"--headless"*"--convert-to pptx"*) cp {tmp_path}/made.pptx "$last.pptx";; esac"""
    program(tmp_path, monkeypatch, script)
    found = one(".ppt", OLDER)
    assert found.outline.title == "The harbour"
    assert len(found.pages) == 3
    with pytest.raises(UnreadableError, match="can't be converted by LibreOffice; save it as"):
        one(".doc", OLDER)


def test_libreoffice_that_is_missing_or_hangs_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The processes that it started end with it."""
    program(tmp_path, monkeypatch)
    with pytest.raises(UnreadableError, match="read only where LibreOffice is installed"):
        one(".doc", OLDER)
    with pytest.raises(UnreadableError, match="not in the format of its ending; save it as"):
        one(".doc", b"words")
    program(tmp_path, monkeypatch, f"sleep 1000 &\necho $! > {tmp_path}/child\nwait")
    with pytest.raises(UnreadableError, match="can't be converted"):
        one(".doc", OLDER, seconds=10)
    child = int((tmp_path / "child").read_text())
    eventually(lambda: not runs(child))
