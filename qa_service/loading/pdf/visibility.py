"""Text objects of a PDF page that a person does not see.

Text is hidden if it is drawn without ink, transparent, too small to see, white on white, or under a filled rectangle.
Text without ink over a picture is the text layer of a scanned page, which stands for visible words.
"""

import ctypes
from dataclasses import dataclass, field
from typing import Any

from pypdfium2 import raw

from qa_service.loading.pdf.segments import Box

_MAX_OBJECTS = 20_000
_MAX_FILLS = 1_000  # a chart or a map has many; each is compared with the text
_NO_INK = (raw.FPDF_TEXTRENDERMODE_INVISIBLE, raw.FPDF_TEXTRENDERMODE_CLIP)
_WHITE = 250
_MIN_SIZE = 1.0
_RECTANGLE_SEGMENTS = (4, 5, 6)


@dataclass(slots=True)
class _Objects:
    """The drawn part of a page: boxes of pictures, of fills in colour and of text, and hidden text."""

    pictures: list[Box] = field(default_factory=list)
    coloured: list[Box] = field(default_factory=list)
    texts: list[tuple[int, Box]] = field(default_factory=list)
    without_ink: list[tuple[int, Box]] = field(default_factory=list)
    white: list[tuple[int, Box]] = field(default_factory=list)
    hidden: set[int] = field(default_factory=set)


def hidden_objects(page: Any) -> set[int]:
    """Return the addresses of the text objects that nobody sees."""
    objects = _Objects()
    for index in range(min(raw.FPDFPage_CountObjects(page.raw), _MAX_OBJECTS)):
        _add(objects, raw.FPDFPage_GetObject(page.raw, index))
    objects.hidden |= {text for text, box in objects.without_ink if not _is_on(box, objects.pictures)}
    return objects.hidden


def _add(objects: _Objects, item: Any) -> None:
    kind = raw.FPDFPageObj_GetType(item)
    if kind == raw.FPDF_PAGEOBJ_TEXT:
        _add_text(objects, item)
    elif kind == raw.FPDF_PAGEOBJ_PATH:
        _add_path(objects, item)
    elif kind in {raw.FPDF_PAGEOBJ_IMAGE, raw.FPDF_PAGEOBJ_SHADING}:
        objects.pictures.append(_box(item))
    elif kind == raw.FPDF_PAGEOBJ_FORM:
        objects.coloured.append(_box(item))  # what it draws is not looked into


def _add_text(objects: _Objects, item: Any) -> None:
    address = ctypes.addressof(item.contents)
    red, green, blue, alpha = _fill(item)
    matrix, size = raw.FS_MATRIX(), ctypes.c_float()
    raw.FPDFTextObj_GetFontSize(item, size)
    raw.FPDFPageObj_GetMatrix(item, matrix)
    scale = max(abs(matrix.a), abs(matrix.b), abs(matrix.c), abs(matrix.d))
    box = _box(item)
    if alpha == 0 or size.value * scale < _MIN_SIZE:
        objects.hidden.add(address)
    elif raw.FPDFTextObj_GetTextRenderMode(item) in _NO_INK:
        objects.without_ink.append((address, box))
    elif min(red, green, blue) >= _WHITE and not _is_on(box, objects.pictures + objects.coloured):
        objects.hidden.add(address)
    else:
        objects.texts.append((address, box))


def _add_path(objects: _Objects, item: Any) -> None:
    mode, stroke = ctypes.c_int(), raw.FPDF_BOOL()
    raw.FPDFPath_GetDrawMode(item, mode, stroke)
    if mode.value == raw.FPDF_FILLMODE_NONE or len(objects.coloured) > _MAX_FILLS:
        return
    *colour, alpha = _fill(item)
    if alpha == 0:
        return
    box = _box(item)
    if min(colour) < _WHITE:
        objects.coloured.append(box)
    is_opaque = not raw.FPDFPageObj_HasTransparency(item)
    if is_opaque and objects.texts and raw.FPDFPath_CountSegments(item) in _RECTANGLE_SEGMENTS:
        covered = {address for address, text in objects.texts if _covers(box, text)}
        objects.hidden |= covered
        objects.texts = [entry for entry in objects.texts if entry[0] not in covered]


def _fill(item: Any) -> tuple[int, int, int, int]:
    red, green, blue, alpha = (ctypes.c_uint() for _ in range(4))
    if not raw.FPDFPageObj_GetFillColor(item, red, green, blue, alpha):
        return 0, 0, 0, 255
    return red.value, green.value, blue.value, alpha.value


def _box(item: Any) -> Box:
    left, bottom, right, top = (ctypes.c_float() for _ in range(4))
    raw.FPDFPageObj_GetBounds(item, left, bottom, right, top)
    return left.value, bottom.value, right.value, top.value


def _is_on(box: Box, others: list[Box]) -> bool:
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    return any(left <= x <= right and bottom <= y <= top for left, bottom, right, top in others)


def _covers(cover: Box, box: Box) -> bool:
    return cover[0] <= box[0] and cover[1] <= box[1] and cover[2] >= box[2] and cover[3] >= box[3]
