"""Filters on attributes, evaluated for one document or passage at a time.

The values of an attribute are texts. ``title``, ``uri`` (alias ``filename``), ``file_id`` and ``section`` (a heading
above the passage) are built in; all others are keys of the documents' front matter.
"""

import operator
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from qa_service.datatypes import AttributeFilter, ComparisonFilter, CompoundFilter, Metadata
from qa_service.errors import InvalidRequest

Attributes = Mapping[str, Sequence[str]]
SECTION = "section"
BUILT_IN = ("title", "uri", "filename", "file_id", SECTION)
NEGATED = ("ne", "nin")
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "gte": operator.ge,
    "lt": operator.lt,
    "lte": operator.le,
}
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_MAX_NUMBER_CHARACTERS = 64
_MAX_KEYS_LISTED = 10  # in an error message


def comparisons(given: AttributeFilter) -> Iterator[ComparisonFilter]:
    """Yield all comparisons within a filter."""
    if isinstance(given, ComparisonFilter):
        yield given
    else:
        for part in given.filters:
            yield from comparisons(part)


def check_filter(given: AttributeFilter, front_matter: Collection[str]) -> None:
    """Raise :class:`InvalidRequest` for a comparison with an unknown key or an unsupported operator.

    ``front_matter`` holds all keys that occur in the documents' front matter.
    """
    for one in comparisons(given):
        if one.key not in BUILT_IN:
            if one.key not in front_matter:
                known = ", ".join([*BUILT_IN, *sorted(front_matter)[:_MAX_KEYS_LISTED]])
                raise InvalidRequest(f"filters: no document has this attribute; known attributes are {known}")
        elif one.operator in _ORDERS or not all(isinstance(value, str) for value in one.values):
            raise InvalidRequest(f"filters: {', '.join(BUILT_IN)} only support eq, ne, in and nin, with text")


def values_of(value: str | Sequence[str]) -> Sequence[str]:
    """Return the values of an attribute as a sequence."""
    return (value,) if isinstance(value, str) else value


def attributes_of(document_id: str, uri: str, title: str, front_matter: Metadata) -> Attributes:
    """Return the attributes that all passages of a document share."""
    own = {key: values_of(value) for key, value in front_matter.items()}
    return {**own, "title": (title,), "uri": (uri,), "filename": (uri,), "file_id": (document_id,)}


def passing(given: AttributeFilter) -> Callable[[Attributes], bool]:
    """Return a predicate that tells whether attributes pass a filter.

    An absent attribute passes ``ne`` and ``nin`` only.
    """
    if isinstance(given, CompoundFilter):
        parts = [passing(part) for part in given.filters]
        combine = all if given.operator == "and" else any
        return lambda attributes: combine(part(attributes) for part in parts)
    met, negated, key = meeting(given), given.operator in NEGATED, given.key
    return lambda attributes: any(map(met, attributes.get(key, ()))) != negated


def meeting(given: ComparisonFilter) -> Callable[[str], bool]:
    """Return a predicate that tells whether a comparison holds for a value, ignoring negation.

    A number is compared with values that are written as numbers; everything else is compared as text, by code points.
    """
    if (compare := _ORDERS.get(given.operator)) is not None:
        (limit,) = given.values
        if isinstance(limit, str):
            return lambda text: compare(text, limit)
        return lambda text: (number := _number(text)) is not None and compare(number, limit)
    wanted = frozenset(given.values)
    if all(isinstance(value, str) for value in wanted):
        return lambda text: text in wanted
    return lambda text: text in wanted or _number(text) in wanted


def _number(text: str) -> float | None:
    return _parsed(text) if len(text) <= _MAX_NUMBER_CHARACTERS else None


@lru_cache(10_000)
def _parsed(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def has_order(given: ComparisonFilter) -> bool:
    """Tell whether a comparison is ordered: larger or smaller, not equal."""
    return given.operator in _ORDERS
