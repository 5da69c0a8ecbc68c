"""Elements of a page that are read as one piece of text: pictures, equations, ruby and fields of forms."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from qa_service.loading.equations import equation

_SILENT_INPUTS = {"hidden", "password", "checkbox", "radio", "submit", "button", "reset", "image", "file", "color"}
_FILE_NAME = re.compile(r"(?:\A|[\\/])[^\s\\/]+\.(?:png|jpe?g|gif|svg|webp|avif|bmp)\Z", re.IGNORECASE)
_MAX_AROUND = 40


def words_of(element: Any, tag: str) -> str | None:
    """Return the text of such an element; ``None`` for any other."""
    match tag:
        case "img" | "area":
            return f" {_alternative(element)} "
        case "math":
            return _equation(element)
        case "ruby":
            readings = "".join(word for reading in element.iter("rt") for word in reading.itertext())
            return with_reading("".join(_base(element)), readings)
        case "svg":
            return f" {_drawn(element)} "
        case "input":
            silent = element.get("type", "text").lower() in _SILENT_INPUTS
            return "" if silent else f" {element.get('value', '')} "
    return None


def with_reading(base: str, reading: str) -> str:
    """Return a word with how it is read, which stands above it on the page."""
    base, reading = "".join(base.split("\n")).strip(), reading.strip()
    return f"{base}({reading})" if reading else base


def without_file_name(words: str) -> str:
    """Return the text that stands for a picture; nothing if it is a file's name or was made by a program."""
    words = " ".join(words.split())
    return "" if _FILE_NAME.search(words) or "automatically generated" in words else words


def _base(ruby: Any) -> Iterator[str]:
    yield ruby.text or ""
    for child in ruby:
        if child.tag not in {"rt", "rp", "rtc"}:
            yield "".join(child.itertext())
        yield child.tail or ""


def _alternative(image: Any) -> str:
    """Return the text that stands for a picture, unless it stands beside it anyway."""
    words = without_file_name(image.get("alt", ""))
    if not words:
        return ""
    figure = next(image.iterancestors("figure"), None)
    around = image.getparent() if figure is None else figure
    return "" if around is not None and words in " ".join(islice(around.itertext(), _MAX_AROUND)) else words


def _equation(math: Any) -> str:
    found = equation(math) or math.get("alttext", "")
    return found or " ".join(" ".join(note.itertext()) for note in math.iter("annotation"))


def _drawn(drawing: Any) -> str:
    """Return the words in a drawing, or else its title."""
    texts = [" ".join(" ".join(text.itertext()).split()) for text in drawing.iter("text", "foreignobject")]
    return "  ".join(texts) or (drawing.findtext("title") or "")
