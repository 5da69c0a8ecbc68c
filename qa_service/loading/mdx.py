"""MDX -> Markdown: what stands between the tags of components, without imports, exports, tags and expressions."""

import re
from collections.abc import Iterator

from qa_service.loading.decoding import decode
from qa_service.loading.limits import Limits
from qa_service.loading.markdown import parse_markdown
from qa_service.loading.outline import ParsedDocument

_CODE = r"(?P<code>^(?P<fence>[ \t]*(?P<ticks>`{3,}|~{3,}))[^\n]*\n.*?(?:^[ \t]*(?P=ticks)[^\n]*$|\Z)|`[^`\n]+`)"
_STATEMENT = r"(?P<statement>^(?:import|export)\s.+?(?:\n[ \t]*(?=\n)|\Z))"
_BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_ATTRIBUTE = rf"\s+(?:[\w:.-]+(?:=(?:\"[^\"]*\"|'[^']*'|{_BRACES}))?|{_BRACES})"
_TAG = rf"(?P<tag></?(?:[A-Za-z][\w.:-]*)?(?P<attributes>(?:{_ATTRIBUTE})*)\s*/?>)"
_PIECE = re.compile(rf"{_CODE}|{_STATEMENT}|{_TAG}|(?P<expression>{_BRACES})", re.MULTILINE | re.DOTALL)
_SHOWN = re.compile(r"\b(?:title|label|summary|alt|caption|description|header|heading)=(?:\"([^\"]*)\"|'([^']*)')")
_STRING = re.compile(r"\{\s*(?:'([^'\\]*)'|\"([^\"\\]*)\"|`([^`\\$]*)`)\s*\}")


def read_mdx(data: bytes, _: Limits) -> Iterator[ParsedDocument]:
    """Yield the file as a document."""
    text, warning = decode(data)
    written = _PIECE.sub(_replacement, text.replace("\r\n", "\n"))
    yield ParsedDocument(written, parse_markdown(written), warnings=(warning,) if warning else ())


def _replacement(match: re.Match[str]) -> str:
    """Return code as it is, the attributes of a tag that people see, and the text of an expression that is one."""
    if match["code"]:
        return match["code"]
    if match["tag"]:
        return " ".join(one or other for one, other in _SHOWN.findall(match["attributes"] or ""))
    if match["expression"] and (string := _STRING.fullmatch(match["expression"])):
        return next(group for group in string.groups() if group is not None)
    return ""
