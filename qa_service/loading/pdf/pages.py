"""The pages of a PDF -> what is read on each, in reading order.

Pages that have pictures and no text are read by text recognition, if that is installed and not switched off.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from pypdfium2 import raw

from qa_service.loading.limits import Limits, ask_for_time
from qa_service.loading.outline import UnreadableError
from qa_service.loading.pdf.annotations import add_annotations
from qa_service.loading.pdf.characters import segments_of
from qa_service.loading.pdf.engine import engine
from qa_service.loading.pdf.layout import arrange
from qa_service.loading.pdf.recognition import has_pictures, recognize
from qa_service.loading.pdf.running_titles import RunningTitles, set_aside
from qa_service.loading.pdf.segments import Page
from qa_service.loading.pdf.writing import PageItems, RunningTitle

_MAX_NAMED = 10
_MAX_SLOPE = 0.04  # beyond it Tesseract misses lines


def read_pages(pdf: Any, limits: Limits) -> tuple[list[PageItems], tuple[str, ...]]:
    """Return the pages of an open PDF, and warnings."""
    form = None
    if pdf.get_formtype() != raw.FORMTYPE_NONE:
        pdf.init_forms()
        form = pdf.formenv.raw if pdf.formenv else None
    pages = [_page(pdf, number, form) for number in range(len(pdf))]
    scanned = [page for page in pages if not page.segments and _has_pictures(pdf, page)]
    is_read = bool(limits.ocr == "auto" and scanned and engine())
    if is_read:
        _ask_for_time(scanned, limits)
        for page in scanned:
            _recognize(pdf, page)
    running = set_aside(pages)
    titles: dict[int, list[RunningTitle]] = defaultdict(list)
    for segment, copies in running.kept:
        titles[segment.page].append(RunningTitle(segment.text, copies))
    read = [PageItems(page, arrange(page.segments), titles[page.number]) for page in pages]
    return read, (*_scanned_warnings(scanned, limits, is_read=is_read), *_warnings(running))


def _page(pdf: Any, number: int, form: Any) -> Page:
    opened = pdf[number]
    try:
        box = raw.FS_RECTF()
        raw.FPDF_GetPageBoundingBox(opened.raw, box)
        visible = (box.left, box.bottom, box.right, box.top)
        page = Page(number, visible, opened.get_rotation(), segments_of(opened, number, visible))
        add_annotations(page, opened, form)
        return page
    finally:
        opened.close()


def _has_pictures(pdf: Any, page: Page) -> bool:
    opened = pdf[page.number]
    try:
        return has_pictures(opened)
    finally:
        opened.close()


def _recognize(pdf: Any, page: Page) -> None:
    opened = pdf[page.number]
    try:
        page.segments = recognize(opened, page)
        page.is_recognized = bool(page.segments)
    finally:
        opened.close()


def _ask_for_time(scanned: Sequence[Page], limits: Limits) -> None:
    if len(scanned) > limits.ocr_pages:
        raise UnreadableError(
            f"has {len(scanned)} scanned pages, over the limit of {limits.ocr_pages} (QA_MAX_OCR_PAGES)"
        )
    ask_for_time.get()(len(scanned))


def _scanned_warnings(scanned: Sequence[Page], limits: Limits, *, is_read: bool) -> Iterator[str]:
    if read := [page.number + 1 for page in scanned if page.is_recognized]:
        yield f"{_named(read)} read from pictures by text recognition, which can mistake letters"
    if askew := [page.number + 1 for page in scanned if abs(page.slope) > _MAX_SLOPE]:
        yield f"{_named(askew)} scanned askew by more than two degrees; lines can be missing"
    unread = [page.number + 1 for page in scanned if not page.is_recognized]
    if unread and not is_read:
        way = "QA_OCR is off" if limits.ocr == "off" else 'pip install "qa-service[ocr]" reads scanned pages'
        yield f"{_named(unread)} with pictures and no text; {way}"


def _named(numbers: Sequence[int]) -> str:
    """Return how many pages there are, and their numbers."""
    names = ", ".join(map(str, numbers[:_MAX_NAMED])) + (", …" if len(numbers) > _MAX_NAMED else "")
    return f"{len(numbers)} page{'' if len(numbers) == 1 else 's'} ({names})"


def _warnings(running: RunningTitles) -> Iterator[str]:
    counts = [
        f"{count} {words if count > 1 else words.removesuffix('s')}"
        for count, words in ((running.titles, "repeated running titles"), (running.numbers, "page numbers"))
        if count
    ]
    if counts:
        yield f"{' and '.join(counts)} skipped"
