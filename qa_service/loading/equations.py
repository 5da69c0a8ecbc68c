"""Equations of MathML and of Office -> text on one line, such as ``E = mc^2`` and ``(a + b)/2``."""

import re
from typing import Any

# The signs between the parts of a construct, by its name in MathML and in Office.
_JOINTS = {
    **dict.fromkeys(("mfrac", "f"), ("/",)),
    **dict.fromkeys(("msup", "mover", "sSup", "limUpp"), ("^",)),
    **dict.fromkeys(("msub", "munder", "sSub", "limLow"), ("_",)),
    **dict.fromkeys(("msubsup", "munderover", "sSubSup", "nary"), ("_", "^", " ")),
    **dict.fromkeys(("mtable", "m", "eqArr"), ("; ",)),
    **dict.fromkeys(("mtr", "mr"), (", ",)),
    "func": (" ",),
}
_ROOTS = {"msqrt", "mroot", "rad"}
_FENCED = {"mfenced", "d"}
_SILENT = {"annotation", "annotation-xml", "instrText", "del", "delText", "rPr", "ctrlPr"}
_INVISIBLE = re.compile("[\u2061-\u2064]")
_OPERATOR = re.compile(r"\s*([=<>≤≥≠≈≡→±+−×÷∈⊂∪∩])\s*")
_SIMPLE = re.compile(r"[\w.]*\Z")
_MAX_DEPTH = 200


def local_name(element: Any) -> str:
    """Return an element's name without its namespace; nothing for comments and instructions."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def equation(element: Any) -> str:
    """Return the words of an equation; nothing of what is nested too deeply."""
    return " ".join(_OPERATOR.sub(r" \1 ", _words(element, 0)).split())


def _words(element: Any, depth: int) -> str:
    name = local_name(element)
    if name in _SILENT or depth > _MAX_DEPTH:
        return ""
    if name == "nary":  # the sign is a property, and the integral is its default
        sign = element.find("{*}naryPr/{*}chr")
        head = ["∫" if sign is None else str(next(iter(sign.values()), ""))]
    else:
        head = [_INVISIBLE.sub("", element.text or "")] if name in {"mi", "mn", "mo", "ms", "mtext", "t"} else []
    parts = [part for part in (*head, *(_words(child, depth + 1) for child in element)) if part]
    if name in _JOINTS:
        return _joined(parts, _JOINTS[name])
    if name in _ROOTS:
        parts = parts[::-1] if name == "rad" else parts
        return "".join(parts[1:]) + f"√({''.join(parts[:1])})" if name != "msqrt" else f"√({''.join(parts)})"
    return f"({', '.join(parts)})" if name in _FENCED else "".join(parts)


def _joined(parts: list[str], joints: tuple[str, ...]) -> str:
    """Join the parts of a construct: with brackets where they would not be read as one thing without."""
    words = parts[0] if parts else ""
    if parts[1:] and joints[0] == "/" and not _SIMPLE.match(words):
        words = f"({words})"
    for place, part in enumerate(parts[1:]):
        joint = joints[min(place, len(joints) - 1)]
        words += joint + (f"({part})" if joint in {"/", "_", "^"} and not _SIMPLE.match(part) else part)
    return words
