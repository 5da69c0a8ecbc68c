"""Jupyter notebooks -> Markdown: text cells as they are, code and the text that it printed as code.

A cell is a page: the page of a citation is the number of its cell, from 1.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.markdown import parse_markdown
from qa_service.loading.outline import ParsedDocument, UnreadableError

_TERMINAL_COLOURS = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
_BACKTICKS = re.compile(r"`{3,}")
_ATTACHED_PICTURE = re.compile(r"!\[(?P<words>[^\]]*)\]\((?:attachment|data):[^)]*\)")


def read_notebook(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield a notebook as a document."""
    text, warning = decode(data)
    try:
        notebook = json.loads(text)
        cells = notebook["cells"] if "cells" in notebook else notebook["worksheets"][0]["cells"]
        pieces = [_cell(cell) for cell in cells]
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise UnreadableError(f"is not a readable notebook ({type(error).__name__}: {error})") from error
    pages: list[int] = []
    parts: list[str] = []
    length = 0
    for piece in pieces:
        pages.append(length)
        if piece:
            parts.append(f"{piece}\n\n")
            length += len(parts[-1])
    written = "".join(parts)
    yield ParsedDocument(written, parse_markdown(written), pages=tuple(pages), warnings=(warning,) if warning else ())


def _cell(cell: dict[str, Any]) -> str:
    source = _joined(cell.get("source", cell.get("input", ""))).strip("\n")
    kind = cell["cell_type"]
    if kind == "heading":
        return f"{'#' * int(cell.get('level', 1))} {source}"
    if kind != "code":
        return _ATTACHED_PICTURE.sub(lambda match: match["words"], source)
    outputs = (_printed(output).strip("\n") for output in cell.get("outputs", ()))
    return "\n\n".join(_fenced(words) for words in (source, *outputs) if words.strip())


def _printed(output: dict[str, Any]) -> str:
    """Return what an output shows as text; pictures and pages give nothing."""
    if output.get("output_type") in {"error", "pyerr"}:
        return f"{output.get('ename', '')}: {output.get('evalue', '')}"
    shown = output.get("text") or output.get("data", {}).get("text/plain", "")
    return _TERMINAL_COLOURS.sub("", _joined(shown))


def _joined(text: Any) -> str:
    return text if isinstance(text, str) else "".join(map(str, text))


def _fenced(words: str) -> str:
    fence = "`" * max((len(run) + 1 for run in _BACKTICKS.findall(words)), default=3)
    return f"{fence}\n{words}\n{fence}"
