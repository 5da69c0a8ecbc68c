"""Scanned pages of PDF files: with text recognition, and without."""

import base64
import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import pypdfium2
import pytest
from conftest import FakeEmbedder
from PIL import Image
from reportlab.lib.pagesizes import A4
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.pdfgen.canvas import Canvas

from qa_service.datatypes import PageBox
from qa_service.loading import ParserProcess
from qa_service.loading.limits import Limits, ask_for_time
from qa_service.loading.outline import ParsedDocument, UnreadableError
from qa_service.loading.pdf import pages, read_pdf
from qa_service.loading.pdf.recognition import RecognizedLine, segments_of
from qa_service.loading.pdf.segments import Page
from qa_service.pipeline import build, open_answerer
from qa_service.settings import Settings
from qa_service.text.page_lines import boxes_in, is_recognized

LINES = (
    "The lighthouse keeper climbs the tower at dusk and lights the lamp.",
    "In winter he stays there until the morning, since the stairs are",
    "covered with ice. The harbour master keeps 417 books of boats.",
)
LEFT, TOP, SIZE, LEADING = 70, 780, 12, 16


def pdf_of(*drawn: Callable[[Canvas], None]) -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1)
    for draw in drawn:
        draw(canvas)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def text(lines: Sequence[str] = LINES) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        canvas.setFont("Times-Roman", SIZE)
        for number, line in enumerate(lines):
            canvas.drawString(LEFT, TOP - LEADING * number, line)

    return draw


def picture_of(draw: Callable[[Canvas], None]) -> Image.Image:
    return pypdfium2.PdfDocument(pdf_of(draw))[0].render(scale=200 / 72).to_pil()


def scan(
    lines: Sequence[str] = LINES,
    *,
    drawn: Callable[[Canvas], None] | None = None,
    tilt: float = 0.0,
    turned: bool = False,
) -> Callable[[Canvas], None]:
    """Draw a picture of lines as a page, tilted to the left; ``turned`` lays it on its side and rotates the page."""
    picture = picture_of(drawn or text(lines)).rotate(tilt, resample=Image.Resampling.BICUBIC, fillcolor="white")

    def draw(canvas: Canvas) -> None:
        if turned:
            canvas.setPageSize((A4[1], A4[0]))
            canvas.setPageRotation(90)
            canvas.translate(A4[1], 0)
            canvas.rotate(90)
        canvas.drawImage(ImageReader(picture), 0, 0, *A4)

    return draw


def read(data: bytes, **limits: object) -> ParsedDocument:
    (found,) = read_pdf(data, Limits(**limits))  # type: ignore[arg-type]
    return found


@pytest.fixture
def no_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "engine", lambda: "")


@pytest.mark.usefixtures("no_engine")
def test_without_the_extra_the_reason_names_it() -> None:
    """If no page has text, the file is skipped; otherwise a warning names the pages that were not read."""
    with pytest.raises(UnreadableError, match=r'contains no text; 1 page \(1\).*pip install "qa-service\[ocr\]"'):
        read(pdf_of(scan()))
    found = read(pdf_of(text(["Boats leave at dawn."]), scan(), scan()))
    assert found.text == "Boats leave at dawn."
    assert found.warnings == (
        '2 pages (2, 3) with pictures and no text; pip install "qa-service[ocr]" reads scanned pages',
    )


def test_switched_off_the_reason_says_so() -> None:
    """Whether the extra is installed or not."""
    with pytest.raises(UnreadableError, match=r"contains no text; 1 page \(1\) .* QA_OCR is off"):
        read(pdf_of(scan()), ocr="off")


@pytest.mark.usefixtures("no_engine")
def test_an_empty_page_is_not_a_scanned_one() -> None:
    """It has no picture; nor is a page with a picture and text."""

    def both(canvas: Canvas) -> None:
        scan()(canvas)
        text(["Boats leave at dawn."])(canvas)

    assert read(pdf_of(both, lambda _: None)).warnings == ()


@pytest.mark.needs("tesserocr")
def test_a_scanned_page_is_read() -> None:
    """Word for word, always alike, with a warning; a page that has text beside it is not touched."""
    data = pdf_of(text(["Boats leave at dawn."]), scan())
    found = read(data)
    assert [found.text[block.start : block.end] for block in found.outline.blocks] == [
        "Boats leave at dawn.",
        " ".join(LINES),
    ]
    assert found.pages == (0, len("Boats leave at dawn.\n\n"))
    assert found.warnings == ("1 page (2) read from pictures by text recognition, which can mistake letters",)
    assert [is_recognized(base64.b64decode(page)) for page in found.page_lines] == [False, True]
    assert read(data) == found


@pytest.mark.needs("tesserocr")
@pytest.mark.parametrize(("turned", "tilt"), [(False, 0), (True, 0), (False, 1), (True, -1)])
def test_recognized_words_have_their_boxes(turned: bool, tilt: float) -> None:
    """In points of the page as it is displayed, also if it was scanned askew."""
    found = read(pdf_of(scan(turned=turned, tilt=tilt)))
    start = found.text.index("417 books")
    (box,) = boxes_in(base64.b64decode(found.page_lines[0]), 1, start, start + len("417 books"))
    before = stringWidth(LINES[2].partition("417")[0], "Times-Roman", SIZE)
    width = stringWidth("417 books", "Times-Roman", SIZE)
    # The page was turned around its middle.
    x, y = LEFT + before + width / 2 - A4[0] / 2, A4[1] - TOP + 2 * LEADING - A4[1] / 2
    cosine, sine = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    middle, baseline = A4[0] / 2 + x * cosine + y * sine, A4[1] / 2 - x * sine + y * cosine
    assert (box.x0, box.x1) == pytest.approx((middle - width / 2, middle + width / 2), abs=4)
    assert baseline - 1.2 * SIZE - abs(tilt) * 4 < box.y0 < baseline - 4
    assert baseline - 1 < box.y1 < baseline + 6 + abs(tilt) * 4


@pytest.mark.needs("tesserocr")
@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_page_that_was_scanned_on_its_side_is_read(quarters: int) -> None:
    """Or upside down; the boxes are where the words are."""
    picture = picture_of(text(LINES * 4)).rotate(90 * quarters, expand=True)
    size = (A4[1], A4[0]) if quarters % 2 else A4

    def draw(canvas: Canvas) -> None:
        canvas.setPageSize(size)
        canvas.drawImage(ImageReader(picture), 0, 0, *size)

    found = read(pdf_of(draw))
    assert " ".join(LINES) in found.text
    start = found.text.index("417 books")
    boxes = boxes_in(base64.b64decode(found.page_lines[0]), 1, start, start + len("417 books"))
    before = stringWidth(LINES[2].partition("417")[0], "Times-Roman", SIZE)
    x, y = LEFT + before + 9 - A4[0] / 2, A4[1] - TOP + 2 * LEADING - 3 - A4[1] / 2  # the middle of "417"
    for _ in range(quarters):
        x, y = y, -x
    x, y = x + size[0] / 2, y + size[1] / 2
    assert any(box.x0 < x < box.x1 and box.y0 < y < box.y1 for box in boxes), ((x, y), boxes)


@pytest.mark.needs("tesserocr")
@pytest.mark.parametrize("tilt", [0, -1])
def test_a_scanned_table_has_rows(tilt: float) -> None:
    """It stands under a heading, known by its size."""

    def draw(canvas: Canvas) -> None:
        canvas.setFont("Times-Roman", 24)
        canvas.drawString(LEFT, 800, "Boats of the harbours")
        text()(canvas)
        for number, row in enumerate((("Port", "Boats", "Crew"), ("North", "417", "1,200"), ("South", "388", "950"))):
            for column, cell in enumerate(row):
                canvas.drawString(LEFT + 150 * column, 650 - 18 * number, cell)

    found = read(pdf_of(scan(drawn=draw, tilt=tilt)))
    assert found.outline.title == "Boats of the harbours"
    assert [(block.kind, found.text[block.start : block.end]) for block in found.outline.blocks] == [
        ("paragraph", " ".join(LINES)),
        ("table_row", "Port | Boats | Crew"),
        ("table_row", "North | 417 | 1,200"),
        ("table_row", "South | 388 | 950"),
    ]


@pytest.mark.needs("tesserocr")
def test_a_citation_says_that_it_was_recognized(
    folder: Callable[[dict[str, str | bytes]], Path], settings: Settings, fake: FakeEmbedder
) -> None:
    """It has its boxes too; a quote of a page with text says nothing."""
    folder({"a.pdf": pdf_of(text(["Ropes hang on iron hooks."]), scan())})
    build(settings, fake)
    answerer, _ = open_answerer(settings, fake)
    scanned = answerer.ask("how many books of boats does the harbour master keep").results[0].citation
    assert (scanned.page, scanned.ocr) == (2, True)
    assert "417 books" in scanned.quote
    assert {box.page for box in scanned.boxes} == {2}
    plain = answerer.ask("where do ropes hang").results[0].citation
    assert (plain.page, plain.ocr) == (1, False)


@pytest.mark.needs("tesserocr")
def test_scanned_pages_have_limits() -> None:
    """Their number is limited, and so is their time, which grows with them."""
    data = pdf_of(scan(), scan())
    with pytest.raises(UnreadableError, match=r"has 2 scanned pages, over the limit of 1 \(QA_MAX_OCR_PAGES\)"):
        read(data, ocr_pages=1)
    asked: list[int] = []
    token = ask_for_time.set(asked.append)
    found = read(data)
    ask_for_time.reset(token)
    assert asked == [2]
    with ParserProcess(Limits()) as parser:
        assert list(parser.read(".pdf", data)) == [found]


@pytest.mark.needs("tesserocr")
def test_a_huge_page_is_read_with_fewer_pixels() -> None:
    """The number of pixels is bounded, whatever the size of the page."""

    def draw(canvas: Canvas) -> None:
        canvas.setPageSize((14_400, 14_400 * A4[1] / A4[0]))
        canvas.scale(14_400 / A4[0], 14_400 / A4[0])
        scan()(canvas)

    assert "417 books of boats" in read(pdf_of(draw)).text


@pytest.mark.needs("tesserocr")
def test_drawings_and_rules_beside_words_do_no_harm() -> None:
    """They give neither words nor an error."""

    def draw(canvas: Canvas) -> None:
        scan()(canvas)
        for step in range(60):
            canvas.circle(150 + step, 300 + 40 * (step % 3), 80, stroke=1, fill=step % 7 == 0)
        canvas.line(70, 700, 500, 700)

    assert " ".join(LINES) in read(pdf_of(draw)).text


@pytest.mark.needs("tesserocr")
def test_a_picture_without_words_gives_none() -> None:
    """The page stays empty, and the file is skipped."""
    with pytest.raises(UnreadableError, match=r"\Acontains no text\Z"):
        read(pdf_of(scan([])))


def test_only_a_much_larger_line_has_a_size_of_its_own() -> None:
    """The height of a line varies with its letters; the stops of a line follow its words."""
    lines = [RecognizedLine([("Harbour", (0, 470, 350, 500))], 30.0)]
    for bottom, height in ((440, 9.5), (425, 10.5)):
        words = [("ab", (0, bottom, 95, bottom + 10)), ("cd", (105, bottom, 200, bottom + 10))]
        lines.append(RecognizedLine(words, height))
    heading, *others = segments_of(lines, Page(0, (0, 0, 500, 500)))
    assert (heading.size, {other.size for other in others}) == (30.0, {10.5})
    assert (others[0].left, others[0].right, others[0].top) == (0, 200, 450)
    assert others[0].text == "ab cd"
    assert [others[0].stops[stop] for stop in (0, 6, 10, 16)] == pytest.approx([0, 0.5, 0.6, 1.0], abs=0.11)


def test_the_mark_of_a_recognized_page_changes_no_line() -> None:
    """Nor does it need one."""
    from qa_service.text.page_lines import PageLine, packed

    line = PageLine(0, 10, (1, 2, 11, 12), [stop / 16 for stop in range(17)])
    for lines in ([], [line]):
        plain, marked = packed(lines), packed(lines, recognized=True)
        assert (is_recognized(plain), is_recognized(marked)) == (False, True)
        assert boxes_in(plain, 1, 0, 10) == boxes_in(marked, 1, 0, 10) == [PageBox(1, 1, 2, 11, 12)] * len(lines)
