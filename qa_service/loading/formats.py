"""Maps file extensions to readers. A reader is a function of a file's bytes; see :mod:`outline` for its results."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from qa_service.loading.archive_members import ReadPart, read_zip
from qa_service.loading.decoding import decode
from qa_service.loading.epub import read_epub
from qa_service.loading.excel import read_xls, read_xlsx
from qa_service.loading.json_tree import read_json
from qa_service.loading.latex import read_latex
from qa_service.loading.limits import Limits
from qa_service.loading.log_lines import parse_log
from qa_service.loading.mail import read_eml, read_msg
from qa_service.loading.markdown import parse_markdown
from qa_service.loading.markup import read_html
from qa_service.loading.markup_lines import read_asciidoc, read_org
from qa_service.loading.mdx import read_mdx
from qa_service.loading.notebook import read_notebook
from qa_service.loading.older_office import converted
from qa_service.loading.open_document import read_odp, read_ods, read_odt
from qa_service.loading.outline import Outline, ParsedDocument, Reader, SkippedPart, UnreadableError
from qa_service.loading.pdf import read_pdf
from qa_service.loading.plaintext import parse_plain_text
from qa_service.loading.restructured import read_restructured
from qa_service.loading.rich_text import read_rtf
from qa_service.loading.slides import read_pptx
from qa_service.loading.source_code import SOURCE_SUFFIXES, source_parser
from qa_service.loading.subtitles import read_subtitles
from qa_service.loading.tables import read_csv, read_json_lines, read_tsv
from qa_service.loading.word import read_docx
from qa_service.loading.xml_tree import read_xml_text

READERS_VERSION = 13
"""Raised when a reader changes its results, so that indexes are rebuilt."""
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ADDRESS = re.compile(r"(?:https?:/)?/[^\s/]\S*|/")
_EXCERPT_CHARACTERS = 20


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


def _container(
    read: Callable[[bytes, Limits, ReadPart, Mapping[str, str]], Iterator[ParsedDocument | SkippedPart]],
) -> Reader:
    """Return the reader of files that contain others, which are read by their own formats."""

    def read_all(data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
        return read(data, limits, parts_of, {suffix: known.media_type for suffix, known in FORMATS.items()})

    return read_all


_PLAIN = Format("text/plain", _as_text(parse_plain_text), isolated=False)
_MARKDOWN = Format("text/markdown", _as_text(parse_markdown), isolated=False)
_HTML = Format("text/html", read_html, isolated=True)
_XLSX = Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", read_xlsx, isolated=True)
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
    ".xlsx": _XLSX,
    ".xlsm": _XLSX,
    ".xls": Format("application/vnd.ms-excel", read_xls, isolated=True),
    ".xlsb": Format("application/vnd.ms-excel.sheet.binary.macroenabled.12", read_xls, isolated=True),
    ".pptx": Format(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation", read_pptx, isolated=True
    ),
    ".odt": Format("application/vnd.oasis.opendocument.text", read_odt, isolated=True),
    ".odp": Format("application/vnd.oasis.opendocument.presentation", read_odp, isolated=True),
    ".ods": Format("application/vnd.oasis.opendocument.spreadsheet", read_ods, isolated=True),
    ".rtf": Format("application/rtf", read_rtf, isolated=True),
    ".doc": Format("application/msword", converted(".docx", read_docx), isolated=True),
    ".ppt": Format("application/vnd.ms-powerpoint", converted(".pptx", read_pptx), isolated=True),
    ".eml": Format("message/rfc822", _container(read_eml), isolated=True),
    ".msg": Format("application/vnd.ms-outlook", _container(read_msg), isolated=True),
    ".zip": Format("application/zip", _container(read_zip), isolated=True),
    ".json": Format("application/json", read_json, isolated=True),
    ".xml": Format("application/xml", read_xml_text, isolated=True),
    ".ipynb": Format("application/x-ipynb+json", read_notebook, isolated=True),
    ".mdx": Format("text/mdx", read_mdx, isolated=True),
    ".adoc": Format("text/asciidoc", read_asciidoc, isolated=True),
    ".org": Format("text/org", read_org, isolated=True),
    ".tex": Format("application/x-tex", read_latex, isolated=True),
    ".srt": Format("application/x-subrip", read_subtitles, isolated=False),
    ".vtt": Format("text/vtt", read_subtitles, isolated=False),
    ".log": Format("text/plain", _as_text(parse_log), isolated=False),
    **{suffix: Format("text/plain", _as_text(source_parser(suffix)), isolated=True) for suffix in SOURCE_SUFFIXES},
}


def parts_of(suffix: str, data: bytes, limits: Limits) -> Iterator[ParsedDocument | SkippedPart]:
    """Yield the parts of a file, read in this process; a document that can't be stored is skipped.

    Raises :class:`UnreadableError` for whatever a reader raises, and :class:`MemoryError`.
    """
    try:
        for part in FORMATS[suffix].read(data, limits):
            yield part if isinstance(part, SkippedPart) else _storable(_addressed(part))
    except (UnreadableError, MemoryError):
        raise
    except RecursionError:
        raise UnreadableError("nested too deeply") from None
    except Exception as error:
        reason = f"can't be read ({type(error).__name__}: {error})"
        raise UnreadableError(_LONE_SURROGATE.sub("\ufffd", reason)) from error


def _addressed(part: ParsedDocument) -> ParsedDocument:
    """Return a document with the address, or the path of it, that its front matter names as ``url``."""
    url = part.outline.metadata.get("url")
    is_address = part.url is None and isinstance(url, str) and _ADDRESS.fullmatch(url) is not None
    return replace(part, url=str(url)) if is_address else part


def _storable(part: ParsedDocument) -> ParsedDocument | SkippedPart:
    """Return a document, or its part skipped if a text of it is not valid Unicode."""
    metadata = part.outline.metadata
    texts = [part.text, part.outline.title, part.url, part.part, *part.warnings, *metadata]
    texts += [item for value in metadata.values() for item in ([value] if isinstance(value, str) else value)]
    for text in filter(None, texts):
        if match := _LONE_SURROGATE.search(text):
            return SkippedPart(
                _LONE_SURROGATE.sub("\ufffd", part.part),
                f"is not valid Unicode: half of a character, \\u{ord(match[0]):x}, in {_around(text, match.start())}",
            )
    return part


def _around(text: str, position: int) -> str:
    piece = text[max(0, position - _EXCERPT_CHARACTERS) : position + _EXCERPT_CHARACTERS]
    return repr(_LONE_SURROGATE.sub("\ufffd", piece))
