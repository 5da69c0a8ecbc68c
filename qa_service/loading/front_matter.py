"""Front matter -> metadata: YAML between lines of ``---``, or TOML between lines of ``+++``, at the start of a text."""

import datetime as dt
import re
import tomllib
from collections.abc import Callable
from typing import Any

import yaml

from qa_service.datatypes import Metadata

_MAX_CHARACTERS = 65_536
_FENCED = re.compile(
    r"\A\ufeff?(?P<fence>---|\+\+\+)[ \t]*(?:\r\n|\r|\n)(?![ \t]*[\r\n])"
    r"(?P<content>(?:[^\r\n]*(?:\r\n|\r|\n))*?)(?P=fence)[ \t]*(?:\r\n|\r|\n|\Z)"
)
_BEGINS_WITH_KEY = re.compile(r"\s*(?:#.*\s+)*[\w.-]+:(?:\s|\Z)")
_SCALARS = (str, int, float, bool, dt.date, dt.time)
_PARSERS: dict[str, tuple[Callable[[str], Any], tuple[type[Exception], ...]]] = {
    "---": (yaml.safe_load, (yaml.YAMLError, ValueError, RecursionError)),
    "+++": (tomllib.loads, (tomllib.TOMLDecodeError, ValueError, RecursionError)),
}


def front_matter(text: str) -> tuple[Metadata, int]:
    """Return the metadata at the start of a text, and where the front matter ends; 0 if there is none.

    Scalars and lists of scalars become text. Text between two rules is no front matter if it begins with a blank
    line, is no mapping, or has a key of several words. Front matter with an error gives no metadata.
    """
    match = _FENCED.match(text)
    if match is None:
        return {}, 0
    content, (parse, errors) = match["content"], _PARSERS[match["fence"]]
    if len(content) > _MAX_CHARACTERS:
        return {}, match.end() if _BEGINS_WITH_KEY.match(content) else 0
    try:
        loaded = parse(content)
    except errors:
        return {}, match.end() if match["fence"] == "---" and _BEGINS_WITH_KEY.match(content) else 0
    is_mapping = isinstance(loaded, dict) and not any(" " in str(key) for key in loaded)
    return (_texts(loaded), match.end()) if is_mapping else ({}, 0)


def _texts(loaded: dict[Any, Any]) -> Metadata:
    found: dict[str, str | tuple[str, ...]] = {}
    for key, value in loaded.items():
        if isinstance(value, _SCALARS):
            found[str(key)] = _text_of(value)
        elif isinstance(value, list) and all(isinstance(item, _SCALARS) for item in value):
            found[str(key)] = tuple(map(_text_of, value))
    return found


def _text_of(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
