r"""LaTeX -> text: the commands go, their words stay. Headings are those of ``\section`` and its kin.

Nothing is carried out: macros are not expanded, and no other file is read.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from qa_service.datatypes import BlockKind
from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.outline import ParsedDocument, TextBuilder

_COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%[^\n]*(?:\n[ \t]*)?")
_VERBATIM = re.compile(
    r"\\begin\{(?P<name>verbatim\*?|lstlisting|minted|Verbatim|alltt)\}(?:\[[^\]]*\])?(?:\{[^}]*\})?(?P<code>.*?)"
    r"\\end\{(?P=name)\}",
    re.DOTALL,
)
_LEVELS = {
    "part": 1,
    "chapter": 1,
    "section": 2,
    "subsection": 3,
    "subsubsection": 4,
    "paragraph": 5,
    "subparagraph": 6,
}
_GROUP = r"\{((?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}"
_HEADING = re.compile(rf"\\(?P<name>{'|'.join(_LEVELS)})\*?\s*(?:\[[^\]]*\])?\s*{_GROUP}")
_TITLE = re.compile(rf"\\title\s*(?:\[[^\]]*\])?\s*{_GROUP}")
_AUTHOR = re.compile(rf"\\(?:author|date)\s*(?:\[[^\]]*\])?\s*{_GROUP}")
_TABLE = re.compile(
    r"\\begin\{(?P<name>tabular[x*]?|longtable|array)\}(?:\[[^\]]*\])?(?:\{[^{}]*\})?"
    rf"{_GROUP}(?P<rows>.*?)\\end\{{(?P=name)\}}",
    re.DOTALL,
)
_SECOND_HEADER = re.compile(r"\\endfirsthead.*?\\endhead\b|\\end(?:head|foot|lastfoot)\b", re.DOTALL)
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?|\\tabularnewline")
_CELL_END = re.compile(r"(?<!\\)&")
_RULE = re.compile(r"\\(?:[hc]line|\w+rule)\b(?:\{[^}]*\})?")
_SILENT = re.compile(
    rf"\\(?:label|ref|eqref|pageref|autoref|[cC]ref|cite\w*|index|input|include|includegraphics|bibliography\w*|"
    rf"usepackage|vspace|hspace|setlength|setcounter|pagestyle|thispagestyle|graphicspath|hypersetup|color|"
    rf"newcommand|renewcommand|definecolor)\*?\s*(?:\[[^\]]*\]\s*)*(?:{_GROUP}\s*(?:\[[^\]]*\]\s*)?)?"
)
_LINK = re.compile(rf"\\href\s*\{{[^{{}}]*\}}\s*{_GROUP}")
_ENVIRONMENT = re.compile(r"\\(?:begin\{minipage\}(?:\[[^\]]*\])*\{[^{}]*\}|(?:begin|end)\{[^}]*\}(?:\[[^\]]*\])*)")
_TARGET = re.compile(r"\\hypertarget\s*\{[^{}]*\}")
_ITEM = re.compile(r"\\item\b\s*(?:\[(?P<label>[^\]]*)\])?")
_BLOCK_COMMAND = re.compile(
    r"\\(?:maketitle|par|newpage|clearpage|tableofcontents|bigskip|medskip|smallskip)\b|\\\\(?:\[[^\]]*\])?"
)
_FOOTNOTE = re.compile(rf"\\footnote\s*{_GROUP}")
_CAPTION = re.compile(rf"\\caption\*?\s*(?:\[[^\]]*\])?\s*{_GROUP}")
_ACCENT = re.compile(r"\\(?:([`'^\"~=.])\s*|([uvHc])(?:\s+|(?=\{)))(?:\{\\?([A-Za-z])\}|\\?([A-Za-z]))")
_COMBINING = dict(
    zip("`'^\"~=.uvHc", "\u0300\u0301\u0302\u0308\u0303\u0304\u0307\u0306\u030c\u030b\u0327", strict=True)
)
_SYMBOLS = {
    "ss": "ß", "ae": "æ", "AE": "Æ", "oe": "œ", "OE": "Œ", "o": "ø", "O": "Ø", "l": "ł", "L": "Ł", "aa": "å", "AA": "Å",
    "S": "§", "P": "¶", "copyright": "©", "pounds": "£", "euro": "€", "degree": "°", "ldots": "…", "dots": "…",
    "textendash": "–", "textemdash": "—", "times": "×", "cdot": "·", "pm": "±", "leq": "≤", "le": "≤", "geq": "≥",
    "ge": "≥", "neq": "≠", "approx": "≈", "infty": "∞", "to": "→", "rightarrow": "→", "alpha": "α", "beta": "β",
    "gamma": "γ", "delta": "δ", "epsilon": "ε", "lambda": "λ", "mu": "μ", "pi": "π", "sigma": "σ", "theta": "θ",
    "omega": "ω", "Delta": "Δ", "Omega": "Ω", "Sigma": "Σ", "sum": "∑", "in": "∈", "LaTeX": "LaTeX", "TeX": "TeX",
    "quad": " ", "qquad": " ", "textbackslash": "\\",
}  # fmt: skip
_COMMAND = re.compile(r"\\([A-Za-z]+)\*?\s*(?:\[[^\]\n]*\])?")
_ESCAPED = re.compile(r"\\([%&#_${}])")
_SPACES = re.compile(r"\\[ ,;:!/@]|~")
_MARK = "\x00"


def read_latex(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the file as a document."""
    text, warning = decode(data)
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace(_MARK, "")
    code: list[str] = []

    def keep(match: re.Match[str]) -> str:
        code.append(match["code"].strip("\n"))
        return f"\n\n{_MARK}code {len(code) - 1}\n\n"

    text = _COMMENT.sub(r"\1", _VERBATIM.sub(keep, text))
    title = _TITLE.search(text)
    preamble, begin, body = text.partition("\\begin{document}")
    body = body.partition("\\end{document}")[0] if begin else preamble
    builder = TextBuilder()
    if begin:
        for match in _AUTHOR.finditer(preamble):
            builder.block(_words(match[1]))
    body = _AUTHOR.sub("", _TITLE.sub("", body))
    for table in _pieces(body):
        _write(builder, table, code)
    found = builder.document(title=_words(title[1]) if title else None)
    yield replace(found, warnings=(warning,) if warning else ())


def _pieces(body: str) -> Iterator[re.Match[str] | str]:
    """Yield tables, and the text between them."""
    position = 0
    for match in _TABLE.finditer(body):
        yield body[position : match.start()]
        yield match
        position = match.end()
    yield body[position:]


def _write(builder: TextBuilder, piece: re.Match[str] | str, code: list[str]) -> None:
    if not isinstance(piece, str):
        _write_table(builder, piece["rows"])
        return
    piece = _HEADING.sub(lambda match: f"\n\n{_MARK}{match['name']} {' '.join(match[2].split())}\n\n", piece)
    piece = _FOOTNOTE.sub(r" (\1)", _CAPTION.sub("\n\n\\1\n\n", piece))
    piece = _ITEM.sub(lambda match: f"\n\n{_MARK}item {match['label'] or ''} ", piece)
    piece = _BLOCK_COMMAND.sub("\n\n", _ENVIRONMENT.sub("\n\n", _TARGET.sub("", piece)))
    for paragraph in re.split(r"\n[ \t]*\n\s*", piece):
        name, words = "", paragraph.strip()
        if words.startswith(_MARK):
            name, _, words = words[1:].partition(" ")
        if name == "code":
            builder.block(code[int(words)], "code")
        elif name in _LEVELS:
            builder.heading(_LEVELS[name], _words(words))
        else:
            kind: BlockKind = "list_item" if name == "item" else "paragraph"
            builder.block(_words(words), kind)


def _write_table(builder: TextBuilder, source: str) -> None:
    """Write a table. A rule below the first row makes that the header."""
    lines = [line for line in _ROW_END.split(_SECOND_HEADER.sub("", source)) if line.strip()]
    rows = [[_words(cell) for cell in _CELL_END.split(_RULE.sub("", line))] for line in lines]
    filled = [number for number, row in enumerate(rows) if any(row)]
    has_header = len(filled) > 1 and _RULE.match(lines[filled[0] + 1].lstrip()) is not None
    builder.table([rows[number] for number in filled], has_header=has_header)


def _words(text: str) -> str:
    """Return a text without commands and braces."""
    text = _ENVIRONMENT.sub(" ", text)
    text = _SILENT.sub("", _LINK.sub(r"\1", text))
    text = _ACCENT.sub(lambda match: (match[3] or match[4]) + _COMBINING[match[1] or match[2]], text)
    text = _COMMAND.sub(lambda match: _SYMBOLS.get(match[1], ""), _SPACES.sub(" ", text))
    text = _ESCAPED.sub(lambda match: {"{": "\x01", "}": "\x02", "$": "\x03"}.get(match[1], match[1]), text)
    text = re.sub(r"\$+", "", text.replace("{", "").replace("}", ""))
    text = text.replace("\x01", "{").replace("\x02", "}").replace("\x03", "$")
    text = text.replace("---", "—").replace("--", "–").replace("``", "“").replace("''", "”")
    return unicodedata.normalize("NFC", " ".join(text.split()))
