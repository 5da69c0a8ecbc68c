"""The pages of a PDF -> what is read on each, in reading order."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from pypdfium2 import raw

from qa_service.loading.pdf.annotations import add_annotations
from qa_service.loading.pdf.characters import segments_of
from qa_service.loading.pdf.layout import arrange
from qa_service.loading.pdf.running_titles import RunningTitles, set_aside
from qa_service.loading.pdf.segments import Page
from qa_service.loading.pdf.writing import PageItems, RunningTitle


def read_pages(pdf: Any) -> tuple[list[PageItems], tuple[str, ...]]:
    """Return the pages of an open PDF, and warnings."""
    form = None
    if pdf.get_formtype() != raw.FORMTYPE_NONE:
        pdf.init_forms()
        form = pdf.formenv.raw if pdf.formenv else None
    pages = [_page(pdf, number, form) for number in range(len(pdf))]
    running = set_aside(pages)
    titles: dict[int, list[RunningTitle]] = defaultdict(list)
    for segment, copies in running.kept:
        titles[segment.page].append(RunningTitle(segment.text, copies))
    read = [PageItems(page, arrange(page.segments), titles[page.number]) for page in pages]
    return read, tuple(_warnings(running))


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


def _warnings(running: RunningTitles) -> Iterator[str]:
    counts = [
        f"{count} {words if count > 1 else words.removesuffix('s')}"
        for count, words in ((running.titles, "repeated running titles"), (running.numbers, "page numbers"))
        if count
    ]
    if counts:
        yield f"{' and '.join(counts)} skipped"
