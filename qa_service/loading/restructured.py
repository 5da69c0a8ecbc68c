"""reStructuredText -> text, by docutils. Directives that include files or raw markup are not followed."""

from collections.abc import Iterator
from typing import Any

from qa_service.datatypes import BlockKind
from qa_service.loading.decoding import decode
from qa_service.loading.outline import Limits, ParsedDocument, TextBuilder, UnreadableError

_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 5,
    "halt_level": 5,
    "line_length_limit": 1_000_000,
}


def read_restructured(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield a reStructuredText file as a document."""
    from docutils import nodes  # noqa: PLC0415 - only where such files are
    from docutils.core import publish_doctree  # noqa: PLC0415

    text, warning = decode(data)
    try:
        tree: Any = publish_doctree(text, settings_overrides={**_SETTINGS, "doctitle_xform": False})
    except Exception as error:  # directives may raise anything
        raise UnreadableError(f"is not readable reStructuredText ({type(error).__name__}: {error})") from error
    builder = TextBuilder()
    _add(builder, tree, 0, nodes)
    found = builder.document()
    yield ParsedDocument(found.text, found.outline, warnings=(warning,) if warning else ())


def _add(builder: TextBuilder, node: Any, depth: int, nodes: Any) -> None:
    for child in node.children:
        if isinstance(child, nodes.section):
            _add(builder, child, depth + 1, nodes)
        elif isinstance(child, nodes.title):
            builder.heading(max(1, depth), child.astext())
        elif isinstance(child, nodes.literal_block | nodes.doctest_block):
            builder.block(child.astext().strip("\n"), "code")
        elif isinstance(child, nodes.row):
            builder.block(" | ".join(" ".join(entry.astext().split()) for entry in child.children), "table_row")
        elif isinstance(child, nodes.comment | nodes.substitution_definition | nodes.target | nodes.system_message):
            continue
        elif isinstance(child, nodes.TextElement):
            kind: BlockKind = "list_item" if isinstance(node, nodes.list_item) else "paragraph"
            builder.block(" ".join(child.astext().split()), kind)
        elif isinstance(child, nodes.Element):
            _add(builder, child, depth, nodes)
