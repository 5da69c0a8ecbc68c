"""Spreadsheets: tables with their headers, each with its sheet and cells; numbers and dates as people see them."""

import datetime as dt
import io
from collections.abc import Callable

import documents
import openpyxl
import pytest
from conftest import ROOT
from openpyxl.comments import Comment
from openpyxl.styles import Font
from openpyxl.worksheet.worksheet import Worksheet

from qa_service.loading import Limits, ParserProcess
from qa_service.loading.formats import parts_of
from qa_service.loading.number_format import shown
from qa_service.loading.outline import ParsedDocument, UnreadableError


def workbook(fill: Callable[[Worksheet], object], title: str = "Boats") -> bytes:
    book = openpyxl.Workbook()
    book.active.title = title
    fill(book.active)
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def filled(rows: list[list[object]]) -> bytes:
    return workbook(lambda sheet: [sheet.append(row) for row in rows])


def read(data: bytes, suffix: str = ".xlsx") -> list[ParsedDocument]:
    return list(parts_of(suffix, data, Limits()))


def blocks(found: ParsedDocument) -> list[tuple[tuple[str, ...], str]]:
    return [(block.section_path, found.text[block.start : block.end]) for block in found.outline.blocks]


def test_a_table_has_its_sheet_and_cells_as_its_part() -> None:
    """A row with one cell above it is its heading; two tables of a sheet are two documents."""
    boats, piers = read(
        filled(
            [
                ["All boats"],
                [],
                ["Boat", "Berth", "Length"],
                ["Anna", "North pier", 12.5],
                [],
                ["Berta", "South pier", 9],
                [],
                ["Pier", "Stone", "Owner"],
                ["North", "granite", "town"],
            ]
        )
    )
    assert boats.part == "sheet=Boats&range=A3:C6"
    assert boats.outline.title == "Boats"
    assert boats.text == (
        "Boats\n\nAll boats\n\nBoat | Berth | Length\n--- | --- | ---\nAnna | North pier | 12.5\nBerta | South pier | 9"
    )
    assert blocks(boats)[1] == (("All boats",), "Anna | North pier | 12.5")
    assert piers.part == "sheet=Boats&range=A8:C9"
    assert "--- | ---" in piers.text


def test_tables_beside_each_other_are_two() -> None:
    """A blank column parts them; one behind a single column does not."""
    left, right = read(filled([["Boat", "Length", None, "Pier", "Depth"], ["Anna", 12, None, "North", 4]]))
    assert (left.part, right.part) == ("sheet=Boats&range=A1:B2", "sheet=Boats&range=D1:E2")
    (only,) = read(filled([["Boat", None, "Length", "Depth"], ["Anna", None, 12, 4]]))
    assert only.text.splitlines()[-1] == "Anna | 12 | 4"


def test_a_long_table_has_its_header_in_each_part() -> None:
    """Fifty rows are a document."""
    found = read(filled([["Boat", "Berth", "Length"], *([f"Boat {n}", "North", n] for n in range(1, 121))]))
    assert [document.part.partition("range=")[2] for document in found] == ["A1:C51", "A52:C101", "A102:C121"]
    assert all("Boat | Berth | Length\n--- | --- | ---" in document.text for document in found)


def test_names_with_values_are_no_header() -> None:
    """The first row can be quoted."""
    (found,) = read(filled([["Owner", "Ann"], ["Berth", "North pier"]]))
    assert [text for _, text in blocks(found)] == ["Owner | Ann", "Berth | North pier"]
    assert "---" not in found.text


def test_values_are_those_that_people_see() -> None:
    """By their formats; formulas without a stored value give a warning, notes follow the table."""

    def fill(sheet: Worksheet) -> None:
        row = ["Anna", 0.125, 1234567.891, dt.date(2024, 3, 1), dt.time(14, 30), True, 3, "=A1", 1e-7]
        sheet.append(["Boat", "Share", "Price", "Built", "Leaves", "Open", "Crew", "Sum", "Leak"])
        sheet.append(row)
        sheet["B2"].number_format = "0.0%"
        sheet["C2"].number_format = '"€" #,##0.00'
        sheet["D2"].number_format = "dd/mm/yyyy"
        sheet["B2"].comment = Comment("Since March", "Ann")

    (found,) = read(workbook(fill))
    assert "Anna | 12.5% | € 1,234,567.89 | 2024-03-01 | 14:30" in found.text
    assert "TRUE | 3 |" in found.text
    assert found.text.endswith("1e-07\n\nB2: Since March")
    assert found.warnings == ("sheet 'Boats': 1 formulas have no stored value; save it in a spreadsheet program",)


def test_a_merged_cell_stands_in_each_of_its_rows() -> None:
    """And above all of its columns, if it is part of the header."""

    def fill(sheet: Worksheet) -> None:
        for row in (["Pier", "Boat", "Length"], ["North", "Anna", 12], [None, "Berta", 9]):
            sheet.append(row)
        sheet.merge_cells("A2:A3")

    (found,) = read(workbook(fill))
    assert found.text.splitlines()[-2:] == ["North | Anna | 12", "North | Berta | 9"]


def test_bold_names_above_two_columns_are_a_header() -> None:
    """Though texts stand below."""

    def fill(sheet: Worksheet) -> None:
        for row in (["Boat", "Owner"], ["Anna", "Ann"], ["Berta", "Bob"]):
            sheet.append(row)
        sheet["A1"].font = sheet["B1"].font = Font(bold=True)

    (found,) = read(workbook(fill))
    assert "Boat | Owner\n--- | ---\nAnna | Ann" in found.text


def test_hidden_sheets_are_read_and_said_so() -> None:
    """Sheets keep their order; a name is quoted in the part."""
    book = openpyxl.Workbook()
    book.active.append(["Words stand here."])
    hidden = book.create_sheet("Old & new")
    hidden.append(["The pier was built in 1890."])
    hidden.sheet_state = "hidden"
    file = io.BytesIO()
    book.save(file)
    _, found = read(file.getvalue())
    assert found.part == "sheet=Old%20%26%20new&range=A1:A1"
    assert found.warnings == ("sheet 'Old & new' is hidden; it is read too",)


def test_xls_has_sheets_tables_and_dates() -> None:
    """A hidden sheet too."""
    boats, old = read((ROOT / "tests/data/formats/boats.xls").read_bytes(), ".xls")
    assert boats.part == "sheet=Boats&range=A1:C3"
    assert "Boat | Length | Built\n--- | --- | ---\nAnna | 12.5 | 1950-04-01\nBerta | 9 | 1961-12-24" in boats.text
    assert old.text.endswith("The pier was built in 1890.")
    assert old.warnings == ("sheet 'Old' is hidden; it is read too",)


@pytest.mark.parametrize(
    ("value", "code", "text"),
    [
        (12.0, "", "12"),
        (0.1 + 0.2, "General", "0.3"),
        (1234.5, "#,##0", "1,235"),
        (0.285, "0.00", "0.29"),
        (1e300, "#,##0", f"{10**300:,}"),
        (0.5, "0%", "50%"),
        (-3.5, "0.00;(0.00)", "(3.50)"),
        (7.0, "000", "007"),
        (1234.5, "[$€-407] #,##0.00", "€ 1,234.50"),
        (1500.0, '0.0," k"', "1.5 k"),
        (12345.0, "0.00E+00", "1.23E+04"),
        (1.5, "0.##", "1.5"),
        (45352.0, "d. mmmm yyyy", "2024-03-01"),
        (45352.5, "yyyy-mm-dd hh:mm", "2024-03-01 12:00"),
        (1.25, "[h]:mm", "30:00:00"),
        (1.0, "d/m/y", "1900-01-01"),
        (45352.0, "mmm yy", "2024-03"),
        (5.0, '"Berth "0', "Berth 5"),
        (1e300, "yyyy", "1e+300"),
        (3.0, '"only text"', "3"),
    ],
)
def test_a_number_is_shown_in_its_format(value: float, code: str, text: str) -> None:
    """Dates are ISO 8601, whatever their format."""
    assert shown(value, code) == text


def test_hostile_spreadsheets_are_refused_or_read() -> None:
    """Too large, damaged, or with cells and merges without an end."""
    data = filled([["Boat"], ["Anna"]])
    with pytest.raises(UnreadableError, match="QA_MAX_EXPANDED_MB"):
        list(parts_of(".xlsx", data, Limits(expanded_bytes=1000)))
    with pytest.raises(UnreadableError, match="encrypted, or in the format"):
        read((ROOT / "tests/data/formats/boats.xls").read_bytes())
    for suffix in (".xlsx", ".xls", ".xlsb"):
        with pytest.raises(UnreadableError):
            read(b"no spreadsheet", suffix)
    relations = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    file = {
        "_rels/.rels": f'<R><Relationship Id="a" Type="{relations}/officeDocument" Target="b.xml"/></R>',
        "_rels/b.xml.rels": f'<R><Relationship Id="s" Type="{relations}/worksheet" Target="s.xml"/></R>',
        "b.xml": f'<w xmlns:r="{relations}"><sheets><sheet name="S" r:id="s"/></sheets></w>',
        "s.xml": '<s><row r="1"><c r="A1" t="str"><v>One</v></c><c r="ZZZ1" s="9"><v>1</v></c></row>'
        '<row r="9999999"><c r="B9999999" t="inlineStr"><is><t>Last</t></is></c></row>'
        '<mergeCells><mergeCell ref="A1:ZZZ9999999"/><mergeCell ref="x"/></mergeCells></s>',
    }
    with ParserProcess(Limits(seconds=60)) as parser:
        found = list(parser.read(".xlsx", documents.archive(file)))
    assert [text for document in found for _, text in blocks(document)]
