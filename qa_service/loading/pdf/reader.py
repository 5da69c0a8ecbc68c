"""Opens a PDF, and reads its pages and its title."""

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, UnreadableError

# Titles that a program left: the name of a file, or the name of the program.
_NO_TITLE = re.compile(
    r"microsoft (?:word|powerpoint|excel|publisher)\b|(?:powerpoint[- ])?pr[äeé]sentation ?\d*\Z|powerpoint\b.*\Z"
    r"|(?:untitled|unbenannt|sans titre|document|dokument|book|mappe|slide|folie|blank|title|titel|none|null)[- ]?\d*\Z"
    r"|\(?(?:anonymous|unspecified|unknown|noname)\)?\Z|print\b.*\Z|layout \d+\Z|(?:[a-z]:)?[\\/].*|file:.*|about:blank|https?://\S+\Z"
    r"|.*\.(?:docx?|dotx?|rtf|odt|ott|pptx?|xlsx?|odp|ods|pub|vsdx?|pdf|ps|eps|ai|indd|qxp|qxd|pmd|p65|fm|tex|dvi|"
    r"html?|aspx?|php|txt|md|exe|tmp|tiff?|jpe?g|png|dwg|wpd|cdr)\Z",
    re.IGNORECASE,
)


def read_pdf(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield a PDF as a document."""
    import pypdfium2  # noqa: PLC0415 - a large library that most folders do not need

    try:
        with pypdfium2.PdfDocument(data) as pdf:
            yield _read(pdf, limits)
    except pypdfium2.PdfiumError as error:
        reason = "is encrypted" if "password" in str(error).lower() else f"is not a readable PDF ({error})"
        raise UnreadableError(reason) from error


def _read(pdf: Any, limits: Limits) -> ParsedDocument:
    from qa_service.loading.pdf.pages import read_pages  # noqa: PLC0415 - as above
    from qa_service.loading.pdf.writing import Writer  # noqa: PLC0415 - as above

    if len(pdf) > limits.pages:
        raise UnreadableError(f"has {len(pdf)} pages, over the limit of {limits.pages} (QA_MAX_PAGES)")
    pages, warnings = read_pages(pdf, limits)
    if not any(page.items or page.page.notes for page in pages):
        raise UnreadableError("; ".join(("contains no text", *warnings)))
    writer = Writer(pages)
    builder = writer.write()
    found = builder.document()
    title = _title(pdf.get_metadata_dict().get("Title", ""))
    if title and not found.outline.title:
        found = builder.document(title=title)
    lines = tuple(base64.b64encode(page).decode("ascii") for page in writer.page_lines(found.text))
    return replace(found, warnings=warnings, page_lines=lines)


def _title(metadata: str) -> str:
    """Return the title in the metadata, unless a program made it up."""
    title = " ".join(metadata.split())
    return "" if _NO_TITLE.match(title) or not re.search(r"[^\W\d_]", title) else title
