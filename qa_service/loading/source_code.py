"""Source code -> outline: the text is the file; definitions are headings, comments and docstrings paragraphs.

Definitions are recognised line by line, by the words of their language: a file that does not compile is read too.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from qa_service.datatypes import BlockKind
from qa_service.loading.outline import Outline, OutlineBuilder, UnreadableError, letters_of
from qa_service.text.positions import line_starts

_C_COMMENT = r"\s*(?://|/\*|\*(?:\s|/|\Z))"
_HASH_COMMENT = r"\s*#(?!\[|include|define|if|endif|pragma|else|undef)"
_TYPES = r"class|interface|enum|struct|record|namespace|module|trait|protocol|extension|object|union"
_MODIFIERS = (
    r"(?:(?:export|default|declare|public|private|protected|internal|static|final|abstract|sealed|override|virtual|"
    r"async|partial|readonly|synchronized|open|data|suspend|inline|extern|unsafe|pub(?:\([^)]*\))?|const|case|implicit|"
    r"fileprivate|mutating|operator|infix|native|default)\s+)*"
)
_KEYWORDS = r"(?!(?:if|for|while|switch|catch|return|else|do|try|new|throw|using|lock|foreach|await|sizeof|function)\b)"


@dataclass(frozen=True, slots=True)
class _Language:
    """Patterns of lines. A definition has a name; ``long`` marks begin and end a text over several lines."""

    definition: re.Pattern[str]
    comment: re.Pattern[str]
    long: tuple[str, ...] = ()


def _language(*definitions: str, comment: str = _C_COMMENT, long: tuple[str, ...] = (), flags: int = 0) -> _Language:
    named = (rf"[ \t]*{pattern.replace('NAME', f'(?P<name{number}>')}" for number, pattern in enumerate(definitions))
    return _Language(re.compile("|".join(named), flags), re.compile(comment), long)


_PYTHON = _language(r"(?:async\s+)?(?:def|class)\s+NAME\w+)", comment=r"\s*#", long=('"""', "'''", 'r"""'))
_JAVASCRIPT = _language(
    rf"{_MODIFIERS}(?:function\*?|{_TYPES}|type)\s+NAME[\w$]+)",
    rf"{_MODIFIERS}(?:const|let|var)\s+NAME[\w$]+)\s*(?::[^=]+)?=\s*(?:async\s*)?(?:function\b|\([^)]*\)[^=;]*=>|[\w$]+\s*=>)",
    rf"{_MODIFIERS}(?:get\s+|set\s+|\*)?{_KEYWORDS}NAME[\w$#]+)\s*(?:<[^>]*>)?\([^;]*\)\s*(?::[^{{;=]+)?\{{\s*\Z",
)
_JAVA = _language(
    rf"{_MODIFIERS}(?:{_TYPES})\s+NAME[\w.]+)",
    rf"{_MODIFIERS}{_KEYWORDS}(?:[\w<>\[\],.?@]+\s+)+NAME\w+)\s*(?:<[^>]*>)?\([^;=]*(?:\{{|\)|,)?\s*\Z",
    rf"{_MODIFIERS}fun\s+(?:<[^>]*>\s*)?NAME[\w.]+)",
)
_C = _language(
    rf"(?:typedef\s+)?(?:{_TYPES})\s+NAME\w+)[^;()]*\{{?\s*\Z",
    rf"(?<![ \t]){_KEYWORDS}[A-Za-z_][\w\s*&:<>,~]*?[\s*&]NAME[\w:~]+)\s*\([^;]*\Z",
    r"#\s*define\s+NAME\w+)\(",
)
_RUST = _language(
    rf"{_MODIFIERS}(?:fn|struct|enum|trait|mod|union|type)\s+NAME\w+)",
    r"impl(?:<[^>]*>)?\s+NAME[^{]+?)\s*(?:\{|where|\Z)",
    r"macro_rules!\s+NAME\w+)",
)
_LANGUAGES = {
    **dict.fromkeys((".py", ".pyi"), _PYTHON),
    **dict.fromkeys((".js", ".mjs", ".cjs", ".jsx", ".ts", ".tsx"), _JAVASCRIPT),
    **dict.fromkeys((".java", ".cs", ".kt", ".scala"), _JAVA),
    **dict.fromkeys((".c", ".h", ".cpp", ".cc", ".hpp"), _C),
    ".rs": _RUST,
    ".go": _language(r"func\s+(?:\([^)]*\)\s*)?NAME\w+)", r"type\s+NAME\w+)\s"),
    ".swift": _language(rf"{_MODIFIERS}(?:func|{_TYPES})\s+NAME\w+)"),
    ".php": _language(rf"{_MODIFIERS}(?:function|{_TYPES})\s+&?NAME\w+)", comment=rf"{_C_COMMENT}|{_HASH_COMMENT}"),
    ".rb": _language(r"(?:def|class|module)\s+NAME[\w.:?!=]+)", comment=r"\s*#", long=("=begin", "=end")),
    ".sh": _language(r"(?:function\s+)?NAME[\w:-]+)\s*\(\)", r"function\s+NAME[\w:-]+)", comment=r"\s*#"),
    ".r": _language(r"NAME[\w.]+)\s*(?:<-|=)\s*function\b", comment=r"\s*#"),
    ".lua": _language(r"(?:local\s+)?function\s+NAME[\w.:]+)", comment=r"\s*--"),
    ".sql": _language(
        r"(?:create|alter)\s+(?:or\s+(?:replace|alter)\s+)?(?:global\s+|temp(?:orary)?\s+|unique\s+|materialized\s+)*"
        r"(?:table|view|function|procedure|index|trigger|type|sequence|schema|database)\s+(?:if\s+not\s+exists\s+)?"
        r"NAME[\w.\"`\[\]]+)",
        comment=r"\s*(?:--|/\*|\*)",
        flags=re.IGNORECASE,
    ),
}  # fmt: skip
SOURCE_SUFFIXES = tuple(_LANGUAGES)
_MAX_DEFINITION_CHARACTERS = 400
_MIN_MINIFIED_CHARACTERS, _MINIFIED_LINE_CHARACTERS = 2_000, 300
_ATTACHED = re.compile(r"\s*(?:@\w|#\[|\[\w+[^\]]*\]\s*\Z|template\s*<)")  # decorators, attributes


def source_parser(suffix: str) -> Callable[[str], Outline]:
    """Return the parser of a language, named by its file extension. It raises :class:`UnreadableError`."""
    language = _LANGUAGES[suffix]

    def parse(text: str) -> Outline:
        if len(text) > _MIN_MINIFIED_CHARACTERS and len(text) > _MINIFIED_LINE_CHARACTERS * (text.count("\n") + 1):
            raise UnreadableError("is minified code, which nobody reads; the folder of its source is worth indexing")
        return _parse(text, language)

    return parse


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    kind: BlockKind | None
    """``None`` for a blank line."""
    name: tuple[int, int] | None = None
    """Where a definition is named."""


def _parse(text: str, language: _Language) -> Outline:
    lines = list(_lines(text, language))
    # A title of none: the first definition is not the file's title.
    builder = OutlineBuilder(text, "")
    headings = _headings(lines, text)
    run: list[_Line] = []

    def write() -> None:
        if run and letters_of(text[run[0].start : run[-1].end]):
            builder.block(run[0].start, run[-1].end, run[0].kind or "code")
        run.clear()

    for number, line in enumerate(lines):
        if number in headings:
            write()
            start, end = headings[number].name or (0, 0)
            before = text[headings[number].start : start].expandtabs(4)
            builder.heading(1 + (len(before) - len(before.lstrip())) // 2, text[start:end], start, end)
        if line.kind is None or (run and run[0].kind != line.kind):
            write()
        if line.kind is not None:
            run.append(line)
    write()
    return replace(builder.outline(), title=None)


def _headings(lines: list[_Line], text: str) -> dict[int, _Line]:
    """Return the definitions by the number of the line at which they begin, with the comments above them."""
    found: dict[int, _Line] = {}
    for number, line in enumerate(lines):
        if line.name is None:
            continue
        first = number
        while first and (
            lines[first - 1].kind == "paragraph" or _ATTACHED.match(text, lines[first - 1].start, lines[first - 1].end)
        ):
            if lines[first - 1].name is not None or first - 1 in found or lines[first - 1].kind is None:
                break
            first -= 1
        found[first] = line
    return found


def _lines(text: str, language: _Language) -> Iterator[_Line]:
    """Yield the lines with what they are: a long comment or docstring goes on until its end."""
    starts = [*line_starts(text), len(text)]
    ends_with = ""
    for start, end in pairwise(starts):
        words = text[start:end].strip()
        if ends_with:
            yield _Line(start, end, "paragraph" if words else None)
            ends_with = "" if ends_with in words else ends_with
            continue
        begin = next((mark for mark in (*language.long, "/*") if words.startswith(mark)), "")
        is_hash = begin == "/*" and language.comment.pattern.startswith(r"\s*#")
        if begin and not is_hash:
            mark = {"/*": "*/", "=begin": "=end"}.get(begin, begin.lstrip("r"))
            ends_with = "" if mark in words[len(begin) :] else mark
            yield _Line(start, end, "paragraph" if words else None)
        elif not words:
            yield _Line(start, end, None)
        elif language.comment.match(words) and not words.startswith("#!"):
            yield _Line(start, end, "paragraph" if words else None)
        else:
            last = start + len(text[start:end].rstrip())
            is_long = last - start > _MAX_DEFINITION_CHARACTERS  # minified code
            match = None if is_long else language.definition.match(text, start, last)
            yield _Line(start, end, "code", match.span(match.lastgroup or 0) if match else None)
