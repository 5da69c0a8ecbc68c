"""RTF -> text: paragraphs, headings by their styles, lists, tables and notes; hidden and deleted text is not read."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder, UnreadableError

_TOKEN = re.compile(
    r"\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,9})? ?|\\'(?P<byte>[0-9a-fA-F]{2})|\\(?P<sign>[^a-zA-Z])"
    r"|(?P<brace>[{}])|(?P<text>[^\\{}\r\n]+)"
)
_HEADING_STYLE = re.compile(
    r"\{(?:\\\*)?\\s(?P<style>\d+)[^{};]*[ ;](?:heading|Heading|berschrift) (?P<level>[1-9])[^{};]*;\}"
)
_FONT = re.compile(r"\{\\f(?P<font>\d+)[^{};]*?\\fcharset(?P<charset>\d+)")
_CODE_PAGE = re.compile(r"\\ansicpg(?P<number>\d{3,5})")
_CHARSETS = {
    128: "cp932", 129: "cp949", 134: "gb18030", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258",
    177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_SYMBOLS = {
    "tab": " ", "line": " ", "emdash": "—", "endash": "–", "bullet": "•", "lquote": "‘", "rquote": "’",
    "ldblquote": "“", "rdblquote": "”", "emspace": " ", "enspace": " ",
}  # fmt: skip
_SIGNS = {"~": "\u00a0", "_": "-", "{": "{", "}": "}", "\\": "\\"}
_UNREAD = {
    *("fonttbl", "colortbl", "stylesheet", "info", "pict", "themedata", "generator", "listtable", "rsidtbl", "fldinst"),
    *("listoverridetable", "xmlnstbl", "latentstyles", "datastore", "objdata", "bkmkstart", "bkmkend", "nonshppict"),
    *("colorschememapping", "filetbl", "revtbl", "sp", "pgptbl", "private", "tc", "xe", "atnid", "atnauthor"),
}
_RUNNING = {f"{kind}{pages}" for kind in ("header", "footer") for pages in ("", "l", "r", "f")}
_NOTES = {"footnote", "annotation"}
_READ_ANYWAY = {"shpinst", "shppict", *_NOTES}
_MAX_HEADING_CHARACTERS = 300


def read_rtf(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the file as a document."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise UnreadableError("is not RTF: it does not begin with {\\rtf")
    yield _Reader(data.decode("latin-1")).document()


@dataclass(slots=True)
class _Group:
    """The state that a closing brace ends."""

    is_read: bool = True
    is_hidden: bool = False
    encoding: str = "cp1252"
    skips: int = 1
    """The number of characters that stand for one of Unicode, for programs that know none."""
    ends: str = ""
    """The name of the note or header that ends with the group."""


@dataclass(slots=True)
class _Reader:
    rtf: str
    _builder: TextBuilder = field(default_factory=TextBuilder)
    _groups: list[_Group] = field(default_factory=list)
    _buffers: list[list[str]] = field(default_factory=lambda: [[]])
    _bytes: bytearray = field(default_factory=bytearray)
    _notes: list[str] = field(default_factory=list)
    _running: dict[str, None] = field(default_factory=dict)
    _rows: list[list[str]] = field(default_factory=list)
    _cells: list[str] = field(default_factory=list)
    _in_table: bool = False
    _has_header: bool = False
    _is_item: bool = False
    _level: int = 0
    _to_skip: int = 0

    def document(self) -> ParsedDocument:
        styles = {match["style"]: int(match["level"]) for match in _HEADING_STYLE.finditer(self.rtf)}
        code_page = _CODE_PAGE.search(self.rtf)
        usual = f"cp{code_page['number']}" if code_page else "cp1252"
        fonts = {match["font"]: _CHARSETS.get(int(match["charset"]), usual) for match in _FONT.finditer(self.rtf)}
        self._groups = [_Group(encoding=usual)]
        position = 0
        while match := _TOKEN.search(self.rtf, position):
            position = match.end()
            if not match["byte"]:
                self._decode()
            if match["brace"]:
                self._brace(match["brace"])
            elif match["word"] == "bin":
                position += max(0, int(match["number"] or 0))
            elif match["word"] == "f":
                self._group.encoding = fonts.get(match["number"] or "", usual)
            elif match["word"] == "s":
                self._level = styles.get(match["number"] or "", 0) if len(self._buffers) == 1 else self._level
            else:
                self._token(match)
        self._decode()
        return self._finished()

    @property
    def _group(self) -> _Group:
        return self._groups[-1]

    def _finished(self) -> ParsedDocument:
        self._end_paragraph()
        self._end_table()
        if self._running:
            self._builder.leave_sections()
            for words in self._running:
                self._builder.block(words)
        return self._builder.document()

    def _brace(self, brace: str) -> None:
        if brace == "{":
            self._groups.append(replace(self._group, ends=""))
        elif len(self._groups) > 1:
            group = self._groups.pop()
            if group.ends:
                words = " ".join("".join(self._buffers.pop()).split())
                if group.ends in _RUNNING and words:
                    self._running[_whole(words)] = None
                elif words:
                    self._notes.append(words)

    def _token(self, match: re.Match[str]) -> None:
        if match["text"]:
            self._add(match["text"][self._to_skip :])
            self._to_skip = max(0, self._to_skip - len(match["text"]))
        elif match["byte"]:
            if self._to_skip:
                self._to_skip -= 1
            else:
                self._bytes.append(int(match["byte"], 16))
        elif match["sign"] == "*":
            following = _TOKEN.match(self.rtf, match.end())
            if following is None or following["word"] not in _READ_ANYWAY:
                self._group.is_read = False
        elif match["sign"]:
            self._add(_SIGNS.get(match["sign"], ""))
        else:
            self._word(match["word"], int(match["number"]) if match["number"] else None)

    def _word(self, word: str, number: int | None) -> None:
        if word == "u" and number is not None:
            code = number % 65536
            self._add(chr(code))
            self._to_skip = self._group.skips
        elif word == "uc":
            self._group.skips = max(0, number or 0)
        elif word in {"v", "deleted"}:
            self._group.is_hidden = number != 0
        elif word == "plain":
            self._group.is_hidden = False
        elif word in _UNREAD:
            self._group.is_read = False
        elif word in _RUNNING or word in _NOTES:
            self._group.ends = word
            self._buffers.append([])
        elif word in _SYMBOLS:
            self._add(_SYMBOLS[word])
        elif self._group.is_read:
            self._layout(word, number)

    def _layout(self, word: str, number: int | None) -> None:
        if len(self._buffers) > 1:  # in a note
            self._add(" " if word in {"par", "cell", "row"} else "")
        elif word in {"par", "sect", "page"}:
            self._add(" ") if self._in_table else self._end_paragraph()
        elif word == "pard":
            self._level, self._in_table, self._is_item = 0, False, False
        elif word == "intbl":
            self._in_table = True
        elif word == "outlinelevel" and number is not None:
            self._level = number + 1
        elif word in {"listtext", "pntext"}:
            self._is_item, self._group.is_read = True, False
        else:
            self._table(word)

    def _table(self, word: str) -> None:
        if word == "cell":
            self._cells.append("".join(self._buffers[0]))
            self._buffers[0].clear()
        elif word == "trhdr":
            self._has_header = self._has_header or not self._rows
        elif word == "row":
            self._rows.append(self._cells)
            self._cells = []
        elif word == "nestcell":
            self._add(" ")

    def _add(self, words: str) -> None:
        if words and self._group.is_read and not self._group.is_hidden:
            self._buffers[-1].append(words)

    def _decode(self) -> None:
        """Add the bytes of a code page, which may make up characters together."""
        if self._bytes:
            try:
                self._add(self._bytes.decode(self._group.encoding, "replace"))
            except LookupError:
                self._add(self._bytes.decode("cp1252", "replace"))
            self._bytes.clear()

    def _end_paragraph(self) -> None:
        words = _whole("".join(self._buffers[0]))
        self._buffers[0].clear()
        words = " ".join(words.split())
        if words:
            self._end_table()
        if self._level and len(words) <= _MAX_HEADING_CHARACTERS:
            self._builder.heading(self._level + 1, words)
        else:
            self._builder.block(words, "list_item" if self._is_item else "paragraph")
        self._end_notes()

    def _end_table(self) -> None:
        rows, self._rows = self._rows, []
        texts = [[_whole(cell) for cell in row] for row in rows]
        self._builder.table(texts, has_header=self._has_header)
        self._has_header = False
        if rows:
            self._end_notes()

    def _end_notes(self) -> None:
        for note in self._notes:
            self._builder.block(_whole(note))
        self._notes.clear()


def _whole(words: str) -> str:
    """Join halves of characters, as RTF writes those beyond 16 bits."""
    return words.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
