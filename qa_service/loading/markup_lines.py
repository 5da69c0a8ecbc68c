"""AsciiDoc and Org -> text, line by line: headings, lists, tables and code; marks of emphasis and links are taken away.

Includes, macros and directives are not carried out: nothing beside the file is read.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from qa_service.datatypes import BlockKind
from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder

_ADOC_HEADING = re.compile(r"(?P<signs>={1,6}|#{1,6})\s+(?P<words>\S.*)")
_ADOC_ITEM = re.compile(r"\s*(?:[*.-]{1,5}|\d+\.|<\d+>)\s+(?P<words>\S.*)")
_ADOC_FENCE = re.compile(r"(-{4,}|\.{4,}|\+{4,}|/{4,}|`{3,})")
_ADOC_BORDER = re.compile(r"(?:={4,}|\*{4,}|_{4,}|--|<<<|'{3}|\+)\s*")
_ADOC_UNSEEN = re.compile(
    r"//(?!/)|:!?[\w-]+!?:(?:\s|\Z)|\[.*\]\s*\Z|(?:include|toc|image|video|audio|ifdef|ifndef|endif)::"
)
_ADOC_MARKS = (
    (re.compile(r"(?:link:|xref:|mailto:)?(?:https?://)?[\w./#@:%?=&~+-]*\[(?P<words>[^\]]+)\]"), r"\g<words>"),
    (re.compile(r"<<[^,>]*(?:,(?P<words>[^>]*))?>>"), r"\g<words>"),
    (re.compile(r"(?<!\w)(?P<sign>\*\*?|__?|``?|##?)(?=\S)(?P<words>[^\n]+?)(?<=\S)(?P=sign)(?!\w)"), r"\g<words>"),
    (re.compile(r"\{(?:nbsp|sp|empty|zwsp)\}"), " "),
)
_ORG_HEADING = re.compile(r"(?P<signs>\*+)\s+(?P<words>.*?)(?:\s+:[\w@#%:]+:)?\s*\Z")
_ORG_STATE = re.compile(r"\A(?:TODO|DONE|NEXT|WAITING|CANCELLED)\s+|\A\[#[A-Z]\]\s+")
_ORG_ITEM = re.compile(r"\s*(?:[-+]|\s\*|\d+[.)])\s+(?:\[[ X-]\]\s+)?(?P<words>\S.*)")
_ORG_BEGIN = re.compile(r"\s*#\+begin_(?P<kind>\w+)", re.IGNORECASE)
_ORG_TITLE = re.compile(r"#\+title:\s*(?P<words>.+)", re.IGNORECASE)
_ORG_CAPTION = re.compile(r"\s*#\+caption:\s*(?P<words>.+)", re.IGNORECASE)
_ORG_UNSEEN = re.compile(r"\s*#(?:\s|\+|\Z)|\s*(?:SCHEDULED|DEADLINE|CLOSED):")
_ORG_DRAWER = re.compile(r"\s*:[\w-]+:\s*\Z")
_ORG_MARKS = (
    (re.compile(r"\[\[[^\]]*\]\[(?P<words>[^\]]+)\]\]"), r"\g<words>"),
    (re.compile(r"\[\[(?:file:)?(?P<words>[^\]]+)\]\]"), r"\g<words>"),
    (re.compile(r"(?<!\w)(?P<sign>[*/=~+_])(?=\S)(?P<words>[^\n]+?)(?<=\S)(?P=sign)(?!\w)"), r"\g<words>"),
)
_TABLE_RULE = re.compile(r"\s*\|[-+|: ]*-[-+|: ]*\Z")
_CODE_KINDS = {"src", "example", "export"}


@dataclass(slots=True)
class _Writer:
    """Collects the lines of a block until it ends."""

    marks: tuple[tuple[re.Pattern[str], str], ...]
    builder: TextBuilder = field(default_factory=TextBuilder)
    kind: BlockKind = "paragraph"
    lines: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    has_header: bool = False

    def plain(self, words: str) -> str:
        for pattern, replacement in self.marks:
            words = pattern.sub(replacement, words)
        return words

    def end(self) -> None:
        """Write the block or the table so far."""
        text = "\n".join(self.lines) if self.kind == "code" else self.plain(" ".join(" ".join(self.lines).split()))
        self.builder.block(text, self.kind)
        self.builder.table([list(map(self.plain, row)) for row in self.rows], has_header=self.has_header)
        self.kind, self.lines, self.rows, self.has_header = "paragraph", [], [], False

    def heading(self, level: int, words: str) -> None:
        self.end()
        self.builder.heading(level, self.plain(words))

    def item(self, words: str) -> None:
        self.end()
        self.kind, self.lines = "list_item", [words]

    def code(self, lines: Iterator[str], end: re.Pattern[str]) -> None:
        """Read code up to a line that ends it."""
        self.end()
        self.kind = "code"
        for line in lines:
            if end.match(line):
                break
            self.lines.append(line)
        self.end()


def read_asciidoc(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the file as a document."""
    text, warning = decode(data)
    writer = _Writer(_ADOC_MARKS)
    lines = iter(text.removeprefix("\ufeff").splitlines())
    for line in lines:
        _asciidoc_line(writer, line, lines)
    writer.end()
    yield replace(writer.builder.document(), warnings=(warning,) if warning else ())


def _asciidoc_line(writer: _Writer, line: str, lines: Iterator[str]) -> None:
    if match := _ADOC_HEADING.fullmatch(line):
        writer.heading(len(match["signs"]), match["words"].rstrip(" ="))
    elif match := _ADOC_FENCE.fullmatch(line.rstrip()):
        fence = re.compile(re.escape(match[1]) + r"\s*\Z")
        if line.startswith("////"):
            next((line for line in lines if fence.match(line)), None)
        else:
            writer.code(lines, fence)
    elif line.startswith("|==="):
        _asciidoc_table(writer, lines)
    elif not line.strip() or _ADOC_BORDER.fullmatch(line):
        writer.end()
    elif _ADOC_UNSEEN.match(line):
        if not line.startswith("//"):
            writer.end()
    elif line.startswith(".") and line[1:2].isalnum():
        writer.end()
        writer.builder.block(writer.plain(line[1:]))
    elif match := _ADOC_ITEM.fullmatch(line):
        writer.item(match["words"])
    else:
        writer.lines.append(line)


def _asciidoc_table(writer: _Writer, lines: Iterator[str]) -> None:
    """Read a table: a line is a row, or a cell where the first row has several cells and this line fewer."""
    writer.end()
    cells: list[str] = []
    width = 0
    for number, line in enumerate(lines):
        if line.startswith("|==="):
            break
        if not line.strip():
            writer.has_header = writer.has_header or (number == 1 and width > 1)
            continue
        before, *found = re.split(r"(?<!\\)(?:\d*\.?\d*[+*]?[<^>]?[aehlmsdv]?)\|", line)
        if before.strip() and cells:
            cells[-1] = f"{cells[-1]} {before.strip()}"
        cells += [cell.strip() for cell in found]
        width = width or len(found)
    writer.rows = [cells[start : start + width] for start in range(0, len(cells), width)] if width else []
    writer.end()


def read_org(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the file as a document."""
    text, warning = decode(data)
    writer = _Writer(_ORG_MARKS)
    title = None
    lines = iter(text.removeprefix("\ufeff").splitlines())
    for line in lines:
        if match := _ORG_TITLE.match(line):
            title = match["words"]
        else:
            _org_line(writer, line, lines)
    writer.end()
    yield replace(writer.builder.document(title=title), warnings=(warning,) if warning else ())


def _org_line(writer: _Writer, line: str, lines: Iterator[str]) -> None:
    if match := _ORG_HEADING.fullmatch(line):
        writer.heading(len(match["signs"]), _ORG_STATE.sub("", _ORG_STATE.sub("", match["words"])))
    elif match := _ORG_BEGIN.match(line):
        _org_block(writer, match["kind"], lines)
    elif match := _ORG_CAPTION.match(line):
        writer.end()
        writer.lines.append(match["words"])
        writer.end()
    elif _ORG_DRAWER.match(line):
        next((line for line in lines if line.strip().upper() == ":END:"), None)
    elif not line.strip() or _ORG_UNSEEN.match(line):
        writer.end()
    elif line.lstrip().startswith("|"):
        _org_row(writer, line)
    elif match := _ORG_ITEM.fullmatch(line):
        writer.item(match["words"].replace(" :: ", ": ", 1))
    else:
        if writer.rows:
            writer.end()
        writer.lines.append(line)


def _org_block(writer: _Writer, kind: str, lines: Iterator[str]) -> None:
    """Read a block of code, skip a comment; others are text, as quotes are."""
    end = re.compile(rf"\s*#\+end_{kind}", re.IGNORECASE)
    if kind.lower() in _CODE_KINDS:
        writer.code(lines, end)
    elif kind.lower() == "comment":
        next((line for line in lines if end.match(line)), None)
    else:
        writer.end()


def _org_row(writer: _Writer, line: str) -> None:
    if writer.lines:
        writer.end()
    if _TABLE_RULE.fullmatch(line):
        writer.has_header = writer.has_header or len(writer.rows) == 1
    else:
        writer.rows.append([cell.strip() for cell in line.strip().strip("|").split("|")])
