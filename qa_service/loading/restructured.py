"""reStructuredText -> text, by docutils. Directives that include files or raw markup are not followed.

Sphinx and others have roles and directives that docutils does not know: of a role the words are read, of a directive
its arguments and its content. The same holds for directives whose options are not those of docutils.
"""

import re
from collections.abc import Iterator
from functools import partial
from textwrap import dedent
from typing import Any

from qa_service.datatypes import BlockKind
from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError

_SETTINGS = {
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "report_level": 5,
    "halt_level": 5,
    "line_length_limit": 1_000_000,
    "doctitle_xform": False,
}
_MAX_NESTED_DIRECTIVES = 20
_DIRECTIVE = re.compile(r"\.\.[ ]+(?:[\w-]+:)?(?P<name>[\w+.-]+)[ ]*::(?P<arguments>[^\n]*)\n?")
_CLASS = re.compile(r"^(?P<indent>[ ]*\.\.[ ]+)(?=class::[ ]+\S*[A-Z.(])", re.MULTILINE)
_OPTION = re.compile(r"[ ]+:[\w-]+:")
_SIGNATURE = re.compile(r"\A\S+\Z|\(")
_ROLE = re.compile(r":(?P<name>[a-zA-Z][\w+.:-]*):`|`:(?P<behind>[a-zA-Z][\w+.:-]*):")
_TITLE_AND_TARGET = re.compile(r"(?P<title>.+?)\s*<[^<>]*>\Z", re.DOTALL)
_OWN_ROLES = {
    *("abbreviation", "ab", "acronym", "ac", "code", "emphasis", "literal", "math", "pep-reference", "pep"),
    *("rfc-reference", "rfc", "strong", "subscript", "sub", "superscript", "sup", "title-reference", "title", "t"),
    "raw",
}
# Nothing of these is on the page, or what is there comes from other files.
_SILENT = {
    *("toctree", "index", "highlight", "currentmodule", "module", "default-domain", "tabularcolumns", "include"),
    *("sectionauthor", "codeauthor", "testsetup", "testcleanup", "literalinclude", "raw", "meta", "contents"),
    *("sectnum", "role", "default-role", "title", "rst-class"),
}
_CODE = {
    *("code", "code-block", "sourcecode", "prompt", "parsed-literal", "testcode", "testoutput", "doctest"),
    "productionlist",
}
_CONDITIONS = {"only", "ifconfig", "grid", "hlist", "container"}
_VERSIONS = {
    "versionadded": "Added in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
    "versionremoved": "Removed in version",
}


def read_restructured(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield a reStructuredText file as a document."""
    text, warning = decode(data)
    builder = TextBuilder()
    try:
        _Walk(builder).read(text, 0, 0)
    except Exception as error:  # directives may raise anything
        raise UnreadableError(f"is not readable reStructuredText ({type(error).__name__}: {error})") from error
    found = builder.document()
    yield ParsedDocument(found.text, found.outline, warnings=(warning,) if warning else ())


class _Walk:
    """Adds the text of parsed documents to a builder."""

    def __init__(self, builder: TextBuilder) -> None:
        from docutils import nodes  # noqa: PLC0415 - only where such files are

        self._builder = builder
        self._nodes = nodes
        self._nested = 0

    def read(self, text: str, depth: int, nested: int) -> None:
        """Parse and add a text whose headings are below ``depth`` others, within ``nested`` directives."""
        from docutils.core import publish_doctree  # noqa: PLC0415
        from docutils.parsers.rst import roles  # noqa: PLC0415

        for match in _ROLE.finditer(text):
            name = (match["name"] or match["behind"]).lower()
            if name not in _OWN_ROLES:
                roles.register_local_role(name, partial(_words_of_role))  # it sets attributes of its own
        # Sphinx describes a class by the directive with which docutils gives a class to a paragraph.
        tree: Any = publish_doctree(_CLASS.sub(r"\g<indent>py:", text), settings_overrides=_SETTINGS)
        self._name_references(tree)
        before, self._nested = self._nested, nested
        self._add(tree, depth)
        self._nested = before

    def _name_references(self, tree: Any) -> None:
        """Let references to labels without words of their own have those of the heading behind the label."""
        nodes = self._nodes
        titles = {
            name: section.next_node(nodes.title).astext()
            for section in tree.findall(nodes.section)
            for name in section["names"]
        }
        for reference in tree.findall(nodes.inline):
            if title := titles.get(reference.get("label", "")):
                reference.children = [nodes.Text(title)]

    def _add(self, node: Any, depth: int) -> None:
        nodes = self._nodes
        for child in node.children:
            if isinstance(child, nodes.section):
                self._add(child, depth + 1)
            elif isinstance(child, nodes.title) and isinstance(node, nodes.section | nodes.document):
                self._builder.heading(max(1, depth), child.astext())
            elif isinstance(child, nodes.system_message):
                self._add_failed(child, depth)
            elif isinstance(child, nodes.comment | nodes.substitution_definition | nodes.target):
                continue
            elif isinstance(child, nodes.Element):
                self._add_element(node, child, depth)

    def _add_element(self, node: Any, child: Any, depth: int) -> None:
        nodes = self._nodes
        if isinstance(child, nodes.literal_block | nodes.doctest_block):
            self._builder.block(child.astext().strip("\n"), "code")
        elif isinstance(child, nodes.tgroup):
            rows = [_cells(row) for row in child.findall(nodes.row)]
            self._builder.table(rows, has_header=child.next_node(nodes.thead) is not None)
        elif isinstance(child, nodes.image):
            self._builder.block(" ".join(child.get("alt", "").split()))
        elif isinstance(child, nodes.field) and len(child[1].children) == 1:
            self._builder.block(" ".join(f"{child[0].astext()}: {child[1].astext()}".split()))
        elif isinstance(child, nodes.TextElement):
            kind: BlockKind = "list_item" if isinstance(node, nodes.list_item) else "paragraph"
            self._builder.block(" ".join(child.astext().split()), kind)
        else:
            self._add(child, depth)

    def _add_failed(self, message: Any, depth: int) -> None:
        """Add the arguments and the content of a directive that docutils could not read."""
        sources = [child.astext() for child in message.children if isinstance(child, self._nodes.literal_block)]
        match = _DIRECTIVE.match(sources[0].expandtabs() + "\n") if sources else None
        if match is None:
            return
        name, arguments = match["name"].lower(), match["arguments"].strip()
        body = (sources[0].expandtabs() + "\n")[match.end() :]
        if name in _SILENT:
            return
        more, content = _parted(body)
        if name in _CODE:
            self._builder.block("\n\n".join(filter(None, (more, content))).strip("\n"), "code")
        elif self._nested < _MAX_NESTED_DIRECTIVES:
            self.read(_described(name, arguments, more) + content, depth, self._nested + 1)
        else:
            self._builder.block(" ".join(f"{arguments} {more} {content}".split()))


def _cells(row: Any) -> list[str]:
    """Return the texts of a row's cells; one that is wider than a column is followed by empty ones."""
    return [text for entry in row.children for text in (entry.astext(), *[""] * entry.get("morecols", 0))]


def _words_of_role(name: str, raw: str, text: str, *_: object, **__: object) -> tuple[list[Any], list[Any]]:
    """Return the words of a role that docutils does not know, as its interface has it."""
    from docutils import nodes  # noqa: PLC0415

    words = text.replace("\0", "").removeprefix("!")
    if titled := _TITLE_AND_TARGET.match(words):
        return [nodes.inline(raw, titled["title"])], []
    if name.rpartition(":")[2] == "ref":
        return [nodes.inline(raw, words, label=words.lower())], []
    return [nodes.inline(raw, words[1:].rpartition(".")[2] if words.startswith("~") else words)], []


def _described(name: str, arguments: str, more: str) -> str:
    """Return the text before the content of a directive: its arguments, each line of a signature a paragraph."""
    if name in _CONDITIONS:
        return f"{more}\n\n"
    if name in _VERSIONS:
        version, _, rest = arguments.partition(" ")
        return " ".join(filter(None, [f"{_VERSIONS[name]} {version}:", rest, *more.split()])) + "\n\n"
    separator = "\n\n" if _SIGNATURE.search(arguments) else "\n"
    return separator.join([arguments, *more.split("\n")]) + "\n\n"


def _parted(body: str) -> tuple[str, str]:
    """Return the lines directly below a directive and its content, without its options."""
    if body.startswith("\n"):
        return "", dedent(body)
    head, _, content = body.partition("\n\n")
    lines = [line for line in head.split("\n") if not _OPTION.match(line)]
    return dedent("\n".join(lines)).strip("\n"), dedent(content)
