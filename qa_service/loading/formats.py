"""Maps file extensions to readers. A reader is a function of a file's bytes; see :mod:`outline` for its results."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from qa_service.loading.decoding import decode
from qa_service.loading.markdown import parse_markdown
from qa_service.loading.markup import read_html
from qa_service.loading.office import read_docx, read_epub
from qa_service.loading.outline import Limits, Outline, ParsedDocument, Reader
from qa_service.loading.pdf import read_pdf
from qa_service.loading.plaintext import parse_plain_text
from qa_service.loading.restructured import read_restructured
from qa_service.loading.tables import read_csv, read_json_lines, read_tsv

READERS_VERSION = 3
"""Raised when a reader changes its results, so that indexes are rebuilt."""


@dataclass(frozen=True, slots=True)
class Format:
    """A media type and its reader; an ``isolated`` one runs in the parser process, as its libraries are large."""

    media_type: str
    read: Reader
    isolated: bool


def _as_text(parse: Callable[[str], Outline]) -> Reader:
    """Return the reader of a format whose decoded text is the document's text, markup included."""

    def read(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
        text, warning = decode(data)
        yield ParsedDocument(text, parse(text), warnings=(warning,) if warning else ())

    return read


_PLAIN = Format("text/plain", _as_text(parse_plain_text), isolated=False)
_MARKDOWN = Format("text/markdown", _as_text(parse_markdown), isolated=False)
_HTML = Format("text/html", read_html, isolated=True)
_JSON_LINES = Format("application/jsonl", read_json_lines, isolated=False)

FORMATS: dict[str, Format] = {
    ".txt": _PLAIN,
    ".text": _PLAIN,
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".rst": Format("text/x-rst", read_restructured, isolated=True),
    ".html": _HTML,
    ".htm": _HTML,
    ".xhtml": _HTML,
    ".pdf": Format("application/pdf", read_pdf, isolated=True),
    ".docx": Format(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document", read_docx, isolated=True
    ),
    ".epub": Format("application/epub+zip", read_epub, isolated=True),
    ".csv": Format("text/csv", read_csv, isolated=False),
    ".tsv": Format("text/tab-separated-values", read_tsv, isolated=False),
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
}
