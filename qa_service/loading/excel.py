"""Spreadsheets of Excel -> their sheets: XLSX from its XML, with numbers as they are shown; others by calamine."""

import datetime as dt
import io
import re
from collections.abc import Iterator
from typing import Any

import python_calamine
from lxml import etree

from qa_service.loading.archive import DAMAGES, open_archive
from qa_service.loading.equations import local_name
from qa_service.loading.limits import Limits
from qa_service.loading.number_format import BUILT_IN, in_full, shown
from qa_service.loading.office_package import OfficePackage
from qa_service.loading.outline import ParsedDocument, UnreadableError
from qa_service.loading.sheets import Sheet, documents_of
from qa_service.loading.word_package import attribute

_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")


def read_xlsx(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield the tables of an XLSX."""
    archive = open_archive(data, limits)
    try:
        yield from documents_of(_Workbook(OfficePackage(archive)).sheets())
    except UnreadableError:
        raise
    except DAMAGES as error:
        raise UnreadableError(f"is not a readable spreadsheet ({type(error).__name__}: {error})") from error


def read_xls(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the tables of an XLS or XLSB. The library gives numbers without their formats."""
    try:
        workbook = python_calamine.load_workbook(io.BytesIO(data))
        yield from documents_of(_calamine_sheets(workbook))
    except python_calamine.PasswordError:
        raise UnreadableError("is encrypted; save it again, without a password") from None
    except (python_calamine.CalamineError, ValueError, OSError) as error:
        raise UnreadableError(f"is not a readable spreadsheet ({error})") from error


def _calamine_sheets(workbook: python_calamine.CalamineWorkbook) -> Iterator[Sheet]:
    for metadata in workbook.sheets_metadata:
        if metadata.typ != python_calamine.SheetTypeEnum.WorkSheet:
            continue
        found = workbook.get_sheet_by_name(metadata.name)
        sheet = Sheet(metadata.name, metadata.visible != python_calamine.SheetVisibleEnum.Visible)
        first_row, first_column = found.start or (0, 0)
        for row, cells in enumerate(found.to_python(), start=first_row + 1):
            for column, value in enumerate(cells, start=first_column + 1):
                sheet.put(row, column, _typed(value))
        for (top, left), (bottom, right) in found.merged_cell_ranges or ():
            sheet.merged[top + 1, left + 1] = (bottom - top + 1, right - left + 1)
        yield sheet


def _typed(value: object) -> str:
    """Return a value of calamine as text."""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, int | float):
        return in_full(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(" ", "minutes" if not value.second else "seconds").removesuffix(" 00:00")
    return str(value)


class _Workbook:
    """The parts of an XLSX that its sheets share."""

    def __init__(self, package: OfficePackage) -> None:
        self._package = package
        self._book = package.root(package.main)
        if self._book is None:
            raise UnreadableError("is not a readable spreadsheet: it has no workbook")
        properties = self._book.find("{*}workbookPr")
        self._since_1904 = properties is not None and properties.get("date1904") in {"1", "true"}
        self._strings = [_text(item) for root in package.related(package.main, "sharedStrings") for item in root]
        self._formats: list[str] = []
        self._bold: list[bool] = []
        for styles in package.related(package.main, "styles"):
            self._read_styles(styles)

    def sheets(self) -> Iterator[Sheet]:
        """Yield the sheets in their order; charts alone on a sheet have none."""
        parts = self._package.relationships(self._package.main)
        for entry in self._book.iterfind("{*}sheets/{*}sheet"):
            kind, target = parts.get(attribute(entry, "id"), ("", ""))
            if kind == "worksheet":
                sheet = Sheet(entry.get("name", ""), entry.get("state", "visible") != "visible")
                self._read_cells(sheet, target)
                self._read_beside(sheet, target)
                yield sheet

    def _read_styles(self, styles: Any) -> None:
        own = {entry.get("numFmtId"): entry.get("formatCode", "") for entry in styles.iterfind("{*}numFmts/{*}numFmt")}
        fonts = [font.find("{*}b") is not None for font in styles.iterfind("{*}fonts/{*}font")]
        for look in styles.iterfind("{*}cellXfs/{*}xf"):
            number, font = look.get("numFmtId", "0"), int(look.get("fontId", "0"))
            self._formats.append(own.get(number, BUILT_IN.get(int(number), "")))
            self._bold.append(font < len(fonts) and fonts[font])

    def _read_cells(self, sheet: Sheet, target: str) -> None:
        """Read a sheet row by row, since it may be large."""
        row = column = uncounted = 0
        with self._package.open(target) as file:
            walk = etree.iterparse(file, resolve_entities=False, no_network=True, load_dtd=False, huge_tree=True)
            for _, element in walk:
                name = local_name(element)
                if name == "mergeCell":
                    _merge(sheet, element.get("ref", ""))
                elif name == "row":
                    row, column = int(element.get("r", row + 1)), 0
                    for cell in element.iterfind("{*}c"):
                        match = _PLACE.fullmatch(cell.get("r", ""))
                        column = _column(match[1]) if match else column + 1
                        text = self._shown(cell)
                        sheet.put(row, column, text)
                        uncounted += not text and cell.find("{*}f") is not None and not cell.findtext("{*}v")
                        style = int(cell.get("s", "0"))
                        if style < len(self._bold) and self._bold[style] and text:
                            sheet.bold.add((row, column))
                    element.clear()
        if uncounted:
            sheet.warnings.append(
                f"sheet {sheet.name!r}: {uncounted} formulas have no stored value; save it in a spreadsheet program"
            )

    def _shown(self, cell: Any) -> str:
        """Return the text of a cell as a person sees it."""
        kind, value = cell.get("t", "n"), cell.findtext("{*}v") or ""
        if kind == "s":
            return self._strings[int(value)] if value else ""
        if kind == "inlineStr":
            return "".join(map(_text, cell.iterfind("{*}is")))
        if kind == "b":
            return "TRUE" if value == "1" else "FALSE" if value else ""
        if kind != "n" or not value:
            return _ESCAPED.sub(_character, value)
        style = int(cell.get("s", "0"))
        code = self._formats[style] if style < len(self._formats) else ""
        return shown(float(value), code, since_1904=self._since_1904)

    def _read_beside(self, sheet: Sheet, target: str) -> None:
        """Read the notes at cells, and text boxes."""
        for comments in self._package.related(target, "comments"):
            for comment in comments.iterfind("{*}commentList/{*}comment"):
                if match := _PLACE.fullmatch(comment.get("ref", "")):
                    sheet.notes[int(match[2]), _column(match[1])] = " ".join(_text(comment.find("{*}text")).split())
        for drawing in self._package.related(target, "drawing"):
            for paragraph in drawing.iterfind(".//{*}txBody/{*}p"):
                text = "".join(run.text or "" for run in paragraph.iter("{*}t"))
                sheet.texts += [text] if text.strip() else []


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _merge(sheet: Sheet, reference: str) -> None:
    first, _, last = reference.partition(":")
    one, other = _PLACE.fullmatch(first), _PLACE.fullmatch(last)
    if one and other:
        place = int(one[2]), _column(one[1])
        sheet.merged[place] = (int(other[2]) - place[0] + 1, _column(other[1]) - place[1] + 1)


def _text(element: Any) -> str:
    """Return the text of a string: without the readings of its characters."""
    if element is None:
        return ""
    runs = (run for run in element.iter("{*}t") if local_name(run.getparent()) != "rPh")
    return _ESCAPED.sub(_character, "".join(run.text or "" for run in runs))


def _character(match: re.Match[str]) -> str:
    code = int(match[1], 16)
    return "" if 0xD800 <= code < 0xE000 else chr(code)  # noqa: PLR2004 - halves of characters
