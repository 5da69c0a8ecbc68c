"""PDF -> text, by PDFium: lines in file order are joined into paragraphs; lines in larger type are headings.

Words that were hyphenated at a line end are rejoined. Running titles, which repeat at the top or bottom of most pages,
and page numbers are dropped.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

from qa_service.loading.outline import Limits, ParsedDocument, TextBuilder, UnreadableError

_HEADING_SIZE_RATIO = 1.15  # type size of a heading, in sizes of the body
# A gap above this share of a line's height begins a new paragraph, or a new heading.
_PARAGRAPH_GAP_RATIO, _HEADING_GAP_RATIO = 0.75, 0.3
_SAME_SIZE_RATIO = 0.1
_FULL_LINE_RATIO = 0.8
_MAX_HEADING_CHARACTERS = 200
_EDGE_LINES = 2
_MIN_REPEATED_PAGES = 3
_SENTENCE_ENDS = (".", "!", "?", ":", "”", '"', "…")
_BULLET = re.compile(r"\s*(?:[•‣▪◦–·*-]|\(?\d{1,3}[.)]|\(?[a-z][.)])\s")
# PDFium's codes for a hyphen at a line end; sometimes the next line follows within the same one.
_PDFIUM_HYPHENS = {0x02: "-", 0xFFFE: "-"}
_HYPHENATED = re.compile(r"[\x02\ufffe](?=[^\W\d_A-Z])")
_HYPHENS = ("-", "\u00ad", "\u2010")


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    size: float
    top: float
    bottom: float
    right: float
    page: int


def read_pdf(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield a PDF as a document."""
    import pypdfium2  # noqa: PLC0415 - a large library that most folders do not need

    try:
        pdf = pypdfium2.PdfDocument(data)
        if len(pdf) > limits.pages:
            raise UnreadableError(f"has {len(pdf)} pages, over the limit of {limits.pages} (QA_MAX_PAGES)")
        pages = [list(_lines(pdf[number], number)) for number in range(len(pdf))]
        title = pdf.get_metadata_dict().get("Title", "").removeprefix("untitled")
    except pypdfium2.PdfiumError as error:
        reason = "is encrypted" if "password" in str(error).lower() else f"is not a readable PDF ({error})"
        raise UnreadableError(reason) from error
    if not any(pages):
        raise UnreadableError("contains no text (only images?)")
    builder = TextBuilder()
    _write(builder, _without_running_titles(pages))
    found = builder.document()
    yield found if found.outline.title or not title else builder.document(title=title)


def _lines(page: Any, number: int) -> Iterator[_Line]:
    """Yield a page's lines with their type size and place; y grows upwards."""
    from pypdfium2 import raw  # noqa: PLC0415 - as above

    textpage = page.get_textpage()
    letters: list[str] = []
    sizes: list[float] = []
    boxes: list[tuple[float, float, float, float]] = []

    def line() -> Iterator[_Line]:
        text = _HYPHENATED.sub("", "".join(letters)).translate(_PDFIUM_HYPHENS).strip()
        if text and boxes:
            _, bottoms, rights, tops = zip(*boxes, strict=True)
            yield _Line(text, round(median(sizes), 1), max(tops), min(bottoms), max(rights), number)
        letters.clear()
        sizes.clear()
        boxes.clear()

    for index in range(textpage.count_chars()):
        code = raw.FPDFText_GetUnicode(textpage, index)
        character = chr(code) if code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF else "\ufffd"  # noqa: PLR2004 - Unicode
        if character in "\r\n":
            yield from line()
            continue
        letters.append(character)
        if not character.isspace():
            sizes.append(raw.FPDFText_GetFontSize(textpage, index))
            boxes.append(textpage.get_charbox(index, loose=True))
    yield from line()
    textpage.close()
    page.close()


def _without_running_titles(pages: list[list[_Line]]) -> list[_Line]:
    """Return all lines except page numbers and lines that most pages repeat at their edges."""

    def edge(lines: list[_Line]) -> set[str]:
        return {_without_numbers(line.text) for line in (*lines[:_EDGE_LINES], *lines[-_EDGE_LINES:])}

    seen = Counter(text for lines in pages for text in edge(lines))
    often = max(_MIN_REPEATED_PAGES, len(pages) // 2)
    kept: list[_Line] = []
    for lines in pages:
        for place, line in enumerate(lines):
            at_edge = place < _EDGE_LINES or place >= len(lines) - _EDGE_LINES
            words = _without_numbers(line.text)
            if not (at_edge and len(lines) > _EDGE_LINES and (words == "#" or seen[words] >= often)):
                kept.append(line)
    return kept


def _without_numbers(text: str) -> str:
    return re.sub(r"\d+", "#", text).strip(" -–—.|")


def _write(builder: TextBuilder, lines: list[_Line]) -> None:
    usual: Counter[float] = Counter()
    for line in lines:
        usual[line.size] += len(line.text)
    body = usual.most_common(1)[0][0] if usual else 0.0
    levels = sorted({line.size for line in lines if line.size >= body * _HEADING_SIZE_RATIO}, reverse=True)
    width = max((line.right for line in lines), default=0.0)
    paragraph: list[_Line] = []
    for line in lines:
        if paragraph and _starts_paragraph(paragraph[-1], line, width, body):
            _add(builder, paragraph, levels)
            paragraph = []
        paragraph.append(line)
    if paragraph:
        _add(builder, paragraph, levels)


def _starts_paragraph(before: _Line, line: _Line, width: float, body: float) -> bool:
    """Tell whether a line begins a new paragraph."""
    if abs(line.size - before.size) > _SAME_SIZE_RATIO * before.size or _BULLET.match(line.text):
        return True
    ended = before.text.endswith(_SENTENCE_ENDS)
    if line.page != before.page or line.top > before.top:  # a new page or column
        return ended or not line.text[:1].islower()
    gap = (before.bottom - line.top) / (line.top - line.bottom or 1)
    largest_gap = _HEADING_GAP_RATIO if line.size >= body * _HEADING_SIZE_RATIO else _PARAGRAPH_GAP_RATIO
    return gap > largest_gap or (ended and before.right < _FULL_LINE_RATIO * width)


def _add(builder: TextBuilder, lines: list[_Line], levels: list[float]) -> None:
    text, breaks = "", []
    page = len(builder.pages) - 1
    for line in lines:
        joint = ""
        if text.endswith(_HYPHENS) and line.text[:1].islower():
            text = text[:-1]
        elif text:
            joint = " "
        text += joint
        while page < line.page:
            breaks.append(len(text))
            page += 1
        text += line.text
    if lines[0].size in levels and len(text) <= _MAX_HEADING_CHARACTERS:
        for _ in breaks:
            builder.page()
        builder.heading(levels.index(lines[0].size) + 1, text)
    else:
        builder.block(text, "list_item" if _BULLET.match(text) else "paragraph", breaks)
