"""Values of form fields and words of annotations: a person sees them, but they are no text of the page."""

import ctypes
from collections.abc import Iterator
from typing import Any

from pypdfium2 import raw

from qa_service.loading.pdf.segments import Box, Page, Segment, turned

_MAX_ANNOTATIONS = 2_000
_MAX_TEXT_BYTES = 200_000
_UNSEEN = raw.FPDF_ANNOT_FLAG_HIDDEN | raw.FPDF_ANNOT_FLAG_NOVIEW
_IN_PLACE = raw.FPDF_ANNOT_FREETEXT  # its words stand on the page; those of a note open beside it
_WITHOUT_WORDS = {raw.FPDF_ANNOT_LINK, raw.FPDF_ANNOT_POPUP}
_TICKED = {raw.FPDF_FORMFIELD_CHECKBOX, raw.FPDF_FORMFIELD_RADIOBUTTON}
_WRITTEN = {raw.FPDF_FORMFIELD_TEXTFIELD, raw.FPDF_FORMFIELD_COMBOBOX, raw.FPDF_FORMFIELD_LISTBOX}
_PASSWORD = 1 << 13
_VALUE_SIZE = 12.0


def add_annotations(page: Page, opened: Any, form: Any) -> None:
    """Put the values of fields into the lines of a page, and keep the words of notes."""
    for index in range(min(raw.FPDFPage_GetAnnotCount(opened.raw), _MAX_ANNOTATIONS)):
        annotation = raw.FPDFPage_GetAnnot(opened.raw, index)
        if not annotation:
            continue
        try:
            if not raw.FPDFAnnot_GetFlags(annotation) & _UNSEEN:
                _add(page, annotation, form)
        finally:
            raw.FPDFPage_CloseAnnot(annotation)


def _add(page: Page, annotation: Any, form: Any) -> None:
    kind = raw.FPDFAnnot_GetSubtype(annotation)
    if kind == raw.FPDF_ANNOT_WIDGET:
        text = _value(annotation, form) if form else ""
    elif kind in _WITHOUT_WORDS:
        text = ""
    else:
        text = _string(annotation, b"Contents")
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    rectangle = raw.FS_RECTF()
    if not lines or not raw.FPDFAnnot_GetRect(annotation, rectangle):
        return
    if kind not in {raw.FPDF_ANNOT_WIDGET, _IN_PLACE}:
        page.notes.append(" ".join(lines))
        return
    box = turned((rectangle.left, rectangle.bottom, rectangle.right, rectangle.top), page.upright)
    for segment in _in_lines(lines, box, page.number, page.upright):
        _insert(page.segments, segment)


def _in_lines(lines: list[str], box: Box, number: int, angle: int) -> Iterator[Segment]:
    """Yield lines of text as segments below each other, from the top of a box."""
    left, bottom, right, top = box
    height = (top - bottom) / len(lines)
    if len(lines) > 1:
        height = min(height, _VALUE_SIZE)
    for place, line in enumerate(lines):
        upper = top - place * height
        size = round(min(height, _VALUE_SIZE), 1)
        yield Segment(line, left, upper - height, right, upper, size, number, 0.0, angle)


def _insert(segments: list[Segment], value: Segment) -> None:
    """Give a value its place in the order: behind the nearest segment to its left, or else above it."""

    def distance(other: Segment) -> tuple[int, float]:
        if other.angle != value.angle or other.middle < value.bottom or other.left > value.right:
            return 2, -other.order
        if other.bottom < value.top and value.bottom < other.top and other.left < value.left:
            return 0, value.left - other.right
        return 1, other.bottom - value.top + abs(value.left - other.left)

    nearest = min(segments, key=distance, default=None)
    before = nearest.order if nearest else 0.0
    behind = min((other.order for other in segments if other.order > before), default=before + 1)
    value.order = (before + behind) / 2
    segments.append(value)


def _value(annotation: Any, form: Any) -> str:
    """Return a field's value as it is shown; a ticked box is a mark, and one that is not ticked an empty box."""
    kind = raw.FPDFAnnot_GetFormFieldType(form, annotation)
    if kind in _TICKED:
        return "☒" if raw.FPDFAnnot_IsChecked(form, annotation) else "☐"
    if kind not in _WRITTEN or raw.FPDFAnnot_GetFormFieldFlags(form, annotation) & _PASSWORD:
        return ""
    if kind == raw.FPDF_FORMFIELD_TEXTFIELD:
        return _text(lambda buffer, size: raw.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size))
    chosen = [
        _text(lambda buffer, size, option=option: raw.FPDFAnnot_GetOptionLabel(form, annotation, option, buffer, size))
        for option in range(raw.FPDFAnnot_GetOptionCount(form, annotation))
        if raw.FPDFAnnot_IsOptionSelected(form, annotation, option)
    ]
    written = _text(lambda buffer, size: raw.FPDFAnnot_GetFormFieldValue(form, annotation, buffer, size))
    return ", ".join(chosen) or written


def _string(annotation: Any, key: bytes) -> str:
    return _text(lambda buffer, size: raw.FPDFAnnot_GetStringValue(annotation, key, buffer, size))


def _text(read: Any) -> str:
    """Return the text that a function of PDFium writes into a buffer, UTF-16 with a final NUL."""
    size = min(read(None, 0), _MAX_TEXT_BYTES)
    if size <= 2:  # noqa: PLR2004 - the NUL alone
        return ""
    buffer = ctypes.create_string_buffer(size)
    read(ctypes.cast(buffer, ctypes.POINTER(raw.FPDF_WCHAR)), size)
    return buffer.raw[: size - 2].decode("utf-16-le", "replace").rstrip("\0")
