"""PDF: running titles, headings, tables, columns, hyphens, forms, and text that nobody sees."""

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import FakeEmbedder
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

from qa_service.loading.outline import Limits, ParsedDocument
from qa_service.loading.pdf import read_pdf
from qa_service.loading.pdf.running_titles import set_aside
from qa_service.loading.pdf.segments import Page, Segment
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings
from qa_service.text.page_lines import boxes_in

_LEFT = (
    "The lighthouse keeper climbs the tower at dusk and lights the lamp before the first boats come "
    "home. In winter he stays there until the morning, since the stairs are covered with ice and the "
    "wind would carry him off the rocks."
)
_RIGHT = (
    "The harbour master writes down every boat that enters and every boat that leaves. In summer there "
    "are too many of them for one book, so he keeps two, of which the second is bound in green "
    "leather and lies beside the window."
)


def read(data: bytes) -> ParsedDocument:
    (found,) = read_pdf(data, Limits())
    return found


def blocks(found: ParsedDocument) -> list[str]:
    return [found.text[block.start : block.end] for block in found.outline.blocks]


def kinds(found: ParsedDocument) -> list[tuple[str, str]]:
    return [(block.kind, found.text[block.start : block.end]) for block in found.outline.blocks]


def drawn(draw: Callable[[Canvas], None], *, title: str = "") -> bytes:
    """Return a PDF of what a function draws; its last page needs no ``showPage``."""
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1)
    canvas.setTitle(title)
    draw(canvas)
    canvas.save()
    return file.getvalue()


def lines(texts: Sequence[str], *, size: float = 11, left: float = 60, top: float = 780) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", size)
        for number, text in enumerate(texts):
            canvas.drawString(left, top - 1.3 * size * number, text)

    return draw


def story(*flowables: object) -> bytes:
    file = io.BytesIO()
    SimpleDocTemplate(file, pagesize=A4, invariant=1).build(list(flowables))
    return file.getvalue()


def pages(count: int, draw: Callable[[Canvas, int], None]) -> bytes:
    def draw_all(canvas: Canvas) -> None:
        for number in range(1, count + 1):
            draw(canvas, number)
            canvas.showPage()

    return drawn(draw_all)


def body(canvas: Canvas, number: int) -> None:
    lines([f"Ship {number}{letter} came home in spring." for letter in "abcdef"], top=700)(canvas)


def test_running_titles_are_read_once_and_page_numbers_never() -> None:
    """Also those of the left pages alone; a warning says how many lines went."""

    def draw(canvas: Canvas, number: int) -> None:
        body(canvas, number)
        canvas.drawString(60, 800, "The harbour book" if number % 2 else "Ropes and nets")
        canvas.drawString(290, 30, f"- {number + 4} -")

    found = read(pages(8, draw))
    assert found.text.count("The harbour book") == found.text.count("Ropes and nets") == 1
    assert "- 5 -" not in found.text
    assert found.text.count("came home") == 48
    assert found.warnings == ("6 repeated running titles and 8 page numbers skipped",)
    assert found.text.index("The harbour book") < found.pages[1] <= found.text.index("Ropes and nets") < found.pages[2]


def test_a_sentence_goes_on_across_a_page_with_a_running_title() -> None:
    """The title does not interrupt it."""

    def draw(canvas: Canvas, number: int) -> None:
        first = f"boats of part {number - 1}." if number > 1 else "Part 1 begins."
        lines([first, f"It has {number} lines,", f"as {number} others have,", f"and goes on with {number} or more"])(
            canvas
        )
        canvas.drawString(60, 30, "Printed in Leeds")

    found = read(pages(4, draw))
    assert found.text.count("Printed in Leeds") == 1
    assert [found.text[start:].split()[:2] for start in found.pages] == [["Part", "1"], *([["boats", "of"]] * 3)]
    assert "goes on with 3 or more boats of part 3" in found.text


@pytest.mark.parametrize("numbers", [(4711, 4712, 4713, 4714), (3, 9, 27, 81), (1, 1, 2, 3)])
def test_numbers_that_count_no_pages_are_content(numbers: Sequence[int]) -> None:
    """As at the top and bottom of invoices, though they are alike."""

    def draw(canvas: Canvas, page: int) -> None:
        number = numbers[page - 1]
        head = [f"Invoice number {number}", str(number), "Ropes were delivered in May.", "All were sound."]
        lines([*head, f"They weigh {page * 7} kg.", f"To be paid: {number * 10} euros"])(canvas)

    found = read(pages(4, draw))
    for number in numbers:
        assert f"Invoice number {number}" in found.text
        assert f"To be paid: {number * 10} euros" in found.text
        assert str(number) in found.text.splitlines()


def test_letters_without_a_character_are_no_numbers() -> None:
    """As of fonts that do not name their letters, here on some pages in the place of a number."""

    def line(number: int, text: str, top: float) -> Segment:
        return Segment(text, 60, top - 12, 99, top, 11, number, -top)

    read_pages = [
        Page(number, (0, 0, 400, 600), 0, [line(number, "\0" if number % 2 else str(number + 1), 580)])
        for number in range(8)
    ]
    for page in read_pages:
        page.segments += [line(page.number, f"Ship {letter} of fleet {page.number * 7}", 500) for letter in "abc"]
    set_aside(read_pages)
    assert [page.segments[0].text for page in read_pages if page.number % 2] == ["\0"] * 4


def test_a_page_of_few_lines_has_no_running_title() -> None:
    """Nor has a document of two pages."""
    found = read(pages(5, lambda canvas, number: lines(["Slide", f"The point {number}"])(canvas)))
    assert found.text.count("Slide") == 5

    def draw(canvas: Canvas, number: int) -> None:
        body(canvas, number)
        canvas.drawString(60, 800, "Letter of two pages")

    assert read(pages(2, draw)).text.count("Letter of two pages") == 2


def test_the_header_of_a_table_is_no_running_title() -> None:
    """It stands right above the rows of each page, and a rule below it."""
    rows = [["Boat", "Length", "Crew"], *([f"Anna {number}", f"{number}.5 m", str(number)] for number in range(120))]
    found = read(story(Table(rows, repeatRows=1)))
    assert len(found.pages) > 2
    assert found.text.count("Boat | Length | Crew\n--- | --- | ---\n") == len(found.pages)
    assert "Anna 7 | 7.5 m | 7" in blocks(found)


def test_large_lines_without_text_between_are_content() -> None:
    """A heading does not replace the one before, and the last one needs text below it."""
    facts = ["Boat repair sheet", "Owner: the harbour", "Fault: a broken mast", "Cost: 41 euros"]

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 18)
        for number, fact in enumerate(facts):
            canvas.drawString(60, 780 - 40 * number, fact)
        lines(["This sheet is no invoice."] * 20, size=8, top=500)(canvas)
        canvas.setFont("Helvetica", 18)
        canvas.drawString(60, 100, "Phone: 555 0100")

    found = read(drawn(draw))
    assert [text for text in blocks(found) if "no invoice" not in text] == [*facts, "Phone: 555 0100"]


def test_cells_of_a_table_keep_their_places() -> None:
    """Empty ones too; a name above two columns stands in the first of them."""
    found = read(
        story(
            Table([["Region", "2019", "2020", "2021"], ["North", "4,200", "", "5,100"], ["South", "", "3,300", ""]]),
            Paragraph("Another table follows, with the crews.", getSampleStyleSheet()["BodyText"]),
            Table(
                [["Boat", "Crew", "", "Age"], ["", "men", "women", "years"], ["Anna", "4", "5", "7"]],
                style=[("SPAN", (1, 0), (2, 0)), ("ALIGN", (1, 0), (2, 0), "CENTER")],
            ),
        )
    )
    assert blocks(found)[:3] == ["Region | 2019 | 2020 | 2021", "North | 4,200 |  | 5,100", "South |  | 3,300 |"]
    assert blocks(found)[4:] == ["Boat | Crew |  | Age", "|  | men | women | years", "Anna | 4 | 5 | 7"]


@pytest.mark.parametrize("align", ["TOP", "MIDDLE"])
def test_lines_of_one_cell_are_joined(align: str) -> None:
    """With rules and without; the text around the table stays text."""
    style = getSampleStyleSheet()["BodyText"]
    cells = [("Ropes", _LEFT[:94], "weekly"), ("Nets and floats of cork", _RIGHT[:81], "yearly, in spring")]
    table = [["Part", "Care", "Interval"], *([Paragraph(cell, style) for cell in row] for row in cells)]
    found = read(
        story(
            Paragraph("The care of boats follows this plan.", style),
            Table(table, colWidths=[80, 200, 90], style=[("VALIGN", (0, 0), (-1, -1), align)]),
            Table(table, colWidths=[80, 200, 90], style=[("GRID", (0, 0), (-1, -1), 1, colors.black)]),
            Paragraph("After the plan stands a sentence.", style),
        )
    )
    rows = ["Part | Care | Interval", *(" | ".join(cell.strip() for cell in row) for row in cells)]
    assert blocks(found) == ["The care of boats follows this plan.", *rows, *rows, "After the plan stands a sentence."]


def test_rules_part_columns_that_stand_close() -> None:
    """Lines of a grid, and the edges of filled cells."""
    rows = [["Boat", "Master", "Crew"], ["Anna Marie", "Ada Holm", "4"], ["Berta Lou", "Bo Lind", "15"]]
    narrow = [("LEFTPADDING", (0, 0), (-1, -1), 1.5), ("RIGHTPADDING", (0, 0), (-1, -1), 1.5)]
    table = Table(rows, style=[*narrow, ("GRID", (0, 0), (-1, -1), 0.5, colors.black)])
    assert blocks(read(story(table))) == [" | ".join(row) for row in rows]

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for number, row in enumerate(rows):
            x = 60.0
            for cell, width in zip(row, (62, 52, 30), strict=True):
                canvas.rect(x, 700 - 16 * number, width, 16)
                canvas.drawString(x + 2, 704 - 16 * number, cell)
                x += width

    assert blocks(read(drawn(draw))) == [" | ".join(row) for row in rows]


def test_labels_and_values_drawn_apart_are_read_together() -> None:
    """As when a program fills in a printed form."""
    labels, values = ["Name:", "Street:", "Town:", "Phone:"], ["Ada Holm", "Pier 12", "Leeds", "555 0100"]

    def draw(canvas: Canvas) -> None:
        lines(labels)(canvas)
        lines(values, left=220)(canvas)

    assert blocks(read(drawn(draw))) == [" | ".join(pair) for pair in zip(labels, values, strict=True)]


@pytest.mark.parametrize("by_rows", [True, False])
def test_columns_are_read_one_after_the_other(*, by_rows: bool) -> None:
    """In whatever order the file draws their lines."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        texts = [(60, simpleSplit(_LEFT, "Helvetica", 10, 200)), (320, simpleSplit(_RIGHT, "Helvetica", 10, 200))]
        drawings = [(number, left, line) for left, text in texts for number, line in enumerate(text)]
        for number, left, line in sorted(drawings) if by_rows else drawings:
            canvas.drawString(left, 700 - 13 * number, line)

    assert " ".join(blocks(read(drawn(draw)))) == f"{_LEFT} {_RIGHT}"


def test_a_justified_line_is_no_row_of_a_table() -> None:
    """Its words stand far apart, but all of them."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 10)
        for number, line in enumerate([*simpleSplit(_LEFT, "Helvetica", 10, 150)] * 2):
            words = line.split()
            spare = 150 - sum(canvas.stringWidth(word) for word in words)
            x = 60.0
            for word in words:
                canvas.drawString(x, 700 - 12 * number, word)
                x += canvas.stringWidth(word) + spare / max(1, len(words) - 1)

    assert {block.kind for block in read(drawn(draw)).outline.blocks} == {"paragraph"}


def test_hyphens_and_ranges_survive_a_line_break() -> None:
    """A word that was cut is joined; how a word is spelt elsewhere decides."""
    found = read(
        drawn(
            lines(
                [
                    "The loan of the years 2019-",
                    "2020 was for a well-",
                    "known maker of extra-",
                    "ordinary boats. Pre-",
                    "and post-war ropes, the E-",
                    "Mail of pages 10\u2013",
                    "12, risk-",
                    "based plans, state-of-the-",
                    "art masts; the rope-",
                    "makers like their bow-",
                    "sprits. The rope-makers sleep.",
                ]
            )
        )
    )
    expected = (
        "The loan of the years 2019-2020 was for a well-known maker of extraordinary boats. Pre- and post-war ropes, "
        "the E-Mail of pages 10\u201312, risk-based plans, state-of-the-art masts; the rope-makers like their "
        "bowsprits. The rope-makers sleep."
    )
    assert blocks(found) == [expected]


def test_marks_of_many_kinds_begin_list_items() -> None:
    """Letters and numerals too, but not an initial in a sentence."""
    items = ["o fill it", "o boil it", "A. pour", "B. serve", "IV. wash", "V. dry", "(c) rest", "12) sleep"]
    found = read(drawn(lines(["Steps of the work:", *items, "Then all is done. The book is by", "A. Holm of Leeds."])))
    assert kinds(found)[:9] == [("paragraph", "Steps of the work:"), *(("list_item", item) for item in items)]
    assert kinds(found)[9:] == [("paragraph", "Then all is done. The book is by A. Holm of Leeds.")]


def test_a_mark_far_from_its_text_is_the_mark_of_a_list_item() -> None:
    """It is no cell of a table."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        for number, text in enumerate(["fold the nets", "dry the ropes", "paint the boats"]):
            canvas.drawString(60, 700 - 15 * number, "\u2022")
            canvas.drawString(90, 700 - 15 * number, text)

    found = read(drawn(draw))
    assert kinds(found)[1] == ("list_item", "\u2022 dry the ropes")


@pytest.mark.parametrize(
    "title",
    ["Microsoft Word - 10811.doc", "10811.exe", "PowerPoint Presentation", "untitled", "(anonymous)", "C:\\a\\b", "7"],
)
def test_a_title_that_a_program_left_is_no_title(title: str) -> None:
    """A name that a person gave is one."""
    assert read(drawn(lines(["Boats leave at five."]), title=title)).outline.title is None
    assert read(drawn(lines(["Boats leave at five."]), title="The word of a doc")).outline.title == "The word of a doc"


def test_values_of_forms_and_notes_are_read() -> None:
    """Each value behind its label; hidden fields are not read."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 11)
        form = canvas.acroForm
        canvas.drawString(60, 700, "Owner")
        canvas.drawString(60, 660, "Insured")
        canvas.drawString(60, 600, "The captain signs below. He keeps a copy of this page.")
        form.textfield(name="owner", value="Ada Holm", x=160, y=695, width=200, height=18)
        form.checkbox(name="insured", checked=True, x=160, y=655)
        form.textfield(name="secret", value="Xylophone", x=160, y=400, width=99, height=18, annotationFlags="hidden")
        canvas.textAnnotation("The mast was replaced.", Rect=(300, 300, 320, 320))

    found = read(drawn(draw))
    assert "Owner | Ada Holm\nInsured | \u2612" in found.text
    assert blocks(found)[-1] == "The mast was replaced."
    assert "Xylophone" not in found.text


def test_text_that_nobody_sees_is_not_read() -> None:
    """Off the page, without ink, white on white, under a rectangle, or too small; white on black is read."""

    def draw(canvas: Canvas) -> None:
        lines(["Boats leave at five."])(canvas)
        canvas.drawString(-300, 500, "Off the left edge.")
        canvas.drawString(60, 3000, "Above the top.")
        canvas.saveState()
        canvas.setFillColorRGB(1, 1, 1)
        canvas.drawString(60, 560, "White on white.")
        canvas.restoreState()
        canvas.rect(55, 495, 200, 20, fill=1)
        canvas.saveState()
        canvas.setFillColorRGB(1, 1, 1)
        canvas.drawString(60, 500, "White on black.")
        canvas.restoreState()
        canvas.drawString(60, 450, "Under a rectangle.")
        canvas.rect(55, 445, 200, 20, fill=1)
        canvas.setFont("Helvetica", 0.4)
        canvas.drawString(60, 420, "Too small.")
        text = canvas.beginText(60, 400)
        text.setFont("Helvetica", 11)
        text.setTextRenderMode(3)
        text.textLine("Without ink.")
        canvas.drawText(text)

    assert blocks(read(drawn(draw))) == ["Boats leave at five.", "White on black."]


def test_turned_text_is_read_by_itself() -> None:
    """In the margin, and on a page that is turned as a whole."""

    def draw(canvas: Canvas) -> None:
        lines(["The first page speaks of boats", "and of the people who sail them."])(canvas)
        canvas.saveState()
        canvas.translate(30, 200)
        canvas.rotate(90)
        canvas.drawString(0, 0, "Lent by a library")
        canvas.restoreState()
        canvas.showPage()
        canvas.setPageRotation(90)
        canvas.translate(A4[0], 0)
        canvas.rotate(90)
        lines(["The second page lies on its side", "and has a table below."], top=500)(canvas)
        for row, cells in enumerate([("Boat", "Crew"), ("Anna", "4"), ("Berta", "5")]):
            for column, cell in enumerate(cells):
                canvas.drawString(60 + 150 * column, 300 - 18 * row, cell)

    assert blocks(read(drawn(draw))) == [
        "The first page speaks of boats and of the people who sail them.",
        "Lent by a library",
        "The second page lies on its side and has a table below.",
        "Boat | Crew",
        "Anna | 4",
        "Berta | 5",
    ]


def test_a_quote_has_its_boxes_on_the_page(
    folder: Callable[[dict[str, str | bytes]], Path], settings: Settings, fake: FakeEmbedder
) -> None:
    """One a line, on each of its pages; they hold the letters of the quote, and not those beside it."""

    def draw(canvas: Canvas) -> None:
        lines(["Nets dry on the pier. Ropes hang on iron", "hooks beside the"])(canvas)
        canvas.showPage()
        lines(["sails all winter. Boats leave at dawn."])(canvas)

    folder({"a.pdf": drawn(draw), "b.txt": "Gulls sleep on the pier."})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    citation = answerer.ask("where do ropes hang on iron hooks").results[0].citation
    assert citation.quote.startswith("Ropes hang on iron hooks beside the sails all winter.")
    assert [box.page for box in citation.boxes] == [1, 1, 2]
    width = lambda text: stringWidth(text, "Helvetica", 11)  # noqa: E731
    first, second, third = citation.boxes
    assert first.x0 == pytest.approx(60 + width("Nets dry on the pier. "), abs=4)
    assert first.x1 == pytest.approx(60 + width("Nets dry on the pier. Ropes hang on iron"), abs=1)
    assert (second.x0, second.x1) == pytest.approx((60, 60 + width("hooks beside the")), abs=1)
    assert third.x0 == pytest.approx(60, abs=1)
    assert first.y0 < A4[1] - 780 < first.y1
    assert second.y0 < A4[1] - 780 + 14.3 < second.y1
    assert answerer.ask("gulls sleep").results[0].citation.boxes == ()
    fake.embedded = 0
    folder({"b.txt": "Gulls sleep on the roof."})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    assert answerer.ask("where do ropes hang on iron hooks").results[0].citation.boxes == citation.boxes


def test_boxes_lie_on_the_page_as_it_is_displayed() -> None:
    """On a page that is turned, and whose visible part begins elsewhere."""

    def draw(canvas: Canvas) -> None:
        canvas.setPageRotation(90)
        canvas.setCropBox((100, 50, A4[0], A4[1]))
        canvas.translate(A4[0], 0)
        canvas.rotate(90)
        canvas.drawString(70, 300, "Boats leave at dawn.")

    found = read(drawn(draw))
    (box,) = boxes_in(base64.b64decode(found.page_lines[0]), 1, 0, len(found.text))
    assert box.x0 == pytest.approx(70 - 50, abs=1)
    assert box.x1 == pytest.approx(20 + stringWidth("Boats leave at dawn.", "Helvetica", 12), abs=1)
    baseline = A4[0] - 100 - 300
    assert box.y0 < baseline - 6 < baseline < box.y1 < baseline + 6
