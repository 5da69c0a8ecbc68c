"""Filters on attributes, evaluated on one document or passage at a time.

An attribute has texts as values. ``title``, ``uri`` (also called ``filename``), ``file_id`` and ``section`` (a heading
above the passage) are built in; the others are the keys of the documents' front matter.
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
_MAX_DIGITS = 64
_MAX_KEYS_NAMED = 10


def comparisons(given: AttributeFilter) -> Iterator[ComparisonFilter]:
    """Yield the comparisons that a filter consists of."""
    if isinstance(given, ComparisonFilter):
        yield given
    else:
        for part in given.filters:
            yield from comparisons(part)


def check_filter(given: AttributeFilter, front_matter: Collection[str]) -> None:
    """Raise :class:`InvalidRequest` for a comparison that has no meaning.

    ``front_matter`` are the keys that occur in the front matter of some document.
    """
    for one in comparisons(given):
        if one.key not in BUILT_IN:
            if one.key not in front_matter:
                known = ", ".join([*BUILT_IN, *sorted(front_matter)[:_MAX_KEYS_NAMED]])
                raise InvalidRequest(f"filters: no document has an attribute of such a key; there are {known}")
        elif one.operator in _ORDERS or not all(isinstance(value, str) for value in one.values):
            raise InvalidRequest(f"filters: {', '.join(BUILT_IN)} take eq, ne, in and nin, and text alone")


def values_of(value: str | Sequence[str]) -> Sequence[str]:
    """Return the values of an attribute that is one text or several."""
    return (value,) if isinstance(value, str) else value


def attributes_of(document_id: str, uri: str, title: str, front_matter: Metadata) -> Attributes:
    """Return the attributes of a document, which are those of all its passages."""
    own = {key: values_of(value) for key, value in front_matter.items()}
    return {**own, "title": (title,), "uri": (uri,), "filename": (uri,), "file_id": (document_id,)}


def passing(given: AttributeFilter) -> Callable[[Attributes], bool]:
    """Return a function that tells whether attributes pass a filter.

    An attribute that is absent has no value, so it passes ``ne`` and ``nin`` only.
    """
    if isinstance(given, CompoundFilter):
        parts = [passing(part) for part in given.filters]
        combine = all if given.operator == "and" else any
        return lambda attributes: combine(part(attributes) for part in parts)
    met, negated, key = meeting(given), given.operator in NEGATED, given.key
    return lambda attributes: any(map(met, attributes.get(key, ()))) != negated


def meeting(given: ComparisonFilter) -> Callable[[str], bool]:
    """Return a function that tells whether a comparison holds for a value, its negation left aside.

    A number is compared with what is written as a number, everything else as text, by code points.
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
    return _parsed(text) if len(text) <= _MAX_DIGITS else None


@lru_cache(10_000)
def _parsed(text: str) -> float | None:
    return float(text) if _NUMBER.fullmatch(text) else None


def has_order(given: ComparisonFilter) -> bool:
    """Tell whether a comparison is for larger or smaller values."""
    return given.operator in _ORDERS
