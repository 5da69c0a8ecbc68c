"""DOCX -> text, from its XML: all that is printed, wherever it stands.

Insertions, content controls, fields, links and text boxes are read as people see them; deletions, hidden text, the code
of fields and tables of contents are not. Notes follow the paragraph of their mark. Headers and footers stand once,
below the text and outside its sections.
"""

from collections.abc import Iterator
from dataclasses import replace

from qa_service.loading.archive import DAMAGES, open_archive
from qa_service.loading.flow import Flow
from qa_service.loading.grid import Paragraph, Part, Table
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError
from qa_service.loading.word_package import WordPackage
from qa_service.loading.word_walk import WordWalk


def read_docx(data: bytes, limits: Limits) -> Iterator[ParsedDocument]:
    """Yield a DOCX as a document."""
    archive = open_archive(data, limits)
    try:
        package = WordPackage(archive)
        flow = Flow()
        WordWalk(flow, package).read(package.document())
        around = list(_around(package))
    except UnreadableError:
        raise
    except DAMAGES as error:
        raise UnreadableError(f"is not a readable DOCX ({type(error).__name__}: {error})") from error
    builder = TextBuilder()
    flow.write(builder)
    if around:
        builder.leave_sections()
        Flow(around).write(builder)
    title = package.title()
    found = builder.document()
    found = found if found.outline.title or not title else builder.document(title=title)
    yield replace(found, warnings=tuple(package.warnings))


def _around(package: WordPackage) -> Iterator[Part]:
    """Yield what stands in headers and footers, once: sections often repeat the same."""
    seen: set[str] = set()
    for part in package.headers_and_footers():
        flow = Flow()
        WordWalk(flow, package, is_running=True).read(part)
        for found in flow.parts:
            words = _words(found) if isinstance(found, Table) else found.words if isinstance(found, Paragraph) else ""
            if words not in seen:
                seen.add(words)
                yield found


def _words(table: Table) -> str:
    return "\n".join(cell.words() for row in table.rows for cell in row.cells)
