"""Files of every format that holds tables, made of one description of a table; its questions, and who answers them.

``tests/data/tables.jsonl`` has a table with five questions on each line. Cells that are ``null`` are merged with the
cell above; header rows with equal neighbours have merged cells too, where the format has any.
"""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path

import documents
import docx
import openpyxl
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate
from reportlab.platypus import Table as PrintedTable

from qa_service.datatypes import Answer
from qa_service.pipeline import QuestionAnswerer

TABLES = Path(__file__).parent / "data/tables.jsonl"


@dataclass(frozen=True)
class Table:
    """A table: ``name`` is that of its file, ``form`` the format that the test writes it in."""

    name: str
    form: str
    title: str
    text: str
    header: list[list[str]]
    rows: list[list[str | None]]
    questions: list[Mapping[str, object]]

    @property
    def names(self) -> list[str]:
        """The names of the columns, of all header rows."""
        return [" ".join(dict.fromkeys(filter(None, column))) for column in zip(*self.header, strict=True)]

    @property
    def plain_rows(self) -> list[list[str]]:
        """The rows with empty cells for merged ones."""
        return [[cell or "" for cell in row] for row in self.rows]

    def filled(self, number: int) -> list[str]:
        """Return a row with the text of the cells that cover it."""
        above = (row for row in self.rows[number::-1])
        columns: Iterable[tuple[str | None, ...]] = zip(*above, strict=True)
        return [next(cell for cell in column if cell is not None) for column in columns]


@dataclass(frozen=True)
class Asked:
    """A question on a cell, with what was quoted: ``row`` and ``cell`` tell whether that is right."""

    table: Table
    question: str
    row: bool
    cell: bool
    quote: str
    words: str


def tables() -> list[Table]:
    """Return the tables of the test."""
    found = map(json.loads, TABLES.read_text(encoding="utf-8").splitlines())
    return [Table(t["id"], t["format"], t["title"], t["text"], t["header"], t["rows"], t["questions"]) for t in found]


def ask(answerer: QuestionAnswerer, asked: Iterable[Table]) -> Iterator[Asked]:
    """Ask the questions of tables, and judge the best quote and its exact words."""
    for table in asked:
        for question in table.questions:
            text = str(question["question"])
            answer = answerer.ask(text)
            number, cell = int(str(question["row"])), str(question["cell"])
            words = _words(answer)
            is_right = _is_of_row(answerer, answer, table, number)
            quote = answer.results[answer.best].citation.quote
            yield Asked(table, text, is_right, is_right and words == cell, quote, words)


def _words(answer: Answer) -> str:
    quote = answer.quotes[0]
    text = answer.results[quote.result].scored.passage.text
    return " | ".join(" ".join(text[slice(*span)].split()) for span in quote.spans)


def _is_of_row(answerer: QuestionAnswerer, answer: Answer, table: Table, number: int) -> bool:
    """Tell whether the quote of the first result lies in the row, of which it has at least a whole cell."""
    citation = answer.results[0].citation
    if citation.uri.partition("#")[0].partition(".")[0] != table.name:
        return False
    text = answerer.document(citation.document_id).text
    start = citation.position.start_char + citation.quote_start
    end = start + len(citation.quote)
    return any(low <= start and end <= high for low, high in _places(text, table, number))


def _places(text: str, table: Table, number: int) -> Iterator[tuple[int, int]]:
    """Yield the places of a row: its cells behind each other, with names of columns or bars between them.

    A merged cell is empty, or has its text again.
    """
    between = r"(?:[\s|]|\\)*"
    cells = []
    for name, cell, own in zip(table.names, table.filled(number), table.rows[number], strict=True):
        words = r"\s+".join(map(re.escape, cell.split()))
        is_merged = "?" if own is None else ""
        cells.append(f"(?:{re.escape(name)}:{between})?(?:{words}){is_merged}" if cell else "")
    for match in re.finditer(between + between.join(cells) + between, text):
        yield match.span()


def markdown(table: Table) -> bytes:
    """Return a page with the table between bars."""
    lines = [table.names, ["---"] * len(table.names), *table.plain_rows]
    return f"# {table.title}\n\n{table.text}\n\n{_with_bars(lines)}\n".encode()


def _with_bars(rows: Iterable[Iterable[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def text_with_bars(table: Table) -> bytes:
    """Return plain text whose columns are parted by bars, without a rule."""
    rows = "\n".join(" | ".join(row) for row in (table.names, *table.plain_rows))
    return f"{table.title.upper()}\n\n{table.text}\n\n{rows}\n".encode()


def restructured(table: Table) -> bytes:
    """Return a page with a grid."""
    rows = [table.names, *table.plain_rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_rule(widths, "-")]
    for number, row in enumerate(rows):
        cells = (f" {cell:{width}} " for cell, width in zip(row, widths, strict=True))
        lines += [f"|{'|'.join(cells)}|", _rule(widths, "-" if number else "=")]
    head = f"{table.title}\n{'=' * len(table.title)}"
    return "\n".join([head, "", table.text, "", *lines, ""]).encode()


def _rule(widths: Iterable[int], sign: str) -> str:
    return f"+{'+'.join(sign * (width + 2) for width in widths)}+"


def web_page(table: Table) -> bytes:
    """Return a page with merged cells."""
    body = f"<h1>{escape(table.title)}</h1><p>{escape(table.text)}</p><table>{_head_of(table)}{_body_of(table)}</table>"
    return (
        '<html xmlns="http://www.w3.org/1999/xhtml"><head><meta charset="utf-8"/>'
        f"<title>{escape(table.title)}</title></head><body>{body}</body></html>"
    ).encode()


def _head_of(table: Table) -> str:
    rows = ""
    for row in table.header:
        spans = ((name, len(list(equal))) for name, equal in groupby(row))
        cells = (f'<th colspan="{width}">{escape(name)}</th>' for name, width in spans)
        rows += f"<tr>{''.join(cells)}</tr>"
    return f"<thead>{rows}</thead>"


def _body_of(table: Table) -> str:
    rows = ""
    for number, row in enumerate(table.rows):
        cells = ""
        for column, cell in enumerate(row):
            below = [other[column] is None for other in table.rows[number + 1 :]]
            height = 1 + (below.index(False) if False in below else len(below))
            cells += "" if cell is None else f'<td rowspan="{height}">{escape(cell)}</td>'
        rows += f"<tr>{cells}</tr>"
    return f"<tbody>{rows}</tbody>"


def word(table: Table) -> bytes:
    """Return a DOCX with merged cells and a bold header."""
    document = docx.Document()
    document.add_heading(table.title)
    document.add_paragraph(table.text)
    written = document.add_table(rows=len(table.header) + len(table.rows), cols=len(table.names))
    for place, (row, cells) in enumerate(zip([*table.header, *table.rows], written.rows, strict=True)):
        is_head = place < len(table.header)
        for column, text in enumerate(row):
            if text is None:
                written.cell(place - 1, column).merge(written.cell(place, column))
            elif is_head and column and text == row[column - 1]:
                written.cell(place, column - 1).merge(written.cell(place, column))
            else:
                cells.cells[column].paragraphs[0].add_run(text).bold = is_head
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def printed(table: Table, *, lines: bool) -> bytes:
    """Return a PDF whose table has lines, or only gaps between its columns."""
    styles = getSampleStyleSheet()
    style = [("GRID", (0, 0), (-1, -1), 0.5, "black")] if lines else []
    heads = [[name if name != row[n - 1] or not n else "" for n, name in enumerate(row)] for row in table.header]
    drawn = PrintedTable([*heads, *table.plain_rows], style=style, repeatRows=len(heads))
    file = io.BytesIO()
    story = [Paragraph(escape(table.title), styles["Heading1"]), Paragraph(escape(table.text), styles["BodyText"])]
    SimpleDocTemplate(file, pagesize=A4, invariant=1).build([*story, drawn])
    return file.getvalue()


def separated(table: Table, delimiter: str) -> bytes:
    """Return rows with a delimiter."""
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows([table.names, *table.plain_rows])
    return file.getvalue().encode()


def json_lines(table: Table) -> bytes:
    """Return an object for each row."""
    rows = (dict(zip(table.names, row, strict=True)) for row in table.plain_rows)
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def sheet(table: Table) -> bytes:
    """Return a spreadsheet with merged cells; whole numbers are numbers."""
    book = openpyxl.Workbook()
    page = book.active
    page.title = table.title[:31]
    for row in (*table.header, *table.rows):
        page.append([int(cell) if cell and cell.isdecimal() else cell or None for cell in row])
    for line, row in enumerate(table.header, start=1):
        column = 1
        for name, equal in groupby(row):
            last = column + len(list(equal)) - 1
            if name and last > column:
                page.merge_cells(start_row=line, end_row=line, start_column=column, end_column=last)
            column = last + 1
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


FORMATS: dict[str, tuple[str, Callable[[Table], bytes]]] = {
    "markdown": (".md", markdown),
    "html": (".html", web_page),
    "docx": (".docx", word),
    "epub": (".epub", lambda table: documents.epub([web_page(table)], table.title)),
    "csv": (".csv", lambda table: separated(table, ",")),
    "tsv": (".tsv", lambda table: separated(table, "\t")),
    "jsonl": (".jsonl", json_lines),
    "pdf-lines": (".pdf", lambda table: printed(table, lines=True)),
    "pdf-gaps": (".pdf", lambda table: printed(table, lines=False)),
    "rst": (".rst", restructured),
    "text-bars": (".txt", text_with_bars),
    "xlsx": (".xlsx", sheet),
}
"""The ending and the writer of each format."""


def write(folder: Path, written: Iterable[Table], form: str = "") -> None:
    """Write each table to a file, in its own format or in a given one."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in written:
        ending, make = FORMATS[form or table.form]
        (folder / (table.name + ending)).write_bytes(make(table))
